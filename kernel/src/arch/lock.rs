//! Locks between CPUs.
//!
//! A lock of the `spin` crate whose CPUs wait by YIELD. The crate's default, `core::hint::spin_loop`, is an ISB on AArch64:
//! that flushes the pipeline each time round, and on QEMU with instruction counting it never lets another CPU run.

use spin::relax::RelaxStrategy;

/// A lock that a CPU waits for with nothing else to do. Interrupts are masked at EL2, so its holder is never interrupted.
pub type SpinLock<T> = spin::mutex::SpinMutex<T, Yield>;

/// A [`SpinLock`] that is held.
pub type SpinLockGuard<'l, T> = spin::mutex::SpinMutexGuard<'l, T, Yield>;

/// Waiting by YIELD.
#[derive(Clone, Copy, Debug)]
pub struct Yield;

impl RelaxStrategy for Yield {
    #[inline(always)]
    fn relax() {
        super::pause();
    }
}
