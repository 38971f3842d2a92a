//! System registers that a guest may not access directly.
//!
//! An MRS or MSR that EL2 traps arrives as exception class 0x18, with the register's encoding in the syndrome. [`Trap`]
//! decodes it, [`names`] names the register, [`handling()`] decides on the response, and [`filtered`] computes the
//! guest's view of the machine's ID registers.
//!
//! The most frequent trapped register by far is ICC_SGI1R_EL1: for it, decoding is a mask and two shifts.

mod id_register;
pub mod names;
mod policy;
#[cfg(not(target_os = "none"))]
pub mod table;

pub use crate::arch::id_register::IdRegister;
pub use id_register::filtered;
pub use policy::{Handling, handling};

use crate::arch::syndrome::{Direction, Syndrome};
use crate::guest::exit::mmio::GeneralRegister;
use core::fmt;

// The syndrome of an MSR, MRS or system instruction (DDI 0487, D24.2.37, "ISS encoding for an exception from MSR, MRS,
// or System instruction execution in AArch64 state").
const OP0_SHIFT: u32 = 20;
const OP2_SHIFT: u32 = 17;
const OP1_SHIFT: u32 = 14;
const CRN_SHIFT: u32 = 10;
const RT_SHIFT: u32 = 5;
const CRM_SHIFT: u32 = 1;
/// Direction: an MRS.
const READ: u64 = 1 << 0;
/// The five fields that name a register.
const NAME_MASK: u32 =
    0b11 << OP0_SHIFT | 0b111 << OP2_SHIFT | 0b111 << OP1_SHIFT | 0xf << CRN_SHIFT | 0xf << CRM_SHIFT;

/// A system register, by its encoding: where a syndrome has it, so that nothing needs to be moved.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct SystemRegister(u32);

impl SystemRegister {
    /// The register `S<op0>_<op1>_C<crn>_C<crm>_<op2>`. Bits that do not fit are dropped.
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Self {
        let fields = (op0 as u32 & 0b11) << OP0_SHIFT
            | (op1 as u32 & 0b111) << OP1_SHIFT
            | (crn as u32 & 0xf) << CRN_SHIFT
            | (crm as u32 & 0xf) << CRM_SHIFT
            | (op2 as u32 & 0b111) << OP2_SHIFT;
        Self(fields)
    }

    /// Op0, Op1, CRn, CRm and Op2.
    pub const fn fields(self) -> (u8, u8, u8, u8, u8) {
        (
            (self.0 >> OP0_SHIFT & 0b11) as u8,
            (self.0 >> OP1_SHIFT & 0b111) as u8,
            (self.0 >> CRN_SHIFT & 0xf) as u8,
            (self.0 >> CRM_SHIFT & 0xf) as u8,
            (self.0 >> OP2_SHIFT & 0b111) as u8,
        )
    }
}

/// An access that was trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Which system register.
    pub register: SystemRegister,
    /// MRS reads, MSR writes.
    pub access: Direction,
    /// The general register that takes or gives the value.
    pub operand: GeneralRegister,
}

impl Trap {
    /// What a syndrome of class 0x18 says.
    #[inline]
    pub const fn decode(esr: Syndrome) -> Self {
        let esr = esr.get();
        Self {
            register: SystemRegister(esr as u32 & NAME_MASK),
            access: if esr & READ == 0 { Direction::Write } else { Direction::Read },
            operand: GeneralRegister::new(esr >> RT_SHIFT),
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Direction::Read => "read",
            Direction::Write => "write",
        };
        write!(f, "{access} of {}, which this guest does not have", self.register)
    }
}

#[cfg(test)]
mod tests {
    use super::{SystemRegister, Trap, names};
    use crate::arch::syndrome::{Direction, Syndrome};
    use crate::guest::exit::mmio::GeneralRegister;

    /// The syndrome of `msr icc_sgi1r_el1, x2`, put together by hand.
    #[test]
    fn a_trap_is_what_its_syndrome_says() {
        let trap = Trap::decode(Syndrome::new(0x623a_3056));
        let expected =
            Trap { register: names::ICC_SGI1R_EL1, access: Direction::Write, operand: GeneralRegister::new(2) };
        assert_eq!(trap, expected);
        let trap = Trap::decode(Syndrome::new(0x6230_03e1));
        let expected = Trap {
            register: SystemRegister::new(3, 0, 0, 0, 0),
            access: Direction::Read,
            operand: GeneralRegister::ZERO,
        };
        assert_eq!(trap, expected);
    }

    #[test]
    fn every_encoding_survives_the_syndrome() {
        for code in 0..1u32 << 16 {
            let fields = (
                (code >> 14) as u8,
                (code >> 11 & 7) as u8,
                (code >> 7 & 0xf) as u8,
                (code >> 3 & 0xf) as u8,
                code as u8 & 7,
            );
            let register = SystemRegister::new(fields.0, fields.1, fields.2, fields.3, fields.4);
            assert_eq!(register.fields(), fields);
            let esr = 0x18 << 26 | 1 << 25 | u64::from(register.0) | 31 << 5;
            assert_eq!(Trap::decode(Syndrome::new(esr)).register, register);
        }
    }
}
