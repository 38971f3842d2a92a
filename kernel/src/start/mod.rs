//! From the first Rust instruction to an address space: EL2's own mappings, and the device tree.

#[cfg(feature = "mmu")]
#[path = "mmu.rs"]
mod backend;
#[cfg(feature = "mpu")]
#[path = "mpu.rs"]
mod backend;
mod console;
mod hardware;
#[cfg(feature = "cpus")]
mod others;
mod pool;
mod probe;
mod tree;

pub use backend::{BackendError, POOL_BYTES, enable};
pub use hardware::Hardware;
#[cfg(feature = "cpus")]
pub use others::start_others;
pub use pool::{PoolError, add_pool, early_pool};
pub use probe::{SilentError, check};
pub use tree::{DeviceTree, TreeError};

use crate::arch::aarch64::cpu;
use crate::arch::memory_system::{self, MemorySystem, MemorySystemMismatch, MemorySystemSource};
use crate::base::addr::{PAGE_SIZE, PhysAddr, Span};
use crate::base::attributes::Attributes;
use lacuna_boot::Layout;

/// Why the start fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Entered where a hypervisor cannot run.
    #[error("entered at EL{0}, but a hypervisor runs at EL2 (QEMU: -M virt,virtualization=on)")]
    Level(u64),
    /// EL2 has the other memory system.
    #[error(transparent)]
    MemorySystem(#[from] MemorySystemMismatch),
    /// The memory system lacks something.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Checks that this CPU, at this exception level, can run Lacuna.
///
/// # Errors
///
/// The first thing that is missing.
pub fn check_cpu(level: u64) -> Result<(), StartError> {
    if level < 2 {
        return Err(StartError::Level(level));
    }
    memory_system::check(MemorySystem::of_image(), MemorySystemSource::of_image(), cpu::memory_model_features())?;
    Ok(backend::check()?)
}

/// What EL2 maps of itself before anything else, and as what: the image, part by part, with the guard pages left out, and
/// the board's UART if the image was built for a board.
fn parts(layout: &Layout) -> impl Iterator<Item = (Span, Attributes)> {
    let image = [
        (&layout.text, Attributes::CODE),
        (&layout.rodata, Attributes::CONSTANTS),
        (&layout.data, Attributes::DATA),
        (&layout.stack, Attributes::DATA),
        (&layout.fault_stack, Attributes::DATA),
        (&layout.pool, Attributes::DATA),
    ];
    let span = |start, end| Span { start: PhysAddr::new(start), end: PhysAddr::new(end) };
    let image = image.map(|(part, attributes)| (span(part.start, part.end), attributes));
    let uart = if cfg!(feature = "early-uart") { lacuna_board::BOARD.early_uart } else { None };
    let page = uart.map(|uart| uart.status() & !(PAGE_SIZE - 1));
    image.into_iter().chain(page.map(|page| (span(page, page + PAGE_SIZE), Attributes::DEVICE)))
}
