//! A CPU of the machine, as EL2 sees it: faults that are expected ([`fixup`]), the firmware that it calls, and its end.

#[cfg(feature = "mmu")]
pub mod firmware;
pub mod fixup;
pub mod power;
