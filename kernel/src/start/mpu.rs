//! An address space on a CPU with an MPU.

use crate::arch::Mpu;
use crate::arch::aarch64::mpu;
#[cfg(feature = "pmsa-emulation")]
use crate::arch::aarch64::semihosting;
use crate::base::addr::{Frames, Mfn};
use crate::base::attributes::Attributes;
use crate::frames::boot_alloc::FramePlacement;
use crate::heap::Heap;
use crate::mpu::{BootRegions, RegionError};
use crate::vmap::over_mpu::OverMpu;
use crate::vmap::{Vmap, VmapError};
use core::ops::Range;
use lacuna_boot::Layout;

/// The memory that EL2 keeps for its heap from the start, in bytes: one region.
pub const POOL_BYTES: u64 = 2 << 20;

/// Bytes of the semihosting command line that are looked at.
#[cfg(feature = "pmsa-emulation")]
const COMMAND_LINE_BYTES: usize = 2048;

pub use MpuStartError as BackendError;

/// Why there are no regions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MpuStartError {
    /// The regions that EL2 starts with are too many, or make no sense.
    #[error("image cannot be protected where it is: {0}")]
    Image(#[from] RegionError),
    /// The emulated MPU cannot be had.
    #[cfg(feature = "pmsa-emulation")]
    #[error(transparent)]
    Emulation(#[from] lacuna_board::pmsa::InitError),
    /// What MPU to emulate cannot be read.
    #[cfg(feature = "pmsa-emulation")]
    #[error("the semihosting command line cannot be read, or is longer than {COMMAND_LINE_BYTES} bytes")]
    CommandLine,
}

/// There is nothing that the image needs beside the MPU.
pub(super) const fn check() -> Result<(), MpuStartError> {
    Ok(())
}

/// Programs the regions of the image and turns the MPU and the caches on.
///
/// # Errors
///
/// [`MpuStartError`]; the MPU is off then.
///
/// # Safety
///
/// To be called once, on the boot CPU, with the MPU and the data cache off, as the entry code leaves them. The image's
/// pool must be used by nobody; it becomes the first memory of `heap`.
pub unsafe fn enable(layout: &Layout, heap: &Heap) -> Result<Vmap, MpuStartError> {
    #[cfg(feature = "pmsa-emulation")]
    let mut buffer = [const { core::mem::MaybeUninit::uninit() }; COMMAND_LINE_BYTES];
    #[cfg(feature = "pmsa-emulation")]
    let words = options(&mut buffer)?;
    #[cfg(feature = "pmsa-emulation")]
    // SAFETY: called once, with the MMU off; this backend writes no register of the MMU, and never turns the MPU off again.
    // The exception handler passes on what it takes itself.
    unsafe { lacuna_board::pmsa::init(layout.image(), words) }?;
    // SAFETY: `check_cpu` has seen an MPU; there is one CPU, and this is the one `Mpu`. What it writes before the MPU is on
    // covers the image; after that, the region table keeps the image's regions.
    let mut regions = BootRegions::new(unsafe { Mpu::new() });
    for (part, attributes) in super::parts(layout) {
        regions.add(part, attributes)?;
    }
    regions.program();
    // SAFETY: the data cache is off, as the caller promises.
    unsafe { lacuna_boot::invalidate_image() };
    // SAFETY: the regions cover all of the image, code executable and the rest as its use demands, all others are disabled,
    // and the MPU is off. The line above cleaned the data cache to memory.
    unsafe { mpu::enable() };
    // SAFETY: the pool, which may be read and written by now.
    unsafe { heap.add(layout.pool.start as usize, (layout.pool.end - layout.pool.start) as usize) };
    Ok(Vmap::new(OverMpu::new(regions.into_table())))
}

/// The words that choose among the MPUs that can be emulated; none where nobody can be asked for them.
#[cfg(feature = "pmsa-emulation")]
fn options(buffer: &mut [core::mem::MaybeUninit<u8>]) -> Result<&[u8], MpuStartError> {
    if !semihosting::answers() {
        return Ok(&[]);
    }
    semihosting::command_line(buffer).ok_or(MpuStartError::CommandLine)
}

/// Where the pool can be one region.
pub(super) const POOL_PLACEMENT: FramePlacement = FramePlacement::PAGE;

/// Maps `pool`, and gives it to the heap.
///
/// # Errors
///
/// [`VmapError`] if there is no region for it; nothing has changed then.
///
/// # Safety
///
/// `pool` must be RAM that nobody uses.
pub(super) unsafe fn give_pool(vmap: &Vmap, heap: &Heap, pool: &Range<Mfn>) -> Result<(), VmapError> {
    vmap.map_identity(pool, Attributes::DATA)?;
    // SAFETY: the frames were just mapped read-write, and are nobody's else.
    unsafe { heap.add(pool.start.address().get() as usize, pool.bytes() as usize) };
    Ok(())
}
