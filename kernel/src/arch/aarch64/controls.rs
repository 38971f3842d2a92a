//! EL2's control registers, written as [`controls`](crate::arch::controls) decides.

use crate::arch::aarch64::cpu;
use crate::arch::controls::{AT_START, Control, Feature, IdRegisters};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    ID_AA64DFR0_EL1, ID_AA64ISAR1_EL1, ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64PFR0_EL1, ID_AA64PFR1_EL1, Readable,
};
use core::arch::asm;

/// Reads a register that the caller knows to exist.
macro_rules! read {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reading it has no effect.
        unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

/// What this CPU says of itself.
pub fn id_registers() -> IdRegisters {
    let mut id = IdRegisters {
        pfr0: ID_AA64PFR0_EL1.get(),
        pfr1: ID_AA64PFR1_EL1.get(),
        dfr0: ID_AA64DFR0_EL1.get(),
        isar1: ID_AA64ISAR1_EL1.get(),
        isar2: cpu::instruction_features_2(),
        mmfr0: ID_AA64MMFR0_EL1.get(),
        mmfr1: ID_AA64MMFR1_EL1.get(),
        mpam: 0,
        monitors: 0,
    };
    if id.has(Feature::Mpam) {
        id.mpam = read!("S3_0_C10_C4_4");
    }
    if id.has(Feature::Monitors) {
        id.monitors = read!("pmcr_el0");
    }
    id
}

/// Writes all that stays as it is while guests come and go.
pub fn set() {
    let id = id_registers();
    for control in AT_START {
        if let Some(value) = control.value(&id) {
            write(control, value);
        }
    }
    barrier::isb(barrier::SY);
}

/// Writes a control register that exists.
pub fn write(control: Control, value: u64) {
    macro_rules! write {
        ($($name:ident $register:literal,)*) => {
            match control {
                $(
                    // SAFETY: the register exists, as its ID field said when its value was decided. EL2 itself, without
                    // floating point, debugger or counters, depends on none; what they let EL1 and EL0 do is the
                    // decision.
                    Control::$name => unsafe {
                        asm!(concat!("msr ", $register, ", {}"), in(reg) value, options(nostack, preserves_flags))
                    },
                )*
            }
        };
    }
    // By encoding, where the name needs a later architecture than the target's.
    write! {
        Hcr "hcr_el2",
        Cptr "cptr_el2",
        Mdcr "mdcr_el2",
        Hstr "hstr_el2",
        Cnthctl "cnthctl_el2",
        Hcrx "S3_4_C1_C2_2",
        Hfgrtr "S3_4_C1_C1_4",
        Hfgwtr "S3_4_C1_C1_5",
        Hfgitr "S3_4_C1_C1_6",
        Hdfgrtr "S3_4_C3_C1_4",
        Hdfgwtr "S3_4_C3_C1_5",
        Hafgrtr "S3_4_C3_C1_6",
        Hfgrtr2 "S3_4_C3_C1_2",
        Hfgwtr2 "S3_4_C3_C1_3",
        Hfgitr2 "S3_4_C3_C1_7",
        Hdfgrtr2 "S3_4_C3_C1_0",
        Hdfgwtr2 "S3_4_C3_C1_1",
        Mpam2 "S3_4_C10_C5_0",
        Mpamhcr "S3_4_C10_C4_0",
    }
}
