//! The one MPU of the machine.

use super::emulator::Emulator;
use super::exception::{Exception, Handled};
use super::mirror::Full;
use super::options::{OptionError, Options};
use super::this_cpu::{self, ThisCpu};
use core::cell::UnsafeCell;
use core::ops::Range;

/// Translation tables: enough for the image and a dozen places far from it and from each other.
const TABLES: usize = 32;

static MPU: Mpu = Mpu(UnsafeCell::new(Emulator::new()));

/// All that the emulation remembers.
struct Mpu(UnsafeCell<Emulator<TABLES>>);

// SAFETY: the emulator is used by `init` and `handle` alone. One CPU runs, and neither calls the other: `init`'s
// contract keeps exceptions that `handle` is called for out of it, and the code of `handle` takes none.
unsafe impl Sync for Mpu {}

/// Why there is no MPU.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The MPU that is asked for cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The image is too large.
    #[error("{TABLES} translation tables are too few to mirror an image at {start:#x} of {bytes} bytes")]
    Image {
        /// Where it starts.
        start: u64,
        /// How large it is.
        bytes: u64,
    },
}

/// Resets the MPU: from here on [`handle`] knows its registers, and SCTLR_EL2.M turns it on.
///
/// `image` is the memory that exceptions need before the first fault can be answered: vectors, code, data and stacks.
/// `words` may have options, which say what MPU it is.
///
/// # Errors
///
/// [`InitError`]; there is no MPU then.
///
/// # Safety
///
/// - To be called once, on the only CPU, at EL2 with the MMU and the caches off.
/// - Nobody else may write TTBR0_EL2 or TCR_EL2, or clear SCTLR_EL2.M once it is set.
/// - Each call of [`handle`] must come from the handler of an exception from EL2 that was taken outside of this module.
pub unsafe fn init(image: Range<u64>, words: &[u8]) -> Result<(), InitError> {
    let options = Options::parse(words)?;
    // SAFETY: nobody else refers to it: `handle` is not running, as the caller promises.
    let mpu = unsafe { &mut *MPU.0.get() };
    mpu.reset(options, image.clone(), &mut current_cpu())
        .map_err(|Full| InitError::Image { start: image.start, bytes: image.end - image.start })?;
    // SAFETY: the MMU is off. The root is a table of the static, which only the emulator writes.
    unsafe { this_cpu::use_tables(mpu.root()) };
    Ok(())
}

/// Takes a look at a synchronous exception from EL2, before anybody else does.
pub fn handle(exception: Exception<'_>) -> Handled {
    // SAFETY: one CPU runs, and what is executed until this returns takes no exception; so this is the only reference.
    let mpu = unsafe { &mut *MPU.0.get() };
    mpu.handle(&mut current_cpu(), exception)
}

fn current_cpu() -> ThisCpu {
    let start = (&raw const MPU).addr() as u64;
    let handler = handle as fn(Exception<'_>) -> Handled as usize as u64;
    ThisCpu { state: start..start + size_of::<Mpu>() as u64, handler }
}
