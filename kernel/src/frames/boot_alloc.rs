//! Frames before there is a frametable.
//!
//! The memory pool and the frametable itself need frames before any table records an owner. This allocator takes such
//! frames from the top of memory down and never frees them; the remaining frames then go to the page allocator.
//!
//! Relies on: free ranges that are sorted and disjoint ([`crate::memory_map::MemoryMap::free`] guarantees it).

use crate::base::addr::{Bytes, Frames, Mfn, PAGE_SHIFT, PAGE_SIZE, Span};
use alloc::vec::Vec;
use core::ops::Range;

/// Where in a block of `align` bytes an allocation must begin.
///
/// A chunk of the frametable has its virtual address fixed by the first group it describes. Only memory that is congruent
/// to that address modulo the block size can be mapped by blocks, so aligning the physical address alone is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlacement {
    align: u64,
    phase: u64,
}

impl FramePlacement {
    /// Anywhere.
    pub const PAGE: Self = Self { align: PAGE_SIZE, phase: 0 };

    /// At a multiple of `align` bytes, a power of two of at least a page.
    pub const fn aligned(align: u64) -> Self {
        Self::congruent(0, align)
    }

    /// At an address congruent to `address` modulo `align` bytes, a power of two of at least a page.
    pub const fn congruent(address: u64, align: u64) -> Self {
        assert!(align.is_power_of_two() && align >= PAGE_SIZE, "a placement is in pages");
        Self { align, phase: address & (align - 1) & !(PAGE_SIZE - 1) }
    }

    /// The modulus, in bytes.
    pub const fn modulus(self) -> u64 {
        self.align
    }

    /// What the address leaves when divided by the modulus, in bytes.
    pub const fn phase(self) -> u64 {
        self.phase
    }

    /// The highest frame that fits this placement and is not above `limit`.
    fn below(self, limit: Mfn) -> Option<Mfn> {
        let (align, phase) = (self.align >> PAGE_SHIFT, self.phase >> PAGE_SHIFT);
        limit.checked_sub(limit.get().wrapping_sub(phase) & (align - 1))
    }
}

/// Why there is no memory.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootAllocError {
    /// No free range is long enough, or none in the right place.
    #[error("no room for {what}: {} needed at a multiple of {}, the largest free run is {}", Bytes(*bytes), Bytes(*align), Bytes(*largest))]
    Exhausted {
        /// What the memory was for.
        what: &'static str,
        /// Bytes asked for.
        bytes: u64,
        /// Modulus of the placement asked for, in bytes.
        align: u64,
        /// The largest free run, in bytes.
        largest: u64,
    },
    /// Memory that was chosen before is not free.
    #[error("{what} {range} is not free memory")]
    NotFree {
        /// What the memory is for.
        what: &'static str,
        /// Where it is.
        range: Span,
    },
    /// Nothing was asked for.
    #[error("no frames asked for {what}")]
    Empty {
        /// What the memory was for.
        what: &'static str,
    },
}

/// The frames that nobody has taken yet.
#[derive(Clone, Debug)]
pub struct BootAlloc {
    /// Sorted, disjoint, none empty.
    free: Vec<Range<Mfn>>,
}

impl BootAlloc {
    /// Starts with the ranges of `free`, which must be sorted and disjoint; empty ones are ignored.
    pub fn new(free: impl Iterator<Item = Range<Mfn>>) -> Self {
        let free: Vec<_> = free.filter(|range| range.count() > 0).collect();
        debug_assert!(free.is_sorted_by(|a, b| a.end <= b.start), "free ranges must be sorted and disjoint");
        Self { free }
    }

    /// Takes `frames` frames for `what`, as far up as `placement` allows. What is cut off on either side stays free.
    ///
    /// # Errors
    ///
    /// [`BootAllocError::Exhausted`] if nothing fits, [`BootAllocError::Empty`] for 0 frames; nothing has changed then.
    pub fn alloc(
        &mut self,
        what: &'static str,
        frames: u64,
        placement: FramePlacement,
    ) -> Result<Range<Mfn>, BootAllocError> {
        if frames == 0 {
            return Err(BootAllocError::Empty { what });
        }
        let found = self.free.iter().enumerate().rev().find_map(|(index, range)| {
            let start = placement.below(range.end.checked_sub(frames)?)?;
            (start >= range.start).then_some((index, start))
        });
        let Some((index, start)) = found else {
            return Err(BootAllocError::Exhausted {
                what,
                bytes: frames.saturating_mul(PAGE_SIZE),
                align: placement.align,
                largest: self.largest_run(),
            });
        };
        let Some(end) = start.checked_add(frames) else { unreachable!("the end lies within a free range") };
        self.cut(index, &(start..end));
        Ok(start..end)
    }

    /// Takes `range`, which is in use for `what` already.
    ///
    /// # Errors
    ///
    /// [`BootAllocError::NotFree`] if a frame of it is not free; nothing has changed then.
    pub fn claim(&mut self, what: &'static str, range: &Range<Mfn>) -> Result<(), BootAllocError> {
        let index = self.free.partition_point(|free| free.end <= range.start);
        match self.free.get(index) {
            Some(free) if free.start <= range.start && range.end <= free.end => self.cut(index, range),
            _ => return Err(BootAllocError::NotFree { what, range: range.span() }),
        }
        Ok(())
    }

    /// Takes `range` out of the free range `index`, which contains it.
    fn cut(&mut self, index: usize, range: &Range<Mfn>) {
        let Range { start: below, end: above } = self.free[index].clone();
        let remainders = [below..range.start, range.end..above].into_iter().filter(|range| range.count() > 0);
        self.free.splice(index..=index, remainders);
    }

    /// Bytes in the largest free range.
    pub fn largest_run(&self) -> u64 {
        self.free.iter().map(Frames::bytes).max().unwrap_or(0)
    }

    /// Bytes in all free ranges.
    pub fn free_bytes(&self) -> u64 {
        self.free.iter().map(Frames::bytes).sum()
    }

    /// Ends the boot allocator: whoever takes the ranges owns all that is free.
    pub fn into_free(self) -> Vec<Range<Mfn>> {
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::{BootAlloc, BootAllocError, FramePlacement};
    use crate::base::addr::{Frames, Mfn, PAGE_SIZE};
    use core::ops::Range;
    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeSet;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn range(start: u64, end: u64) -> Range<Mfn> {
        Mfn::new(start).unwrap()..Mfn::new(end).unwrap()
    }

    fn alloc(ranges: &[Range<Mfn>]) -> BootAlloc {
        BootAlloc::new(ranges.iter().cloned())
    }

    #[test]
    fn allocation_goes_from_the_top_down() {
        let mut boot = alloc(&[range(0x10, 0x20), range(0x40, 0x50)]);
        assert_eq!(boot.alloc("a", 4, FramePlacement::PAGE), Ok(range(0x4c, 0x50)));
        assert_eq!(boot.alloc("b", 0xd, FramePlacement::PAGE), Ok(range(0x13, 0x20)));
        assert_eq!(boot.into_free(), vec![range(0x10, 0x13), range(0x40, 0x4c)]);
    }

    #[test]
    fn both_remainders_of_an_aligned_allocation_stay_free() {
        let mut boot = alloc(&[range(0x101, 0x3ff)]);
        assert_eq!(boot.alloc("a", 0x10, FramePlacement::aligned(0x200 * PAGE_SIZE)), Ok(range(0x200, 0x210)));
        assert_eq!(boot.into_free(), vec![range(0x101, 0x200), range(0x210, 0x3ff)]);
    }

    #[test]
    fn a_phase_makes_physical_and_virtual_address_agree() {
        let mut boot = alloc(&[range(0, 0x10000)]);
        let virt = 0xff80_0260_0000;
        let got = boot.alloc("chunk", 0x2000, FramePlacement::congruent(virt, 32 << 20)).unwrap();
        assert_eq!(got.start.address().get() % (32 << 20), virt % (32 << 20));
    }

    #[test]
    fn exhaustion_names_size_and_largest_run_and_changes_nothing() {
        let mut boot = alloc(&[range(1, 4), range(8, 0x10)]);
        let error = boot.alloc("the frametable", 9, FramePlacement::PAGE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no room for the frametable: 36.0 KiB needed at a multiple of 4.0 KiB, the largest free run is 32.0 KiB"
        );
        assert_eq!(boot.into_free(), vec![range(1, 4), range(8, 0x10)]);
    }

    #[test]
    fn what_is_in_use_already_is_claimed_if_it_was_free() {
        let mut boot = alloc(&[range(0x10, 0x20), range(0x20, 0x30)]);
        boot.claim("the pool", &range(0x14, 0x18)).unwrap();
        for taken in [range(0x14, 0x15), range(0x17, 0x19), range(0x1f, 0x21), range(8, 0x12), range(0x40, 0x41)] {
            let error = boot.claim("the pool", &taken).unwrap_err();
            assert!(matches!(error, BootAllocError::NotFree { .. }), "{error}");
        }
        assert_eq!(boot.into_free(), vec![range(0x10, 0x14), range(0x18, 0x20), range(0x20, 0x30)]);
    }

    /// Xen's allocator returns an arbitrary frame, or stops, when asked for none (F6).
    #[test]
    fn f6_nothing_is_not_an_allocation() {
        assert_eq!(alloc(&[range(0, 8)]).alloc("x", 0, FramePlacement::PAGE), Err(BootAllocError::Empty { what: "x" }));
    }

    fn any_free() -> impl Strategy<Value = Vec<Range<Mfn>>> {
        proptest::collection::vec((1_u64..40, 0_u64..60), 0..6).prop_map(|pieces| {
            let mut at = 0;
            pieces
                .into_iter()
                .map(|(gap, length)| {
                    let start = at + gap;
                    at = start + length;
                    range(start, at)
                })
                .collect()
        })
    }

    proptest! {
        /// Against a set of frames: what is given out was free, fits the placement, is as high as possible, and nothing is lost.
        #[test]
        fn allocation_agrees_with_a_set_of_frames(
            free in any_free(),
            requests in proptest::collection::vec((1_u64..20, 0_u32..5, 0_u64..32), 0..20),
        ) {
            let mut model: BTreeSet<u64> = free.iter().flat_map(|r| r.start.get()..r.end.get()).collect();
            let mut boot = alloc(&free);
            for (frames, order, phase) in requests {
                let align = PAGE_SIZE << order;
                let placement = FramePlacement::congruent(phase * PAGE_SIZE, align);
                let fits = |start: &u64| (*start..start + frames).all(|frame| model.contains(&frame))
                    && (start * PAGE_SIZE) % align == (phase * PAGE_SIZE) % align;
                let expected = (0..400).rev().find(fits);
                let got = boot.alloc("test", frames, placement).ok().map(|r| r.start.get());
                prop_assert_eq!(got, expected);
                if let Some(start) = got {
                    (start..start + frames).for_each(|frame| { model.remove(&frame); });
                }
                prop_assert_eq!(boot.free_bytes(), model.len() as u64 * PAGE_SIZE);
            }
            let left: BTreeSet<u64> = boot.into_free().iter().flat_map(|r| r.start.get()..r.end.get()).collect();
            prop_assert_eq!(left, model);
            prop_assert!(free.iter().all(|r| r.count() < 60));
        }
    }
}
