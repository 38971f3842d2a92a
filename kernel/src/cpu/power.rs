//! The end of the machine.

use crate::arch::aarch64::semihosting;
use crate::arch::conduit::Conduit;
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
#[cfg(any(feature = "mmu", feature = "pmsa-emulation"))]
pub fn calls_by_smc() -> bool {
    CONDUIT.load(Ordering::Relaxed) == SMC
}

/// Ends the machine: through semihosting with an exit status where that answers, else by PSCI SYSTEM_OFF, which has none,
/// where there is an EL3 to ask, else stops the CPU.
pub fn end(outcome: Outcome) -> ! {
    if semihosting::answers() {
        semihosting::exit(outcome);
    }
    // Armv8-R AArch64 has no EL3, and no SMC (DDI 0600, B1.1); the CPU that its MPU is emulated on has.
    #[cfg(any(feature = "mmu", feature = "pmsa-emulation"))]
    if calls_by_smc() {
        // Returns only if the firmware refuses.
        let _ = smccc::psci::system_off::<smccc::Smc>();
    }
    loop {
        aarch64_cpu::asm::wfe();
    }
}
