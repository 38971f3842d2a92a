//! Which virtual addresses of a window are taken.
//!
//! Pure arithmetic: nothing is mapped here. Every allocation has at least one page on either side that no allocation
//! covers, at the ends of the window too, so that running off either end of a mapping faults.
//!
//! Addresses are handed out upwards from where the last allocation ended and reused only when the end of the window is
//! reached, so a use after release faults for as long as possible. The allocations are kept in a sorted vector: there
//! are few, new ones mostly go to its end, and finding one takes a binary search without touching the heap.

use alloc::vec::Vec;
use core::ops::Range;

use crate::base::addr::{PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr};

/// Pages without an allocation on either side of each.
const GUARD_PAGES: u64 = 1;

/// Sizes in pages, largest first, from which on it pays to have VA congruent to PA: a 1 GiB block, 16 contiguous 2 MiB
/// blocks, a 2 MiB block, 16 contiguous pages.
const LEAF_PAGES: [u64; 4] = [1 << 18, 1 << 13, 1 << 9, 1 << 4];

/// Allocations that can be remembered from the start.
const FIRST_ROOM: usize = 256;

/// Where in the window an allocation should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPlacement {
    /// Anywhere.
    Anywhere,
    /// Congruent to this physical address modulo the largest leaf or contiguous run that is not larger than the
    /// allocation; modulo smaller ones in turn if there is no such place.
    Like(PhysAddr),
}

/// One allocation, in pages.
#[derive(Clone, Copy, Debug)]
struct Used {
    start: u64,
    pages: u64,
}

impl Used {
    const fn end(self) -> u64 {
        self.start + self.pages
    }
}

/// Room to remember allocations in. It is made outside of whatever lock the [`VaSpace`] is in, because making it may take
/// more memory than the heap has at that moment.
#[derive(Debug)]
pub struct MappingRecords(Vec<Used>);

impl MappingRecords {
    /// Bytes that records for `count` allocations take.
    pub const fn bytes(count: usize) -> usize {
        count * size_of::<Used>()
    }

    /// Room for `count` allocations.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }
}

/// A window of virtual addresses, and what of it is taken.
#[derive(Debug)]
pub struct VaSpace {
    window: Range<u64>,
    /// Sorted by address, disjoint, guard pages between them.
    used: Vec<Used>,
    /// The page where the last allocation ended.
    cursor: u64,
}

impl VaSpace {
    /// The whole pages of `window`, all free.
    pub fn new(window: Range<VirtAddr>) -> Self {
        let start = window.start.get().div_ceil(PAGE_SIZE);
        let end = window.end.get() / PAGE_SIZE;
        Self { window: start..end, used: Vec::with_capacity(FIRST_ROOM), cursor: start }
    }

    /// How many more allocations can be remembered before there must be more [`MappingRecords`].
    #[inline]
    pub fn room(&self) -> usize {
        self.used.capacity() - self.used.len()
    }

    /// How many allocations can be remembered in all.
    pub fn capacity(&self) -> usize {
        self.used.capacity()
    }

    /// Moves what is remembered to `records`, if they are more, and gives back the old ones.
    pub fn move_to(&mut self, mut records: MappingRecords) -> MappingRecords {
        if records.0.capacity() > self.used.capacity() {
            records.0.append(&mut self.used);
            core::mem::swap(&mut records.0, &mut self.used);
        }
        records
    }

    /// Where the next search begins: above what was taken last, so that an address is not used again for as long as possible.
    pub fn cursor(&self) -> VirtAddr {
        VirtAddr::new(self.cursor << PAGE_SHIFT)
    }

    /// Has the next search begin at `cursor`.
    pub fn set_cursor(&mut self, cursor: VirtAddr) {
        self.cursor = cursor.get() >> PAGE_SHIFT;
    }

    /// Takes `pages` pages that nobody has.
    ///
    /// # Errors
    ///
    /// [`SpaceError::Empty`] for no pages, [`SpaceError::NoRecords`] if there are too many allocations already, and
    /// [`SpaceError::Exhausted`] if there is no gap for them and their guard pages.
    pub fn alloc(&mut self, pages: u64, placement: AddressPlacement) -> Result<VirtAddr, SpaceError> {
        if pages == 0 {
            return Err(SpaceError::Empty);
        }
        if self.room() == 0 {
            return Err(SpaceError::NoRecords { allocations: self.used.len() });
        }
        if let AddressPlacement::Like(pa) = placement {
            let phase = pa.get() >> PAGE_SHIFT;
            for modulus in LEAF_PAGES.into_iter().filter(|leaf| pages >= *leaf) {
                if let Some(va) = self.take(pages, phase, modulus) {
                    return Ok(va);
                }
            }
        }
        self.take(pages, 0, 1)
            .ok_or_else(|| SpaceError::Exhausted { wanted_pages: pages, largest_free: self.largest_free() })
    }

    /// Releases the allocation that starts at `va`, and says how many pages it had.
    ///
    /// # Errors
    ///
    /// [`SpaceError::Inside`] for an address further up in an allocation, [`SpaceError::NotAllocated`] for any other.
    /// Nothing has changed then.
    pub fn release(&mut self, va: VirtAddr) -> Result<u64, SpaceError> {
        match self.find(va) {
            Ok(index) => Ok(self.used.remove(index).pages),
            Err(error) => Err(error),
        }
    }

    /// How many pages the allocation that starts at `va` has; `None` if none starts there.
    pub fn size(&self, va: VirtAddr) -> Option<u64> {
        self.find(va).ok().and_then(|index| self.used.get(index)).map(|used| used.pages)
    }

    /// The largest number of pages that [`alloc`](Self::alloc) can find a place for.
    pub fn largest_free(&self) -> u64 {
        (0..=self.used.len())
            .map(|index| self.gap(index))
            .map(|gap| gap.end.saturating_sub(gap.start))
            .max()
            .unwrap_or(0)
    }

    /// Takes the first fit above the cursor, else the first of all.
    fn take(&mut self, pages: u64, phase: u64, modulus: u64) -> Option<VirtAddr> {
        let next = self.used.partition_point(|used| used.start < self.cursor);
        let (index, start) = self
            .first_fit(next, self.cursor, pages, phase, modulus)
            .or_else(|| self.first_fit(0, self.window.start, pages, phase, modulus))?;
        self.used.insert(index, Used { start, pages });
        self.cursor = start + pages;
        Some(VirtAddr::new(start << PAGE_SHIFT))
    }

    /// The first `pages` pages at or above `from`, in gap `first_gap` or later, whose start is congruent to `phase`
    /// modulo `modulus`, a power of two; and which gap they are in.
    fn first_fit(&self, first_gap: usize, from: u64, pages: u64, phase: u64, modulus: u64) -> Option<(usize, u64)> {
        (first_gap..=self.used.len()).find_map(|index| {
            let gap = self.gap(index);
            let lowest = gap.start.max(from);
            let start = lowest.checked_add(phase.wrapping_sub(lowest) & (modulus - 1))?;
            let fits = start.checked_add(pages)? <= gap.end;
            fits.then_some((index, start))
        })
    }

    /// The pages below allocation number `index` and above the one before, without the guard pages of either. The
    /// start is above the end if there is no room for guard pages.
    fn gap(&self, index: usize) -> Range<u64> {
        let below = index.checked_sub(1).and_then(|below| self.used.get(below));
        let start = below.map_or(self.window.start, |used| used.end());
        let end = self.used.get(index).map_or(self.window.end, |used| used.start);
        start + GUARD_PAGES..end.saturating_sub(GUARD_PAGES)
    }

    /// The number of the allocation that starts at `va`.
    fn find(&self, va: VirtAddr) -> Result<usize, SpaceError> {
        let page = va.get() >> PAGE_SHIFT;
        let above = self.used.partition_point(|used| used.start <= page);
        let Some((index, used)) = above.checked_sub(1).and_then(|index| Some((index, *self.used.get(index)?))) else {
            return Err(SpaceError::NotAllocated { va });
        };
        let start = VirtAddr::new(used.start << PAGE_SHIFT);
        if va == start {
            Ok(index)
        } else if page < used.end() {
            Err(SpaceError::Inside { va, start, pages: used.pages })
        } else {
            Err(SpaceError::NotAllocated { va })
        }
    }
}

/// Why addresses could not be taken or released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// No pages.
    #[error("an allocation of no pages has no address")]
    Empty,
    /// There is no memory left to remember another allocation in.
    #[error("{allocations} ranges of virtual addresses are allocated, and there is no room to remember another")]
    NoRecords {
        /// How many there are.
        allocations: usize,
    },
    /// No gap is large enough.
    #[error("no {wanted_pages} pages of virtual address space are free in one piece: the largest has {largest_free}")]
    Exhausted {
        /// Pages asked for.
        wanted_pages: u64,
        /// Pages that the largest gap can give, its guard pages taken off.
        largest_free: u64,
    },
    /// The address is in an allocation, but not its start.
    #[error("{va} lies inside the {pages} pages allocated at {start}, which can only be released from their start")]
    Inside {
        /// The address.
        va: VirtAddr,
        /// Where the allocation starts.
        start: VirtAddr,
        /// How many pages it has.
        pages: u64,
    },
    /// Nothing is allocated at the address.
    #[error("nothing is allocated at {va}")]
    NotAllocated {
        /// The address.
        va: VirtAddr,
    },
}

#[cfg(test)]
mod tests;
