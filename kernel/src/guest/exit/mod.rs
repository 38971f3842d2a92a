//! What happens when a guest comes back to EL2: decoding why, answering as hardware or firmware would, and saying what
//! it did wrong.
//!
//! `vcpu` is where exits arrive. The modules that only decode or decide are tested on the host.

#[cfg(all(target_os = "none", feature = "mmu"))]
mod access;
pub mod complaints;
#[cfg(all(target_os = "none", feature = "mmu"))]
mod faults;
pub mod inject;
#[cfg(all(target_os = "none", feature = "mmu"))]
pub mod keyboard;
pub mod mmio;
#[cfg(all(target_os = "none", feature = "mmu"))]
mod monitor;
pub mod psci;
pub mod speculation;
pub mod step;
pub mod system_register;
#[cfg(all(target_os = "none", feature = "mmu"))]
pub mod vcpu;
