//! EL2's control registers, written as [`controls`](crate::arch::controls) decides.

use crate::arch::aarch64::barrier;
use crate::arch::controls::{AT_START, Control, Feature, IdRegisters};
use arm_sysregs::el0::accessors::read_pmcr_el0;
use arm_sysregs::el1::accessors::{
    read_id_aa64dfr0_el1, read_id_aa64isar1_el1, read_id_aa64isar2_el1, read_id_aa64mmfr0_el1, read_id_aa64mmfr1_el1,
    read_id_aa64pfr0_el1, read_id_aa64pfr1_el1, read_mpamidr_el1,
};
use arm_sysregs::el2::{accessors as el2, registers};

/// What this CPU says of itself.
pub fn id_registers() -> IdRegisters {
    let mut id = IdRegisters {
        pfr0: read_id_aa64pfr0_el1().bits(),
        pfr1: read_id_aa64pfr1_el1().bits(),
        dfr0: read_id_aa64dfr0_el1().bits(),
        isar1: read_id_aa64isar1_el1().bits(),
        isar2: read_id_aa64isar2_el1().bits(),
        mmfr0: read_id_aa64mmfr0_el1().bits(),
        mmfr1: read_id_aa64mmfr1_el1().bits(),
        mpam: 0,
        monitors: 0,
    };
    if id.has(Feature::Mpam) {
        id.mpam = read_mpamidr_el1().bits();
    }
    if id.has(Feature::Monitors) {
        id.monitors = read_pmcr_el0().bits();
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
    barrier::isb();
}

/// Writes a control register that exists.
pub fn write(control: Control, value: u64) {
    macro_rules! write {
        ($($name:ident $write:ident $type:ident,)*) => {
            match control {
                $(
                    #[allow(unused_unsafe, reason = "the crate lets some of them be written by anybody")]
                    // SAFETY: the register exists, as its ID field said when its value was decided. EL2 itself, without
                    // floating point, debugger or counters, depends on none; what they let EL1 and EL0 do is the
                    // decision.
                    Control::$name => unsafe {
                        el2::$write(registers::$type::from_bits_retain(value));
                    },
                )*
                #[allow(unused_unsafe, reason = "the crate lets it be written by anybody")]
                // SAFETY: HSTR_EL2 traps AArch32 only, which no guest has at EL1.
                Control::Hstr => unsafe { el2::write_hstr_el2(value) },
            }
        };
    }
    write! {
        Hcr write_hcr_el2 HcrEl2,
        Cptr write_cptr_el2 CptrEl2,
        Mdcr write_mdcr_el2 MdcrEl2,
        Cnthctl write_cnthctl_el2 CnthctlEl2,
        Hcrx write_hcrx_el2 HcrxEl2,
        Hfgrtr write_hfgrtr_el2 HfgrtrEl2,
        Hfgwtr write_hfgwtr_el2 HfgwtrEl2,
        Hfgitr write_hfgitr_el2 HfgitrEl2,
        Hdfgrtr write_hdfgrtr_el2 HdfgrtrEl2,
        Hdfgwtr write_hdfgwtr_el2 HdfgwtrEl2,
        Hafgrtr write_hafgrtr_el2 HafgrtrEl2,
        Hfgrtr2 write_hfgrtr2_el2 Hfgrtr2El2,
        Hfgwtr2 write_hfgwtr2_el2 Hfgwtr2El2,
        Hfgitr2 write_hfgitr2_el2 Hfgitr2El2,
        Hdfgrtr2 write_hdfgrtr2_el2 Hdfgrtr2El2,
        Hdfgwtr2 write_hdfgwtr2_el2 Hdfgwtr2El2,
        Mpam2 write_mpam2_el2 Mpam2El2,
        Mpamhcr write_mpamhcr_el2 MpamhcrEl2,
    }
}
