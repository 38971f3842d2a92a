//! Typed characters, and their way to a guest.
//!
//! The console's interrupt goes to the boot CPU, which reads all characters each time, so that the switch key is seen
//! whatever a guest does. Characters belong to a guest or to the hypervisor, as [`crate::console::terminal`] decides;
//! the hypervisor's form commands for [`monitor`]. A guest's wait in its [`GuestSlot`] until one of its vCPUs takes
//! them.

use crate::arch::aarch64::cpu;
use crate::arch::lock::SpinLock;
use crate::base::id::DomainId;
use crate::console::terminal::Focus;
use crate::console::terminal::input::{Input, Key};
use crate::console::terminal::line::{Edit, Line};
use crate::console::{self, Keyboard, Urgency};
use crate::guest::device::uart::{ReceiverFull, UartInterrupt};
use crate::guest::domain::Devices;
use crate::guest::layout;
use crate::guest::registry::{GuestSlot, Registry};
use crate::guest::vcpu::{ShowOwn, Vcpu, monitor};
use crate::println;

/// Who gets what is typed, and what the hypervisor has got of a line.
struct Typing {
    input: Input,
    line: Line,
}

static TYPING: SpinLock<Typing> = SpinLock::new(Typing { input: Input::new(0, Focus::Hypervisor), line: Line::new() });

/// Gives the keyboard to the first guest of `registry` that starts, and listens.
pub fn start(registry: &Registry<'_>) {
    let first = registry.alive_from(Focus::Guest(DomainId::new(0)));
    TYPING.lock().input = Input::new(registry.slots().len(), first);
    console::set_raw(first);
    console::set_keyboard(Keyboard::Heard);
}

/// Stops listening.
pub fn stop() {
    console::set_keyboard(Keyboard::Deaf);
}

/// Moves the keyboard on from the guest `id`, which has come to its last end, if that guest has it and another is left.
pub fn leave(registry: &Registry<'_>, id: DomainId) {
    let mut typing = TYPING.lock();
    if typing.input.focus() != Focus::Guest(id) {
        return;
    }
    let first = Focus::Guest(DomainId::new(0));
    let next = match registry.alive_from(Focus::Guest(id)) {
        Focus::Hypervisor => registry.alive_from(first),
        guest => guest,
    };
    if let Focus::Guest(_) = next {
        typing.input.give(next);
        switch(registry, &mut typing.line, next);
    }
}

/// Takes what was typed. To be called on the CPU that has the console's interrupt.
pub fn typed(registry: &Registry<'_>, show_own: ShowOwn<'_>) {
    let mut typing = TYPING.lock();
    while let Some(key) = console::key() {
        match typing.input.press(key, cpu::nanoseconds(cpu::ticks())) {
            Key::Held => (),
            Key::Switched(focus) => {
                let focus = registry.alive_from(focus);
                typing.input.give(focus);
                switch(registry, &mut typing.line, focus);
            }
            Key::To(Focus::Guest(id), keys) => {
                if let Some(slot) = registry.slot(id) {
                    keys.into_iter().for_each(|key| slot.type_in(key));
                }
            }
            Key::To(Focus::Hypervisor, keys) => {
                keys.into_iter().for_each(|key| edit(registry, &mut typing.line, key, show_own));
            }
        }
    }
}

/// Shows the prompt, after what a command has printed.
fn show_prompt() {
    console::prompt("", "");
}

/// Says that the keyboard moved on, and lets only the guest that has it now do to the terminal what it likes.
fn switch(registry: &Registry<'_>, line: &mut Line, focus: Focus) {
    let before = console::focus();
    console::set_raw(focus);
    match focus {
        Focus::Hypervisor => {
            println!("lacuna: keyboard: hypervisor (help lists the commands)");
            if let Focus::Guest(id) = before
                && let Some(slot) = registry.slot(id)
            {
                slot.tell_dropped();
            }
            line.clear();
            show_prompt();
        }
        Focus::Guest(id) => {
            if let Some(slot) = registry.slot(id) {
                println!("lacuna: keyboard: {}", slot.name());
                // What it printed of a line before somebody watched.
                let _printed = slot.flush(Urgency::Now);
            }
        }
    }
}

/// Does what a key means at the hypervisor's prompt: little before Enter.
fn edit(registry: &Registry<'_>, line: &mut Line, key: u8, show_own: ShowOwn<'_>) {
    match line.press(key) {
        Edit::Nothing => (),
        Edit::Added(character) => console::prompt(line.text(), character.encode_utf8(&mut [0; 4])),
        Edit::Erased(count) => console::prompt(line.text(), &"\x08 \x08".repeat(count)),
        Edit::Abandoned => {
            console::prompt("", "^C");
            console::end_prompt();
            show_prompt();
        }
        Edit::Entered(entered) => {
            console::end_prompt();
            match entered {
                Ok(entered) => monitor::command(registry, &entered, show_own),
                Err(error) => println!("lacuna: {error}"),
            }
            show_prompt();
        }
    }
}

impl Vcpu<'_> {
    /// Goes on with keys that had to wait for room in the guest, whose UART may have some after each access, and may be
    /// listened to after each write to the interrupt controller.
    #[inline]
    pub(super) fn listen(&mut self) {
        if self.slot.has_keys() {
            self.hand_over();
        }
    }

    /// Passes the waiting characters to the guest, in order, as many as its receive FIFO has room for.
    #[cold]
    #[inline(never)]
    pub(super) fn hand_over(&mut self) {
        let slot: &GuestSlot<'_> = self.slot;
        slot.hand_over(|key| self.type_in(key));
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
}
