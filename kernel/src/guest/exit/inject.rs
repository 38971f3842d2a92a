//! Exceptions that the hypervisor injects into a guest.
//!
//! If no device answers at an address, or an instruction does not exist for the guest, hardware would raise an
//! exception at EL1. This module computes the same exception as numbers: AArch64.TakeException of DDI 0487, J1.1.2,
//! with EL1 as the target.
//!
//! Relies on: the guest's EL1 is AArch64 (HCR_EL2.RW). ID_AA64PFR0_EL1 announces AArch64 only for its EL0 too; on
//! hardware that has AArch32, EL1 may enter it all the same, so an exception from AArch32 is taken to the vector that
//! the architecture defines. PSTATE after the exception depends on the CPU's features, whether or not the guest's ID
//! registers announce them: an exception without the hypervisor would do the same. EXLOCK stays 0, as GCSCR_EL1 can
//! enable nothing (HCRX_EL2.GCSEn), and so do PM and PPEND, as the guest has no performance monitors.

use crate::arch::syndrome::Direction;

/// SPSR bits 3:0, M: exception level and stack pointer; bit 4: AArch32 (DDI 0487, "SPSR_EL1").
const MODE_MASK: u64 = 0xf;
const MODE_EL1_SP_ELX: u64 = 0b0101;
const MODE_EL1_SP_EL0: u64 = 0b0100;
const AARCH32: u64 = 1 << 4;
/// D, A, I and F: exceptions masked.
const DAIF: u64 = 0xf << 6;
/// SSBS: speculative store bypass is safe.
const SSBS: u64 = 1 << 12;
/// PAN: privileged access never.
const PAN: u64 = 1 << 22;
/// ALLINT: all interrupts are masked, those with superpriority too.
const ALLINT: u64 = 1 << 13;
/// DIT: data-independent timing. After an exception from AArch32 too: bit 21 is that of AArch32's own SPSRs.
const DIT: u64 = 1 << 24;
/// TCO: tags are not checked.
const TCO: u64 = 1 << 25;
/// N, Z, C and V.
const NZCV: u64 = 0xf << 28;

/// SCTLR_EL1.SPAN: an exception leaves PAN alone. RES1 without FEAT_PAN.
const SCTLR_SPAN: u64 = 1 << 23;
/// SCTLR_EL1.DSSBS: what SSBS becomes. RES0 without FEAT_SSBS.
const SCTLR_DSSBS: u64 = 1 << 44;
/// SCTLR_EL1.SPINTMASK: an exception leaves interrupts with superpriority unmasked. RES0 without FEAT_NMI.
const SCTLR_SPINTMASK: u64 = 1 << 62;

/// ID_AA64PFR1_EL1.MTE, from 2 on FEAT_MTE2, and NMI, FEAT_NMI.
const PFR1_MTE_SHIFT: u32 = 8;
const PFR1_NMI_SHIFT: u32 = 36;

/// Bits 10:0 of VBAR_EL1 are RES0.
const VBAR_MASK: u64 = !0x7ff;
/// Where the vectors for synchronous exceptions begin (DDI 0487, D1.3, "Exception vectors").
const FROM_EL1_SP_EL0: u64 = 0x000;
const FROM_EL1_SP_ELX: u64 = 0x200;
const FROM_EL0: u64 = 0x400;
const FROM_EL0_AARCH32: u64 = 0x600;

/// ESR_EL1.EC, bits 31:26.
const EC_SHIFT: u32 = 26;
const EC_UNKNOWN: u64 = 0x00;
const EC_INSTRUCTION_ABORT_LOWER: u64 = 0x20;
const EC_DATA_ABORT_LOWER: u64 = 0x24;
/// Added to the class of an abort from a lower exception level: from the same.
const EC_SAME: u64 = 1;
/// ESR_EL1.IL: the instruction has 32 bits; 1 too if the syndrome does not say.
const IL: u64 = 1 << 25;
/// ISS.WnR: a write.
const WNR: u64 = 1 << 6;
/// ISS.DFSC and IFSC: synchronous external abort, not on a table walk. For a walk, the status would have its stage 1
/// level, which a fault of stage 2 does not tell.
const EXTERNAL_ABORT: u64 = 0x10;

/// What an exception depends on: the guest at the instruction that trapped.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// The address of the instruction: ELR_EL2 after a trap.
    pub pc: u64,
    /// Its PSTATE: SPSR_EL2 after a trap.
    pub pstate: u64,
    /// VBAR_EL1.
    pub vbar: u64,
    /// SCTLR_EL1.
    pub sctlr: u64,
    /// ID_AA64PFR1_EL1, of the CPU.
    pub pfr1: u64,
}

/// What the guest did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An instruction that does not exist for it.
    Undefined,
    /// A load or store at the virtual address `address`, where nobody answers.
    DataAbort {
        /// Load or store.
        access: Direction,
        /// FAR_EL2 after the fault.
        address: u64,
    },
    /// A fetch from the virtual address `address`, where nobody answers.
    InstructionAbort {
        /// FAR_EL2 after the fault.
        address: u64,
    },
}

/// The guest at the first instruction of its exception handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionEntry {
    /// Where it goes on: for ELR_EL2.
    pub pc: u64,
    /// With what PSTATE: for SPSR_EL2.
    pub pstate: u64,
    /// ELR_EL1: the instruction that did it.
    pub elr: u64,
    /// SPSR_EL1: the PSTATE that it ran with.
    pub spsr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1, or `None` if it keeps its value.
    pub far: Option<u64>,
}

impl ExceptionEntry {
    /// The exception that `cause` raises at EL1.
    pub const fn new(before: &Before, cause: Cause) -> Self {
        let (offset, same) = match before.pstate & (AARCH32 | MODE_MASK) {
            MODE_EL1_SP_ELX => (FROM_EL1_SP_ELX, EC_SAME),
            MODE_EL1_SP_EL0 => (FROM_EL1_SP_EL0, EC_SAME),
            mode if mode & AARCH32 != 0 => (FROM_EL0_AARCH32, 0),
            _ => (FROM_EL0, 0),
        };
        let (class, iss, far) = match cause {
            Cause::Undefined => (EC_UNKNOWN, 0, None),
            Cause::DataAbort { access: Direction::Read, address } => {
                (EC_DATA_ABORT_LOWER + same, EXTERNAL_ABORT, Some(address))
            }
            Cause::DataAbort { access: Direction::Write, address } => {
                (EC_DATA_ABORT_LOWER + same, WNR | EXTERNAL_ABORT, Some(address))
            }
            Cause::InstructionAbort { address } => (EC_INSTRUCTION_ABORT_LOWER + same, EXTERNAL_ABORT, Some(address)),
        };
        Self {
            pc: (before.vbar & VBAR_MASK).wrapping_add(offset),
            pstate: handler_pstate(before),
            elr: before.pc,
            spsr: before.pstate,
            esr: class << EC_SHIFT | IL | iss,
            far,
        }
    }
}

/// PSTATE after an exception to EL1.
///
/// The flags and DIT stay. SS, IL, UAO and BTYPE become 0, DAIF is masked, SCTLR_EL1 decides about PAN, SSBS and ALLINT,
/// and TCO is set where there is memory tagging.
const fn handler_pstate(before: &Before) -> u64 {
    let Before { pstate: old, sctlr, pfr1, .. } = *before;
    let allint = if pfr1 >> PFR1_NMI_SHIFT & 0xf != 0 && sctlr & SCTLR_SPINTMASK == 0 { ALLINT } else { 0 };
    let tco = if pfr1 >> PFR1_MTE_SHIFT & 0xf >= 2 { TCO } else { 0 };
    let pan = if sctlr & SCTLR_SPAN == 0 { PAN } else { old & PAN };
    let ssbs = if sctlr & SCTLR_DSSBS != 0 { SSBS } else { 0 };
    old & (NZCV | DIT) | allint | tco | pan | ssbs | DAIF | MODE_EL1_SP_ELX
}

#[cfg(test)]
mod tests {
    use super::{Before, Cause, ExceptionEntry};
    use crate::arch::syndrome::{Class, Direction, FaultKind, Syndrome};

    const PC: u64 = 0xffff_8000_0801_2344;
    const VBAR: u64 = 0xffff_8000_0801_0800;
    const FAR: u64 = 0xffff_8000_1000_0018;
    const SPAN: u64 = 1 << 23;
    const DSSBS: u64 = 1 << 44;
    const READ: Cause = Cause::DataAbort { access: Direction::Read, address: FAR };
    const WRITE: Cause = Cause::DataAbort { access: Direction::Write, address: FAR };

    fn enter(pstate: u64, sctlr: u64, cause: Cause) -> ExceptionEntry {
        ExceptionEntry::new(&Before { pc: PC, pstate, vbar: VBAR, sctlr, pfr1: 0 }, cause)
    }

    #[test]
    fn a_read_where_nobody_answers_is_an_external_abort() {
        let entry = enter(0x6000_0005, SPAN, READ);
        let expected = ExceptionEntry {
            pc: VBAR + 0x200,
            pstate: 0x6000_03c5,
            elr: PC,
            spsr: 0x6000_0005,
            esr: 0x9600_0010,
            far: Some(FAR),
        };
        assert_eq!(entry, expected);
        assert_eq!(Syndrome::new(entry.esr).class(), Class::DataAbort(FaultKind::External, Direction::Read));
    }

    #[test]
    fn the_syndrome_tells_who_did_what() {
        const FETCH: Cause = Cause::InstructionAbort { address: FAR };
        let esr = |pstate, cause| enter(pstate, SPAN, cause).esr;
        assert_eq!(esr(0x5, WRITE), 0x9600_0050);
        assert_eq!(esr(0x0, READ), 0x9200_0010);
        assert_eq!(esr(0x0, WRITE), 0x9200_0050);
        assert_eq!(esr(0x4, FETCH), 0x8600_0010);
        assert_eq!(esr(0x0, FETCH), 0x8200_0010);
        assert_eq!(esr(0x5, Cause::Undefined), 0x0200_0000);
        assert_eq!(esr(0x0, Cause::Undefined), 0x0200_0000);
    }

    #[test]
    fn each_mode_has_its_vector() {
        let pc = |pstate| enter(pstate, SPAN, Cause::Undefined).pc - VBAR;
        assert_eq!([pc(0x4), pc(0x5), pc(0x0), pc(0x10)], [0x000, 0x200, 0x400, 0x600]);
    }

    #[test]
    fn only_an_abort_has_an_address() {
        assert_eq!(enter(0x5, 0, Cause::Undefined).far, None);
        assert_eq!(enter(0x5, 0, WRITE).far, Some(FAR));
    }

    #[test]
    fn the_handler_runs_masked_and_with_the_flags_of_its_victim() {
        // All there is but PAN: NZCV, TCO, DIT, UAO, SS, IL, ALLINT, SSBS, BTYPE; nothing masked. EL0.
        let old = 0xf3b0_3c00;
        assert_eq!(enter(old, SPAN, READ).pstate, 0xf100_03c5);
        assert_eq!(enter(old, SPAN, READ).spsr, old);
        assert_eq!(enter(old | 1 << 34, SPAN, READ).pstate >> 32, 0);
    }

    #[test]
    fn sctlr_decides_about_pan_and_ssbs() {
        const PAN: u64 = 1 << 22;
        let pstate = |old, sctlr| enter(old, sctlr, READ).pstate;
        assert_eq!(pstate(0x5, SPAN), 0x3c5);
        assert_eq!(pstate(0x5 | PAN, SPAN), 0x3c5 | PAN);
        assert_eq!(pstate(0x5, 0), 0x3c5 | PAN);
        assert_eq!(pstate(0x5, SPAN | DSSBS), 0x13c5);
    }

    #[test]
    fn timing_stays_independent_of_data() {
        assert_eq!(enter(1 << 24, SPAN, READ).pstate, 0x0100_03c5);
        assert_eq!(enter(0x10 | 1 << 24, SPAN, READ).pstate, 0x0100_03c5, "AArch32 has it there too");
        assert_eq!(enter(0x10 | 1 << 21, SPAN, READ).pstate, 0x0000_03c5, "and SS in bit 21");
    }

    #[test]
    fn what_the_cpu_has_is_masked_though_the_guest_is_not_told() {
        const NMI: u64 = 1 << 36;
        let pstate = |pfr1, sctlr| {
            let before = Before { pc: PC, pstate: 0x5, vbar: VBAR, sctlr: SPAN | sctlr, pfr1 };
            ExceptionEntry::new(&before, READ).pstate
        };
        assert_eq!([0, 1, 2, 3].map(|mte| pstate(mte << 8, 0)), [0x3c5, 0x3c5, 0x0200_03c5, 0x0200_03c5]);
        assert_eq!(pstate(NMI, 0), 0x23c5);
        assert_eq!(pstate(NMI, 1 << 62), 0x3c5);
        assert_eq!(pstate(0, 0), 0x3c5);
    }

    #[test]
    fn the_highest_and_a_misaligned_vector_base_do_no_harm() {
        let before = Before { pc: PC, pstate: 0, vbar: u64::MAX, sctlr: 0, pfr1: 0 };
        assert_eq!(ExceptionEntry::new(&before, READ).pc, 0xffff_ffff_ffff_fc00);
    }
}
