//! Ends that the guest does not survive, or survives too often, and that the hypervisor must.

use crate::code::{self, word};
use crate::console::say;
use crate::machine::Machine;
use crate::{power, registers::write};
use core::arch::asm;
use smccc::{Hvc, psci};

/// Where nothing is.
const NOWHERE: u64 = 0x10_0000;

/// Reports of one life, before the next: fewer than may follow each other at once.
const REPORTS: u32 = 64;

/// Crashes; what the word `how=` says.
pub fn run(machine: &Machine) {
    let how = machine.word("how").unwrap_or("zero");
    say!("crash {how}");
    // With vectors in the void, every exception leads to the next: the CPU never comes back, and can be stopped only.
    if !matches!(how, "zero" | "cpu" | "reset") {
        write!("vbar_el1", NOWHERE);
    }
    match how {
        // SAFETY: never comes back, whatever happens.
        "zero" => unsafe { asm!("br xzr", options(noreturn)) },
        // SAFETY: as above.
        "undefined" => unsafe { asm!("udf #0", "b .", options(noreturn)) },
        // SAFETY: as above: no access to the stack succeeds.
        "stack" => unsafe { asm!("msr spsel, #1", "mov sp, #8", "str xzr, [sp]", "b .", options(noreturn)) },
        // SAFETY: as above.
        // TCR_EL1: T0SZ 32; IPS 32 bits. SCTLR_EL1.M. The first table is nowhere.
        "walk" => {
            write!("tcr_el1", 32);
            write!("ttbr0_el1", NOWHERE);
            // SAFETY: as above.
            unsafe { asm!("mrs {0}, sctlr_el1", "orr {0}, {0}, #1", "msr sctlr_el1, {0}", "isb", "b .", out(reg) _) }
        }
        // SAFETY: as above.
        "vbar" => unsafe { asm!("svc #0", "b .", options(noreturn)) },
        "reset" => {
            // SMCCC gives such a call no meaning: each is reported.
            let call = word!("hvc #0x4a48");
            for _ in 0..REPORTS {
                // SAFETY: an exception is taken, whose handler goes on behind it.
                let _ = unsafe { code::run(call, 0, 0) };
            }
            power::reset()
        }
        "cpu" => say!("FAIL CPU_OFF came back: {:?}", psci::cpu_off::<Hvc>()),
        _ => say!("FAIL there is no how={how}"),
    }
}
