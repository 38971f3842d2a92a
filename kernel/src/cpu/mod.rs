//! A CPU of the machine, as EL2 sees it: its block ([`block`](mod@block)), faults that are expected ([`fixup`]), the firmware
//! that it calls, work for all CPUs that run (`crew`), and the end ([`power`]).

pub mod block;
#[cfg(feature = "cpus")]
pub mod crew;
mod fault;
#[cfg(feature = "guests")]
pub mod firmware;
pub mod fixup;
#[cfg(feature = "cpus")]
pub mod last_words;
pub mod power;
