//! `aarch64-paging` maps the same ranges, and every translation is compared.

use super::{Attributes, GIB, PLENTY, any_attributes, around, pa, tables, va};
use crate::base::addr::PAGE_SIZE;
use crate::mmu::descriptor::{Descriptor, Level};
use crate::testing;
use aarch64_paging::descriptor::{El23Attributes, PhysicalAddress};
use aarch64_paging::idmap::IdTranslation;
use aarch64_paging::paging::{Constraints, El2, MemoryRegion, RootTable};
use proptest::prelude::proptest;
use std::vec::Vec;

/// The bits of a page with `attributes`, less those that the library sets by itself.
fn flags(attributes: Attributes) -> El23Attributes {
    let page = Descriptor::leaf(Level::L3, pa(0), attributes);
    El23Attributes::from_bits_retain(page.bits() as usize) - El23Attributes::TABLE_OR_PAGE
}

#[test]
fn names_of_bits_agree() {
    let data = El23Attributes::VALID
        | El23Attributes::ATTRIBUTE_INDEX_0
        | El23Attributes::USER_RES1
        | El23Attributes::INNER_SHAREABLE
        | El23Attributes::ACCESSED;
    assert_eq!(flags(Attributes::DATA), data | El23Attributes::XN);
    assert_eq!(flags(Attributes::CODE), data | El23Attributes::READ_ONLY);
    assert_eq!(flags(Attributes::CONSTANTS), data | El23Attributes::READ_ONLY | El23Attributes::XN);
}

proptest! {
    #![proptest_config(testing::cases(64))]

    #[test]
    fn the_other_library_translates_the_same(
        ranges in proptest::collection::vec(
            (around(1 << 19), around(1 << 13), around(1 << 19), any_attributes()),
            1..8,
        ),
    ) {
        let (mut ours, _) = tables(PLENTY);
        let mut theirs = RootTable::new(IdTranslation::new(), 0, El2);
        let mut edges = Vec::new();
        for (page, pages, frame, attributes) in ranges {
            let (at, to, bytes) = (4 * GIB + page * PAGE_SIZE, frame * PAGE_SIZE, (pages + 1) * PAGE_SIZE);
            if ours.map(va(at), pa(to), bytes, attributes).is_ok() {
                let region = MemoryRegion::new(at as usize, (at + bytes) as usize);
                let to = PhysicalAddress(to as usize);
                theirs.map_range(&region, to, flags(attributes), Constraints::empty()).unwrap();
            }
            edges.extend([at - PAGE_SIZE, at, at + bytes / 2, at + bytes - PAGE_SIZE, at + bytes]);
        }
        for edge in edges {
            let address = edge / PAGE_SIZE * PAGE_SIZE;
            let page = MemoryRegion::new(address as usize, (address + PAGE_SIZE) as usize);
            let mut found = None;
            theirs.walk_range(&page, &mut |_, descriptor, level| {
                if descriptor.is_valid() {
                    let size = PAGE_SIZE << (9 * (3 - level));
                    let to = descriptor.output_address().0 as u64 + address % size;
                    found = Some((to, level, descriptor.flags() - El23Attributes::TABLE_OR_PAGE));
                }
                Ok(())
            }).unwrap();
            let our = ours.translate(va(address));
            assert_eq!(our.map(|(to, leaf)| (to.get(), leaf.level as usize, flags(leaf.attributes))), found);
        }
    }
}
