//! Accesses of the guest to registers, and the refused ones.
//!
//! An access that matches no register is refused, and the caller injects the error into the guest. A register that is
//! reserved, or that only has a meaning with a feature that this GIC lacks (a second Security state, legacy operation,
//! LPIs), reads as zero and ignores writes (IHI 0069, 12.1 "The GIC memory-mapped register interfaces").

use super::Kick;
pub use crate::guest::device::size::Size;
use core::fmt;

/// An access of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GicAccess {
    /// A load.
    Read {
        /// Of this size.
        size: Size,
    },
    /// A store.
    Write {
        /// Of this size.
        size: Size,
        /// The value; bits beyond the size are ignored.
        value: u64,
    },
}

impl GicAccess {
    /// How many bytes it has.
    pub const fn size(self) -> Size {
        match self {
            Self::Read { size } | Self::Write { size, .. } => size,
        }
    }
}

/// What comes of an access.
#[must_use = "a vCPU that is not kicked does not see its interrupt"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GicAnswer {
    /// What a load reads, in as many bits as its size has. 0 for a store.
    pub value: u64,
    /// Who has to be told.
    pub kick: Kick,
}

impl GicAnswer {
    pub(super) const fn value(value: u64) -> Self {
        Self { value, kick: Kick::NONE }
    }

    pub(super) const fn kick(kick: Kick) -> Self {
        Self { value: 0, kick }
    }
}

/// What an access is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The distributor, GICD.
    Distributor,
    /// The redistributors, GICR, of all vCPUs.
    Redistributors,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Distributor => "GICD",
            Self::Redistributors => "GICR",
        })
    }
}

/// Why an access is refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GicRejected {
    /// Registers are accessed as a whole.
    #[error("{frame} offset {offset:#x} is no multiple of the {} bytes that are accessed", size.bytes())]
    Misaligned {
        /// The registers.
        frame: Frame,
        /// The offset from their start.
        offset: u64,
        /// Of the access.
        size: Size,
    },
    /// IHI 0069, 12.1.3, says how large an access to each register may be.
    #[error("{} bytes at {frame} offset {offset:#x}, a register that takes {allowed}", size.bytes())]
    Size {
        /// The registers.
        frame: Frame,
        /// The offset from their start.
        offset: u64,
        /// Of the access.
        size: Size,
        /// The sizes that there are.
        allowed: Sizes,
    },
    /// There are no registers.
    #[error("{frame} ends at {end:#x}, before offset {offset:#x}")]
    Outside {
        /// The registers.
        frame: Frame,
        /// The offset from their start.
        offset: u64,
        /// The end of the registers.
        end: u64,
    },
}

/// The sizes of access that a register takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Any, since nothing is there.
    Any,
    /// 4 bytes.
    Word,
    /// 1 byte, or the 4 bytes of a word.
    ByteOrWord,
    /// 8 bytes, or 4 bytes of either half.
    WordOrDouble,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any size",
            Self::Word => "4 bytes",
            Self::ByteOrWord => "1 or 4 bytes",
            Self::WordOrDouble => "4 or 8 bytes",
        })
    }
}

impl Sizes {
    /// Refuses `access` at `offset` unless it is of one of these sizes.
    pub(super) fn check(self, frame: Frame, offset: u64, access: GicAccess) -> Result<(), GicRejected> {
        let size = access.size();
        if !offset.is_multiple_of(size.bytes()) {
            return Err(GicRejected::Misaligned { frame, offset, size });
        }
        let allowed = match self {
            Self::Any => true,
            Self::Word => size == Size::Word,
            Self::ByteOrWord => matches!(size, Size::Byte | Size::Word),
            Self::WordOrDouble => matches!(size, Size::Word | Size::Double),
        };
        if allowed { Ok(()) } else { Err(GicRejected::Size { frame, offset, size, allowed: self }) }
    }
}
