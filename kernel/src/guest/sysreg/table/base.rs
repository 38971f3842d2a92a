//! The registers of Armv8.0 except for debug, and those that are reset.

use super::Fate::{Absent, Constant, Interface, Pstate, Reset, Trapped, Varies};
use super::TrapBit::Set;
use super::{Control, Feature, Row};
use crate::arch::guest_registers::guest_registers;

macro_rules! rows {
    ($(
        $feature:ident {
            $($name:ident $module:ident $read:ident $write:ident $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal,)*
        }
    )*) => {
        &[
            Row::one("SCTLR_EL1", [3, 0, 1, 0, 0], Reset(None)),
            $($(Row::one(stringify!($name), [$op0, $op1, $crn, $crm, $op2], Reset(rows!(@ $feature))),)*)*
        ]
    };
    (@ Always) => { None };
    (@ $feature:ident) => { Some(Feature::$feature) };
}

/// The list of `guest_registers`.
pub(super) const RESET: &[Row] = guest_registers!(rows);

/// The rest.
pub(super) const ROWS: &[Row] = &[
    // Identification.
    Row::one("MIDR_EL1", [3, 0, 0, 0, 0], Constant),
    Row::one("MPIDR_EL1", [3, 0, 0, 0, 5], Constant),
    Row::one("REVIDR_EL1", [3, 0, 0, 0, 6], Constant),
    Row::several("ID_*_EL1", [3, 0, 0, 1, 0], 56, Trapped(Set(Control::Hcr, 18))),
    Row::one("CCSIDR_EL1", [3, 1, 0, 0, 0], Constant),
    Row::one("CLIDR_EL1", [3, 1, 0, 0, 1], Constant),
    Row::one("CCSIDR2_EL1", [3, 1, 0, 0, 2], Constant),
    Row::one("AIDR_EL1", [3, 1, 0, 0, 7], Constant),
    Row::one("CTR_EL0", [3, 3, 0, 0, 1], Constant),
    Row::one("DCZID_EL0", [3, 3, 0, 0, 7], Constant),
    Row::one("CNTFRQ_EL0", [3, 3, 14, 0, 0], Constant),
    // Control.
    Row::one("ACTLR_EL1", [3, 0, 1, 0, 1], Trapped(Set(Control::Hcr, 21))),
    Row::several("of the implementation, EL1, CRn 11", [3, 0, 11, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::several("of the implementation, EL1, CRn 15", [3, 0, 15, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::several("of the implementation, op1 1, CRn 11", [3, 1, 11, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::several("of the implementation, op1 1, CRn 15", [3, 1, 15, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::several("of the implementation, op1 2, CRn 11", [3, 2, 11, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::several("of the implementation, op1 2, CRn 15", [3, 2, 15, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::several("of the implementation, EL0, CRn 11", [3, 3, 11, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::several("of the implementation, EL0, CRn 15", [3, 3, 15, 0, 0], 128, Trapped(Set(Control::Hcr, 20))),
    Row::one("RVBAR_EL1", [3, 0, 12, 0, 1], Absent("EL1 is not the highest exception level")),
    Row::one("RMR_EL1", [3, 0, 12, 0, 2], Absent("EL1 is not the highest exception level")),
    Row::one("ISR_EL1", [3, 0, 12, 1, 0], Interface),
    // State of the processor.
    Row::one("SPSel", [3, 0, 4, 2, 0], Pstate),
    Row::one("CurrentEL", [3, 0, 4, 2, 2], Pstate),
    Row::one("PAN", [3, 0, 4, 2, 3], Pstate),
    Row::one("UAO", [3, 0, 4, 2, 4], Pstate),
    Row::one("NZCV", [3, 3, 4, 2, 0], Pstate),
    Row::one("DAIF", [3, 3, 4, 2, 1], Pstate),
    Row::one("DIT", [3, 3, 4, 2, 5], Pstate),
    Row::one("SSBS", [3, 3, 4, 2, 6], Pstate),
    // Cleared with the vector registers, by a function of assembly.
    Row::one("FPCR", [3, 3, 4, 4, 0], Reset(None)),
    Row::one("FPSR", [3, 3, 4, 4, 1], Reset(None)),
    Row::one("DSPSR_EL0", [3, 3, 4, 5, 0], Absent("exists in Debug state alone")),
    Row::one("DLR_EL0", [3, 3, 4, 5, 1], Absent("exists in Debug state alone")),
    // Timers, whose controls and comparators are reset.
    Row::one("CNTPCT_EL0", [3, 3, 14, 0, 1], Varies("the machine's counter")),
    Row::one("CNTVCT_EL0", [3, 3, 14, 0, 2], Varies("counts from the guest's start")),
    Row::one("CNTPCTSS_EL0", [3, 3, 14, 0, 5], Varies("FEAT_ECV: CNTPCT_EL0 again, which has no trap of its own")),
    Row::one("CNTVCTSS_EL0", [3, 3, 14, 0, 6], Varies("FEAT_ECV: CNTVCT_EL0 again, which has no trap of its own")),
    Row::one("CNTP_TVAL_EL0", [3, 3, 14, 2, 0], Varies("CNTP_CVAL_EL0 less the counter")),
    Row::one("CNTV_TVAL_EL0", [3, 3, 14, 3, 0], Varies("CNTV_CVAL_EL0 less the counter")),
    // The GIC.
    Row::one("ICC_PMR_EL1", [3, 0, 4, 6, 0], Interface),
    Row::several("ICC_* of group 0", [3, 0, 12, 8, 0], 8, Interface),
    Row::several("ICC_AP1R<n>_EL1, ICC_NMIAR1_EL1", [3, 0, 12, 9, 0], 8, Interface),
    Row::one("ICC_DIR_EL1", [3, 0, 12, 11, 1], Interface),
    Row::one("ICC_RPR_EL1", [3, 0, 12, 11, 3], Interface),
    Row::one("ICC_SGI1R_EL1", [3, 0, 12, 11, 5], Trapped(Set(Control::Hcr, 4))),
    Row::one("ICC_ASGI1R_EL1", [3, 0, 12, 11, 6], Trapped(Set(Control::Hcr, 4))),
    Row::one("ICC_SGI0R_EL1", [3, 0, 12, 11, 7], Trapped(Set(Control::Hcr, 3))),
    Row::several("ICC_* of group 1", [3, 0, 12, 12, 0], 8, Interface),
    // Higher exception levels.
    Row::several("of EL2, debug", [2, 4, 0, 0, 0], 2048, Absent("EL2's")),
    Row::several("of EL3, debug", [2, 6, 0, 0, 0], 2048, Absent("EL3's")),
    Row::several("of Secure EL1, debug", [2, 7, 0, 0, 0], 2048, Absent("the Secure state's")),
    Row::several("of EL2", [3, 4, 0, 0, 0], 2048, Absent("EL2's")),
    Row::several("of EL1 by EL2's names", [3, 5, 0, 0, 0], 2048, Absent("EL2's, where HCR_EL2.E2H is 1")),
    Row::several("of EL3", [3, 6, 0, 0, 0], 2048, Absent("EL3's")),
    Row::several("of Secure EL1", [3, 7, 0, 0, 0], 2048, Absent("the Secure state's")),
];
