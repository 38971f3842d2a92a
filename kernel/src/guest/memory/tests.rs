use super::{FrameSource, GuestMemory, MemoryError};
use crate::base::addr::{Frames, GuestAddr, Mfn, PAGE_SIZE};
use crate::frames::frametable::page_info::FrameOwner;
use crate::guest::isolation::stage2::{Config, Stage2Plan};
use crate::guest::memory::extent::Extent;
use crate::memory::HostMemory;
use crate::testing;
use core::ops::Range;
use proptest::prelude::{any, proptest};
use std::string::ToString;
use std::vec::Vec;

const GUEST: FrameOwner = FrameOwner::new(9);
const OTHER: FrameOwner = FrameOwner::new(10);
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn bank(start: u64, bytes: u64) -> Range<GuestAddr> {
    GuestAddr::new(start)..GuestAddr::new(start + bytes)
}

fn part(ram: &Range<Mfn>, first: u64, count: u64) -> Range<Mfn> {
    let at = |index| ram.start.checked_add(index).unwrap();
    at(first)..at(first + count)
}

fn ram(bytes: u64) -> Range<Mfn> {
    let ram = testing::memory(bytes, 32 * MIB);
    fill(&ram, 0x5a);
    ram
}

/// The memory of frames: no window is open while a test looks.
fn contents(frames: &Range<Mfn>) -> &[u8] {
    let start = core::ptr::with_exposed_provenance(frames.start.address().get() as usize);
    // SAFETY: memory of `testing::memory`, which lives for ever, and which tests look at one statement at a time.
    unsafe { core::slice::from_raw_parts(start, frames.bytes() as usize) }
}

fn fill(frames: &Range<Mfn>, byte: u8) {
    let start = core::ptr::with_exposed_provenance_mut::<u8>(frames.start.address().get() as usize);
    // SAFETY: memory of `testing::memory`, which lives for ever, and to which nothing refers during this statement.
    unsafe { start.write_bytes(byte, frames.bytes() as usize) };
}

fn is_zero(frames: &Range<Mfn>) -> bool {
    contents(frames).chunks(PAGE_SIZE as usize).all(|page| page == [0; PAGE_SIZE as usize])
}

/// Frames that are free or in use for good.
fn balance(host: &HostMemory) -> u64 {
    host.free_bytes() + host.grown_bytes()
}

fn frames_of(extent: &Extent) -> Range<Mfn> {
    extent.mfn..extent.mfn.checked_add(extent.frames).unwrap()
}

/// The pages of `banks` are those of `memory`, in order, each the guest's with one reference and nobody else's.
fn check(host: &HostMemory, memory: &GuestMemory, banks: &[Range<GuestAddr>]) {
    let pages = banks.iter().flat_map(|bank| (bank.start.get()..bank.end.get()).step_by(PAGE_SIZE as usize));
    let mut have = Vec::new();
    for extent in memory.extents() {
        have.extend((0..extent.frames).map(|index| extent.ipa.get() + index * PAGE_SIZE));
        for index in 0..extent.frames {
            let mfn = extent.mfn.checked_add(index).unwrap();
            let entry = host.table().entry(host.table().page(mfn).unwrap());
            assert_eq!((entry.owner(), entry.references()), (GUEST, 1), "{mfn:?}");
        }
        assert!(is_zero(&frames_of(extent)));
    }
    assert_eq!(have, pages.collect::<Vec<_>>());
}

/// Fills the guest's memory, so that it matters whether it is scrubbed.
fn soil(memory: &GuestMemory) {
    memory.extents().iter().for_each(|extent| fill(&frames_of(extent), 0xa5));
}

#[test]
fn a_guest_in_unfragmented_memory_has_blocks_as_large_as_they_are_aligned() {
    let ram = ram(64 * MIB);
    let host = testing::host(&ram, 64);
    let before = balance(&host);
    let banks = [bank(GIB, 32 * MIB + 3 * PAGE_SIZE)];
    let memory = GuestMemory::new(&host, GUEST, &banks, FrameSource::PageAllocator).unwrap();
    check(&host, &memory, &banks);
    assert_eq!(memory.bytes(), 32 * MIB + 3 * PAGE_SIZE);
    let plan = Stage2Plan::new(Config::new(48), memory.extents()).unwrap();
    assert_eq!((plan.leaves().blocks, plan.leaves().pages, plan.tables()), (16, 3, 4));
    memory.release(&host).unwrap();
    assert_eq!(balance(&host), before);
}

#[test]
fn a_bank_that_starts_anywhere_has_blocks_where_its_addresses_are_aligned() {
    let ram = ram(64 * MIB);
    let host = testing::host(&ram, 64);
    let banks = [bank(GIB + 2 * MIB - 3 * PAGE_SIZE, 4 * MIB + 6 * PAGE_SIZE)];
    let memory = GuestMemory::new(&host, GUEST, &banks, FrameSource::PageAllocator).unwrap();
    check(&host, &memory, &banks);
    let leaves = Stage2Plan::new(Config::new(48), memory.extents()).unwrap().leaves();
    assert_eq!((leaves.blocks, leaves.pages), (2, 6));
    memory.release(&host).unwrap();
}

#[test]
fn more_than_there_is_is_refused_with_both_sizes() {
    let ram = ram(16 * MIB);
    let host = testing::host(&ram, 64);
    let before = balance(&host);
    let error = GuestMemory::new(&host, GUEST, &[bank(GIB, 32 * MIB)], FrameSource::PageAllocator).unwrap_err();
    assert_eq!(error.to_string(), "32.0 MiB of guest RAM do not fit into 15.9 MiB of free memory");
    for bad in [bank(GIB, 0), bank(GIB + 8, MIB), bank(GIB, MIB + 8), GuestAddr::new(GIB)..GuestAddr::new(0)] {
        let error = GuestMemory::new(&host, GUEST, &[bad], FrameSource::PageAllocator).unwrap_err();
        assert!(matches!(error, MemoryError::Bank { .. }), "{error}");
    }
    assert_eq!(balance(&host), before);
}

#[test]
#[cfg_attr(miri, ignore = "ten minutes when interpreted; the others take the same paths")]
fn all_that_is_free_can_be_a_guests_or_nothing_is_taken() {
    let ram = ram(16 * MIB);
    let host = testing::host(&ram, 64);
    let before = balance(&host);
    // EL2 itself may want a frame meanwhile: then the last piece is missing, and all others go back.
    for bytes in (0..64).map(|pages| host.free_bytes() - pages * PAGE_SIZE).collect::<Vec<_>>() {
        if let Ok(memory) = GuestMemory::new(&host, GUEST, &[bank(GIB, bytes)], FrameSource::PageAllocator) {
            assert_eq!(memory.bytes(), bytes);
            memory.release(&host).unwrap();
        }
        assert_eq!(balance(&host), before);
    }
}

#[test]
fn static_memory_becomes_the_guests_and_comes_back_to_nobody() {
    let ram = ram(32 * MIB);
    let host = testing::host_with(&ram, &part(&ram, 4096, 4096), 64);
    let before = balance(&host);
    let given = [part(&ram, 512, 1000), part(&ram, 5, 24)];
    let banks = [bank(GIB, 900 * PAGE_SIZE), bank(8 * GIB, 124 * PAGE_SIZE)];
    for _ in 0..2 {
        let memory = GuestMemory::new(&host, GUEST, &banks, FrameSource::Static(&given)).unwrap();
        check(&host, &memory, &banks);
        // The first bank, the rest of the first range, and the second range.
        let sizes: Vec<_> = memory.extents().iter().map(|extent| extent.frames).collect();
        assert_eq!(sizes, [900, 100, 24]);
        assert_eq!(memory.frame(GuestAddr::new(8 * GIB + 101 * PAGE_SIZE + 8)), Some(part(&ram, 6, 1).start));
        assert_eq!(memory.frame(GuestAddr::new(8 * GIB + 124 * PAGE_SIZE)), None);
        soil(&memory);
        memory.release(&host).unwrap();
        for range in &given {
            assert!(is_zero(range));
            let entries = host.table().page(range.start).and_then(|page| host.table().entries(page, range.count()));
            assert!(entries.unwrap().iter().all(|entry| entry.is_zero()));
        }
    }
    assert!(contents(&part(&ram, 0, 5)).iter().all(|byte| *byte == 0x5a), "a neighbour was touched");
    assert_eq!(balance(&host), before);
}

#[test]
fn banks_that_are_the_host_ranges_make_a_direct_map() {
    let ram = ram(32 * MIB);
    let host = testing::host_with(&ram, &part(&ram, 4096, 4096), 64);
    let given = [part(&ram, 16, 512), part(&ram, 1024, 512)];
    let guest = |mfn: Mfn| GuestAddr::new(mfn.address().get());
    let banks: Vec<_> = given.iter().map(|range| guest(range.start)..guest(range.end)).collect();
    let memory = GuestMemory::new(&host, GUEST, &banks, FrameSource::Static(&given)).unwrap();
    assert!(memory.extents().iter().all(|extent| extent.ipa == guest(extent.mfn)));
    check(&host, &memory, &banks);
    memory.release(&host).unwrap();
}

#[test]
fn static_memory_that_is_not_there_or_taken_is_refused_by_name_and_left_alone() {
    let ram = ram(32 * MIB);
    let host = testing::host_with(&ram, &part(&ram, 4096, 4096), 64);
    let banks = [bank(GIB, 20 * PAGE_SIZE)];
    let refuse = |given: &[Range<Mfn>]| GuestMemory::new(&host, GUEST, &banks, FrameSource::Static(given)).unwrap_err();
    let error = refuse(&[part(&ram, 0, 10), part(&ram, 8188, 10)]);
    assert!(matches!(error, MemoryError::NotRam { mfn, .. } if mfn == ram.end), "{error}");
    let error = refuse(&[part(&ram, 0, 10)]);
    assert_eq!(error.to_string(), "guest RAM of 80.0 KiB is to lie in static memory of 40.0 KiB");
    let taken = part(&ram, 107, 1).start;
    let entry = host.table().entry(host.table().page(taken).unwrap());
    assert!(entry.allocate(OTHER));
    let error = refuse(&[part(&ram, 0, 10), part(&ram, 100, 10)]);
    assert!(
        error.to_string().ends_with("is owner 10's") && error.to_string().contains("cannot be owner 9's"),
        "{error}"
    );
    // The same twice: the guest itself is the owner.
    let error = refuse(&[part(&ram, 0, 10), part(&ram, 9, 10)]);
    assert!(matches!(error, MemoryError::Taken { owner: GUEST, .. }), "{error}");
    assert!(entry.release());
    let entries = host.table().entries(host.table().page(ram.start).unwrap(), 4096).unwrap();
    assert!(entries.iter().all(|entry| entry.is_zero()), "a frame was kept");
}

#[test]
fn a_frame_that_somebody_references_stays_until_it_is_let_go() {
    for fixed in [false, true] {
        let ram = ram(32 * MIB);
        let host = testing::host_with(&ram, &part(&ram, 4096, 4096), 64);
        let before = balance(&host);
        let given = [part(&ram, 7, 1024)];
        let source = if fixed { FrameSource::Static(&given) } else { FrameSource::PageAllocator };
        let memory = GuestMemory::new(&host, GUEST, &[bank(GIB, 4 * MIB)], source).unwrap();
        let held = memory.frame(GuestAddr::new(GIB + 3 * MIB)).unwrap();
        let entry = host.table().entry(host.table().page(held).unwrap());
        entry.get(GUEST).unwrap();
        let left = memory.release(&host).unwrap_err();
        assert!(matches!(left.reason, MemoryError::Referenced { mfn, references: 2 } if mfn == held), "{left}");
        assert_eq!(left.memory.bytes(), MIB);
        assert!(left.to_string().starts_with("1.0 MiB of guest RAM are not released: guest RAM at 0x"), "{left}");
        assert!(!entry.put());
        left.memory.release(&host).unwrap();
        assert_eq!(balance(&host), before);
    }
}

#[test]
fn a_window_shows_the_guests_pages_in_order_across_extents() {
    let ram = ram(32 * MIB);
    let host = testing::host_with(&ram, &part(&ram, 4096, 4096), 64);
    let given = [part(&ram, 512, 100), part(&ram, 100, 100), part(&ram, 300, 100)];
    let mut memory =
        GuestMemory::new(&host, GUEST, &[bank(GIB, 300 * PAGE_SIZE)], FrameSource::Static(&given)).unwrap();
    let start = GuestAddr::new(GIB + 90 * PAGE_SIZE + 0x123);
    let expected: Vec<_> =
        (90..231).map(|page| memory.frame(GuestAddr::new(GIB + page * PAGE_SIZE)).unwrap()).collect();
    let window = memory.window(&host, start, 140 * PAGE_SIZE).unwrap();
    let first = window.as_ptr().addr().get() as u64;
    for (page, mfn) in (0..).zip(expected) {
        let va = crate::base::addr::VirtAddr::new(first + page * PAGE_SIZE);
        let (pa, _) = host.vmap().translate(va).unwrap();
        assert_eq!(pa.get(), mfn.address().get() + 0x123);
    }
    drop(window);
    for (ipa, bytes) in [(GIB - 1, 2), (GIB, 0), (GIB + 300 * PAGE_SIZE - 1, 2), (GIB, u64::MAX), (u64::MAX, 1)] {
        let error = memory.window(&host, GuestAddr::new(ipa), bytes).unwrap_err();
        assert!(matches!(error, MemoryError::Outside { .. }), "{error}");
    }
    assert!(memory.window(&host, GuestAddr::new(GIB + 300 * PAGE_SIZE - 1), 1).is_ok());
    memory.release(&host).unwrap();
}

#[test]
fn what_is_written_is_found_behind_the_guests_addresses() {
    let ram = ram(32 * MIB);
    let host = testing::host_with(&ram, &part(&ram, 4096, 4096), 64);
    let given = [part(&ram, 512, 2), part(&ram, 100, 2), part(&ram, 300, 2)];
    let mut memory = GuestMemory::new(&host, GUEST, &[bank(GIB, 6 * PAGE_SIZE)], FrameSource::Static(&given)).unwrap();
    let data: Vec<u8> = (0..5 * PAGE_SIZE).map(|index| (index % 251) as u8 + 1).collect();
    memory.write(&host, GuestAddr::new(GIB + 0x777), &data).unwrap();
    let all: Vec<u8> = given.iter().flat_map(|range| contents(range).to_vec()).collect();
    let end = 0x777 + data.len();
    assert_eq!(all[0x777..end], data);
    assert!(all[..0x777].iter().chain(&all[end..]).all(|byte| *byte == 0));
    assert!(memory.write(&host, GuestAddr::new(GIB + PAGE_SIZE + 1), &data).is_err());
    memory.release(&host).unwrap();
    assert!(given.iter().all(is_zero));
}

/// However fragmented free memory is, a guest gets its requested memory zeroed, and all of it is freed zeroed.
#[test]
fn all_comes_back_however_memory_is_fragmented() {
    let ram = ram(64 * MIB);
    let host = testing::host(&ram, 64);
    let before = balance(&host);
    proptest!(testing::cases(64), |(
        held in proptest::collection::vec((0_u32..10, any::<bool>()), 0..200),
        first in 1_u64..3000,
        second in 0_u64..3000,
    )| {
        let taken: Vec<_> = held.iter().filter_map(|(order, stays)| {
            Some((host.alloc(*order, OTHER).ok()?, *order, *stays))
        }).collect();
        let (stay, go): (Vec<_>, Vec<_>) = taken.into_iter().partition(|(.., stays)| *stays);
        go.into_iter().for_each(|(mfn, order, _)| host.free(mfn, order).unwrap());
        let mut banks = Vec::from([bank(GIB, first * PAGE_SIZE)]);
        banks.extend((second > 0).then(|| bank(8 * GIB, second * PAGE_SIZE)));
        let free = balance(&host);
        match GuestMemory::new(&host, GUEST, &banks, FrameSource::PageAllocator) {
            Ok(memory) => {
                check(&host, &memory, &banks);
                assert_eq!(balance(&host), free - memory.bytes());
                soil(&memory);
                let extents = memory.extents().to_vec();
                memory.release(&host).unwrap();
                assert!(extents.iter().all(|extent| is_zero(&frames_of(extent))), "not scrubbed");
            }
            Err(error) => assert!(matches!(error, MemoryError::Shortage { .. }), "{error}"),
        }
        assert_eq!(balance(&host), free);
        stay.into_iter().for_each(|(mfn, order, _)| host.free(mfn, order).unwrap());
        assert_eq!(balance(&host), before);
    });
}
