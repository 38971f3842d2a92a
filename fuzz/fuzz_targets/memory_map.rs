//! From the bytes of a device tree to the memory map and the plan of the frametable: the way that each boot goes.

#![no_main]

use lacuna::base::addr::{PAGE_SIZE, PhysAddr, Span};
use lacuna::devtree::{Blob, Survey};
use lacuna::frames::frametable::plan::{FrametablePlan, FrametableShape};
use lacuna::inventory::{Inventory, Paper};
use lacuna::memory_map::PhysLimit;
use lacuna::vmap::FRAMETABLE_SPAN;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(survey) = Survey::new(bytes) {
        let image = Span { start: PhysAddr::new(0x4020_0000), end: PhysAddr::new(0x4030_0000) };
        let _ = survey.free_beside(&[image], PhysAddr::new(1 << 48), survey.heap_bytes());
    }
    let Ok(blob) = Blob::check(bytes) else { return };
    let mut paper = Paper { limit: PhysLimit::ARCHITECTURE, occupied: Vec::new() };
    let Ok(Inventory { memory, pdx, .. }) = Inventory::take(&blob, &mut paper) else { return };
    for bank in memory.banks() {
        for mfn in [bank.start, bank.end.checked_sub(1).expect("no bank is empty")] {
            assert!(pdx.covers(mfn));
            assert_eq!(pdx.mfn(pdx.pdx(mfn)), Some(mfn), "a page index leads back to its frame");
        }
    }
    let free: u64 = memory.free().map(|range| range.end.get() - range.start.get()).sum();
    assert_eq!(free * PAGE_SIZE, memory.free_bytes());
    let _ = FrametablePlan::new(memory.banks(), &pdx, FRAMETABLE_SPAN, FrametableShape::default());
});
