//! A CPU of the machine, as EL2 sees it: its block ([`block`](mod@block)), faults that are expected ([`fixup`]), the firmware that it calls, and its end.

pub mod block;
mod fault;
#[cfg(feature = "guests")]
pub mod firmware;
pub mod fixup;
pub mod power;
