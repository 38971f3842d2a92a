//! The interface of a memory protection, so that frames can be mapped by it.

use crate::base::addr::{Mfn, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use core::error::Error;
use core::fmt;
use core::ops::{Range, RangeInclusive};

/// What more mappings need and the address space has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Pages to make tables of.
    Tables,
    /// Room to remember mappings in.
    Records,
}

/// An MMU or an MPU, behind a [`Vmap`](super::Vmap), which has the contracts: no call here has arguments that it did not
/// checked for what both have in common.
pub trait Backend {
    /// What a mapping is known by while it lives.
    type Held: Copy;
    /// How addresses are mapped, for people.
    type Layout: fmt::Display;
    /// Why something cannot be mapped.
    type Error: Error;

    /// The most that a frametable may span, holes included, in bytes.
    const FRAMETABLE_SPAN: u64;
    /// How many frames heap and tables grow by: the largest contiguous block that is free, within these bounds.
    const GROWTH_FRAMES: RangeInclusive<u64>;

    /// The first page of a mapping.
    fn first_page(held: Self::Held) -> VirtAddr;

    /// Maps `count` frames from `first`, at least one, none past the physical address space.
    fn map(&self, first: Mfn, count: u64, attributes: Attributes) -> Result<Self::Held, Self::Error>;

    /// Maps frames in their order, at least one.
    fn map_scattered(&self, frames: &[Mfn], attributes: Attributes) -> Result<Self::Held, Self::Error>;

    /// Maps frames with registers for good, where no other mapping ever changes how they are mapped.
    fn map_registers(&self, frames: &Range<Mfn>) -> Result<VirtAddr, Self::Error>;

    /// Ends the mapping that starts at `va`, and returns its pages.
    fn unmap(&self, va: VirtAddr) -> Result<u64, Self::Error>;

    /// Ends a mapping that lives.
    fn release(&self, held: Self::Held) -> Result<(), Self::Error>;

    /// How many pages the mapping that starts at `va` has.
    fn size(&self, va: VirtAddr) -> Option<u64>;

    /// Maps memory of EL2's own at its physical address, for good.
    fn map_identity(&self, range: &Range<Mfn>, attributes: Attributes) -> Result<(), Self::Error>;

    /// Maps frames of the frametable, `offset` bytes from its start, for good.
    fn map_frametable(&self, offset: u64, range: &Range<Mfn>) -> Result<VirtAddr, Self::Error>;

    /// Whether more memory, which [`Backend::shortage`] did not ask for, would end the error.
    fn is_shortage(error: &Self::Error) -> bool;

    /// What is mapped at `va`, and as what.
    fn translate(&self, va: VirtAddr) -> Option<(PhysAddr, Attributes)>;

    /// How `range` is mapped.
    fn describe(&self, range: Range<VirtAddr>) -> Self::Layout;

    /// Runs `code`, whose mappings end before it does.
    fn briefly<R>(&self, code: impl FnOnce() -> R) -> R;

    /// What there is too little of for a mapping of `pages` pages, if anything.
    fn shortage(&self, pages: u64) -> Option<Shortage>;

    /// Makes tables of `memory`: only if [`Backend::shortage`] ever says that there are too few.
    ///
    /// # Safety
    ///
    /// `memory` must be mapped read-write at its physical address, for good, and be used by nothing else.
    unsafe fn add_tables(&self, memory: Range<PhysAddr>);

    /// Bytes of heap that records for `count` mappings take.
    fn record_bytes(count: usize) -> usize;

    /// How many mappings can be remembered.
    fn records(&self) -> usize;

    /// Moves the records to a list with room for `count`. The heap's lock must be free: the old list goes back to it.
    fn move_records(&self, count: usize);
}
