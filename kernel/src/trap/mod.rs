//! EL2's own exceptions: the report with its backtrace, panics, fatal errors, and the end of a run.

#[cfg(target_os = "none")]
pub mod backtrace;
#[cfg(target_os = "none")]
pub mod exceptions;
#[cfg(target_os = "none")]
pub mod fatal;
#[cfg(all(target_os = "none", feature = "cpus"))]
mod halt;
pub mod symbols;
