//! Defects that tables of this kind have had, or that reviews asked about: each test shows our behaviour.
//!
//! F15 to F26 are the defects of Xen's table as this project numbers them.

use super::{DATA, FREE, FREE_OF_COST, HEAP, TEXT, cost, pa, pages, refused, running};
use crate::arch::region_trace::Cost;
use crate::base::addr::{PAGE_SIZE, Span};
use crate::base::attributes::{Access, Attributes, MemoryType};
use crate::mpu::fake::Fake;
use crate::mpu::{HandleRecords, RegionError, RegionTable};
use std::string::ToString;

// F15: a lookup that finds an overlap is not an index.
#[test]
fn a_page_that_is_only_partly_in_a_region_is_not_unmapped() {
    let (mut table, fake) = running(8);
    let at = DATA.end.align_down(PAGE_SIZE);
    let error = refused(&mut table, |table| table.unmap(at));
    assert!(matches!(error, RegionError::Straddles { .. }));
    assert_eq!(
        error.to_string(),
        "no mapping to end begins at 0x10002f000: the page there is only in part in the image's region \
         [0x100020000, 0x10002f040) (normal, read-write)"
    );
    assert_eq!(fake.access(at), Some(Attributes::DATA));
}

// F16: PRENR_EL2 has 32 bits.
#[test]
fn a_slot_above_31_is_really_disabled() {
    let (mut table, fake) = running(48);
    for page in 0..45 {
        table.map(pages(2 * page, 1), Attributes::DATA).unwrap();
    }
    for page in 28..45 {
        let at = pages(2 * page, 1).start;
        let slot = table.region(at).unwrap().slot();
        assert!(fake.enabled().iter().any(|enabled| enabled.0 == slot));
        table.unmap(at).unwrap();
        assert!(!fake.enabled().iter().any(|enabled| enabled.0 == slot), "slot {slot} is still enabled");
        assert_eq!(fake.access(at), None);
    }
}

// F17: what cannot be done comes before what is not allowed.
#[test]
fn the_memory_type_is_compared_before_the_access() {
    let (mut table, _) = running(8);
    table.map(pages(0, 4), Attributes::DATA).unwrap();
    let wanted = Attributes::new(MemoryType::Device, Access::ReadOnly).unwrap();
    for span in [pages(0, 4), pages(1, 1)] {
        let mapped = refused(&mut table, |table| table.map(span, wanted));
        assert!(matches!(mapped, RegionError::MemoryType { .. }), "{mapped}");
        let protected = refused(&mut table, |table| table.protect(span, wanted));
        assert!(matches!(protected, RegionError::MemoryType { .. }), "{protected}");
    }
    let error = refused(&mut table, |table| table.map(pages(1, 1), wanted));
    assert_eq!(
        error.to_string(),
        "[0x80001000, 0x80002000) cannot be mapped as device memory: it is normal memory in region \
         [0x80000000, 0x80004000) (normal, read-write)"
    );
}

// F18: mapping is not protecting.
#[test]
fn mapping_a_region_otherwise_does_not_change_it() {
    let (mut table, fake) = running(8);
    for (span, attributes) in [(pages(0, 1), Attributes::CODE), (TEXT, Attributes::CODE)] {
        if span != TEXT {
            table.map(span, attributes).unwrap();
        }
        let error = refused(&mut table, |table| table.map(span, Attributes::DATA));
        assert!(matches!(error, RegionError::Access { .. }), "{error}");
        assert_eq!(fake.access(span.start), Some(attributes));
    }
}

#[test]
fn protecting_is_for_a_whole_region_that_one_alone_has_mapped() {
    let (mut table, fake) = running(8);
    let whole = pages(0, 4);
    table.map(whole, Attributes::DATA).unwrap();
    let protect = |table: &mut RegionTable<Fake>, span| table.protect(span, Attributes::CONSTANTS);
    assert!(matches!(refused(&mut table, |t| protect(t, pages(1, 1))), RegionError::Partial { .. }));
    assert!(matches!(refused(&mut table, |t| protect(t, pages(1, 4))), RegionError::Overlap { .. }));
    assert!(matches!(refused(&mut table, |t| protect(t, pages(9, 1))), RegionError::NotMapped { .. }));
    assert!(matches!(refused(&mut table, |t| protect(t, HEAP)), RegionError::Locked { .. }));
    table.map(pages(1, 1), Attributes::DATA).unwrap();
    assert!(matches!(refused(&mut table, |t| protect(t, whole)), RegionError::Shared { .. }));
    table.release(whole).unwrap();
    // The one mapping left is not of all of it.
    assert!(matches!(refused(&mut table, |t| protect(t, whole)), RegionError::NotHeld { .. }));
    table.map(whole, Attributes::DATA).unwrap();
    table.unmap(pages(1, 1).start).unwrap();
    let price = cost(&fake, || table.protect(whole, Attributes::CONSTANTS).unwrap());
    assert_eq!(price, Cost { writes: 1, synchronisations: 1 });
    assert_eq!(fake.access(pages(3, 1).start), Some(Attributes::CONSTANTS));
    assert_eq!(cost(&fake, || table.protect(whole, Attributes::CONSTANTS).unwrap()), FREE_OF_COST);
}

// F19: nobody's handle can be taken away by somebody else.
#[test]
fn only_what_was_mapped_can_be_unmapped() {
    let (mut table, fake) = running(8);
    table.map(pages(0, 4), Attributes::DATA).unwrap();
    for at in [pages(1, 1).start, HEAP.start, TEXT.start, pa(FREE + 8)] {
        assert!(matches!(refused(&mut table, |table| table.unmap(at)), RegionError::NotHeld { .. }));
    }
    for span in [pages(0, 1), pages(0, 5), pages(1, 3), HEAP] {
        refused(&mut table, |table| table.release(span));
    }
    for _ in 0..3 {
        table.map(HEAP, Attributes::DATA).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(table.unmap(HEAP.start), Ok(HEAP));
    }
    assert!(matches!(refused(&mut table, |table| table.unmap(HEAP.start)), RegionError::NotHeld { .. }));
    assert_eq!(fake.access(HEAP.start), Some(Attributes::DATA));
}

#[test]
fn mappings_end_in_any_order() {
    let spans = [pages(0, 4), pages(1, 1), pages(1, 2), pages(1, 1)];
    // All orders of four, as the digits of numbers to base 4.
    let orders = (0..256usize).map(|n| [n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6]);
    for order in orders.filter(|order| (0..4).all(|n| order.contains(&n))) {
        let (mut table, fake) = running(4);
        for span in spans {
            table.map(span, Attributes::DATA).unwrap();
        }
        for (left, index) in (0..4).rev().zip(order) {
            assert_eq!(fake.access(pages(3, 1).start), Some(Attributes::DATA));
            table.release(spans[index]).unwrap();
            assert_eq!(
                table.region(pages(0, 1).start).map(|region| table.handles(region)),
                Some(left).filter(|n| *n > 0)
            );
        }
        assert_eq!(fake.access(pages(1, 1).start), None);
    }
}

#[test]
fn an_address_ends_the_newest_mapping_that_begins_there() {
    let (mut table, _) = running(4);
    for length in [4, 1, 2] {
        table.map(pages(0, length), Attributes::DATA).unwrap();
    }
    for length in [2, 1, 4] {
        assert_eq!(table.mapping_at(pa(FREE)), Some(pages(0, length)));
        assert_eq!(table.unmap(pa(FREE)), Ok(pages(0, length)));
    }
    assert!(matches!(table.unmap(pa(FREE)), Err(RegionError::NotMapped { .. })));
}

#[test]
fn a_handle_that_cannot_be_remembered_is_refused() {
    let (mut table, fake) = running(4);
    let room = table.room() as u64;
    for page in 0..room {
        table
            .map(Span { start: HEAP.start, end: pa(HEAP.start.get() + (page + 1) * PAGE_SIZE) }, Attributes::DATA)
            .unwrap();
    }
    assert!(table.is_full());
    for span in [pages(0, 1), HEAP] {
        let error = refused(&mut table, |table| table.map(span, Attributes::DATA));
        assert_eq!(error, RegionError::NoRecords { handles: room as usize });
    }
    assert_eq!(fake.access(pa(FREE)), None);
    let old = table.move_to(HandleRecords::with_capacity(2 * room as usize));
    drop(old);
    table.map(pages(0, 1), Attributes::DATA).unwrap();
    for page in 0..room {
        let span = Span { start: HEAP.start, end: pa(HEAP.start.get() + (page + 1) * PAGE_SIZE) };
        table.release(span).unwrap();
    }
    assert_eq!((table.room(), table.capacity()), (2 * room as usize - 1, 2 * room as usize));
}

// F20: order matters, and both sides are named.
#[test]
fn a_larger_range_over_a_region_is_refused_by_name() {
    let (mut table, _) = running(8);
    table.map(pages(1, 1), Attributes::DATA).unwrap();
    let error = refused(&mut table, |table| table.map(pages(0, 4), Attributes::DATA));
    assert_eq!(
        error.to_string(),
        "[0x80000000, 0x80004000) overlaps region [0x80001000, 0x80002000) (normal, read-write)"
    );
}

// F21: address 0 is an address.
#[test]
fn address_0_is_mapped_like_any_other() {
    let (mut table, fake) = running(8);
    let span = Span { start: pa(0), end: pa(0x2000) };
    table.map(span, Attributes::DATA).unwrap();
    assert_eq!(fake.access(pa(0)), Some(Attributes::DATA));
    assert_eq!(table.unmap(pa(0)), Ok(span));
    assert_eq!(fake.access(pa(0)), None);
    assert_eq!(refused(&mut table, |table| table.unmap(pa(0))), RegionError::NotMapped { at: pa(0) });
}

// F22: 42 bits of address above bit 6.
#[test]
fn memory_above_4_tib_is_where_it_is() {
    let (mut table, fake) = running(8);
    for start in [1 << 42, 0x7000_0000_0000, (1 << 48) - PAGE_SIZE] {
        let span = Span { start: pa(start), end: pa(start + PAGE_SIZE) };
        table.map(span, Attributes::DATA).unwrap();
        assert!(fake.enabled().iter().any(|enabled| enabled.1 == span));
        assert_eq!(fake.access(pa(start & ((1 << 42) - 1))), None);
    }
}

// F24: ends are computed from the start they belong to, and checked.
#[test]
fn ranges_that_make_no_sense_are_refused() {
    let (mut table, _) = running(8);
    let span = |start, end| Span { start: pa(start), end: pa(end) };
    let mut map = |span| refused(&mut table, |table| table.map(span, Attributes::DATA));
    assert_eq!(map(span(0x1000, 0x1000)), RegionError::Empty { at: pa(0x1000) });
    assert_eq!(map(span(0x2000, 0x1000)), RegionError::Empty { at: pa(0x2000) });
    let misaligned = |span| RegionError::Misaligned { span, align: PAGE_SIZE };
    assert_eq!(map(span(0x1040, 0x2000)), misaligned(span(0x1040, 0x2000)));
    assert_eq!(map(span(0x1000, 0x2040)), misaligned(span(0x1000, 0x2040)));
    let beyond = span((1 << 48) - PAGE_SIZE, (1 << 48) + PAGE_SIZE);
    assert_eq!(map(beyond), RegionError::OutsideAddressSpace { span: beyond });
    for at in [u64::MAX, u64::MAX - 4095, 1 << 48] {
        assert_eq!(refused(&mut table, |table| table.unmap(pa(at))), RegionError::NotMapped { at: pa(at) });
    }
}
