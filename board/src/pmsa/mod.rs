//! PMSAv8-64 at EL2, on a CPU that has VMSAv8-64.
//!
//! No CPU of QEMU has the MPU of Armv8-R AArch64. The instructions that program it are UNDEFINED there and end up in
//! the exception handler of EL2, which hands them to [`handle`]. It keeps the register file, and has the MMU do what
//! the MPU would: the enabled regions appear in translation tables, and what the MPU would not allow takes a fault that
//! the CPU raises itself. So the image that a real core executes runs unchanged.
//!
//! This knows nothing of who programs the MPU. What it models, and what it does not, is in `docs/pmsa-emulation.md`.
//!
//! Relies on: one CPU, HCR_EL2.E2H = 0, semihosting, and exceptions from EL2 that are handled at EL2.

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

/// What ID_AA64MMFR0_EL1 says on a core with PMSAv8-64 at EL2, as far as it matters here, where QEMU's CPU says
/// `actual`: EL2 cannot trap its own reads of it, so whoever looks for an MPU asks here.
///
/// MSA, bits 51:48, is 0b1111, and MSA_frac, bits 55:52, is 0b0001: PMSAv8-64 in all translation regimes, no VMSAv8-64
/// (DDI 0600, G1.3).
pub const fn id_aa64mmfr0(actual: u64) -> u64 {
    const MSA: u64 = 0b1111 << 48;
    const MSA_FRAC: u64 = 0b1111 << 52;
    const MSA_FRAC_PMSA_ONLY: u64 = 0b0001 << 52;
    actual & !MSA_FRAC | MSA | MSA_FRAC_PMSA_ONLY
}
