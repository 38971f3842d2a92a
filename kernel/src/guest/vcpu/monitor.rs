//! The commands of the hypervisor's prompt that show and control guests.
//!
//! Only a vCPU's own CPU can read its registers, so a command posts a request to that CPU, and waits briefly for the
//! answer.

use crate::arch::aarch64::el1;
use crate::base::id::{Intid, VcpuId};
use crate::console::terminal::command::{Command, HELP};
use crate::cpu::block::block;
use crate::cpu::crew::within;
use crate::guest::device::vgic::InterruptSnapshot;
use crate::guest::domain::Domain;
use crate::guest::life::{End, Posted};
use crate::guest::registry::{GuestSlot, Registry};
use crate::guest::vcpu::{ShowOwn, Vcpu};
use crate::println;
use alloc::string::String;
use arm_psci::AffinityInfo;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use lacuna_boot::GuestFrame;

/// How long a command waits for the CPU of a vCPU.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many answers there have been.
static ANSWERS: AtomicU32 = AtomicU32::new(0);

/// A vCPU has shown what it was asked for.
pub(super) fn answered() {
    ANSWERS.fetch_add(1, Ordering::Release);
}

/// Carries out a line, and says what is wrong with it if it is no command.
pub(super) fn command(registry: &Registry<'_>, line: &str, show_own: ShowOwn<'_>) {
    match Command::parse(line) {
        Ok(None) => (),
        Ok(Some(command)) => carry_out(registry, command, show_own),
        Err(error) => println!("lacuna: {error}"),
    }
}

fn carry_out(registry: &Registry<'_>, command: Command<'_>, show_own: ShowOwn<'_>) {
    match command {
        Command::Help => {
            HELP.lines().for_each(|line| println!("lacuna: {line}"));
            let next = registry.slots().first().map_or("nobody", GuestSlot::name);
            println!("lacuna: Ctrl-A three times gives the keyboard to {next}");
        }
        Command::Guests => registry.slots().iter().for_each(list),
        Command::State(name) => show(registry, name, Posted::SHOW_STATE, show_own),
        Command::Interrupts(name) => show(registry, name, Posted::SHOW_INTERRUPTS, show_own),
        Command::Memory(name) => {
            let say = |slot: &GuestSlot<'_>, domain: &Domain| {
                let several = registry.slots().len() > 1;
                let (name, after) = if several { (slot.name(), ": ") } else { ("", "") };
                println!("lacuna: {name}{after}{}", domain.memory_in_words());
            };
            chosen(registry, name).iter().for_each(|slot| live(slot, |domain| say(slot, domain)));
        }
        Command::Reset(name) => one(registry, name, |slot| live(slot, |domain| domain.end(End::Reset))),
        Command::Stop(name) => one(registry, name, |slot| live(slot, |domain| domain.end(End::Ordered))),
        Command::Start(name) => one(registry, name, |slot| {
            if !registry.revive(slot) {
                println!("lacuna: {}: runs already", slot.name());
            }
        }),
        Command::Quit => registry.quit(),
    }
}

/// The guest with this name, or all of them; none, with a word about it, if there is no such guest.
fn chosen<'r, 'g>(registry: &'r Registry<'g>, name: Option<&str>) -> &'r [GuestSlot<'g>] {
    let Some(name) = name else { return registry.slots() };
    match registry.named(name) {
        Some(slot) => core::slice::from_ref(slot),
        None => {
            println!("lacuna: {name} is no guest; guests lists them");
            &[]
        }
    }
}

/// Does something to the guest with this name, or to the only one.
fn one<'g>(registry: &Registry<'g>, name: Option<&str>, act: impl FnOnce(&GuestSlot<'g>)) {
    match chosen(registry, name) {
        [slot] => act(slot),
        [] => (),
        several => println!("lacuna: which of {} guests? guests lists them", several.len()),
    }
}

/// Looks at the life of a guest, or says that it has none.
fn live(slot: &GuestSlot<'_>, look: impl FnOnce(&Domain)) {
    if slot.look(look).is_none() {
        println!("lacuna: {}: does not run", slot.name());
    }
}

fn list(slot: &GuestSlot<'_>) {
    let restarts = slot.restarts();
    let again = if restarts > 0 { alloc::format!(", started again {restarts} times by itself") } else { String::new() };
    live(slot, |domain| println!("lacuna: {}: runs, {}{again}", slot.name(), domain.memory_in_words()));
}

/// Has the vCPUs of the chosen guests show something, one after the other.
fn show(registry: &Registry<'_>, name: Option<&str>, what: Posted, show_own: ShowOwn<'_>) {
    for slot in chosen(registry, name) {
        live(slot, |domain| {
            for vcpu in (0..domain.life().vcpus()).map(|vcpu| VcpuId::new(vcpu as u16)) {
                if domain.life().state(vcpu) != Some(AffinityInfo::On) {
                    println!("lacuna: {}: vCPU {vcpu} is off", slot.name());
                    continue;
                }
                if domain.home(vcpu).is_some_and(|home| home.cpu == block().id()) {
                    show_own(slot.id(), vcpu, what);
                    continue;
                }
                let before = ANSWERS.load(Ordering::Acquire);
                domain.post(vcpu, what);
                if !within(PATIENCE, || ANSWERS.load(Ordering::Acquire) != before) {
                    println!("lacuna: {}: vCPU {vcpu} does not answer", slot.name());
                }
            }
        });
    }
}

impl Vcpu<'_> {
    /// Shows what was asked for.
    pub(super) fn show(&self, frame: &GuestFrame, what: Posted) {
        if what.has(Posted::SHOW_STATE) {
            self.show_state(frame);
        }
        if what.has(Posted::SHOW_INTERRUPTS) {
            self.show_interrupts();
        }
    }

    /// Shows the registers.
    fn show_state(&self, frame: &GuestFrame) {
        println!("lacuna: {} with PSTATE {:#x}", self.at(frame), frame.pstate);
        println!("{}", el1::snapshot());
    }

    /// Shows the interrupts that are enabled, pending or active.
    fn show_interrupts(&self) {
        let snapshot = |id| {
            let devices = self.domain.devices().lock();
            devices.vgic.snapshot(self.id, Intid::new(id), &self.lists).filter(InterruptSnapshot::is_in_use)
        };
        let end = self.domain.devices().lock().vgic.interrupts();
        // One at a time: nothing is printed under the devices' lock.
        (0..end).filter_map(snapshot).for_each(|interrupt| println!("lacuna: {interrupt}"));
    }
}
