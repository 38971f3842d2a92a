//! Regions that share a slot, and part again.

use super::{HEAP, LOCKED, cost, pa, pages, refused, running};
use crate::arch::region_trace::Cost;
use crate::base::addr::{PAGE_SIZE, Span};
use crate::base::attributes::{Access, Attributes};
use crate::mpu::RegionError;
use std::string::ToString;

#[test]
fn neighbours_share_slots_when_those_run_short() {
    // Two slots beside those that are locked.
    let (mut table, fake) = running(LOCKED + 2);
    for page in 0..4 {
        table.map(pages(page, 1), Attributes::DATA).unwrap();
    }
    assert_eq!(fake.enabled().len(), usize::from(LOCKED) + 2);
    let error = refused(&mut table, |table| table.map(pages(4, 1), Attributes::DATA));
    assert_eq!(error, RegionError::Exhausted { used: 5, max: 5, wanted: 1 });
    assert_eq!(
        error.to_string(),
        "1 more MPU region is needed, and of the 5 that this CPU has 5 are in use or kept for parting those that share one"
    );
    // From the middle, so that each is parted from its neighbours.
    let mut left = [true; 4];
    for page in [1, 2, 0, 3] {
        table.unmap(pages(page, 1).start).unwrap();
        left[page as usize] = false;
        for page in 0..4u64 {
            let mapped = fake.access(pages(page, 1).start).is_some();
            assert_eq!(mapped, left[page as usize], "page {page}");
        }
    }
    assert_eq!(table.slots(), (5, 2));
}

#[test]
fn what_a_range_meets_does_not_depend_on_who_shares_a_slot() {
    for slots in [2, 8] {
        let (mut table, _) = running(LOCKED + slots);
        for page in 0..4 {
            table.map(pages(page, 1), Attributes::DATA).unwrap();
        }
        let error = refused(&mut table, |table| table.map(pages(0, 2), Attributes::DATA));
        assert!(matches!(error, RegionError::Overlap { .. }), "{error}");
    }
}

#[test]
fn regions_that_differ_do_not_share_a_slot() {
    let (mut table, _) = running(LOCKED + 2);
    table.map(pages(0, 1), Attributes::DATA).unwrap();
    table.map(pages(1, 1), Attributes::CONSTANTS).unwrap();
    // Nor does anything with EL2's own memory.
    let after_heap = Span { start: HEAP.end, end: pa(HEAP.end.get() + PAGE_SIZE) };
    for (span, attributes) in [(pages(2, 1), Attributes::DEVICE), (after_heap, Attributes::DATA)] {
        let error = refused(&mut table, |table| table.map(span, attributes));
        assert!(matches!(error, RegionError::Exhausted { .. }), "{error}");
    }
}

#[test]
fn a_region_that_shares_a_slot_can_be_protected() {
    let (mut table, fake) = running(LOCKED + 3);
    for page in 0..5 {
        table.map(pages(page, 1), Attributes::DATA).unwrap();
    }
    table.protect(pages(2, 1), Attributes::CONSTANTS).unwrap();
    let access = |page| fake.access(pages(page, 1).start).map(|attributes| attributes.access());
    let (rw, ro) = (Some(Access::ReadWrite), Some(Access::ReadOnly));
    assert_eq!([0, 1, 2, 3, 4].map(access), [rw, rw, ro, rw, rw]);
    // Now the first and last two could be parted once more, which takes more slots than there are.
    let error = refused(&mut table, |table| table.protect(pages(0, 1), Attributes::CODE));
    assert_eq!(error, RegionError::Exhausted { used: 6, max: 6, wanted: 1 }, "{error}");
}

// F26: a slot is disabled, for certain, before it moves; its end can move at any time.
#[test]
fn a_slot_grows_upwards_at_once_and_downwards_by_way_of_nothing() {
    let (mut table, fake) = running(LOCKED + 1);
    table.map(pages(4, 1), Attributes::DATA).unwrap();
    let up = cost(&fake, || table.map(pages(5, 1), Attributes::DATA).unwrap());
    assert_eq!(up, Cost { writes: 1, synchronisations: 1 });
    table.unmap(pages(5, 1).start).unwrap();
    let down = cost(&fake, || table.map(pages(3, 1), Attributes::DATA).unwrap());
    assert_eq!(down, Cost { writes: 4, synchronisations: 2 });
    let away = cost(&fake, || table.unmap(pages(4, 1).start).unwrap());
    assert_eq!(away, Cost { writes: 1, synchronisations: 1 });
    assert_eq!(fake.access(pages(3, 1).start), Some(Attributes::DATA));
    assert_eq!(fake.access(pages(4, 1).start), None);
}
