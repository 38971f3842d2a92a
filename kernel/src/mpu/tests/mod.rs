//! The table on an MPU model that assumes the worst: its initial contents, its invariants, and the cost of its
//! operations.

mod against_pages;
mod defects;
mod sharing;
mod the_fake;

use super::fake::Fake;
use super::{BootRegions, Lookup, RegionError, RegionTable};
use crate::arch::pmsa::RegionRegisters;
use crate::arch::region_trace::Cost;
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr, Span};
use crate::base::attributes::Attributes;
use crate::testing::examples::{self, Ground};
use crate::vmap::Vmap;
use crate::vmap::over_mpu::OverMpu;
use std::vec::Vec;

/// Where the tests' own memory is: text, data with the stack, and the heap.
const TEXT: Span = Span { start: PhysAddr::new(0x1_0000_0000), end: PhysAddr::new(0x1_0002_0000) };
const DATA: Span = Span { start: PhysAddr::new(0x1_0002_0000), end: PhysAddr::new(0x1_0002_f040) };
const HEAP: Span = Span { start: PhysAddr::new(0x4000_0000), end: PhysAddr::new(0x4400_0000) };
/// Slots that these take.
const LOCKED: u8 = 3;
/// Memory that nobody has mapped.
const FREE: u64 = 0x8000_0000;

fn pa(raw: u64) -> PhysAddr {
    PhysAddr::new(raw)
}

/// `pages` pages from page number `first` of the free memory.
fn pages(first: u64, pages: u64) -> Span {
    let start = FREE + first * PAGE_SIZE;
    Span { start: pa(start), end: pa(start + pages * PAGE_SIZE) }
}

/// A table as boot leaves it, on an MPU with `count` slots that is on.
fn running(count: u8) -> (RegionTable<Fake>, Fake) {
    let fake = Fake::new(count);
    let mut boot = BootRegions::new(fake.clone());
    boot.add(TEXT, Attributes::CODE).unwrap();
    boot.add(DATA, Attributes::DATA).unwrap();
    boot.program();
    fake.turn_on(&[TEXT, DATA], &[]);
    let mut table = boot.into_table();
    table.lock(HEAP, Attributes::DATA).unwrap();
    fake.turn_on(&[TEXT, DATA], &[HEAP]);
    (table, fake)
}

/// What `operation` costs.
fn cost<T>(fake: &Fake, operation: impl FnOnce() -> T) -> Cost {
    let before = fake.cost();
    operation();
    let after = fake.cost();
    Cost { writes: after.writes - before.writes, synchronisations: after.synchronisations - before.synchronisations }
}

/// Checks that `operation` is refused, touches no register and leaves the table as it was.
fn refused<T: core::fmt::Debug>(
    table: &mut RegionTable<Fake>,
    operation: impl FnOnce(&mut RegionTable<Fake>) -> Result<T, RegionError>,
) -> RegionError {
    let before = (table.regions().to_vec(), table.reserved, table.room(), table.slots(), table.registers().cost());
    let error = operation(table).unwrap_err();
    let after = (table.regions().to_vec(), table.reserved, table.room(), table.slots(), table.registers().cost());
    assert_eq!(before, after, "{error}");
    error
}

const FREE_OF_COST: Cost = Cost { writes: 0, synchronisations: 0 };

#[test]
fn the_worked_examples_come_out() {
    for example in &examples::ALL {
        let (table, fake) = running(8);
        let enabled = fake.enabled();
        let vmap = Vmap::new(OverMpu::new(table));
        let ground = Ground { own: Mfn::new(0x40000).unwrap(), free: Mfn::new(0x80000).unwrap() };
        example.run(&vmap, &ground, |registers: &Fake| Some(registers.cost().writes)).unwrap();
        assert_eq!(fake.enabled(), enabled, "example {} leaves something behind", example.number);
    }
    let differ: Vec<u32> = examples::ALL.iter().filter(|e| e.differs.is_some()).map(|e| e.number).collect();
    assert_eq!(differ, [3, 8, 14, 16]);
}

#[test]
fn all_slots_but_those_of_the_image_are_disabled_at_boot() {
    let (_, fake) = running(255);
    let spans: Vec<Span> = fake.enabled().into_iter().map(|(_, span, _)| span).collect();
    assert_eq!(spans, [TEXT, DATA, HEAP]);
    assert_eq!(fake.access(pa(0)), None, "address 0 is in no region");
    assert_eq!(fake.access(TEXT.start), Some(Attributes::CODE));
}

#[test]
fn regions_at_boot_are_checked_like_others() {
    let mut boot = BootRegions::new(Fake::new(2));
    let span = |start, end| Span { start: pa(start), end: pa(end) };
    assert_eq!(
        boot.add(span(0x1000, 0x1020), Attributes::DATA),
        Err(RegionError::Misaligned { span: span(0x1000, 0x1020), align: 64 })
    );
    boot.add(span(0x1000, 0x1000), Attributes::DATA).unwrap();
    boot.add(span(0x1000, 0x1040), Attributes::DATA).unwrap();
    assert!(matches!(boot.add(span(0, 0x1001 + 0x3f), Attributes::CODE), Err(RegionError::Overlap { .. })));
    boot.add(span(0x1040, 0x1080), Attributes::DATA).unwrap();
    assert_eq!(
        boot.add(span(0x2000, 0x3000), Attributes::DATA),
        Err(RegionError::Exhausted { used: 2, max: 2, wanted: 1 })
    );
}

#[test]
fn ranges_that_touch_do_not_overlap() {
    let (mut table, _) = running(8);
    table.map(pages(4, 4), Attributes::DATA).unwrap();
    assert_eq!(table.lookup(&pages(0, 4)), Lookup::NotFound);
    assert_eq!(table.lookup(&pages(8, 4)), Lookup::NotFound);
    let at = |span: Span| match table.lookup(&span) {
        Lookup::NotFound => None,
        Lookup::Exact(index) => Some(("exact", index)),
        Lookup::Inside(index) => Some(("inside", index)),
        Lookup::Overlap(index) => Some(("overlap", index)),
    };
    assert_eq!(at(pages(4, 4)), Some(("exact", 1)));
    assert_eq!(at(pages(5, 1)), Some(("inside", 1)));
    assert_eq!(at(pages(7, 2)), Some(("overlap", 1)));
    assert_eq!(at(pages(3, 2)), Some(("overlap", 1)));
    assert_eq!(at(pages(3, 9)), Some(("overlap", 1)));
    let byte = Span { start: pa(FREE), end: pa(FREE + 4 * PAGE_SIZE + 1) };
    assert_eq!(at(byte), Some(("overlap", 1)), "by one byte");
}

#[test]
fn locked_memory_grows_upwards_without_a_slot() {
    let (mut table, fake) = running(LOCKED);
    let more = Span { start: HEAP.end, end: pa(HEAP.end.get() + 0x20_0000) };
    assert_eq!(cost(&fake, || table.lock(more, Attributes::DATA).unwrap()), Cost { writes: 1, synchronisations: 1 });
    assert_eq!(fake.access(more.start), Some(Attributes::DATA));
    assert_eq!(cost(&fake, || table.lock(more, Attributes::DATA).unwrap()), FREE_OF_COST, "it is there already");
    let apart = pages(0, 4);
    assert!(matches!(refused(&mut table, |t| t.lock(apart, Attributes::DATA)), RegionError::Exhausted { .. }));
    assert!(matches!(refused(&mut table, |t| t.lock(more, Attributes::CODE)), RegionError::Access { .. }));
}

#[test]
fn what_somebody_has_mapped_is_not_locked() {
    let (mut table, _) = running(8);
    table.map(pages(0, 4), Attributes::DATA).unwrap();
    for span in [pages(0, 4), pages(1, 1), pages(3, 4)] {
        let error = refused(&mut table, |table| table.lock(span, Attributes::DATA));
        assert!(matches!(error, RegionError::Overlap { .. }), "{error}");
    }
}

#[test]
fn inside_a_region_only_counts_change() {
    let (mut table, fake) = running(8);
    table.map(pages(0, 4), Attributes::DATA).unwrap();
    for span in [pages(0, 4), pages(3, 1), HEAP, Span { start: HEAP.start, end: pa(HEAP.start.get() + PAGE_SIZE) }] {
        assert_eq!(cost(&fake, || table.map(span, Attributes::DATA).unwrap()), FREE_OF_COST);
        assert_eq!(cost(&fake, || table.unmap(span.start).unwrap()), FREE_OF_COST);
    }
}

#[test]
fn a_region_of_its_own_takes_four_writes_and_two_synchronisations() {
    let (mut table, fake) = running(8);
    let there = cost(&fake, || table.map(pages(0, 4), Attributes::DATA).unwrap());
    let back = cost(&fake, || table.unmap(pa(FREE)).unwrap());
    assert_eq!((there.writes, there.synchronisations), (2, 1));
    assert_eq!((back.writes, back.synchronisations), (2, 1));
}

#[test]
fn a_removal_is_synchronised_before_it_is_done() {
    let (mut table, fake) = running(8);
    table.map(pages(0, 4), Attributes::DATA).unwrap();
    table.unmap(pa(FREE)).unwrap();
    // The fake refuses accesses as long as a write is under way.
    assert_eq!(fake.access(pa(FREE)), None);
}

#[test]
fn all_255_slots_are_filled_and_emptied() {
    let (mut table, fake) = running(255);
    let free = 255 - u64::from(LOCKED);
    for page in 0..free {
        table.map(pages(2 * page, 1), Attributes::DATA).unwrap();
    }
    let error = refused(&mut table, |table| table.map(pages(2 * free, 1), Attributes::DATA));
    assert_eq!(error, RegionError::Exhausted { used: 255, max: 255, wanted: 1 });
    assert_eq!(fake.enabled().len(), 255);
    for page in 0..free {
        // Not in the order in which they came.
        let page = page * 101 % free;
        table.unmap(pages(2 * page, 1).start).unwrap();
    }
    assert_eq!(fake.enabled().len(), usize::from(LOCKED));
    assert_eq!(table.slots(), (255, free as usize));
    assert_eq!(fake.clone().count(), 255);
}
