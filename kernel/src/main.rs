//! The image: each stage of the boot takes the results of the stage before.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use lacuna::arch::aarch64::{controls, cpu, el3};
use lacuna::base::outcome::Outcome;
use lacuna::frames::boot_alloc::{BootAlloc, BootAllocError};
use lacuna::frames::frametable;
use lacuna::frames::frametable::plan::{FrametablePlan, FrametablePlanError, FrametableShape};
use lacuna::frames::frametable::table::FrameTable;
use lacuna::frames::page_alloc::PageAlloc;
use lacuna::heap::HEAP;
use lacuna::inventory::{Inventory, InventoryError};
use lacuna::memory::HostMemory;
use lacuna::memory_map::PhysLimit;
#[cfg(not(feature = "guests"))]
use lacuna::report;
use lacuna::report::Report;
#[cfg(feature = "selftest")]
use lacuna::selftest::{self, Subject};
use lacuna::start::{self, BackendError, DeviceTree, Hardware, PoolError, SilentError, StartError, TreeError};
use lacuna::stopwatch::Stopwatch;
use lacuna::vmap::{FRAMETABLE_SPAN, VmapError};
use lacuna::{console, fatal};
use thiserror::Error;

/// Entered from `boot/src/entry.S`: with the MMU and the caches off, on the boot CPU, at exception level `level`;
/// `device_tree` is what the loader left in x0, and `ticks` what the counter said at the first instruction.
#[unsafe(no_mangle)]
extern "C" fn lacuna_main(device_tree: u64, level: u64, ticks: u64) -> ! {
    match boot(device_tree, level, ticks) {
        Ok(outcome) => lacuna::trap::fatal::finish(outcome),
        Err(error) => fatal!("{error}"),
    }
}

/// Why the boot ends. Each of these is a sentence already.
#[derive(Debug, Error)]
enum BootError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Frames(#[from] BootAllocError),
    #[error(transparent)]
    Silent(#[from] SilentError),
    #[error(transparent)]
    Plan(#[from] FrametablePlanError),
    #[error(transparent)]
    Mapping(#[from] VmapError),
    #[error(transparent)]
    #[cfg(feature = "guests")]
    Guest(#[from] lacuna::guest::run::GuestError),
}

/// The stages.
fn boot(device_tree: u64, level: u64, ticks: u64) -> Result<Outcome, BootError> {
    start::check_cpu(level)?;
    el3::entered_at(level);
    controls::set();
    let mut clock = Stopwatch::started_at(ticks);
    let layout = lacuna_boot::layout();
    // SAFETY: the entry code has just left the MMU and the caches off, and nobody uses the pool yet.
    let vmap = Box::leak(Box::new(unsafe { start::enable(&layout, &HEAP) }?));
    console::letter(b'e');
    clock.lap("address space");

    let tree = DeviceTree::find(vmap, device_tree)?;
    let limit = PhysLimit::from_bits(cpu::physical_address_bits());
    // SAFETY: nothing beside the image is in use.
    let pool = unsafe { start::early_pool(vmap, &HEAP, &layout, &tree, limit.address()) };
    let blob = tree.check()?;
    let mut machine = Hardware { vmap, layout: &layout, tree: &tree, pool: pool.as_ref(), limit, clock: &mut clock };
    let Inventory { facts, options, memory, pdx } = Inventory::take(&blob, &mut machine)?;

    let mut frames = BootAlloc::new(memory.free());
    // SAFETY: the boot allocator gives each frame once.
    unsafe { start::add_pool(vmap, &HEAP, &mut frames, pool.as_ref()) }?;
    let plan = FrametablePlan::new(memory.banks(), &pdx, FRAMETABLE_SPAN, FrametableShape::default())?;
    let plan = frametable::in_form(plan, options.frametable);
    let chunks = frametable::allocate(&plan, &mut frames)?;
    chunks.iter().try_for_each(|chunk| start::check(vmap, chunk))?;
    // SAFETY: the chunks' frames were allocated for them and for nothing else.
    let table: &FrameTable = Box::leak(Box::new(unsafe { frametable::build(vmap, &plan, &chunks, &memory, pdx) }?));
    clock.lap("frametable");

    let host = HostMemory::new(table, PageAlloc::new(table, frames.into_free()), vmap, &HEAP);
    clock.lap("page allocator");

    #[cfg(feature = "cpus")]
    let crew = start::start_others(&host, &facts, options.max_cpus);
    #[cfg(feature = "cpus")]
    clock.lap("other CPUs");

    let (cpus, memory_map) = (facts.cpus.len(), &memory);
    #[cfg(feature = "cpus")]
    let running = Some(crew.count());
    #[cfg(not(feature = "cpus"))]
    let running = None;
    Report {
        layout: &layout,
        cpus,
        running,
        memory: memory_map,
        plan: &plan,
        chunks: &chunks,
        host: &host,
        clock: &clock,
    }
    .print();
    #[cfg(feature = "bench")]
    lacuna::bench::run(&host, &clock);
    #[cfg(feature = "selftest")]
    {
        let subject = Subject {
            host: &host,
            plan: &plan,
            #[cfg(feature = "cpus")]
            crew,
        };
        if selftest::run(&subject, &options, facts.guests_at_boot()) == Outcome::Failure {
            return Ok(Outcome::Failure);
        }
    }
    #[cfg(feature = "guests")]
    return Ok(lacuna::guest::run::run(&host, crew, &facts, &options)?);
    #[cfg(not(feature = "guests"))]
    Ok(report::no_guests(&facts.guests))
}
