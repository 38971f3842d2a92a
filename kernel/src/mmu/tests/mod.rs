//! The tables against a map of pages, against another library, and under a machine that watches every store.

mod other_library;

use super::descriptor::Level;
use super::model::ModelMachine;
use super::{Leaf, PageTable, PageTableError, worst_case_tables};
use crate::base::addr::{PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::{Access, Attributes, MemoryType};
use crate::testing;
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use std::vec;
use std::vec::Vec;

type Tables = PageTable<ModelMachine, ModelMachine>;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const PLENTY: usize = 10_000;

fn va(raw: u64) -> VirtAddr {
    VirtAddr::new(raw)
}

fn pa(raw: u64) -> PhysAddr {
    PhysAddr::new(raw)
}

fn tables(available: usize) -> (Tables, ModelMachine) {
    let machine = ModelMachine::new(available);
    let tables = PageTable::new(machine.clone(), machine.clone()).unwrap();
    machine.set_root(tables.root());
    (tables, machine)
}

fn all(tables: &Tables) -> Vec<Leaf> {
    tables.leaves(va(0)..va(1 << 48)).collect()
}

/// Leaves by level 1 to 3, and how many of those of levels 2 and 3 have the contiguous hint.
fn kinds(tables: &Tables) -> ([usize; 3], [usize; 2]) {
    let leaves = all(tables);
    let count = |test: &dyn Fn(&Leaf) -> bool| leaves.iter().filter(|leaf| test(leaf)).count();
    let levels = [Level::L1, Level::L2, Level::L3].map(|level| count(&|leaf| leaf.level == level));
    let hinted = [Level::L2, Level::L3].map(|level| count(&|leaf| leaf.level == level && leaf.contiguous));
    assert_eq!(count(&|leaf| leaf.contiguous), hinted[0] + hinted[1], "there is no hint at level 1");
    (levels, hinted)
}

#[test]
fn leaves_are_as_large_as_the_addresses_allow() {
    let kinds_of = |at: u64, to: u64, bytes: u64| {
        let (mut tables, machine) = tables(PLENTY);
        tables.map(va(at), pa(to), bytes, Attributes::DATA).unwrap();
        machine.audit();
        assert_eq!(machine.invalidations(), 0, "a new mapping needs no invalidation");
        kinds(&tables)
    };
    assert_eq!(kinds_of(5 * GIB, 2 * GIB, 3 * GIB), ([3, 0, 0], [0, 0]));
    assert_eq!(kinds_of(16 * GIB, 32 * GIB, 16 * GIB), ([16, 0, 0], [0, 0]));
    // A page, a run of pages up to the block, a run of blocks up to the GiB, the GiB, and the same downwards.
    let start = GIB - 32 * MIB - 64 * KIB - 4 * KIB;
    let bytes = 2 * (32 * MIB + 64 * KIB + 4 * KIB) + GIB;
    assert_eq!(kinds_of(start, start + 8 * GIB, bytes), ([1, 32, 34], [32, 32]));
    // Congruent modulo 2 MiB only: blocks without the hint. Modulo 64 KiB only: runs of pages. Not at all: pages.
    assert_eq!(kinds_of(GIB, 2 * MIB, 64 * MIB), ([0, 32, 0], [0, 0]));
    assert_eq!(kinds_of(GIB, 64 * KIB, 2 * MIB), ([0, 0, 512], [0, 512]));
    assert_eq!(kinds_of(GIB, 4 * KIB, 2 * MIB), ([0, 0, 512], [0, 0]));
    assert_eq!(kinds_of((1 << 48) - PAGE_SIZE, 0, PAGE_SIZE), ([0, 0, 1], [0, 0]));
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    let (mut tables, _) = tables(PLENTY);
    let mut map = |at, to, bytes| tables.map(va(at), pa(to), bytes, Attributes::DATA).unwrap_err();
    assert_eq!(map(0, 0, 0), PageTableError::Empty { va: va(0) });
    assert_eq!(map(1, 0, 4096), PageTableError::NotWholePages { va: va(1), bytes: 4096 });
    assert_eq!(map(0, 0, 4095), PageTableError::NotWholePages { va: va(0), bytes: 4095 });
    for (at, bytes) in [(1 << 48, 4096), ((1 << 48) - 4096, 8192), (1 << 63, 1 << 63)] {
        assert_eq!(map(at, 0, bytes), PageTableError::OutsideAddressSpace { va: va(at), bytes });
    }
    for (to, bytes) in [(1, 4096), ((1 << 48) - 4096, 8192), (u64::MAX - 4095, 4096)] {
        assert_eq!(map(0, to, bytes), PageTableError::PhysicalRange { pa: pa(to), bytes });
    }
    assert_eq!(tables.translate(va(1 << 48)), None);
    assert_eq!(tables.translate(va(u64::MAX)), None);
}

#[test]
fn a_mapping_over_a_mapping_is_refused_and_both_are_named() {
    let (mut tables, machine) = tables(PLENTY);
    tables.map(va(GIB + 2 * MIB), pa(6 * MIB), 2 * MIB, Attributes::CODE).unwrap();
    let before = all(&tables);
    let error = tables.map(va(GIB + 3 * MIB), pa(8 * GIB + MIB), 2 * MIB, Attributes::DATA).unwrap_err();
    assert_eq!(
        error,
        PageTableError::AlreadyMapped { at: va(GIB + 3 * MIB), wanted: pa(8 * GIB + MIB), mapped: pa(7 * MIB) }
    );
    let error = tables.map(va(0), pa(0), 2 * GIB, Attributes::DATA).unwrap_err();
    assert_eq!(
        error,
        PageTableError::AlreadyMapped { at: va(GIB + 2 * MIB), wanted: pa(GIB + 2 * MIB), mapped: pa(6 * MIB) }
    );
    assert_eq!(all(&tables), before);
    machine.audit();
}

#[test]
fn unmapping_what_is_not_mapped_changes_nothing() {
    let (mut tables, machine) = tables(PLENTY);
    tables.map(va(MIB), pa(MIB), MIB, Attributes::DATA).unwrap();
    let before = all(&tables);
    let error = PageTableError::NotMapped { at: va(2 * MIB), va: va(MIB), bytes: 2 * MIB };
    assert_eq!(tables.unmap(va(MIB), 2 * MIB), Err(error));
    assert_eq!(tables.protect(va(MIB), 2 * MIB, Attributes::CODE), Err(error));
    assert_eq!(all(&tables), before);
    machine.audit();
}

#[test]
fn memory_does_not_change_its_type() {
    let (mut tables, machine) = tables(PLENTY);
    tables.map(va(MIB), pa(MIB), MIB, Attributes::DATA).unwrap();
    tables.map(va(2 * MIB), pa(MIB), MIB, Attributes::DEVICE).unwrap();
    let before = all(&tables);
    assert_eq!(
        tables.protect(va(MIB), 2 * MIB, Attributes::CONSTANTS),
        Err(PageTableError::MemoryType { at: va(2 * MIB), mapped: MemoryType::Device, wanted: MemoryType::Normal })
    );
    assert_eq!(all(&tables), before);
    machine.audit();
}

#[test]
fn a_page_out_of_a_gib_splits_what_it_must() {
    let (mut tables, machine) = tables(PLENTY);
    tables.map(va(GIB), pa(4 * GIB), GIB, Attributes::DATA).unwrap();
    let hole = va(GIB + 33 * MIB);
    tables.unmap(hole, PAGE_SIZE).unwrap();
    machine.audit();
    // One run of blocks and one run of pages lose their hint, one block becomes pages.
    assert_eq!(kinds(&tables), ([0, 511, 511], [512 - 16, 512 - 16]));
    assert_eq!(machine.taken(), 4);
    assert_eq!(tables.translate(hole), None);
    assert_eq!(tables.translate(va(2 * GIB - 1)).unwrap().0, pa(5 * GIB - 1));
}

#[test]
fn the_last_page_of_a_table_takes_the_tables_above_along() {
    let (mut tables, machine) = tables(PLENTY);
    tables.map(va(GIB), pa(0), PAGE_SIZE, Attributes::DATA).unwrap();
    tables.map(va(GIB + PAGE_SIZE), pa(0), PAGE_SIZE, Attributes::DATA).unwrap();
    assert_eq!(machine.taken(), 4);
    tables.unmap(va(GIB), PAGE_SIZE).unwrap();
    assert_eq!(machine.taken(), 4);
    tables.unmap(va(GIB + PAGE_SIZE), PAGE_SIZE).unwrap();
    machine.audit();
    assert_eq!((machine.taken(), machine.invalidations()), (1, 2));
}

#[test]
fn without_enough_tables_nothing_changes() {
    let (mut tables, machine) = tables(PLENTY);
    tables.map(va(4 * GIB), pa(4 * GIB), 4 * GIB, Attributes::DATA).unwrap();
    let before = all(&tables);
    let (at, bytes) = (va(GIB - 3 * PAGE_SIZE), 2 * GIB);
    let needed = worst_case_tables(at, bytes, Some(pa(PAGE_SIZE)));
    for available in 0..needed {
        machine.set_available(available);
        let taken = machine.taken();
        match tables.map(at, pa(8 * GIB - 3 * PAGE_SIZE), bytes, Attributes::DATA) {
            Ok(()) => break,
            Err(error) => assert_eq!(error, PageTableError::NoTables { va: at, bytes }),
        }
        assert_eq!((all(&tables), machine.taken(), machine.set_available(0)), (before.clone(), taken, available));
        machine.audit();
    }
    assert!(tables.translate(at).is_some(), "the bound is one");

    // Two GiB and two 2 MiB blocks have to be split.
    let before = all(&tables);
    for available in 0..super::SPLIT_TABLES {
        machine.set_available(available);
        let (at, bytes) = (va(5 * GIB - PAGE_SIZE), GIB + 2 * PAGE_SIZE);
        assert_eq!(tables.unmap(at, bytes), Err(PageTableError::NoTables { va: at, bytes }));
        assert_eq!((all(&tables), machine.set_available(0)), (before.clone(), available));
    }
    machine.set_available(super::SPLIT_TABLES);
    tables.unmap(va(5 * GIB - PAGE_SIZE), GIB + 2 * PAGE_SIZE).unwrap();
    machine.audit();
}

/// The window of the property tests: it has an aligned GiB and crosses an entry of the root table.
const WINDOW: u64 = 512 * GIB - GIB - 64 * MIB;
const WINDOW_PAGES: u64 = (GIB + 128 * MIB) / PAGE_SIZE;

#[derive(Clone, Debug)]
struct Op {
    kind: Kind,
    /// Start and length in pages, and where in a mapped stretch they are taken from.
    page: u64,
    pages: u64,
    attributes: Attributes,
    available: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Map to memory congruent to the address, or `pages` off that.
    Map(u64),
    Unmap,
    Protect,
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let memory =
        prop_oneof![4 => Just(MemoryType::Normal), 1 => Just(MemoryType::NonCacheable), 1 => Just(MemoryType::Device)];
    let access = prop_oneof![Just(Access::ReadWrite), Just(Access::ReadOnly), Just(Access::ReadExecute)];
    (memory, access)
        .prop_filter_map("executable device memory", |(memory, access)| Attributes::new(memory, access).ok())
}

/// A number of pages around multiples of each leaf and run size.
fn around(limit: u64) -> impl Strategy<Value = u64> {
    let unit = prop_oneof![3 => Just(1u64), 3 => Just(16), 3 => Just(512), 2 => Just(512 * 16), 1 => Just(512 * 512)];
    let jitter = prop_oneof![3 => Just(0i64), 1 => -20..20i64];
    (unit, 0..40u64, jitter).prop_map(move |(unit, times, jitter)| (unit * times).saturating_add_signed(jitter) % limit)
}

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    let shift = prop_oneof![5 => Just(0u64), 1 => Just(1), 1 => Just(16), 1 => Just(512)];
    let kind = prop_oneof![3 => shift.prop_map(Kind::Map), 3 => Just(Kind::Unmap), 2 => Just(Kind::Protect)];
    let available = prop_oneof![6 => Just(PLENTY), 1 => 0..4usize];
    let op = (kind, around(WINDOW_PAGES), around(WINDOW_PAGES), any_attributes(), available).prop_map(
        |(kind, page, pages, attributes, available)| Op { kind, page, pages: pages.max(1), attributes, available },
    );
    proptest::collection::vec(op, 1..most)
}

/// What each page of the window is mapped to.
struct Oracle {
    pages: Vec<Option<(u64, Attributes)>>,
    mapped: u64,
}

impl Oracle {
    fn new() -> Self {
        Self { pages: vec![None; WINDOW_PAGES as usize], mapped: 0 }
    }

    fn slice(&mut self, page: u64, pages: u64) -> &mut [Option<(u64, Attributes)>] {
        &mut self.pages[page as usize..(page + pages) as usize]
    }

    /// Moves a range to the next stretch of mapped pages, so that most operations find something to do.
    fn aim(&self, op: &Op) -> (u64, u64) {
        let from = |start: u64| self.pages[start as usize..].iter().position(Option::is_some);
        let Some(start) = from(op.page).map(|skipped| op.page + skipped as u64).or(from(0).map(|page| page as u64))
        else {
            return (op.page, op.pages.min(WINDOW_PAGES - op.page));
        };
        let stretch = self.pages[start as usize..].iter().take_while(|page| page.is_some()).count() as u64;
        // Every now and then one page too many.
        let most = stretch + u64::from(op.page % 8 == 7 && start + stretch < WINDOW_PAGES);
        let skip = if op.pages.is_multiple_of(3) { op.page % stretch } else { 0 };
        (start + skip, op.pages.min(most - skip))
    }

    fn compare(&self, tables: &Tables) {
        let mut seen = 0;
        for leaf in all(tables) {
            let first = (leaf.va.get() - WINDOW) / PAGE_SIZE;
            let pages = leaf.level.size() / PAGE_SIZE;
            seen += pages;
            // All pages of small leaves, some of a GiB.
            for offset in (0..pages).step_by(if leaf.level == Level::L1 { 509 } else { 7 }).chain([pages - 1]) {
                let expected = (leaf.pa.get() / PAGE_SIZE + offset, leaf.attributes);
                assert_eq!(self.pages[(first + offset) as usize], Some(expected));
            }
        }
        assert_eq!(seen, self.mapped, "as many pages are mapped as should be");
    }
}

fn run(op: &Op, tables: &mut Tables, machine: &ModelMachine, oracle: &mut Oracle) {
    machine.set_available(op.available);
    match op.kind {
        Kind::Map(shift) => {
            let (page, pages) = (op.page, op.pages.min(WINDOW_PAGES - op.page));
            let at = WINDOW + page * PAGE_SIZE;
            let to = at - 256 * GIB + shift * PAGE_SIZE;
            let free = oracle.slice(page, pages).iter().all(Option::is_none);
            // Ten thousand single pages say no more than two thousand.
            if shift % 512 != 0 && pages > 2000 {
                return;
            }
            match tables.map(va(at), pa(to), pages * PAGE_SIZE, op.attributes) {
                Ok(()) => {
                    assert!(free);
                    for (offset, slot) in oracle.slice(page, pages).iter_mut().enumerate() {
                        *slot = Some((to / PAGE_SIZE + offset as u64, op.attributes));
                    }
                    oracle.mapped += pages;
                }
                Err(PageTableError::AlreadyMapped { at, wanted, mapped }) => {
                    let first = oracle.slice(page, pages).iter().position(Option::is_some).unwrap() as u64;
                    let (frame, _) = oracle.pages[(page + first) as usize].unwrap();
                    assert_eq!(at, va(WINDOW + (page + first) * PAGE_SIZE));
                    assert_eq!((wanted, mapped), (pa(to + first * PAGE_SIZE), pa(frame * PAGE_SIZE)));
                }
                Err(error) => assert!(matches!(error, PageTableError::NoTables { .. }) && op.available < PLENTY),
            }
        }
        Kind::Unmap => {
            let (page, pages) = oracle.aim(op);
            let mapped = oracle.slice(page, pages).iter().all(Option::is_some);
            match tables.unmap(va(WINDOW + page * PAGE_SIZE), pages * PAGE_SIZE) {
                Ok(()) => {
                    assert!(mapped);
                    oracle.slice(page, pages).fill(None);
                    oracle.mapped -= pages;
                }
                Err(PageTableError::NoTables { .. }) => assert!(mapped && op.available < PLENTY),
                Err(error) => assert!(!mapped && matches!(error, PageTableError::NotMapped { .. })),
            }
        }
        Kind::Protect => {
            let (page, pages) = oracle.aim(op);
            let range = oracle.slice(page, pages);
            let same = range.iter().all(|page| page.is_some_and(|(_, now)| now.memory() == op.attributes.memory()));
            match tables.protect(va(WINDOW + page * PAGE_SIZE), pages * PAGE_SIZE, op.attributes) {
                Ok(()) => {
                    assert!(same);
                    range.iter_mut().flatten().for_each(|(_, attributes)| *attributes = op.attributes);
                }
                Err(PageTableError::NoTables { .. }) => assert!(same && op.available < PLENTY),
                Err(error) => {
                    assert!(!same);
                    assert!(matches!(error, PageTableError::NotMapped { .. } | PageTableError::MemoryType { .. }));
                }
            }
        }
    }
    machine.audit();
    for edge in [op.page, op.page + op.pages - 1, op.page + op.pages].into_iter().filter(|page| *page < WINDOW_PAGES) {
        let found = tables.translate(va(WINDOW + edge * PAGE_SIZE + 5));
        let expected = oracle.pages[edge as usize].map(|(frame, attributes)| (pa(frame * PAGE_SIZE + 5), attributes));
        assert_eq!(found.map(|(to, leaf)| (to, leaf.attributes)), expected);
    }
}

proptest! {
    #![proptest_config(testing::cases(48))]

    /// Any sequence of operations does to every page what it should, and breaks no rule that the machine knows.
    #[test]
    fn every_change_is_right_and_made_by_the_book(ops in ops(24)) {
        let (mut tables, machine) = tables(PLENTY);
        let mut oracle = Oracle::new();
        for op in &ops {
            run(op, &mut tables, &machine, &mut oracle);
            oracle.compare(&tables);
        }
        machine.set_available(PLENTY);
        while let Some(leaf) = all(&tables).first() {
            let stretch = oracle.pages[((leaf.va.get() - WINDOW) / PAGE_SIZE) as usize..].iter();
            let pages = stretch.take_while(|page| page.is_some()).count() as u64;
            tables.unmap(leaf.va, pages * PAGE_SIZE).unwrap();
            oracle.slice((leaf.va.get() - WINDOW) / PAGE_SIZE, pages).fill(None);
        }
        machine.audit();
        assert_eq!(machine.taken(), 1, "only the root is left");
    }

    /// The bound covers what a map takes, from empty tables.
    #[test]
    fn the_bound_on_tables_holds(start in around(1 << 20), pages in around(1 << 19), shift in around(1 << 10)) {
        let (at, bytes) = (va(512 * GIB - GIB + start * PAGE_SIZE), pages.clamp(1, 1 << 12) * PAGE_SIZE);
        let to = pa(start * PAGE_SIZE + shift * PAGE_SIZE);
        let bound = worst_case_tables(at, bytes, Some(to));
        assert!(bound <= worst_case_tables(at, bytes, None));
        let (mut tables, machine) = tables(1 + bound);
        tables.map(at, to, bytes, Attributes::DATA).unwrap();
        machine.audit();
    }
}
