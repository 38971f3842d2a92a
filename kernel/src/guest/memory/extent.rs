//! Runs of frames that a guest finds at consecutive addresses.

use crate::base::addr::{GuestAddr, Mfn, PAGE_SIZE};
use core::fmt;

/// What a range of guest addresses leads to.
///
/// These are the strictest attributes that the guest gets; its own stage 1 can only take away from them (DDI 0487, D8
/// "Combining stage 1 and stage 2 memory type attributes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// RAM: write-back cacheable, inner shareable, read, written and executed at EL1 and EL0.
    Ram,
    /// RAM that the guest may not write to.
    Rom,
    /// Registers of a device: Device-nGnRE, read-write, never executed.
    Device,
}

/// Guest addresses that lead to consecutive frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First guest address, a multiple of the page size.
    pub ipa: GuestAddr,
    /// The frame it leads to.
    pub mfn: Mfn,
    /// How many frames there are.
    pub frames: u64,
    /// What they are.
    pub kind: ExtentKind,
}

impl Extent {
    /// Length in bytes; as long as the address space if that is too short.
    pub const fn bytes(&self) -> u64 {
        self.frames.saturating_mul(PAGE_SIZE)
    }

    /// One past the last guest address, as a number; it stays at 2^64 - 1 if it would be above.
    pub const fn end(&self) -> u64 {
        self.ipa.get().saturating_add(self.bytes())
    }

    /// Whether `next` begins where this one ends, in the guest and in the machine.
    pub fn continues_with(&self, next: &Self) -> bool {
        let here = self.kind == next.kind && self.end() == next.ipa.get();
        here && self.mfn.checked_add(self.frames) == Some(next.mfn)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ipa, pa) = (self.ipa.get(), self.mfn.address().get());
        let to = pa.saturating_add(self.bytes());
        write!(f, "guest range [{ipa:#x}, {:#x}) on [{pa:#x}, {to:#x})", self.end())
    }
}
