//! The model notices every error that it exists to notice.

use super::{DATA, FREE, TEXT, pa, pages};
use crate::arch::pmsa::{Prbar, Prlar, RegionIdx, RegionRegisters};
use crate::base::addr::{PAGE_SIZE, Span};
use crate::base::attributes::{Attributes, MemoryType};
use crate::mpu::fake::Fake;

const SLOT: RegionIdx = RegionIdx::new(5);

fn open(fake: &mut Fake, slot: RegionIdx, span: Span) {
    fake.write_base(slot, Prbar::new(span.start, Attributes::DATA));
    fake.write_limit(slot, Prlar::new(span.end, MemoryType::Normal));
}

/// An MPU that is on, with slot 5 enabled for four pages.
fn running() -> Fake {
    let (_, mut fake) = super::running(8);
    open(&mut fake, SLOT, pages(0, 4));
    fake.synchronise();
    fake
}

#[test]
#[should_panic(expected = "slots 6 and 5 overlap")]
fn two_slots_over_one_page() {
    open(&mut running(), RegionIdx::new(6), pages(3, 2));
}

#[test]
#[should_panic(expected = "slots 6 and 5 overlap")]
fn a_slot_over_memory_that_another_may_still_cover() {
    let mut fake = running();
    fake.write_limit(SLOT, Prlar::DISABLED);
    open(&mut fake, RegionIdx::new(6), pages(3, 2));
}

#[test]
#[should_panic(expected = "is accessed while writes")]
fn an_access_without_synchronisation() {
    let mut fake = running();
    fake.write_limit(SLOT, Prlar::DISABLED);
    fake.access(pa(FREE));
}

#[test]
#[should_panic(expected = "the enabled slot at 0x80000000 is moved")]
fn a_base_that_moves_while_the_slot_is_enabled() {
    running().write_base(SLOT, Prbar::new(pa(FREE + PAGE_SIZE), Attributes::DATA));
}

#[test]
#[should_panic(expected = "the enabled slot at 0x80000000 is moved")]
fn a_base_that_moves_while_the_slot_may_still_be_enabled() {
    let mut fake = running();
    fake.write_limit(SLOT, Prlar::DISABLED);
    fake.write_base(SLOT, Prbar::new(pa(FREE + PAGE_SIZE), Attributes::DATA));
}

#[test]
#[should_panic(expected = "overlap")]
fn a_limit_that_may_meet_the_base_from_before() {
    let mut fake = running();
    let other = RegionIdx::new(6);
    fake.write_base(other, Prbar::new(pa(0), Attributes::DATA));
    fake.synchronise();
    // In order, these two are right. The second may take effect first.
    open(&mut fake, other, Span { start: pa(FREE + 0x10000), end: pa(FREE + 0x20000) });
}

#[test]
#[should_panic(expected = "the running code or its stack")]
fn a_write_to_the_slot_of_the_running_code() {
    running().write_base(RegionIdx::new(0), Prbar::new(TEXT.start, Attributes::CODE));
}

#[test]
#[should_panic(expected = "the running code or its stack")]
fn a_write_to_the_slot_of_the_stack() {
    running().write_limit(RegionIdx::new(1), Prlar::new(DATA.end, MemoryType::Normal));
}

#[test]
#[should_panic(expected = "no slot covers it for certain")]
fn locked_memory_that_is_not_covered_for_a_moment() {
    running().write_limit(RegionIdx::new(2), Prlar::DISABLED);
}

#[test]
#[should_panic(expected = "overlap")]
fn garbage_left_in_a_slot_at_boot() {
    let mut fake = Fake::new(4);
    open(&mut fake, RegionIdx::new(0), TEXT);
    fake.synchronise();
    fake.turn_on(&[TEXT], &[]);
}
