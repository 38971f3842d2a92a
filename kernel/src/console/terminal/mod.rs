//! One serial line for the hypervisor and all of its guests.
//!
//! On the way out, each line says which guest it is from, and a line is of one speaker only ([`output`]). On the way in, the
//! keyboard belongs to one of them at a time, and a key that nobody types three times in a row moves it on ([`input`]). That
//! is how Xen does both, so fingers need not learn anything.
//!
//! The hypervisor's keys make lines ([`mod@line`]), and the lines commands ([`command`]): a terminal answers what a guest asks
//! of it as if somebody typed, so a key alone does nothing, and what a terminal sends by itself is no text ([`escape`]). A
//! guest's keys wait for it ([`held`]).
//!
//! What is printed is printed at once, byte by byte: a prompt has no newline at its end and must be seen.
use crate::base::id::DomainId;

pub mod command;
pub mod escape;
pub mod held;
pub mod input;
pub mod line;
pub mod line_buffer;
pub mod output;

/// Whom the keyboard belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The hypervisor.
    Hypervisor,
    /// A guest.
    Guest(DomainId),
}
