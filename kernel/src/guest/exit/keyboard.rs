//! What is typed, and who gets it.
//!
//! Keys come by the console's interrupt. They are the guest's or the hypervisor's, as [`crate::terminal`] says; the
//! hypervisor's are commands. What a guest has no room for waits here, so that the keyboard can be taken from a guest
//! that takes no keys. Once there is no room here either, the UART keeps what is typed.

use crate::arch::aarch64::el1;
use crate::console::{self, Keyboard};
use crate::guest::device::uart::Full;
use crate::guest::domain::Devices;
use crate::guest::exit::vcpu::{End, Next, Vcpu};
use crate::guest::layout;
use crate::println;
use crate::terminal::{Focus, Input, Key, PRESSES};
use arrayvec::ArrayVec;
use core::sync::atomic::{AtomicBool, Ordering};
use lacuna_boot::GuestFrame;
use spin::mutex::SpinMutex;

/// Keys that can wait for a guest: many more than somebody types before giving up on it.
const HELD: usize = 256;

/// Who gets what is typed, and what the guest had no room for.
static INPUT: SpinMutex<(Input, ArrayVec<u8, HELD>)> =
    SpinMutex::new((Input::new(0, Focus::Hypervisor), ArrayVec::new_const()));

/// Whether keys wait for a guest.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Has the keyboard be the guest `number`'s, of `guests`, at first.
pub fn start(guests: usize, number: usize) {
    INPUT.lock().0 = Input::new(guests, Focus::Guest(number));
}

/// Listens for keys, for a guest that has just started.
pub fn resume() {
    INPUT.lock().1.clear();
    WAITING.store(false, Ordering::Relaxed);
    console::set_keyboard(Keyboard::Heard);
}

/// Stops listening.
pub fn stop() {
    console::set_keyboard(Keyboard::Deaf);
}

impl Vcpu<'_> {
    /// Goes on with what had to wait for room in the guest, whose UART may have some after each access.
    #[inline]
    pub(super) fn listen(&mut self) {
        if WAITING.load(Ordering::Relaxed) {
            self.listen_again();
        }
    }

    /// Hands over what is held, and listens again once that is done. What is held may be all that was typed, so that no
    /// interrupt would ever ask for it.
    #[cold]
    fn listen_again(&mut self) {
        if self.hand_over(&mut INPUT.lock().1).is_ok() {
            WAITING.store(false, Ordering::Relaxed);
            console::set_keyboard(Keyboard::Heard);
        }
    }

    /// Gives the guest the keys that it has not got yet, in order.
    fn hand_over(&mut self, held: &mut ArrayVec<u8, HELD>) -> Result<(), Full> {
        while let Some(key) = held.first() {
            self.type_in(*key)?;
            held.remove(0);
        }
        Ok(())
    }

    /// Takes what was typed.
    pub(super) fn keys(&mut self, frame: &GuestFrame) -> Next {
        loop {
            let mut input = INPUT.lock();
            let (input, held) = &mut *input;
            WAITING.store(self.hand_over(held).is_err(), Ordering::Relaxed);
            if held.remaining_capacity() < PRESSES {
                console::set_keyboard(Keyboard::Deaf);
                return Next::Resume;
            }
            let Some(key) = console::key() else { return Next::Resume };
            match input.press(key) {
                Key::Held => (),
                Key::Switched(Focus::Hypervisor) => println!("lacuna: keyboard: hypervisor (h for help)"),
                Key::Switched(Focus::Guest(_)) => println!("lacuna: keyboard: {}", self.domain.name()),
                Key::To(Focus::Guest(_), keys) => held.extend(keys),
                Key::To(Focus::Hypervisor, keys) => {
                    if keys.iter().any(|key| self.command(frame, *key) == Next::Leave) {
                        return Next::Leave;
                    }
                }
            }
        }
    }

    /// Gives the guest a key. Without a UART it is lost.
    fn type_in(&mut self, key: u8) -> Result<(), Full> {
        let mut devices = self.domain.devices().lock();
        let Devices { vgic, uart: Some(uart) } = &mut *devices else { return Ok(()) };
        uart.receive(key)?;
        // There is no other vCPU to kick.
        let _ = vgic.set_line(self.index, layout::UART_INTID, uart.line(), &mut self.lists);
        Ok(())
    }

    /// Does what a key means to the hypervisor: small letters look, and capitals act, so that nothing ends by a slip.
    fn command(&mut self, frame: &GuestFrame, key: u8) -> Next {
        let name = self.domain.name();
        match key {
            b'h' | b'?' => {
                println!(
                    "lacuna: s state of {name}, i its interrupts, m its memory; R resets {name}, Q switches all off"
                );
                println!("lacuna: Ctrl-A three times gives the keyboard to {name}");
            }
            b's' => {
                println!("lacuna: {} with PSTATE {:#x}", self.at(frame), frame.pstate);
                println!("{}", el1::snapshot());
            }
            b'i' => {
                let devices = self.domain.devices().lock();
                for interrupt in devices.vgic.in_use(self.index, &self.lists) {
                    println!("lacuna: {interrupt}");
                }
            }
            b'm' => println!("lacuna: {}", self.domain.memory_in_words()),
            b'R' => {
                self.end = Some(End::Reset);
                return Next::Leave;
            }
            b'Q' => {
                self.end = Some(End::Off);
                return Next::Leave;
            }
            _ => (),
        }
        Next::Resume
    }
}
