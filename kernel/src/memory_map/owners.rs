//! Which owners of memory may overlap.
//!
//! Memory given to a guest, for use or for reading, must have no other owner: a tree that contradicts itself there is
//! refused, for any guess could give a guest another owner's memory. All other owners only keep memory out of use, and
//! trees of real boards name the same range twice, reserve the firmware's modules, or have an initrd in a reservation.
//! There the union is kept out of use, with a warning.

use super::{MemoryMapError, MemoryWarning, holds};
use crate::base::addr::{Mfn, PAGE_SIZE};
use crate::devtree::{Owned, Owner};
use alloc::vec::Vec;
use core::ops::Range;

/// How many warnings there are about reservations, at most, before the rest is counted: a tree can have a hundred thousand.
pub(super) const TOLD: usize = 16;

/// Checks `owned`, none empty and in ascending order, against `ram` and against each other.
pub(super) fn check(
    owned: &[Owned],
    ram: &[Range<Mfn>],
    warnings: &mut Vec<MemoryWarning>,
) -> Result<(), MemoryMapError> {
    let mut told = 0;
    let mut warn = |warning| {
        told += 1;
        if told <= TOLD {
            warnings.push(warning);
        }
    };
    // Of those before, the one of each kind that reaches furthest. Whoever overlaps any of a kind overlaps that one; and if
    // only the same range is no contradiction, all of the kind that overlap it have the same range.
    let mut furthest = [const { None::<&Owned> }; KINDS];
    for this in owned {
        let kind = OwnerKind::of(&this.owner);
        if !holds(ram, &this.span) {
            match kind {
                OwnerKind::Image | OwnerKind::Module | OwnerKind::StaticMem => {
                    return Err(MemoryMapError::NotRam { what: this.clone() });
                }
                OwnerKind::FrameZero => {}
                _ => warn(MemoryWarning::NotRam { what: this.clone() }),
            }
        }
        let is_aligned = this.span.start.is_aligned(PAGE_SIZE) && this.span.end.is_aligned(PAGE_SIZE);
        if kind == OwnerKind::StaticMem && !is_aligned {
            return Err(MemoryMapError::Unaligned { what: this.clone() });
        }
        for first in furthest.iter().copied().flatten().filter(|first| first.span.overlaps(&this.span)) {
            match kind.beside(OwnerKind::of(&first.owner)) {
                Meeting::Fine => {}
                Meeting::FineIfSame if first.span == this.span => {}
                Meeting::Odd => warn(MemoryWarning::Overlap { first: first.clone(), second: this.clone() }),
                Meeting::FineIfSame | Meeting::Contradiction => {
                    return Err(MemoryMapError::Overlap { first: first.clone(), second: this.clone() });
                }
            }
        }
        if let Some(last) = furthest.get_mut(kind as usize)
            && last.is_none_or(|last| last.span.end < this.span.end)
        {
            *last = Some(this);
        }
    }
    if told > TOLD {
        warnings.push(MemoryWarning::More { count: told - TOLD });
    }
    Ok(())
}

/// An owner without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OwnerKind {
    Image,
    DeviceTree,
    Initrd,
    Module,
    StaticMem,
    SharedMem,
    ReservedMemory,
    MemReserve,
    FrameZero,
}

/// How many kinds of owners there are.
const KINDS: usize = OwnerKind::FrameZero as usize + 1;

/// What it means that two owners have a byte in common.
enum Meeting {
    /// Nothing.
    Fine,
    /// Nothing if they have all bytes in common: it is one thing that is named twice.
    FineIfSame,
    /// The tree is odd, but nobody gets what is somebody else's.
    Odd,
    /// One of them gets, or reads, what is the other's.
    Contradiction,
}

impl OwnerKind {
    pub(super) fn of(owner: &Owner) -> Self {
        match owner {
            Owner::Image => Self::Image,
            Owner::DeviceTree => Self::DeviceTree,
            Owner::Initrd => Self::Initrd,
            Owner::Module(_) => Self::Module,
            Owner::StaticMem(_) => Self::StaticMem,
            Owner::SharedMem(_) => Self::SharedMem,
            Owner::ReservedMemory { .. } => Self::ReservedMemory,
            Owner::MemReserve(_) => Self::MemReserve,
            Owner::FrameZero => Self::FrameZero,
        }
    }

    /// What it means that something of this kind has a byte in common with something of `other`.
    fn beside(self, other: Self) -> Meeting {
        let is_either = |kind| self == kind || other == kind;
        let are_among = |kinds: &[Self]| kinds.contains(&self) && kinds.contains(&other);
        if is_either(Self::FrameZero) {
            Meeting::Fine
        } else if is_either(Self::StaticMem) {
            // It becomes a guest's, which may do with it what it likes.
            Meeting::Contradiction
        } else if is_either(Self::MemReserve) {
            // Firmware lists what it has loaded, the blob for instance, in the memory reservation block, too.
            Meeting::Fine
        } else if are_among(&[Self::Initrd, Self::Module]) || are_among(&[Self::SharedMem]) {
            // Two guests may be started from one module, the initrd may also be described as one, and memory that is shared
            // is named by all who share it.
            Meeting::FineIfSame
        } else if is_either(Self::Module) || are_among(&[Self::Image, Self::DeviceTree, Self::SharedMem]) {
            // A guest would read what the other has written; image or blob are no longer what was loaded.
            Meeting::Contradiction
        } else {
            Meeting::Odd
        }
    }
}
