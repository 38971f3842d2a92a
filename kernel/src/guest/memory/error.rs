//! Why a guest's memory is not taken, seen or given back.

use crate::base::addr::{Bytes, GuestAddr, Mfn, Span};
use crate::frames::frametable::page_info::FrameOwner;
use crate::guest::memory::GuestMemory;
use crate::memory::HeapShortage;
use crate::vmap::VmapError;
use core::ops::Range;

/// Why a guest does not get its memory, or EL2 no look at it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// Guest addresses that are not whole pages, or none.
    #[error("guest RAM [{:#x}, {:#x}) is not one or more whole pages", bank.start.get(), bank.end.get())]
    Bank {
        /// The bank.
        bank: Range<GuestAddr>,
    },
    /// Too little memory is free.
    #[error("{} of guest RAM do not fit into {} of free memory", Bytes(*wanted), Bytes(*free))]
    Shortage {
        /// Bytes that the guest is to have.
        wanted: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The heap cannot hold the list of what the guest has.
    #[error("the list of guest RAM does not fit: {0}")]
    Heap(#[from] HeapShortage),
    /// Static memory that is more or less than the banks.
    #[error("guest RAM of {} is to lie in static memory of {}", Bytes(*banks), Bytes(*host))]
    Size {
        /// Bytes of guest addresses.
        banks: u64,
        /// Bytes of host memory.
        host: u64,
    },
    /// Static memory that is not there.
    #[error("static memory {range} is not RAM at {:#x}", mfn.address().get())]
    NotRam {
        /// The range.
        range: Span,
        /// The first frame that is no RAM.
        mfn: Mfn,
    },
    /// Static memory that is somebody's.
    #[error("static memory {range} cannot be {wanted}'s: the frame at {:#x} is {owner}'s", mfn.address().get())]
    Taken {
        /// The range.
        range: Span,
        /// The first frame that has an owner.
        mfn: Mfn,
        /// Who owns it.
        owner: FrameOwner,
        /// Who should.
        wanted: FrameOwner,
    },
    /// A frame that somebody beside the guest still references, and so does not come back yet.
    #[error("guest RAM at {:#x} has {references} references, one of which is the guest's", mfn.address().get())]
    Referenced {
        /// The frame.
        mfn: Mfn,
        /// How many references it has.
        references: u32,
    },
    /// Guest addresses that are not RAM of the guest.
    #[error("{} at guest address {start} are not in RAM of the guest", Bytes(*bytes))]
    Outside {
        /// The first.
        start: GuestAddr,
        /// How many bytes.
        bytes: u64,
    },
    /// EL2 cannot map the memory.
    #[error("guest RAM: {0}")]
    Window(#[from] VmapError),
}

/// Memory that has not come back, and why; it can be tried again.
#[derive(Debug, thiserror::Error)]
#[error("{} of guest RAM are not released: {reason}", Bytes(memory.bytes()))]
pub struct Unreleased {
    /// What is left.
    pub memory: GuestMemory,
    /// What kept the first of it from being released.
    #[source]
    pub reason: MemoryError,
}
