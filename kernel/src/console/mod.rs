//! The console: the drivers of UARTs ([`uart`]), the sharing of one terminal between the hypervisor and its guests
//! ([`terminal`]), and this machine's one port, with the `log` crate's macros in front of it.
//!
//! [`uart`] and [`terminal`] are built and tested on the host; the port exists in the image only.

#[cfg(target_os = "none")]
mod port;
pub mod terminal;
pub mod uart;

#[cfg(target_os = "none")]
pub use port::*;

/// What stands before a line of this level. A report is for reading: only what is wrong carries a mark in words.
pub const fn mark(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "lacuna: error: ",
        log::Level::Warn => "lacuna: warning: ",
        log::Level::Info => "",
        log::Level::Debug | log::Level::Trace => "# ",
    }
}
