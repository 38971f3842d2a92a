//! The cost of operations on memory, counted by the image itself.
//!
//! Under QEMU's `-icount shift=0` an instruction takes a nanosecond of virtual time, so the counter counts
//! instructions. Each operation is repeated, and the cost of an empty loop of as many rounds is subtracted. On real
//! hardware the figures are nanoseconds with warm caches.

#[cfg(feature = "mpu")]
mod mpu;

use crate::arch::aarch64::cpu;
use crate::base::addr::Mfn;
use crate::frames::frametable::page_info::FrameOwner;
use crate::frames::frametable::table::{FrameTable, Page};
use crate::memory::HostMemory;

use crate::base::attributes::Attributes;
use crate::println;
use crate::start::POOL_BYTES;
use crate::stopwatch::Stopwatch;
use arrayvec::ArrayVec;
use core::hint::black_box;
use core::ptr;

const OWNER: FrameOwner = FrameOwner::new(100);

/// Prints `lacuna: bench NAME=NUMBER` for everything that is counted.
pub fn run(host: &HostMemory, clock: &Stopwatch) {
    let empty = nanoseconds(ROUNDS, || ());
    let line = |name: &str, rounds: u64, whole: u64| {
        let overhead = empty * rounds / ROUNDS;
        println!("lacuna: bench {name}={}", whole.saturating_sub(overhead).div_ceil(rounds));
    };
    println!("lacuna: bench boot={}", clock.total());
    for (stage, nanoseconds) in clock.laps() {
        println!("lacuna: bench boot {stage}={nanoseconds}");
    }
    let early = lacuna_boot::layout().pool;
    let pool = early.end - early.start + POOL_BYTES + host.grown_bytes();
    println!("lacuna: bench pool bytes={pool}");

    #[cfg(feature = "mpu")]
    mpu::run();
    let table = host.table();
    let Some(mfn) = table.banks().first().map(|bank| bank.start) else { return };
    lookups(table, mfn);

    let pair = || host.alloc(0, OWNER).and_then(|mfn| host.free(mfn, 0)).is_ok();
    line("page alloc and free", ROUNDS, nanoseconds(ROUNDS, || assert!(pair())));

    for (name, order) in [("4 KiB", 0), ("2 MiB", 9), ("1 GiB", 18)] {
        let Ok(first) = host.alloc(order, OWNER) else { continue };
        let pair = || host.vmap_contig(first, 1 << order, Attributes::DATA).is_ok();
        line(&alloc::format!("vmap and vunmap {name}"), ROUNDS, nanoseconds(ROUNDS, || assert!(pair())));
        if host.free(first, order).is_err() {
            return;
        }
    }
}

/// Lookups, each as it is where it is inlined: among others, with the table's constants at hand or in the cache.
fn lookups(table: &FrameTable, first: Mfn) {
    let frames: ArrayVec<Mfn, LOOKUPS> = (0..LOOKUPS as u64).filter_map(|index| first.checked_add(index)).collect();
    let pages: ArrayVec<Page, LOOKUPS> = frames.iter().filter_map(|mfn| table.page(*mfn)).collect();
    let loops = |whole: u64| whole.div_ceil(ROUNDS * LOOKUPS as u64);
    let line =
        |name: &str, whole: u64, empty: u64| println!("lacuna: bench {name}={}", loops(whole.saturating_sub(empty)));

    let empty = nanoseconds(ROUNDS, || black_box(&frames).iter().fold(0, |sum, mfn| sum ^ black_box(mfn.get())));
    let map = table.pdx();
    let pdx = || {
        let map = black_box(map);
        black_box(&frames).iter().fold(0, |sum, mfn| sum ^ black_box(map.pdx(*mfn).get()))
    };
    line("pdx", nanoseconds(ROUNDS, pdx), empty);
    let page = || {
        let table = black_box(table);
        black_box(&frames).iter().filter(|mfn| black_box(table.page(**mfn)).is_some()).count()
    };
    line("page", nanoseconds(ROUNDS, page), empty);
    let entry = || {
        let table = black_box(table);
        black_box(&pages).iter().fold(0, |sum, page| sum ^ black_box(ptr::from_ref(table.entry(*page)).addr()))
    };
    line("entry", nanoseconds(ROUNDS, entry), empty);
}

/// How many lookups are done each time round.
const LOOKUPS: usize = 64;

/// How often an operation is repeated.
const ROUNDS: u64 = 1000;

fn nanoseconds<R>(rounds: u64, mut operation: impl FnMut() -> R) -> u64 {
    let start = cpu::ticks();
    for _ in 0..rounds {
        let _ = black_box(operation());
    }
    cpu::nanoseconds(cpu::ticks() - start)
}
