//! The processor: registers, barriers and instructions. Nothing here decides anything.
//!
//! Code that handles values without instructions is pure and tested on the host: the formats of registers ([`pmsa`],
//! [`list_register`], [`virtual_interface`], [`syndrome`], [`id_register`]), the values that registers get on each kind
//! of CPU ([`controls`], [`guest_registers`]), and the traits behind which a model of the hardware can stand. `aarch64`
//! exists in the image only. [`Tlb`], [`Mpu`], [`zero`] and cache maintenance exist for both host and image.

#[cfg(any(target_os = "none", test))]
pub mod aarch64;
pub mod capabilities;
pub mod conduit;
pub mod controls;
#[cfg(any(not(target_os = "none"), feature = "mmu"))]
pub mod guest_registers;
#[cfg(not(target_os = "none"))]
mod host;
pub mod id_register;
pub mod list_register;
pub mod lock;
pub mod memory_system;
pub mod pmsa;
pub mod region_trace;
pub mod sgi;
pub mod syndrome;
pub mod tlb;
pub mod virtual_interface;
pub mod workarounds;

#[cfg(target_os = "none")]
pub use aarch64::{
    cache::{clean_and_invalidate, clean_to_poc, drain, zero},
    cpu::{pause, ticks},
    mpu::Mpu,
    tlb::Tlb,
};
#[cfg(not(target_os = "none"))]
pub use host::{Mpu, NoTlb as Tlb, clean_and_invalidate, clean_to_poc, drain, pause, ticks, zero};
