//! What a step expects, and the sentence for what it found instead.

use crate::code::Run;
use crate::exceptions::Fault;
use thiserror::Error;

/// What came of a step.
pub type Verdict = Result<(), Why>;

/// Why a step failed.
#[derive(Clone, Copy, Debug, Error)]
pub enum Why {
    #[error("{0:#x}: no exception, but x0 = {1:#x}, x1 = {2:#x}")]
    NoFault(u64, u64, u64),
    #[error("{at:#x}: unexpected exception: {fault}")]
    Fault { at: u64, fault: Fault },
    #[error("{at:#x}: {found:#x} instead of {wanted:#x}")]
    Value { at: u64, found: u64, wanted: u64 },
    #[error("{what}: {count}, not from {least} to {most}")]
    Count { what: &'static str, count: u64, least: u64, most: u64 },
    #[error("{0}")]
    Claim(&'static str),
}

/// Classes of exceptions (DDI 0487, ESR_EL1.EC).
pub const UNKNOWN: u64 = 0x00;
pub const ILLEGAL_STATE: u64 = 0x0e;
pub const SVC_AARCH32: u64 = 0x11;
pub const SVC: u64 = 0x15;
pub const FETCH_ABORT: u64 = 0x21;
pub const PC_ALIGNMENT: u64 = 0x22;
pub const DATA_ABORT: u64 = 0x25;
pub const SP_ALIGNMENT: u64 = 0x26;
pub const BREAKPOINT_AARCH32: u64 = 0x38;
pub const BREAKPOINT: u64 = 0x3c;

/// Status codes of aborts (DDI 0487, ISS encoding for a Data Abort).
pub const EXTERNAL: u64 = 0x10;
pub const ALIGNMENT: u64 = 0x21;
/// The first three of four levels; level 0 is that of an address the CPU cannot have.
pub const ADDRESS_SIZE: u64 = 0x00;

/// A value that must be that one.
pub fn value(at: u64, found: u64, wanted: u64) -> Verdict {
    if found == wanted { Ok(()) } else { Err(Why::Value { at, found, wanted }) }
}

/// Something that must hold.
pub fn claim(holds: bool, otherwise: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(Why::Claim(otherwise)) }
}

/// A number within limits.
pub fn count(what: &'static str, count: u64, least: u64, most: u64) -> Verdict {
    if (least..=most).contains(&count) { Ok(()) } else { Err(Why::Count { what, count, least, most }) }
}

impl Run {
    /// An exception of one of these classes; `at` is only told.
    pub fn expect_class(&self, at: u64, classes: &[u64]) -> Result<Fault, Why> {
        match self.fault {
            None => Err(Why::NoFault(at, self.x[0], self.x[1])),
            Some(fault) if classes.contains(&fault.class()) => Ok(fault),
            Some(fault) => Err(Why::Fault { at, fault }),
        }
    }

    /// An abort of this class at `address` with one of these status codes.
    pub fn expect_abort(&self, address: u64, class: u64, status: &[u64]) -> Verdict {
        let fault = self.expect_class(address, &[class])?;
        if !status.contains(&fault.status()) {
            return Err(Why::Fault { at: address, fault });
        }
        value(address, fault.far, address)
    }

    /// No exception.
    pub fn expect_none(&self, at: u64) -> Verdict {
        match self.fault {
            None => Ok(()),
            Some(fault) => Err(Why::Fault { at, fault }),
        }
    }

    /// No exception, or one of these classes.
    pub fn expect_none_or(&self, at: u64, classes: &[u64]) -> Verdict {
        match self.fault {
            Some(fault) if !classes.contains(&fault.class()) => Err(Why::Fault { at, fault }),
            _ => Ok(()),
        }
    }
}
