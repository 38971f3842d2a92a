//! Against machines of which the tree says too much.

use super::{Absent, Probe, STEP, find, silent_owner};
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr, Span};
use crate::devtree::{Bank, Owned, Owner};
use crate::memory_map::{MemoryMap, MemoryMapError, PhysLimit};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use std::string::ToString;
use std::vec;
use std::vec::Vec;

const GIB: u64 = (1 << 30) / PAGE_SIZE;

fn mfn(number: u64) -> Mfn {
    Mfn::new(number).unwrap()
}

fn bank(start: u64, frames: u64) -> Bank {
    Bank {
        node: std::format!("/memory@{:x}", start * PAGE_SIZE),
        start: PhysAddr::new(start * PAGE_SIZE),
        size: frames * PAGE_SIZE,
    }
}

fn map(banks: &[Bank], owned: &[(u64, u64)]) -> MemoryMap {
    let span = |(start, end): &(u64, u64)| Span { start: mfn(*start).address(), end: mfn(*end).address() };
    let owned =
        owned.iter().enumerate().map(|(entry, range)| Owned { owner: Owner::MemReserve(entry), span: span(range) });
    MemoryMap::new(banks, owned.collect(), PhysLimit::WIDEST).unwrap()
}

/// A machine with memory in these places, each of which a number of times.
struct Machine<'a> {
    map: &'a MemoryMap,
    /// First frame, frames, and how often they answer.
    ram: Vec<(u64, u64, u64)>,
    tried: u64,
}

impl Machine<'_> {
    /// The frame that is there in truth.
    fn cell(&self, at: Mfn) -> Option<u64> {
        let is_static = |owned: &Owned| {
            matches!(owned.owner, Owner::StaticMem(_))
                && owned.span.start <= at.address()
                && at.address() < owned.span.end
        };
        let is_free = self.map.free().any(|free| free.contains(&at)) || self.map.reserved().iter().any(is_static);
        assert!(is_free, "{at:?} is somebody's");
        let (first, frames, _) =
            self.ram.iter().find(|(first, frames, times)| (*first..first + frames * times).contains(&at.get()))?;
        Some(first + (at.get() - first) % frames)
    }
}

impl Probe for Machine<'_> {
    fn answers(&mut self, at: Mfn) -> bool {
        self.tried += 1;
        self.cell(at).is_some()
    }

    fn reads(&mut self, at: Mfn) -> bool {
        self.ram.iter().any(|(first, frames, times)| (*first..first + frames * times).contains(&at.get()))
    }

    fn mirrors(&mut self, at: Mfn, of: Mfn) -> bool {
        self.cell(at) == self.cell(of)
    }
}

fn absent(map: &MemoryMap, ram: &[(u64, u64, u64)]) -> Vec<Absent> {
    find(map, &mut Machine { map, ram: ram.to_vec(), tried: 0 })
}

fn silent(start: u64, end: u64) -> Absent {
    Absent { frames: mfn(start)..mfn(end), mirror_of: None }
}

#[test]
fn a_machine_that_has_it_all_is_left_as_it_is() {
    let map = map(&[bank(GIB, GIB), bank(4 * GIB, 8 * GIB)], &[(GIB, GIB + 5), (5 * GIB, 5 * GIB + 1)]);
    assert_eq!(absent(&map, &[(GIB, GIB, 1), (4 * GIB, 8 * GIB, 1)]), vec![]);
}

#[test]
fn a_bank_that_does_not_answer_is_absent() {
    let map = map(&[bank(GIB, GIB), bank(4 * GIB, GIB)], &[]);
    assert_eq!(absent(&map, &[(GIB, GIB, 1)]), vec![silent(4 * GIB, 5 * GIB)]);
}

#[test]
fn a_bank_that_is_half_there_ends_at_its_last_frame() {
    let map = map(&[bank(GIB, 2 * GIB)], &[(GIB, GIB + 0x100)]);
    for end in [2 * GIB, 2 * GIB + 1, 2 * GIB - 1, 3 * GIB - 1, GIB + 0x101, GIB + STEP, GIB + STEP + 1] {
        assert_eq!(absent(&map, &[(GIB, end - GIB, 1)]), vec![silent(end, 3 * GIB)], "{end:#x}");
    }
}

#[test]
fn what_somebody_owns_is_not_tried_and_goes_with_what_follows() {
    // The machine asserts that it is not tried.
    let map = map(&[bank(GIB, GIB)], &[(GIB + 0x100, GIB + 0x8000)]);
    assert_eq!(absent(&map, &[(GIB, 0x100, 1)]), vec![silent(GIB + 0x100, 2 * GIB)]);
}

#[test]
fn the_image_stays_whatever_is_beside_it() {
    let image = Owned {
        owner: Owner::Image,
        span: Span { start: mfn(GIB + 0x200).address(), end: mfn(GIB + 0x300).address() },
    };
    let map = MemoryMap::new(&[bank(GIB, GIB)], vec![image], PhysLimit::WIDEST).unwrap();
    assert_eq!(absent(&map, &[(GIB, 0x300, 1)]), vec![silent(GIB + 0x300, 2 * GIB)]);
    assert_eq!(absent(&map, &[(GIB, 0x1ff, 1)]), vec![silent(GIB + 0x1ff, 2 * GIB)]);
}

#[test]
fn small_ram_that_answers_twice_is_used_once() {
    let mirror = |start, end, of| vec![Absent { frames: mfn(start)..mfn(end), mirror_of: Some(mfn(of)) }];
    let one = map(&[bank(GIB, 2 * GIB)], &[(GIB, GIB + 0x300)]);
    assert_eq!(absent(&one, &[(GIB, GIB, 2)]), mirror(2 * GIB, 3 * GIB, GIB));
    assert_eq!(absent(&one, &[(GIB, GIB / 8, 16)]), mirror(GIB + GIB / 8, 3 * GIB, GIB));
    // The mirror is a bank of its own.
    let two = map(&[bank(GIB, GIB), bank(3 * GIB, GIB)], &[]);
    assert_eq!(absent(&two, &[(GIB, GIB, 4)]), mirror(3 * GIB, 4 * GIB, GIB));
}

#[test]
fn the_map_without_it_names_the_bank() {
    let banks = [bank(GIB, 2 * GIB), bank(8 * GIB, GIB)];
    let map = map(&banks, &[(GIB, GIB + 1)]);
    let absent = [silent(2 * GIB, 3 * GIB), silent(8 * GIB, 9 * GIB)];
    let map = map.without(&absent, &banks).unwrap();
    assert_eq!(map.banks(), &[mfn(GIB)..mfn(2 * GIB)]);
    assert_eq!(map.free().collect::<Vec<_>>(), vec![mfn(GIB + 1)..mfn(2 * GIB)]);
    let words: Vec<_> = map.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "memory of /memory@40000000 at 0x40000000, 0x80000000 bytes, does not answer from 0x80000000 on: cut there",
            "memory of /memory@200000000 at 0x200000000, 0x40000000 bytes, does not answer: ignored",
        ]
    );
}

#[test]
fn a_module_in_memory_that_is_not_there_is_refused_by_name() {
    let banks = [bank(GIB, 2 * GIB)];
    let module = Owned {
        owner: Owner::Module("/chosen/m".into()),
        span: Span { start: mfn(2 * GIB).address(), end: mfn(2 * GIB + 1).address() },
    };
    let map = MemoryMap::new(&banks, vec![module.clone()], PhysLimit::WIDEST).unwrap();
    assert_eq!(map.without(&[silent(2 * GIB, 3 * GIB)], &banks).unwrap_err(), MemoryMapError::NotRam { what: module });
}

#[test]
fn what_is_loaded_or_a_guests_must_answer() {
    let span = |start, end| Span { start: mfn(start).address(), end: mfn(end).address() };
    let owned = |owner, first| Owned { owner, span: span(first, first + 0x100) };
    for owner in [Owner::Module("/chosen/m".into()), Owner::StaticMem("/chosen/g".into())] {
        let owned = owned(owner, 4 * GIB);
        let map =
            MemoryMap::new(&[bank(GIB, GIB), bank(4 * GIB, 0x100)], vec![owned.clone()], PhysLimit::WIDEST).unwrap();
        let silent = |there| {
            let ram = vec![(GIB, GIB, 1), (4 * GIB, there, 1)];
            silent_owner(&map, &mut Machine { map: &map, ram, tried: 0 }).cloned()
        };
        assert_eq!(silent(0x100), None);
        assert_eq!((silent(0), silent(0xff)), (Some(owned.clone()), Some(owned)));
    }
    // What is only reserved may be anything; and so may an initrd, which nobody reads.
    let reserved = owned(Owner::MemReserve(0), 4 * GIB);
    let map = MemoryMap::new(&[bank(GIB, GIB), bank(4 * GIB, 0x100)], vec![reserved], PhysLimit::WIDEST).unwrap();
    assert_eq!(silent_owner(&map, &mut Machine { map: &map, ram: vec![], tried: 0 }), None);
}

#[test]
fn no_ram_at_all_is_an_error() {
    let banks = [bank(GIB, GIB)];
    let map = map(&banks, &[]);
    assert_eq!(map.without(&[silent(GIB, 2 * GIB)], &banks).unwrap_err(), MemoryMapError::NoRam { banks: 1 });
}

proptest! {
    /// Frame by frame at every place: whatever the machine has of a bank from its start on, that stays, and no more.
    #[test]
    fn banks_end_where_memory_does(
        sizes in proptest::collection::vec((1_u64..3 * STEP, 0_u64..3 * STEP), 1..6),
        holes in proptest::collection::vec((0_u64..6 * 8 * STEP, 1_u64..STEP), 0..6),
    ) {
        let banks: Vec<_> = sizes.iter().zip(1..).map(|((frames, _), index)| bank(index * 8 * STEP, *frames)).collect();
        let ram: Vec<_> = sizes.iter().zip(1..).map(|((_, there), index)| (index * 8 * STEP, *there, 1)).collect();
        let holes: Vec<_> = holes.iter().map(|(start, frames)| (8 * STEP + start, 8 * STEP + start + frames)).collect();
        let map = map(&banks, &holes);
        let mut machine = Machine { map: &map, ram: ram.clone(), tried: 0 };
        let absent = find(&map, &mut machine);
        prop_assert!(machine.tried < 1000);
        for ((bank, (first, there, _)), (frames, _)) in banks.iter().zip(&ram).zip(&sizes) {
            let end = first + frames;
            let free = || map.free().filter(|free| free.start.get() < end && free.start.get() >= *first);
            let missing = free().find(|free| free.end.get() > first + there).map(|free| free.start.get());
            // Where the free memory before it ends, if it is not there at all.
            let before = free().map(|free| free.end.get()).take_while(|end| Some(*end) <= missing).max().unwrap_or(*first);
            let expected = missing.map(|start| if start < first + there { first + there } else { before });
            let found = absent.iter().find(|absent| absent.frames.end.get() == end).map(|absent| absent.frames.start.get());
            prop_assert_eq!(found, expected, "{:?}", bank);
        }
    }
}
