//! Every register that MRS and MSR can name at EL1 and EL0, of every feature up to Armv9.5, and how its contents are
//! kept from the next life of a guest.
//!
//! There is no register without a row: an encoding that a guest can read and that has no row fails the system test,
//! which tries all of them. The image does not use the table. The image has the list of reset registers, which appears
//! here as rows too, and the trap controls, which rows name by register and bit: tests hold both against the table.
//!
//! Names and encodings are those of DDI 0487, D24 and of the architecture's XML, DDI 0601.

mod base;
mod debug;
mod extensions;

use super::SystemRegister;
use crate::arch::controls::{Control, Feature};

/// What becomes of a register's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// EL2 gives it a value when a guest starts, where the CPU has the feature.
    Reset(Option<Feature>),
    /// The virtual CPU interface of the GIC is started anew for each guest.
    Interface,
    /// It is part of PSTATE, or decided by it, with which each guest starts anew.
    Pstate,
    /// Access comes to EL2, which stands in for it, or the guest takes an exception.
    Trapped(TrapBit),
    /// It says what the machine is: nothing can be written.
    Constant,
    /// It counts, or is random: for this reason it differs from one read to the next, whoever reads.
    Varies(&'static str),
    /// UNDEFINED at EL1 and EL0, for this reason.
    Absent(&'static str),
}

/// What brings an access to EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrapBit {
    /// A bit that is 1.
    Set(Control, u32),
    /// A bit that is 0, as those whose names begin with n, or enable something.
    Clear(Control, u32),
}

/// A register, or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name, with `<n>` for a number.
    pub name: &'static str,
    /// The encoding of the first.
    first: u16,
    /// How many encodings there are, and how far from one to the next.
    count: u16,
    stride: u16,
    /// What becomes of it.
    pub fate: Fate,
}

/// op0, op1, CRn, CRm, op2.
type Encoding = [u8; 5];

/// The encoding as a number: registers whose numbers follow one another do so here.
const fn number([op0, op1, crn, crm, op2]: Encoding) -> u16 {
    (op0 as u16) << 14 | (op1 as u16) << 11 | (crn as u16) << 7 | (crm as u16) << 3 | op2 as u16
}

impl Row {
    const fn one(name: &'static str, encoding: Encoding, fate: Fate) -> Self {
        Self::several(name, encoding, 1, fate)
    }

    /// As many encodings, one after the other.
    const fn several(name: &'static str, first: Encoding, count: u16, fate: Fate) -> Self {
        Self { name, first: number(first), count, stride: 1, fate }
    }

    /// As many, with CRm counting.
    const fn by_crm(name: &'static str, first: Encoding, count: u16, fate: Fate) -> Self {
        Self { name, first: number(first), count, stride: 8, fate }
    }

    const fn has(&self, encoding: u16) -> bool {
        encoding >= self.first
            && (encoding - self.first).is_multiple_of(self.stride)
            && (encoding - self.first) / self.stride < self.count
    }
}

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [base::RESET, base::ROWS, debug::ROWS, extensions::ROWS].into_iter().flatten()
}

/// The row of a register.
pub fn row(register: SystemRegister) -> Option<&'static Row> {
    let (op0, op1, crn, crm, op2) = register.fields();
    let encoding = number([op0, op1, crn, crm, op2]);
    rows().find(|row| row.has(encoding))
}

#[cfg(test)]
mod tests;
