//! The firmware's services for this CPU: the workarounds of the SMC Calling Convention.

use crate::arch::workarounds::{Firmware, WORKAROUND_1, WORKAROUND_2, WORKAROUND_3, Workaround};
use crate::cpu::{fixup, power};
use smccc::arch::SMCCC_VERSION;
use smccc::psci::{PSCI_FEATURES, PSCI_VERSION};
use smccc::{Call, Smc, arch};

/// PSCI_FEATURES is there from PSCI 1.0 on, SMCCC_ARCH_FEATURES from SMCCC 1.1 on.
const PSCI_1_0: i32 = 1 << 16;
const SMCCC_1_1: i32 = 1 << 16 | 1;
const NOT_SUPPORTED: i32 = -1;

/// Asks which workarounds there are for this CPU. No guest may have run yet.
pub fn workarounds() -> Firmware {
    let [targets, stores, history] =
        [WORKAROUND_1, WORKAROUND_2, WORKAROUND_3].map(|function| Workaround::from_answer(feature(function)));
    Firmware { targets, stores, history }
}

/// What SMCCC_ARCH_FEATURES says, as Linux finds it out: by way of PSCI, since firmware that is older than SMCCC 1.1
/// may do anything at an unknown call (DEN0028, appendix B).
#[inline(never)]
fn feature(function: u32) -> i32 {
    let is_there = power::calls_by_smc()
        && first_call(PSCI_VERSION) >= PSCI_1_0
        && call(PSCI_FEATURES, SMCCC_VERSION) >= 0
        && call(SMCCC_VERSION, 0) >= SMCCC_1_1;
    if is_there { call(arch::SMCCC_ARCH_FEATURES, function) } else { NOT_SUPPORTED }
}

/// Calls a function of the firmware, and returns W0.
pub fn call(function: u32, argument: u32) -> i32 {
    Smc::call32(function, [argument, 0, 0, 0, 0, 0, 0])[0] as i32
}

/// The same, where a device tree may speak of firmware that does not exist: SMC is UNDEFINED without EL3, and where EL3
/// disables it.
fn first_call(function: u32) -> i32 {
    // SAFETY: nothing is owned or half done at the SMC.
    unsafe { fixup::catch(|| call(function, 0)) }.unwrap_or(NOT_SUPPORTED)
}
