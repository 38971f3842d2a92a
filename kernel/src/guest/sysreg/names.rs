//! System registers by name, for messages and for decisions.
//!
//! A register without a name here is written in the assembler's generic form: `S3_0_C12_C11_5`. Encodings are those of
//! DDI 0487, D24 (AArch64 system register descriptions), and for ICC registers of IHI 0069, 12.2.

use super::SystemRegister;
use core::fmt;

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal,)*) => {
        $(
            $(#[$doc])*
            pub const $name: SystemRegister = SystemRegister::new($op0, $op1, $crn, $crm, $op2);
        )*

        /// All of the above.
        const NAMES: &[(SystemRegister, &str)] = &[$(($name, stringify!($name)),)*];
    };
}

registers! {
    /// Sends an SGI of group 0.
    ICC_SGI0R_EL1 = 3 0 12 11 7,
    /// Sends an SGI of group 1.
    ICC_SGI1R_EL1 = 3 0 12 11 5,
    /// Sends an SGI of the other Security state's group 1.
    ICC_ASGI1R_EL1 = 3 0 12 11 6,

    /// Deactivates an interrupt.
    ICC_DIR_EL1 = 3 0 12 11 1,
    /// The running priority.
    ICC_RPR_EL1 = 3 0 12 11 3,
    /// Control of the CPU interface.
    ICC_CTLR_EL1 = 3 0 12 12 4,
    /// The priority mask.
    ICC_PMR_EL1 = 3 0 4 6 0,

    /// The CPU's revision.
    REVIDR_EL1 = 3 0 0 0 6,
    /// Further identification of the CPU.
    AIDR_EL1 = 3 1 0 0 7,

    /// Processor features.
    ID_AA64PFR0_EL1 = 3 0 0 4 0,
    /// Processor features.
    ID_AA64PFR1_EL1 = 3 0 0 4 1,
    /// Processor features.
    ID_AA64PFR2_EL1 = 3 0 0 4 2,
    /// SVE features.
    ID_AA64ZFR0_EL1 = 3 0 0 4 4,
    /// SME features.
    ID_AA64SMFR0_EL1 = 3 0 0 4 5,
    /// Debug features.
    ID_AA64DFR0_EL1 = 3 0 0 5 0,
    /// Debug features.
    ID_AA64DFR1_EL1 = 3 0 0 5 1,
    /// Instructions.
    ID_AA64ISAR0_EL1 = 3 0 0 6 0,
    /// Instructions.
    ID_AA64ISAR1_EL1 = 3 0 0 6 1,
    /// Instructions.
    ID_AA64ISAR2_EL1 = 3 0 0 6 2,
    /// Instructions.
    ID_AA64ISAR3_EL1 = 3 0 0 6 3,
    /// Memory model.
    ID_AA64MMFR0_EL1 = 3 0 0 7 0,
    /// Memory model.
    ID_AA64MMFR1_EL1 = 3 0 0 7 1,
    /// Memory model.
    ID_AA64MMFR2_EL1 = 3 0 0 7 2,
    /// Memory model.
    ID_AA64MMFR3_EL1 = 3 0 0 7 3,
    /// Memory model.
    ID_AA64MMFR4_EL1 = 3 0 0 7 4,

    /// Implementation defined control.
    ACTLR_EL1 = 3 0 1 0 1,

    /// Data from a debugger, while the OS lock is set.
    OSDTRRX_EL1 = 2 0 0 0 2,
    /// Interrupts of the debugger's channel.
    MDCCINT_EL1 = 2 0 0 2 0,
    /// Debug control.
    MDSCR_EL1 = 2 0 0 2 2,
    /// Data to a debugger, while the OS lock is set.
    OSDTRTX_EL1 = 2 0 0 3 2,
    /// Debug exceptions of an external debugger.
    OSECCR_EL1 = 2 0 0 6 2,
    /// Address of the debug ROM table.
    MDRAR_EL1 = 2 0 1 0 0,
    /// Sets and clears the OS lock.
    OSLAR_EL1 = 2 0 1 0 4,
    /// State of the OS lock.
    OSLSR_EL1 = 2 0 1 1 4,
    /// The OS double lock.
    OSDLR_EL1 = 2 0 1 3 4,
    /// Power of the debug logic.
    DBGPRCR_EL1 = 2 0 1 4 4,
    /// Claim tags, to set.
    DBGCLAIMSET_EL1 = 2 0 7 8 6,
    /// Claim tags, to clear.
    DBGCLAIMCLR_EL1 = 2 0 7 9 6,
    /// Who may debug.
    DBGAUTHSTATUS_EL1 = 2 0 7 14 6,
    /// State of the debugger's channel.
    MDCCSR_EL0 = 2 3 0 1 0,
    /// The debugger's channel, 64 bits.
    DBGDTR_EL0 = 2 3 0 4 0,
    /// The debugger's channel: one register to read, another to write.
    DBGDTRRX_EL0 = 2 3 0 5 0,

    /// Performance monitors: interrupts, to enable.
    PMINTENSET_EL1 = 3 0 9 14 1,
    /// Performance monitors: interrupts, to disable.
    PMINTENCLR_EL1 = 3 0 9 14 2,
    /// Performance monitors: what there is.
    PMMIR_EL1 = 3 0 9 14 6,
    /// Performance monitors: control.
    PMCR_EL0 = 3 3 9 12 0,
    /// Performance monitors: counters, to enable.
    PMCNTENSET_EL0 = 3 3 9 12 1,
    /// Performance monitors: counters, to disable.
    PMCNTENCLR_EL0 = 3 3 9 12 2,
    /// Performance monitors: overflows, to clear.
    PMOVSCLR_EL0 = 3 3 9 12 3,
    /// Performance monitors: counts once.
    PMSWINC_EL0 = 3 3 9 12 4,
    /// Performance monitors: the selected counter.
    PMSELR_EL0 = 3 3 9 12 5,
    /// Performance monitors: events that there are.
    PMCEID0_EL0 = 3 3 9 12 6,
    /// Performance monitors: events that there are.
    PMCEID1_EL0 = 3 3 9 12 7,
    /// Performance monitors: the cycle counter.
    PMCCNTR_EL0 = 3 3 9 13 0,
    /// Performance monitors: event of the selected counter.
    PMXEVTYPER_EL0 = 3 3 9 13 1,
    /// Performance monitors: the selected counter's value.
    PMXEVCNTR_EL0 = 3 3 9 13 2,
    /// Performance monitors: what EL0 may.
    PMUSERENR_EL0 = 3 3 9 14 0,
    /// Performance monitors: overflows, to set.
    PMOVSSET_EL0 = 3 3 9 14 3,
    /// Performance monitors: what the cycle counter counts.
    PMCCFILTR_EL0 = 3 3 14 15 7,

    /// Limited ordering: start of a region.
    LORSA_EL1 = 3 0 10 4 0,
    /// Limited ordering: end of a region.
    LOREA_EL1 = 3 0 10 4 1,
    /// Limited ordering: number of a region.
    LORN_EL1 = 3 0 10 4 2,
    /// Limited ordering: control.
    LORC_EL1 = 3 0 10 4 3,
    /// Limited ordering: what there is.
    LORID_EL1 = 3 0 10 4 7,

    /// Activity monitors: control.
    AMCR_EL0 = 3 3 13 2 0,
    /// Activity monitors: what there is.
    AMCFGR_EL0 = 3 3 13 2 1,
    /// Activity monitors: counters of each group.
    AMCGCR_EL0 = 3 3 13 2 2,
    /// Activity monitors: what EL0 may.
    AMUSERENR_EL0 = 3 3 13 2 3,
    /// Activity monitors: group 0, to disable.
    AMCNTENCLR0_EL0 = 3 3 13 2 4,
    /// Activity monitors: group 0, to enable.
    AMCNTENSET0_EL0 = 3 3 13 2 5,
    /// Activity monitors: group 1, to disable.
    AMCNTENCLR1_EL0 = 3 3 13 3 0,
    /// Activity monitors: group 1, to enable.
    AMCNTENSET1_EL0 = 3 3 13 3 1,

    /// The physical counter.
    CNTPCT_EL0 = 3 3 14 0 1,
    /// The physical timer: ticks to go.
    CNTP_TVAL_EL0 = 3 3 14 2 0,
    /// The physical timer: control.
    CNTP_CTL_EL0 = 3 3 14 2 1,
    /// The physical timer: when it fires.
    CNTP_CVAL_EL0 = 3 3 14 2 2,
}

/// All registers that have a name here.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (SystemRegister, &'static str)> {
    NAMES.iter().copied()
}

/// Registers of which there are several, with a number in their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `DBGBVR<n>_EL1`: address of a breakpoint.
    BreakpointValue,
    /// `DBGBCR<n>_EL1`: control of a breakpoint.
    BreakpointControl,
    /// `DBGWVR<n>_EL1`: address of a watchpoint.
    WatchpointValue,
    /// `DBGWCR<n>_EL1`: control of a watchpoint.
    WatchpointControl,
    /// `PMEVCNTR<n>_EL0`: a performance counter.
    EventCounter,
    /// `PMEVTYPER<n>_EL0`: what it counts.
    EventType,
}

impl SystemRegister {
    /// The family that the register belongs to, and its number there.
    pub const fn family(self) -> Option<(Family, u8)> {
        match self.fields() {
            (2, 0, 0, number, 4) => Some((Family::BreakpointValue, number)),
            (2, 0, 0, number, 5) => Some((Family::BreakpointControl, number)),
            (2, 0, 0, number, 6) => Some((Family::WatchpointValue, number)),
            (2, 0, 0, number, 7) => Some((Family::WatchpointControl, number)),
            // Thirty-one of each: the last of the types is that of the cycle counter.
            (3, 3, 14, 11 | 15, 7) => None,
            (3, 3, 14, crm @ 8..=11, op2) => Some((Family::EventCounter, (crm & 3) << 3 | op2)),
            (3, 3, 14, crm @ 12..=15, op2) => Some((Family::EventType, (crm & 3) << 3 | op2)),
            _ => None,
        }
    }
}

impl fmt::Display for SystemRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = NAMES.iter().find(|(register, _)| register == self) {
            return f.write_str(name);
        }
        let (op0, op1, crn, crm, op2) = self.fields();
        match self.family() {
            Some((Family::BreakpointValue, number)) => write!(f, "DBGBVR{number}_EL1"),
            Some((Family::BreakpointControl, number)) => write!(f, "DBGBCR{number}_EL1"),
            Some((Family::WatchpointValue, number)) => write!(f, "DBGWVR{number}_EL1"),
            Some((Family::WatchpointControl, number)) => write!(f, "DBGWCR{number}_EL1"),
            Some((Family::EventCounter, number)) => write!(f, "PMEVCNTR{number}_EL0"),
            Some((Family::EventType, number)) => write!(f, "PMEVTYPER{number}_EL0"),
            None => write!(f, "S{op0}_{op1}_C{crn}_C{crm}_{op2}"),
        }
    }
}

impl fmt::Debug for SystemRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, SystemRegister};
    use std::string::ToString;

    #[test]
    fn registers_print_as_an_assembler_knows_them() {
        let name = |op0, op1, crn, crm, op2| SystemRegister::new(op0, op1, crn, crm, op2).to_string();
        assert_eq!(name(3, 0, 12, 11, 5), "ICC_SGI1R_EL1");
        assert_eq!(name(2, 0, 0, 15, 4), "DBGBVR15_EL1");
        assert_eq!(name(2, 0, 0, 2, 2), "MDSCR_EL1");
        assert_eq!(name(3, 3, 14, 11, 6), "PMEVCNTR30_EL0");
        assert_eq!(name(3, 3, 14, 12, 1), "PMEVTYPER1_EL0");
        assert_eq!(name(3, 3, 14, 15, 7), "PMCCFILTR_EL0");
        assert_eq!(name(3, 3, 14, 11, 7), "S3_3_C14_C11_7");
        assert_eq!(name(3, 1, 15, 2, 0), "S3_1_C15_C2_0");
    }

    #[test]
    fn no_register_has_two_names() {
        for (index, (register, name)) in NAMES.iter().enumerate() {
            assert!(NAMES[..index].iter().all(|(other, _)| other != register), "{name}");
            assert_eq!(register.family(), None, "{name}");
        }
    }
}
