//! What is typed, and who gets it.
//!
//! Keys come by the console's interrupt, and all that came are taken each time, so that the key which moves the keyboard on
//! is seen whatever a guest does. Keys are the guest's or the hypervisor's, as [`crate::console::terminal`] says; the hypervisor's
//! make commands, for `monitor`. The guest's wait here until it takes them.

use crate::arch::aarch64::cpu;
use crate::arch::lock::SpinLock;
use crate::base::id::DomainId;
use crate::console::terminal::Focus;
use crate::console::terminal::held::{Held, KeyFate};
use crate::console::terminal::input::{Input, Key};
use crate::console::terminal::line::{Edit, Line};
use crate::console::{self, Keyboard};
use crate::guest::device::uart::{ReceiverFull, UartInterrupt};
use crate::guest::domain::Devices;
use crate::guest::layout;
use crate::guest::vcpu::{Next, Vcpu};
use crate::println;
use core::sync::atomic::{AtomicBool, Ordering};
use lacuna_boot::GuestFrame;

/// Who gets what is typed, and what has come of it so far.
struct Typing {
    input: Input,
    /// The guest's keys.
    held: Held,
    /// The hypervisor's.
    line: Line,
}

static TYPING: SpinLock<Typing> =
    SpinLock::new(Typing { input: Input::new(0, Focus::Hypervisor), held: Held::new(), line: Line::new() });

/// Whether keys wait for a guest.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Gives the keyboard to the guest `first` of `guests`.
pub fn start(guests: usize, first: DomainId) {
    let mut typing = TYPING.lock();
    typing.input = Input::new(guests, Focus::Guest(first));
    typing.held.reserve();
    console::set_raw(Focus::Guest(first));
}

/// Listens for keys, for a guest that has just started.
pub fn resume() {
    console::set_keyboard(Keyboard::Heard);
}

/// Stops listening, and throws away the keys of the guest `name`, which is no more.
pub fn stop(name: &str) {
    console::set_keyboard(Keyboard::Deaf);
    let mut typing = TYPING.lock();
    typing.tell_dropped(name);
    typing.held.clear();
    WAITING.store(false, Ordering::Relaxed);
}

impl Typing {
    /// Says how many keys of the guest were dropped, if any were since the last time.
    fn tell_dropped(&mut self, name: &str) {
        if let Some(count) = self.held.tell_dropped() {
            println!("lacuna: {name}: {count} keys were dropped");
        }
    }
}

impl Vcpu<'_> {
    /// Goes on with what had to wait for room in the guest, whose UART may have some after each access, and may be listened
    /// to after each write to the interrupt controller.
    #[inline]
    pub(super) fn listen(&mut self) {
        if WAITING.load(Ordering::Relaxed) {
            self.listen_again();
        }
    }

    #[cold]
    fn listen_again(&mut self) {
        self.hand_over(&mut TYPING.lock());
    }

    /// Gives the guest the keys that it has not got yet, in order, as far as it takes them. Once it has taken all, it is
    /// worth saying what it missed.
    fn hand_over(&mut self, typing: &mut Typing) {
        let is_over = typing.held.hand_over(|key| self.type_in(key));
        WAITING.store(!is_over, Ordering::Relaxed);
        if is_over && self.has_uart() {
            typing.tell_dropped(self.domain.name());
        }
    }

    /// Takes all that was typed.
    pub(super) fn keys(&mut self, frame: &GuestFrame) -> Next {
        let mut typing = TYPING.lock();
        while let Some(key) = console::key() {
            match typing.input.press(key, cpu::nanoseconds(cpu::ticks())) {
                Key::Held => (),
                Key::Switched(focus) => self.switch(&mut typing, focus),
                Key::To(Focus::Guest(_), keys) => {
                    for key in keys {
                        self.hold(&mut typing.held, key);
                    }
                    self.hand_over(&mut typing);
                }
                Key::To(Focus::Hypervisor, keys) => {
                    for key in keys {
                        if self.edit(&mut typing.line, frame, key) == Next::Leave {
                            return Next::Leave;
                        }
                    }
                }
            }
        }
        Next::Resume
    }

    /// Says that the keyboard moved on, and lets only the guest that has it now do to the terminal what it likes.
    fn switch(&self, typing: &mut Typing, focus: Focus) {
        let name = self.domain.name();
        console::set_raw(focus);
        match focus {
            Focus::Hypervisor => {
                println!("lacuna: keyboard: hypervisor (help lists the commands)");
                typing.tell_dropped(name);
                typing.line.clear();
                console::prompt("", "");
            }
            Focus::Guest(_) => println!("lacuna: keyboard: {name}"),
        }
    }

    /// Keeps a key for the guest. One that finds no room, or no UART to go to, is dropped.
    fn hold(&self, held: &mut Held, key: u8) {
        let fate = if self.has_uart() { held.push(key) } else { held.drop_one() };
        if fate == KeyFate::FirstDropped {
            println!("lacuna: {} takes no keys: what is typed is dropped", self.domain.name());
        }
    }

    fn has_uart(&self) -> bool {
        self.domain.devices().lock().uart.is_some()
    }

    /// Gives the guest a key, once it listens.
    fn type_in(&mut self, key: u8) -> Result<(), ReceiverFull> {
        let mut devices = self.domain.devices().lock();
        let Devices { vgic, uart: Some(uart) } = &mut *devices else { return Err(ReceiverFull) };
        let is_enabled = vgic.is_enabled(self.id, layout::UART_INTID);
        if !uart.is_listened_to(if is_enabled { UartInterrupt::Enabled } else { UartInterrupt::Disabled }) {
            return Err(ReceiverFull);
        }
        uart.receive(key)?;
        let kick = vgic.set_line(self.id, layout::UART_INTID, uart.line(), &mut self.lists);
        drop(devices);
        self.domain.kick(kick);
        Ok(())
    }

    /// Does what a key means at the hypervisor's prompt: little before Enter.
    fn edit(&mut self, line: &mut Line, frame: &GuestFrame, key: u8) -> Next {
        match line.press(key) {
            Edit::Nothing => return Next::Resume,
            Edit::Added(character) => console::prompt(line.text(), character.encode_utf8(&mut [0; 4])),
            Edit::Erased(count) => console::prompt(line.text(), &"\x08 \x08".repeat(count)),
            Edit::Abandoned => {
                console::prompt("", "^C");
                console::end_prompt();
                console::prompt("", "");
            }
            Edit::Entered(entered) => {
                console::end_prompt();
                let next = match entered {
                    Ok(entered) => self.command(&entered, frame),
                    Err(error) => {
                        println!("lacuna: {error}");
                        Next::Resume
                    }
                };
                if next == Next::Leave {
                    return next;
                }
                console::prompt("", "");
            }
        }
        Next::Resume
    }
}
