//! PMSAv8-64 at EL2, on a CPU that has VMSAv8-64.
//!
//! No CPU of QEMU has the MPU of Armv8-R AArch64. The instructions that program it are UNDEFINED there and end up in
//! the exception handler of EL2, which hands them to [`handle`]. It keeps the register file, and has the MMU do what
//! the MPU would: the enabled regions appear in translation tables, and what the MPU would not allow takes a fault that
//! the CPU raises itself. So the image that a real core executes runs unchanged.
//!
//! This knows nothing of who programs the MPU. What it models, and what it does not, is in `docs/pmsa-emulation.md`.
//!
//! Relies on: one CPU, HCR_EL2.E2H = 0, and exceptions from EL2 that are handled at EL2.

mod cpu;
mod decode;
mod emulator;
mod exception;
mod leaf;
mod matching;
mod mirror;
mod options;
mod registers;
mod stepping;
#[cfg(target_os = "none")]
mod target;
#[cfg(test)]
mod tests;
#[cfg(target_os = "none")]
mod this_cpu;

pub use exception::{Exception, Handled};
pub use options::OptionError;
#[cfg(target_os = "none")]
pub use target::{InitError, handle, init};
