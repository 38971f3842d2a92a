//! The same calls as over an MMU, where a mapping is where its frames are.

use super::{MpuError, OverMpu};
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use crate::heap::Heap;
use crate::mpu::fake::Fake;
use crate::mpu::{BootRegions, RegionError};
use crate::vmap::{Vmap, VmapError};
use std::string::ToString;
use std::vec;
use std::vec::Vec;

fn mfn(raw: u64) -> Mfn {
    Mfn::new(raw).unwrap()
}

fn va(raw: u64) -> VirtAddr {
    VirtAddr::new(raw)
}

/// An address space with 16 MiB of its own at 1 GiB, and the MPU that shows it.
fn vmap() -> (Vmap<OverMpu<Fake>>, Fake) {
    let fake = Fake::new(16);
    let mut boot = BootRegions::new(fake.clone());
    boot.program();
    fake.turn_on(&[], &[]);
    let vmap = Vmap::new(OverMpu::new(boot.into_table()));
    vmap.map_identity(&(mfn(0x40000)..mfn(0x41000)), Attributes::DATA).unwrap();
    (vmap, fake)
}

fn seen(fake: &Fake, at: u64) -> Option<Attributes> {
    fake.access(PhysAddr::new(at))
}

#[test]
fn a_mapping_is_where_its_frames_are_as_long_as_it_lives() {
    let (vmap, fake) = vmap();
    let mapping = vmap.vmap_contig(mfn(0x80000), 4, Attributes::CONSTANTS).unwrap();
    assert_eq!((mapping.address(), mapping.bytes()), (va(0x8000_0000), 4 * PAGE_SIZE));
    assert_eq!(mapping.as_ptr().as_ptr().addr(), 0x8000_0000);
    assert_eq!(vmap.vmap_size(va(0x8000_0000)), Some(4));
    assert_eq!(vmap.vmap_size(va(0x8000_1000)), None);
    assert_eq!(seen(&fake, 0x8000_3fff), Some(Attributes::CONSTANTS));
    drop(mapping);
    assert_eq!(seen(&fake, 0x8000_0000), None);
    assert_eq!(vmap.vmap_size(va(0x8000_0000)), None);
}

#[test]
fn a_leaked_mapping_ends_by_its_address_once() {
    let (vmap, fake) = vmap();
    let start = vmap.vmap_contig(mfn(0x80000), 4, Attributes::DATA).unwrap().leak();
    assert_eq!(seen(&fake, 0x8000_0000), Some(Attributes::DATA));
    // An address is taken as it is, not as the page that it is in.
    for wrong in [start.get() + 8, start.get() + PAGE_SIZE, start.get() - PAGE_SIZE, 0, u64::MAX] {
        assert!(matches!(vmap.vunmap(va(wrong)), Err(VmapError::Backend(MpuError::Region(_)))), "{wrong:#x}");
    }
    assert_eq!(vmap.vunmap(start).unwrap(), 4);
    assert!(matches!(vmap.vunmap(start), Err(VmapError::Backend(MpuError::Region(RegionError::NotMapped { .. })))));
}

#[test]
fn a_refusal_leaves_the_lock_free() {
    let (vmap, _) = vmap();
    let _held = vmap.vmap_contig(mfn(0x80000), 4, Attributes::DATA).unwrap();
    for _ in 0..2 {
        assert!(vmap.vunmap(va(0x9000_0000)).is_err());
        assert!(vmap.vmap_contig(mfn(0x80002), 4, Attributes::DATA).is_err());
        assert!(vmap.map_identity(&(mfn(0x80000)..mfn(0x80001)), Attributes::DATA).is_err());
    }
    assert!(vmap.vmap_contig(mfn(0x90000), 1, Attributes::DATA).is_ok());
}

#[test]
fn registers_on_two_pages_keep_their_offset() {
    let (vmap, fake) = vmap();
    let mapping = vmap.ioremap(PhysAddr::new(0x9c09_0018), 0x1000).unwrap();
    assert_eq!((mapping.address(), mapping.bytes()), (va(0x9c09_0018), 0x1000));
    assert_eq!(vmap.vmap_size(va(0x9c09_0000)), Some(2));
    assert_eq!(seen(&fake, 0x9c09_1fff), Some(Attributes::DEVICE));
    assert_eq!(mapping.leak(), va(0x9c09_0000));
    assert_eq!(vmap.vunmap(va(0x9c09_0000)).unwrap(), 2);
}

#[test]
fn consecutive_frames_are_mapped_and_others_refused_by_name() {
    let (vmap, _) = vmap();
    let frames: Vec<Mfn> = (0x80000..0x80005).map(mfn).collect();
    let mapping = vmap.vmap(&frames, Attributes::DATA).unwrap();
    assert_eq!((mapping.address(), mapping.bytes()), (va(0x8000_0000), 5 * PAGE_SIZE));
    let error = vmap.vmap(&[mfn(0x90000), mfn(0x90001), mfn(0x90003)], Attributes::DATA).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vmap: an MPU maps frames where they are, and mfn 0x90003 does not follow mfn 0x90001"
    );
}

#[test]
fn nothing_is_not_mapped_and_neither_is_what_there_is_not() {
    let (vmap, _) = vmap();
    assert!(matches!(vmap.vmap_contig(mfn(1), 0, Attributes::DATA), Err(VmapError::Empty)));
    assert!(matches!(vmap.vmap(&[], Attributes::DATA), Err(VmapError::Empty)));
    assert!(matches!(vmap.ioremap(PhysAddr::new(0x1000), 0), Err(VmapError::Empty)));
    for count in [u64::MAX, 1 << 40, u64::MAX / PAGE_SIZE + 1] {
        let beyond = vmap.vmap_contig(mfn(1), count, Attributes::DATA);
        assert!(matches!(beyond, Err(VmapError::Physical { .. })), "{count:#x}: {beyond:?}");
    }
    assert!(matches!(vmap.ioremap(PhysAddr::new(u64::MAX), 2), Err(VmapError::Physical { .. })));
    let wide = vmap.vmap_contig(mfn(1 << 36), 1, Attributes::DATA);
    assert!(
        matches!(wide, Err(VmapError::Backend(MpuError::Region(RegionError::OutsideAddressSpace { .. })))),
        "{wide:?}"
    );
}

#[test]
fn frame_0_is_mapped_and_unmapped() {
    let (vmap, fake) = vmap();
    let start = vmap.vmap_contig(mfn(0), 1, Attributes::DATA).unwrap().leak();
    assert_eq!((start, seen(&fake, 0)), (va(0), Some(Attributes::DATA)));
    assert_eq!(vmap.vunmap(va(0)).unwrap(), 1);
    assert_eq!(seen(&fake, 0), None);
}

#[test]
fn memory_of_ones_own_in_a_type_of_its_own_is_refused_by_name() {
    let (vmap, _) = vmap();
    let error = vmap.ioremap(PhysAddr::new(0x4000_0000), 0x1000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vmap: [0x40000000, 0x40001000) cannot be mapped as device memory: it is normal memory in EL2's own region \
         [0x40000000, 0x41000000) (normal, read-write)"
    );
}

#[test]
fn mappings_inside_ones_own_memory_end_in_any_order_and_take_no_slot() {
    let (vmap, fake) = vmap();
    let before = fake.cost();
    let one = vmap.vmap_contig(mfn(0x40010), 4, Attributes::DATA).unwrap();
    let other = vmap.vmap_contig(mfn(0x40012), 4, Attributes::DATA).unwrap();
    drop(one);
    drop(other);
    assert_eq!(fake.cost(), before);
    assert_eq!(vmap.with_table(|table| (table.room(), table.capacity())), (512, 512));
}

#[test]
fn there_can_be_more_mappings_than_there_is_room_for_at_first() {
    let (vmap, _) = vmap();
    let heap = Heap::new();
    let mut mappings = Vec::new();
    for count in 1..2000 {
        if let Some(shortage) = vmap.shortage(count) {
            assert!(vmap.vmap_contig(mfn(0x40000), count, Attributes::DATA).is_err());
            let memory = vec![0u64; 512 * *vmap.frames_wanted(shortage).end() as usize].leak().as_mut_ptr_range();
            let address = |pointer: *mut u64| PhysAddr::new(pointer.expose_provenance() as u64);
            // SAFETY: the memory was allocated for this.
            unsafe { vmap.relieve(shortage, address(memory.start)..address(memory.end), &heap) };
            assert_eq!(vmap.shortage(count), None);
        }
        mappings.push(vmap.vmap_contig(mfn(0x40000), count, Attributes::DATA).unwrap());
    }
    assert!(vmap.with_table(|table| table.capacity()) >= 2000);
    drop(mappings);
    assert_eq!(vmap.vmap_size(va(0x4000_0000)), None);
}

#[test]
fn the_frametable_is_mapped_for_good_and_described() {
    let (vmap, fake) = vmap();
    let start = vmap.map_frametable(0x1234_0000, &(mfn(0x80000)..mfn(0x80100))).unwrap();
    assert_eq!(start.as_ptr().addr(), 0x8000_0000);
    assert!(vmap.vunmap(va(0x8000_0000)).is_err());
    assert_eq!(seen(&fake, 0x800f_ffff), Some(Attributes::DATA));
    assert_eq!(vmap.describe(va(0x8000_0000)..va(0x8010_0000)).to_string(), "slot 1 of the MPU");
    assert_eq!(vmap.describe(va(0)..va(1 << 40)).to_string(), "2 slots of the MPU");
    assert_eq!(vmap.describe(va(0)..va(0x1000)).to_string(), "0 slots of the MPU");
}
