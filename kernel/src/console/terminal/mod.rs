//! One serial line for the hypervisor and all of its guests.
//!
//! On output, each line names its guest and has one speaker only ([`output`]). On input, one speaker at a time owns the
//! keyboard, and a key that nobody types three times in a row switches to the next one ([`input`]). Xen does both the
//! same way, so its users need not learn new keys.
//!
//! At the hypervisor, keys form lines ([`mod@line`]), and lines are commands ([`command`]). A guest can make a terminal
//! send answers that look typed, so a single key does nothing, and a terminal's own messages are not text ([`escape`]).
//! Keys for a guest wait until it reads them ([`held`]).
//!
//! Output of the keyboard's owner appears at once, byte by byte: a prompt has no newline at its end and must be
//! visible.
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
