//! The allocator against a bitmap, and its promises one by one.

use super::{AddressPlacement, SpaceError, VaSpace};
use crate::base::addr::{PAGE_SIZE, PhysAddr, VirtAddr};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::vec::Vec;

const BASE: u64 = 0x1_0000_0000;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn va(page: u64) -> VirtAddr {
    VirtAddr::new(BASE + page * PAGE_SIZE)
}

fn space(pages: u64) -> VaSpace {
    VaSpace::new(va(0)..va(pages))
}

#[test]
fn the_window_ends_are_guarded() {
    let mut space = space(3);
    assert_eq!(
        space.alloc(2, AddressPlacement::Anywhere),
        Err(SpaceError::Exhausted { wanted_pages: 2, largest_free: 1 })
    );
    assert_eq!(space.alloc(1, AddressPlacement::Anywhere), Ok(va(1)));
    assert_eq!(
        space.alloc(1, AddressPlacement::Anywhere),
        Err(SpaceError::Exhausted { wanted_pages: 1, largest_free: 0 })
    );
}

#[test]
fn a_window_of_part_pages_counts_whole_ones() {
    let mut space = VaSpace::new(VirtAddr::new(BASE + 1)..VirtAddr::new(BASE + 4 * PAGE_SIZE - 1));
    assert_eq!(space.largest_free(), 0);
    assert!(matches!(space.alloc(1, AddressPlacement::Anywhere), Err(SpaceError::Exhausted { .. })));
    let mut none = VaSpace::new(VirtAddr::new(BASE)..VirtAddr::new(0));
    assert!(matches!(none.alloc(1, AddressPlacement::Anywhere), Err(SpaceError::Exhausted { .. })));
}

#[test]
fn the_top_of_the_address_space_does_not_overflow() {
    let mut space = VaSpace::new(VirtAddr::new(u64::MAX - 8 * PAGE_SIZE)..VirtAddr::new(u64::MAX));
    for wanted in [u64::MAX, u64::MAX >> 12, 1 << 52] {
        assert!(matches!(space.alloc(wanted, AddressPlacement::Anywhere), Err(SpaceError::Exhausted { .. })));
        let like = AddressPlacement::Like(PhysAddr::new(GIB - PAGE_SIZE));
        assert!(matches!(space.alloc(wanted, like), Err(SpaceError::Exhausted { .. })));
    }
    assert!(space.alloc(5, AddressPlacement::Anywhere).is_ok());
}

#[test]
fn only_the_start_releases_and_only_once() {
    let mut space = space(64);
    let start = space.alloc(4, AddressPlacement::Anywhere).unwrap();
    let inside = VirtAddr::new(start.get() + PAGE_SIZE);
    let odd = VirtAddr::new(start.get() + 1);
    let after = VirtAddr::new(start.get() + 4 * PAGE_SIZE);
    for wrong in [inside, odd] {
        assert_eq!(space.release(wrong), Err(SpaceError::Inside { va: wrong, start, pages: 4 }));
        assert_eq!(space.size(wrong), None);
    }
    for wrong in [after, va(0), VirtAddr::new(0), VirtAddr::new(u64::MAX)] {
        assert_eq!(space.release(wrong), Err(SpaceError::NotAllocated { va: wrong }));
    }
    assert_eq!(space.size(start), Some(4));
    assert_eq!(space.release(start), Ok(4));
    assert_eq!(space.release(start), Err(SpaceError::NotAllocated { va: start }));
    assert_eq!(space.alloc(0, AddressPlacement::Anywhere), Err(SpaceError::Empty));
}

#[test]
fn addresses_are_reused_only_after_the_window_has_been_gone_through() {
    let mut space = space(10);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let start = space.alloc(3, AddressPlacement::Anywhere).unwrap();
        seen.push(start);
        space.release(start).unwrap();
    }
    assert_eq!(seen, [va(1), va(4), va(1), va(4)]);
}

#[test]
fn large_requests_are_congruent_to_their_memory() {
    let phase_of = |pages: u64, pa: u64, modulus: u64| {
        let mut space = VaSpace::new(VirtAddr::new(BASE)..VirtAddr::new(BASE + 8 * GIB));
        space.alloc(3, AddressPlacement::Anywhere).unwrap();
        let start = space.alloc(pages, AddressPlacement::Like(PhysAddr::new(pa))).unwrap();
        assert_eq!(start.get() % modulus, pa % modulus, "{pages} pages at {pa:#x}");
    };
    phase_of(GIB / PAGE_SIZE, 0x9_4000_0000, GIB);
    phase_of(GIB / PAGE_SIZE + 5, 0x9_5432_1000, GIB);
    phase_of(GIB / PAGE_SIZE - 1, 0x9_5432_1000, 32 * MIB);
    phase_of(512, 0x9_5432_1000, 2 * MIB);
    phase_of(16, 0x9_5432_1000, 64 << 10);
}

#[test]
fn a_window_too_narrow_for_blocks_falls_back_to_runs_and_pages() {
    // 514 pages from an address of phase 1 hold 512 pages with guards only at phase 2.
    let mut space = VaSpace::new(VirtAddr::new(BASE + PAGE_SIZE)..VirtAddr::new(BASE + 515 * PAGE_SIZE));
    let start = space.alloc(512, AddressPlacement::Like(PhysAddr::new(2 * MIB))).unwrap();
    assert_eq!(start, va(2));
}

#[derive(Clone, Debug)]
enum Step {
    Alloc(u64, AddressPlacement),
    Release(usize, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let placement = prop_oneof![
        Just(AddressPlacement::Anywhere),
        (0u64..64).prop_map(|page| AddressPlacement::Like(PhysAddr::new(page * PAGE_SIZE))),
    ];
    let step = prop_oneof![
        3 => (0u64..40, placement).prop_map(|(pages, placement)| Step::Alloc(pages, placement)),
        2 => (any::<usize>(), prop_oneof![4 => Just(0u64), 1 => 1..5u64]).prop_map(|(n, off)| Step::Release(n, off)),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The same rules, page by page.
struct Bitmap {
    taken: [bool; Self::PAGES as usize],
    cursor: u64,
}

impl Bitmap {
    const PAGES: u64 = 150;

    fn free(&self, start: u64, pages: u64) -> bool {
        start >= 1 && start + pages < Self::PAGES && (start - 1..=start + pages).all(|page| !self.taken[page as usize])
    }

    fn first(&self, from: u64, pages: u64, congruent: impl Fn(u64) -> bool) -> Option<u64> {
        (from..Self::PAGES).find(|start| congruent(*start) && self.free(*start, pages))
    }

    fn alloc(&mut self, pages: u64, placement: AddressPlacement) -> Option<u64> {
        let base = BASE / PAGE_SIZE;
        let modulus_16 = |start: u64| match placement {
            AddressPlacement::Like(pa) => (base + start) % 16 == pa.get() / PAGE_SIZE % 16,
            AddressPlacement::Anywhere => true,
        };
        let aligned = |map: &Self, from| {
            if pages >= 16 { map.first(from, pages, modulus_16) } else { None }
        };
        let start = aligned(self, self.cursor)
            .or_else(|| aligned(self, 0))
            .or_else(|| self.first(self.cursor, pages, |_| true))
            .or_else(|| self.first(0, pages, |_| true))?;
        self.taken[start as usize..(start + pages) as usize].fill(true);
        self.cursor = start + pages;
        Some(start)
    }

    fn largest(&self) -> u64 {
        // Two pages of each run of free ones are guards.
        let runs = self.taken.split(|taken| *taken).map(|run| run.len() as u64);
        runs.max().unwrap_or(0).saturating_sub(2)
    }
}

proptest! {
    /// Every address, size and error is what a search page by page gives.
    #[test]
    fn allocation_is_what_a_bitmap_says(steps in steps()) {
        let mut space = space(Bitmap::PAGES);
        let mut map = Bitmap { taken: [false; Bitmap::PAGES as usize], cursor: 0 };
        let mut live: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Alloc(0, placement) => assert_eq!(space.alloc(0, placement), Err(SpaceError::Empty)),
                Step::Alloc(pages, placement) => match map.alloc(pages, placement) {
                    Some(start) => {
                        assert_eq!(space.alloc(pages, placement), Ok(va(start)));
                        live.push((start, pages));
                    }
                    None => assert_eq!(
                        space.alloc(pages, placement),
                        Err(SpaceError::Exhausted { wanted_pages: pages, largest_free: map.largest() })
                    ),
                },
                Step::Release(which, offset) if !live.is_empty() => {
                    let (start, pages) = live[which % live.len()];
                    let wrong = va(start + offset);
                    if offset == 0 {
                        assert_eq!(space.release(wrong), Ok(pages));
                        map.taken[start as usize..(start + pages) as usize].fill(false);
                        live.retain(|(live, _)| *live != start);
                    } else if offset < pages {
                        let error = SpaceError::Inside { va: wrong, start: va(start), pages };
                        assert_eq!(space.release(wrong), Err(error));
                    }
                }
                Step::Release(which, _) => {
                    let wrong = va(which as u64 % Bitmap::PAGES);
                    assert_eq!(space.release(wrong), Err(SpaceError::NotAllocated { va: wrong }));
                }
            }
            for (start, pages) in &live {
                assert_eq!(space.size(va(*start)), Some(*pages));
            }
            assert_eq!(space.largest_free(), map.largest());
        }
    }
}
