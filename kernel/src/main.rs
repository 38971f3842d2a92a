//! The image: each stage of the boot takes what the one before it made.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use lacuna::arch::aarch64::{controls, cpu, exceptions, power, power::Outcome};
use lacuna::boot_alloc::{BootAlloc, BootAllocError};
use lacuna::console;
use lacuna::devtree::{Facts, FactsError};
use lacuna::frametable::plan::{Plan, PlanError, Shape};
use lacuna::frametable::table::FrameTable;
use lacuna::heap::HEAP;
use lacuna::kernel::Kernel;
use lacuna::memory_map::{MapError, MemoryMap, PhysLimit, absent};
use lacuna::options::Options;
use lacuna::page_alloc::PageAlloc;
use lacuna::pdx::PdxMap;
use lacuna::report::{self, Report};
use lacuna::start::{self, BackendError, DeviceTree, PoolError, Prober, SilentError, StartError, TreeError};
use lacuna::stopwatch::Stopwatch;
use lacuna::vmap::{FRAMETABLE_SPAN, VmapError};
use lacuna::{fatal, frametable};
use thiserror::Error;

/// Entered from `boot/src/entry.S`: with the MMU and the caches off, on the boot CPU, at exception level `level`;
/// `device_tree` is what the loader left in x0, and `ticks` what the counter said at the first instruction.
#[unsafe(no_mangle)]
extern "C" fn lacuna_main(device_tree: u64, level: u64, ticks: u64) -> ! {
    match boot(device_tree, level, ticks) {
        Ok(outcome) => fatal::finish(outcome),
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
    Facts(#[from] FactsError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Frames(#[from] BootAllocError),
    #[error(transparent)]
    Silent(#[from] SilentError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Mapping(#[from] VmapError),
    #[error(transparent)]
    #[cfg(feature = "mmu")]
    Guest(#[from] lacuna::guest::run::GuestError),
}

/// The stages.
fn boot(device_tree: u64, level: u64, ticks: u64) -> Result<Outcome, BootError> {
    start::check_cpu(level)?;
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
    let mut facts = Facts::default();
    let read = blob.read(&mut facts);
    // Whatever is wrong from here on can be told on the console, and the machine can end.
    facts.psci.inspect(|conduit| power::set_conduit(*conduit));
    let console = console::start(vmap, facts.console.as_ref());
    read?;
    console::letter(b'f');
    clock.lap("device tree");

    let (options, ignored) = Options::parse(facts.bootargs.unwrap_or_default());
    console::set_level(options.log_level);
    exceptions::unmask_serror();
    report::warnings(&facts.warnings);
    report::warnings(console.err().as_slice());
    report::warnings(&ignored);
    clock.lap("console");

    let owned = start::owned(&mut facts, &layout, &tree);
    let memory = MemoryMap::new(&facts.banks, owned, limit)?;
    report::warnings(memory.warnings());
    let mut prober = Prober::new(vmap, pool.as_ref());
    let absent = vmap.briefly(|| absent::find(&memory, &mut prober));
    let memory = memory.without(&absent, &facts.banks)?;
    if let Some(what) = vmap.briefly(|| absent::silent_owner(&memory, &mut prober)) {
        return Err(MapError::Silent { what: what.clone() }.into());
    }
    report::warnings(memory.warnings());
    let (pdx, refusal) = PdxMap::choose(options.pdx, memory.banks());
    report::warnings(refusal.as_slice());
    clock.lap("memory map");

    let mut frames = BootAlloc::new(memory.free());
    // SAFETY: the boot allocator gives each frame once.
    unsafe { start::add_pool(vmap, &HEAP, &mut frames, pool.as_ref()) }?;
    let plan = Plan::new(memory.banks(), &pdx, FRAMETABLE_SPAN, Shape::default())?;
    let plan = frametable::in_form(plan, options.frametable);
    let chunks = frametable::allocate(&plan, &mut frames)?;
    chunks.iter().try_for_each(|chunk| start::check(vmap, chunk))?;
    // SAFETY: the chunks' frames were allocated for them and for nothing else.
    let table: &FrameTable = Box::leak(Box::new(unsafe { frametable::build(vmap, &plan, &chunks, &memory, pdx) }?));
    clock.lap("frametable");

    let kernel = Kernel::new(table, PageAlloc::new(table, frames.into_free()), vmap, &HEAP);
    clock.lap("page allocator");

    Report { layout: &layout, memory: &memory, plan: &plan, chunks: &chunks, kernel: &kernel, clock: &clock }.print();
    #[cfg(feature = "bench")]
    lacuna::bench::run(&kernel, &clock);
    #[cfg(feature = "selftest")]
    if lacuna::selftest::run(&kernel, &plan, &options, facts.guests.len()) == Outcome::Failure {
        return Ok(Outcome::Failure);
    }
    #[cfg(feature = "mmu")]
    return Ok(lacuna::guest::run::run(&kernel, &facts, options.mitigations)?);
    #[cfg(feature = "mpu")]
    Ok(report::no_guests(&facts.guests))
}
