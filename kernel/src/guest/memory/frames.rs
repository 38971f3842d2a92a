//! Ranges of frames as the page allocator knows them: blocks of a power of two, aligned to their size.
//!
//! A guest's frames are kept as ranges, joined where they touch, because ranges are mapped and scrubbed. The page
//! allocator takes back any block of frames, whatever size they were allocated in, and the entries of a block are
//! contiguous in the frametable.

use crate::base::addr::{Frames, Mfn};
use crate::frames::page_alloc::MAX_ORDER;
use core::ops::Range;

/// 2^`order` frames from `first`, which is aligned to their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameBlock {
    /// The first frame.
    pub first: Mfn,
    /// log2 of the frames, at most [`MAX_ORDER`].
    pub order: u32,
}

/// `range` as the fewest blocks, in ascending order.
pub fn blocks(range: Range<Mfn>) -> impl Iterator<Item = FrameBlock> {
    let mut rest = range;
    core::iter::from_fn(move || {
        let (first, order) = (rest.start, block_order(rest.start.get(), rest.count())?);
        rest.start = first.checked_add(1 << order)?;
        Some(FrameBlock { first, order })
    })
}

/// The order of the largest block at `number`, a count of frames, that has at most `left` frames; `None` if that is none.
pub fn block_order(number: u64, left: u64) -> Option<u32> {
    Some(number.trailing_zeros().min(left.checked_ilog2()?).min(MAX_ORDER))
}

#[cfg(test)]
mod tests {
    use super::{FrameBlock, blocks};
    use crate::base::addr::{Frames, Mfn};
    use crate::frames::page_alloc::MAX_ORDER;
    use proptest::prelude::proptest;
    use std::vec::Vec;

    fn mfn(number: u64) -> Mfn {
        Mfn::new(number).unwrap()
    }

    #[test]
    fn a_range_grows_to_its_largest_block_and_shrinks_again() {
        let found: Vec<_> = blocks(mfn(3)..mfn(11)).map(|block| (block.first.get(), block.order)).collect();
        assert_eq!(found, [(3, 0), (4, 2), (8, 1), (10, 0)]);
    }

    #[test]
    fn no_block_is_larger_than_the_page_allocator_knows() {
        let all: Vec<_> = blocks(mfn(0)..mfn(1 << 20)).collect();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|block| block.order == MAX_ORDER));
    }

    proptest! {
        #[test]
        fn blocks_are_aligned_and_add_up(start in 0_u64..1 << 21, frames in 0_u64..1 << 20) {
            let range = mfn(start)..mfn(start + frames);
            let mut at = range.start;
            for FrameBlock { first, order } in blocks(range.clone()) {
                assert_eq!(first, at);
                assert!(first.get().is_multiple_of(1 << order));
                at = mfn(at.get() + (1 << order));
            }
            assert_eq!(at, range.end, "{} frames", range.count());
        }
    }
}
