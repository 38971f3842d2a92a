//! The end of the machine.

use crate::arch::aarch64::semihosting;
use crate::arch::conduit::Conduit;
use crate::arch::memory_system::MAY_HAVE_EL3;
use crate::base::outcome::Outcome;
use core::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const SMC: u8 = 1;

/// How the firmware's PSCI is called, once the device tree has said so.
static CONDUIT: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Tells how PSCI is called. An HVC from EL2 would only come back to EL2, so SMC alone is of use.
pub fn set_conduit(conduit: Conduit) {
    let value = match conduit {
        Conduit::Smc => SMC,
        Conduit::Hvc => UNKNOWN,
    };
    CONDUIT.store(value, Ordering::Relaxed);
}

/// Whether the firmware is called by SMC, as far as the device tree says so.
pub fn calls_by_smc() -> bool {
    MAY_HAVE_EL3 && CONDUIT.load(Ordering::Relaxed) == SMC
}

/// Ends the machine: through semihosting with an exit status where that answers, else by PSCI SYSTEM_OFF, which has none,
/// where there is an EL3 to ask, else stops the CPU.
pub fn end(outcome: Outcome) -> ! {
    if semihosting::answers() {
        semihosting::exit(outcome);
    }
    if calls_by_smc() {
        // Returns only if the firmware refuses.
        let _ = smccc::psci::system_off::<smccc::Smc>();
    }
    loop {
        aarch64_cpu::asm::wfe();
    }
}
