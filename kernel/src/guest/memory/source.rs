//! The sources of a guest's frames, to which they return: see [`memory`](super).
//!
//! Frames are added to a list of extents as they are allocated, so that at any moment the list holds everything to be
//! freed.

use super::error::MemoryError;
use crate::base::addr::{Frames, GuestAddr, Mfn, PAGE_SHIFT};
use crate::frames::frametable::page_info::{FrameOwner, PageInfo};
use crate::frames::frametable::table::FrameTable;
use crate::frames::page_alloc::{MAX_ORDER, PageError};
use crate::guest::memory::extent::{Extent, ExtentKind};
use crate::guest::memory::frames::{FrameBlock, block_order, blocks};
use crate::memory::HostMemory;
use alloc::vec::Vec;
use core::ops::Range;

/// Where a guest's frames are to come from.
#[derive(Clone, Copy, Debug)]
pub enum FrameSource<'a> {
    /// Whatever is free.
    PageAllocator,
    /// Host memory set aside for this guest, as much as its banks.
    Static(&'a [Range<Mfn>]),
}

/// Where a guest's frames go when it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// To the page allocator.
    PageAllocator,
    /// To nobody: they are still set aside.
    Static,
}

impl FrameSource<'_> {
    pub(super) const fn origin(&self) -> Origin {
        match self {
            FrameSource::PageAllocator => Origin::PageAllocator,
            FrameSource::Static(_) => Origin::Static,
        }
    }
}

/// Allocates frames for `banks`, the largest blocks first, and adds them to `extents`.
pub(super) fn allocate(
    host: &HostMemory,
    owner: FrameOwner,
    banks: &[Range<GuestAddr>],
    extents: &mut Vec<Extent>,
) -> Result<(), MemoryError> {
    let wanted = banks.iter().map(|bank| pages(bank) << PAGE_SHIFT).fold(0, u64::saturating_add);
    let shortage = |free| MemoryError::Shortage { wanted, free };
    if wanted > host.free_bytes() {
        return Err(shortage(host.free_bytes()));
    }
    // No block of a higher order is free: nothing is given back meanwhile.
    let mut highest = MAX_ORDER;
    let mut taken = 0;
    for bank in banks {
        let mut left = pages(bank);
        // As aligned as the guest's addresses are, so that stage 2 can use leaves of the block's size.
        while let Some(order) = block_order((bank.end.get() >> PAGE_SHIFT) - left, left) {
            make_room(host, extents)?;
            let order = order.min(highest);
            match host.alloc(order, owner) {
                Ok(mfn) => {
                    push(extents, at_the_end_of(bank, left), mfn, 1 << order);
                    left -= 1 << order;
                    taken += 1 << order;
                }
                Err(PageError::Exhausted { .. }) if order > 0 => highest = order - 1,
                Err(_) => return Err(shortage(host.free_bytes() + (taken << PAGE_SHIFT))),
            }
        }
    }
    Ok(())
}

/// Makes the frames of `given` `owner`'s, for `banks` in their order, and adds them to `extents`.
pub(super) fn claim(
    host: &HostMemory,
    owner: FrameOwner,
    banks: &[Range<GuestAddr>],
    given: &[Range<Mfn>],
    extents: &mut Vec<Extent>,
) -> Result<(), MemoryError> {
    let wanted = banks.iter().map(pages).fold(0, u64::saturating_add);
    let have = given.iter().map(Frames::count).fold(0, u64::saturating_add);
    if wanted != have {
        let bytes = |pages: u64| pages.saturating_mul(1 << PAGE_SHIFT);
        return Err(MemoryError::Size { banks: bytes(wanted), host: bytes(have) });
    }
    let mut banks = banks.iter().map(|bank| (bank, pages(bank)));
    let mut bank = banks.next();
    for range in given {
        let table = host.table();
        if let Some(mfn) = first_hole(table, range) {
            return Err(MemoryError::NotRam { range: range.span(), mfn });
        }
        let mut rest = range.clone();
        while rest.count() > 0 {
            let Some((here, left)) = &mut bank else { break };
            if *left == 0 {
                bank = banks.next();
                continue;
            }
            let count = rest.count().min(*left);
            let end = rest.start.checked_add(count).unwrap_or(rest.end);
            make_room(host, extents)?;
            own(table, &(rest.start..end), owner, range)?;
            push(extents, at_the_end_of(here, *left), rest.start, count);
            *left -= count;
            rest.start = end;
        }
    }
    Ok(())
}

impl Origin {
    /// Gives the frames of `extent` back, from the first on. If one cannot be, says how many were before it, and why.
    pub(super) fn give_back(self, host: &HostMemory, extent: &Extent) -> Result<(), (u64, MemoryError)> {
        let Some(end) = extent.mfn.checked_add(extent.frames) else { return Ok(()) };
        for block in blocks(extent.mfn..end) {
            let whole = match self {
                Self::PageAllocator => host.free(block.first, block.order).is_ok(),
                Self::Static => false,
            };
            if !whole {
                self.give_frames(host, block).map_err(|(mfn, error)| {
                    let done = mfn.offset_from(extent.mfn).unwrap_or(0);
                    (done, error)
                })?;
            }
        }
        Ok(())
    }

    /// Gives back frame by frame, up to one that somebody references.
    fn give_frames(self, host: &HostMemory, block: FrameBlock) -> Result<(), (Mfn, MemoryError)> {
        for (mfn, entry) in entries(host.table(), block) {
            let given = match self {
                Self::PageAllocator => host.free(mfn, 0).is_ok(),
                Self::Static => entry.release(),
            };
            if !given {
                return Err((mfn, MemoryError::Referenced { mfn, references: entry.references() }));
            }
        }
        Ok(())
    }
}

/// `extent` without its first `frames`.
pub(super) fn without(extent: Extent, frames: u64) -> Extent {
    match (extent.ipa.checked_add(frames << PAGE_SHIFT), extent.mfn.checked_add(frames)) {
        (Some(ipa), Some(mfn)) => Extent { ipa, mfn, frames: extent.frames.saturating_sub(frames), ..extent },
        _ => extent,
    }
}

/// Makes `owner` the owner of all frames of `part`, all of which are RAM, or of none. `range` is what they are a part of.
fn own(table: &FrameTable, part: &Range<Mfn>, owner: FrameOwner, range: &Range<Mfn>) -> Result<(), MemoryError> {
    let frames = || blocks(part.clone()).flat_map(|block| entries(table, block));
    let Some((taken, entry)) = frames().find(|(_, entry)| !entry.allocate(owner)) else { return Ok(()) };
    let error = MemoryError::Taken { range: range.span(), mfn: taken, owner: entry.owner(), wanted: owner };
    for (mfn, entry) in frames().take_while(|(mfn, _)| *mfn < taken) {
        assert!(entry.release(), "{mfn:?} was referenced as soon as it had an owner");
    }
    Err(error)
}

/// The frames of a block, each with its entry: none if the block has no entries, which no RAM lacks.
fn entries(table: &FrameTable, block: FrameBlock) -> impl Iterator<Item = (Mfn, &PageInfo)> {
    let entries = table.page(block.first).and_then(|page| table.entries(page, 1 << block.order));
    entries.unwrap_or_default().iter().zip(0..).filter_map(move |(entry, index)| {
        let mfn = block.first.checked_add(index)?;
        Some((mfn, entry))
    })
}

/// The first frame of `range` that is not RAM.
fn first_hole(table: &FrameTable, range: &Range<Mfn>) -> Option<Mfn> {
    let mut at = range.start;
    while at < range.end {
        match table.banks().iter().find(|bank| bank.contains(&at)) {
            Some(bank) => at = bank.end,
            None => return Some(at),
        }
    }
    None
}

/// How many pages a bank has.
fn pages(bank: &Range<GuestAddr>) -> u64 {
    bank.end.offset_from(bank.start).unwrap_or(0) >> PAGE_SHIFT
}

/// The guest address of the last `left` pages of `bank`.
const fn at_the_end_of(bank: &Range<GuestAddr>, left: u64) -> GuestAddr {
    GuestAddr::new(bank.end.get() - (left << PAGE_SHIFT))
}

/// Makes room for one extent, before anything is taken that it would describe.
fn make_room(host: &HostMemory, extents: &mut Vec<Extent>) -> Result<(), MemoryError> {
    if extents.len() == extents.capacity() {
        let more = extents.len().max(MIN_EXTENTS);
        host.reserve_heap(((extents.len() + more) * size_of::<Extent>()) as u64)?;
        extents.reserve_exact(more);
    }
    Ok(())
}

/// The first room for extents.
const MIN_EXTENTS: usize = 8;

/// Adds frames to a list that has room for them.
fn push(extents: &mut Vec<Extent>, ipa: GuestAddr, mfn: Mfn, frames: u64) {
    let next = Extent { ipa, mfn, frames, kind: ExtentKind::Ram };
    match extents.last_mut() {
        Some(last) if last.continues_with(&next) => last.frames += frames,
        _ => extents.push(next),
    }
}
