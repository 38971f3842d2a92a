//! Which instructions touch a register of the EL2 MPU.
//!
//! All of them are MRS or MSR (register) with op0 = 3 and op1 = 4 (DDI 0487, C6.2 "MRS" and "MSR (register)"); the
//! numbers are those of DDI 0600, G1.3. The registers of the EL1 MPU, which EL2 may access too, are not among them:
//! they stay UNDEFINED.

/// A register of the EL2 MPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// MPUIR_EL2: how many regions there are. Read-only.
    Mpuir,
    /// PRENR_EL2: the enable bits of regions 0 to 31.
    Prenr,
    /// PRSELR_EL2: the selected region.
    Prselr,
    /// PRBAR_EL2, or `PRBAR<n>_EL2`: base address, shareability and permissions.
    Prbar(Choice),
    /// PRLAR_EL2, or `PRLAR<n>_EL2`: limit address, memory type and enable bit.
    Prlar(Choice),
}

/// How an instruction chooses the region whose register it accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The region that PRSELR_EL2 selects.
    Selected,
    /// The region with these low four bits, 1 to 15; the others are those of PRSELR_EL2.
    Direct(u8),
}

/// What an instruction does with the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// MRS: general register from system register.
    Read,
    /// MSR: system register from general register.
    Write,
}

/// An access to a register of the EL2 MPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Read or write.
    pub direction: Direction,
    /// Which register.
    pub register: Register,
    /// Number of the general register; 31 is XZR.
    pub operand: u8,
}

/// Bits of an instruction word that are the same in MRS and MSR (register), and their value with op0 = 3, op1 = 4.
const FIXED_MASK: u32 = 0xffdf_0000;
const FIXED: u32 = 0xd51c_0000;
/// L: MRS if set.
const READ: u32 = 1 << 21;

impl Access {
    /// Decodes the instruction `word`; `None` for any that a PMSAv8-64 core does not execute as such an access at EL2.
    pub const fn decode(word: u32) -> Option<Self> {
        if word & FIXED_MASK != FIXED {
            return None;
        }
        let direction = if word & READ == 0 { Direction::Write } else { Direction::Read };
        let (crn, crm, op2) = (word >> 12 & 0xf, word >> 8 & 0xf, word >> 5 & 0x7);
        let register = match (crn, crm, op2) {
            (0, 0, 4) if matches!(direction, Direction::Read) => Register::Mpuir,
            (6, 1, 1) => Register::Prenr,
            (6, 2, 1) => Register::Prselr,
            (6, crm @ 8..=15, op2 @ (0 | 4)) => Register::Prbar(Choice::new(crm, op2)),
            (6, crm @ 8..=15, op2 @ (1 | 5)) => Register::Prlar(Choice::new(crm, op2)),
            _ => return None,
        };
        Some(Self { direction, register, operand: (word & 0x1f) as u8 })
    }
}

impl Choice {
    /// CRm\[2:0\] and op2\[2\] are the number of a direct form; 0 is the register without a number.
    const fn new(crm: u32, op2: u32) -> Self {
        match ((crm & 7) << 1 | op2 >> 2) as u8 {
            0 => Self::Selected,
            number => Self::Direct(number),
        }
    }
}

/// What else the emulation wants to know of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It completes earlier accesses: DSB.
    Completion,
    /// It is a context synchronization event: ISB.
    Synchronization,
    /// It returns from an exception, which is a context synchronization event too: ERET.
    Return,
    /// It is an exclusive load or store, which fails if an exception was taken on the way to it.
    Exclusive,
    /// Nothing of that.
    Other,
}

impl Effect {
    /// Decodes the instruction `word` (DDI 0487, C4.1 "A64 instruction set encoding").
    pub const fn of(word: u32) -> Self {
        /// All but CRm, the domain.
        const BARRIER_MASK: u32 = 0xffff_f0ff;
        const DSB: u32 = 0xd503_309f;
        const ISB: u32 = 0xd503_30df;
        const ERET: u32 = 0xd69f_03e0;
        /// Load/store exclusive, register or pair: bits 29:24 are 0b001000 and o2, bit 23, is 0.
        const EXCLUSIVE_MASK: u32 = 0x3f80_0000;
        const EXCLUSIVE: u32 = 0x0800_0000;
        match word {
            ERET => Self::Return,
            _ if word & BARRIER_MASK == ISB => Self::Synchronization,
            _ if word & BARRIER_MASK == DSB => Self::Completion,
            _ if word & EXCLUSIVE_MASK == EXCLUSIVE => Self::Exclusive,
            _ => Self::Other,
        }
    }
}
