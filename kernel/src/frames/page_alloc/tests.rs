use super::{MAX_ORDER, PageAlloc, PageError};
use crate::base::addr::{Frames, Mfn, PAGE_SIZE};
use crate::frames::frametable::page_info::{FrameOwner, RefError};
use crate::testing;
use core::ops::Range;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const ME: FrameOwner = FrameOwner::new(2);

fn frames(start: u64, end: u64) -> Range<Mfn> {
    Mfn::new(start).unwrap()..Mfn::new(end).unwrap()
}

/// Two banks with a hole of a group between them, neither a whole number of blocks.
fn banks() -> Vec<Range<Mfn>> {
    vec![frames(0x4_0003, 0x4_0105), frames(0xc_0000, 0xc_0077)]
}

fn allocator(free: &[Range<Mfn>]) -> PageAlloc<'static> {
    PageAlloc::new(testing::frametable(free), free.to_vec())
}

#[test]
fn no_order_is_above_the_largest() {
    let pages = allocator(&banks());
    assert_eq!(pages.alloc(MAX_ORDER + 1, ME), Err(PageError::Order { order: MAX_ORDER + 1 }));
    assert_eq!(pages.free(Mfn::new(0).unwrap(), 64), Err(PageError::Order { order: 64 }));
}

#[test]
#[cfg_attr(miri, ignore = "a quarter of a million frames are too many to interpret")]
fn a_gib_can_be_one_block() {
    let pages = allocator(&[frames(0x3_fff0, 0x8_0010)]);
    let block = pages.alloc(MAX_ORDER, ME).unwrap();
    assert_eq!(block.get(), 0x4_0000);
    pages.free(block, MAX_ORDER).unwrap();
    assert_eq!(pages.free_bytes(), 0x4_0020 * PAGE_SIZE);
}

#[test]
fn frames_on_the_stack_become_blocks_again_when_blocks_are_missing() {
    let pages = allocator(&[frames(0x4_0000, 0x4_0040)]);
    let singles: Vec<Mfn> = (0..0x40).map(|_| pages.alloc(0, ME).unwrap()).collect();
    singles.into_iter().for_each(|mfn| pages.free(mfn, 0).unwrap());
    assert_eq!(pages.alloc(6, ME).map(Mfn::get), Ok(0x4_0000));
}

#[test]
fn a_part_of_a_block_can_be_freed_and_the_rest_later() {
    let pages = allocator(&[frames(0x4_0000, 0x4_0010)]);
    let block = pages.alloc(4, ME).unwrap();
    let middle = block.checked_add(4).unwrap();
    pages.free(middle, 2).unwrap();
    assert!(matches!(pages.free(block, 4), Err(PageError::NotFreeable { mfn, .. }) if mfn == middle));
    pages.free(block, 2).unwrap();
    pages.free(block.checked_add(8).unwrap(), 3).unwrap();
    assert_eq!(pages.alloc(4, ME), Ok(block));
}

#[test]
fn a_frame_in_a_hole_has_no_references() {
    let pages = allocator(&banks());
    let hole = Mfn::new(0x8_0000).unwrap();
    let refusal = || Err(PageError::Reference { mfn: hole, source: RefError::NoPageInfo });
    assert_eq!(pages.get_page(hole, ME), refusal());
    assert_eq!(pages.put_page(hole), refusal());
}

#[derive(Clone, Debug)]
enum Step {
    Alloc(u32),
    Free(usize),
    Reference(usize),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let order = prop_oneof![4 => Just(0_u32), 3 => 0..4_u32, 1 => 4..9_u32];
    let step = prop_oneof![
        3 => order.prop_map(Step::Alloc),
        2 => any::<usize>().prop_map(Step::Free),
        1 => any::<usize>().prop_map(Step::Reference),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Against a map of frames to allocations: nothing is given twice, torn, misaligned or outside RAM, and nothing is lost.
    #[test]
    fn allocation_agrees_with_a_map_of_frames(steps in any_steps()) {
        let banks = banks();
        let pages = allocator(&banks);
        let all: u64 = banks.iter().map(Frames::count).sum();
        let mut owned: BTreeMap<u64, usize> = BTreeMap::new();
        let mut blocks: Vec<Option<(Mfn, u32)>> = Vec::new();
        for step in steps {
            match step {
                Step::Alloc(order) => match pages.alloc(order, ME) {
                    Ok(first) => {
                        prop_assert_eq!(first.get() % (1 << order), 0);
                        let bank = banks.iter().find(|bank| bank.contains(&first)).unwrap();
                        prop_assert!(first.get() + (1 << order) <= bank.end.get());
                        for frame in first.get()..first.get() + (1 << order) {
                            prop_assert_eq!(owned.insert(frame, blocks.len()), None);
                        }
                        blocks.push(Some((first, order)));
                    }
                    Err(error) => {
                        // Only if no aligned run of that size is free.
                        let free = |start: u64| (start..start + (1 << order)).all(|frame| {
                            !owned.contains_key(&frame) && banks.iter().any(|bank| bank.contains(&Mfn::new(frame).unwrap()))
                        });
                        let starts = banks.iter().flat_map(|bank| bank.start.get()..bank.end.get());
                        prop_assert!(!starts.filter(|start| start % (1 << order) == 0).any(free), "{error}");
                    }
                },
                Step::Free(which) => {
                    let count = blocks.len().max(1);
                    if let Some(block) = blocks.get_mut(which % count)
                        && let Some((first, order)) = block.take()
                    {
                        prop_assert_eq!(pages.free(first, order), Ok(()));
                        prop_assert!(pages.free(first, order).is_err(), "freed twice");
                        (first.get()..first.get() + (1 << order)).for_each(|frame| { owned.remove(&frame); });
                    }
                }
                Step::Reference(which) => {
                    let count = blocks.len().max(1);
                    if let Some(Some((first, order))) = blocks.get(which % count) {
                        prop_assert_eq!(pages.get_page(*first, ME), Ok(()));
                        prop_assert!(pages.free(*first, *order).is_err(), "freed while referenced");
                        prop_assert_eq!(pages.put_page(*first), Ok(()));
                    }
                }
            }
            prop_assert_eq!(pages.free_bytes(), (all - owned.len() as u64) * PAGE_SIZE);
        }
    }
}
