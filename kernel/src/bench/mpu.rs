//! The cost of the region table: in register writes and synchronisations, and in instructions without either.
//!
//! Measured over a register file that only counts, because QEMU emulates every access to the real registers.

use super::{ROUNDS, nanoseconds};
use crate::arch::region_trace::{Cost, Trace};
use crate::base::addr::{Frames, Mfn, PhysAddr, Span};
use crate::base::attributes::Attributes;
use crate::mpu::BootRegions;
use crate::println;
use crate::vmap::Vmap;
use crate::vmap::over_mpu::OverMpu;
use core::hint::black_box;

/// As many as the image has, in frames that are far from all others used here.
const BOOT_REGIONS: u64 = 6;
const BOOT_FRAME: u64 = 0x4_0000;

/// Memory of EL2's own, and where other mappings go.
const OWN_FRAMES: [u64; 2] = [0x4_8000, 0x4_9000];
const OTHER_FRAME: u64 = 0x5_0000;

fn frame(number: u64) -> Mfn {
    Mfn::new(number).unwrap_or_else(|| unreachable!("below 2^40"))
}

/// An address space over an MPU with `slots` slots, as it is when the image has booted.
fn vmap(slots: u8) -> Vmap<OverMpu<Trace>> {
    let mut boot = BootRegions::new(Trace::new(slots));
    for index in 0..BOOT_REGIONS {
        let part = frame(BOOT_FRAME + 16 * index)..frame(BOOT_FRAME + 16 * index + 8);
        boot.add(part.span(), Attributes::DATA).unwrap_or_else(|error| panic!("{error}"));
    }
    boot.program();
    let vmap = Vmap::new(OverMpu::new(boot.into_table()));
    let own = frame(OWN_FRAMES[0])..frame(OWN_FRAMES[1]);
    vmap.map_identity(&own, Attributes::DATA).unwrap_or_else(|error| panic!("{error}"));
    vmap
}

fn cost(vmap: &Vmap<OverMpu<Trace>>) -> Cost {
    vmap.with_table(|table| table.registers().cost())
}

/// Prints the figures.
pub(super) fn run() {
    let empty = nanoseconds(ROUNDS, || ());
    let per_round = |whole: u64| whole.saturating_sub(empty).div_ceil(ROUNDS);
    let vmap = vmap(32);
    for (name, at) in [("inside", OWN_FRAMES[0] + 7), ("new", OTHER_FRAME)] {
        let pair = || vmap.vmap_contig(black_box(frame(at)), 1, Attributes::DATA).is_ok();
        let before = cost(&vmap);
        assert!(pair(), "a page can be mapped");
        let after = cost(&vmap);
        println!("lacuna: bench mpu {name} writes={}", after.writes - before.writes);
        println!("lacuna: bench mpu {name} synchronisations={}", after.synchronisations - before.synchronisations);
        println!("lacuna: bench mpu {name}={}", per_round(nanoseconds(ROUNDS, pair)));
    }
    for slots in [32, 255] {
        println!("lacuna: bench mpu lookup {slots}={}", worst_lookup(slots));
    }
}

/// Instructions of the longest search in a full table, for what is in it and for what is not.
fn worst_lookup(slots: u8) -> u64 {
    let vmap = vmap(slots);
    let mut regions = 0;
    while let Ok(mapping) = vmap.vmap_contig(frame(OTHER_FRAME + 2 * regions), 1, Attributes::DATA) {
        mapping.leak();
        regions += 1;
    }
    vmap.with_table(|table| {
        // The same search, of nothing: what hiding arguments and result from the compiler costs.
        let hidden = |span: &Span| {
            nanoseconds(ROUNDS, || black_box(black_box(&*table).regions().len()) + black_box(span).bytes() as usize)
        };
        let search = |span: &Span| nanoseconds(ROUNDS, || black_box(&*table).lookup(black_box(span)));
        let places = (0..2 * regions + 2).map(|index| {
            let start = PhysAddr::new(frame(OTHER_FRAME + index).address().get());
            let span = Span { start, end: frame(OTHER_FRAME + index + 1).address() };
            search(&span).saturating_sub(hidden(&span)).div_ceil(ROUNDS)
        });
        places.max().unwrap_or(0)
    })
}
