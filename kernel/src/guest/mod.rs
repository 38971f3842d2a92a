//! Guests: virtual machines described by the device tree, as Xen's dom0less guests are.
//!
//! What the device tree says of a guest ([`crate::devtree::Guest`]) becomes a [`domain`]: addresses ([`layout`], [`map`]),
//! RAM ([`memory`]) and its translation ([`isolation`]), with kernel, ramdisk and a device tree put into it ([`load`]), and
//! devices that are emulated ([`device`]). Then it runs, and comes back to EL2 for what it cannot do itself ([`exit`]).
//! `run` is the order of all that.
//!
//! Whatever can be decided without the processor is decided in plain functions and tested on the host. Only what runs a
//! guest is left out there, and in images for an MPU, which has no stage 2 of this kind.

pub mod complaints;
pub mod device;
pub mod domain;
pub mod exit;
pub mod isolation;
pub mod layout;
pub mod life;
pub mod load;
pub mod map;
pub mod memory;
#[cfg(all(target_os = "none", feature = "guests"))]
pub mod registry;
#[cfg(all(target_os = "none", feature = "guests"))]
pub mod run;
pub mod sysreg;
#[cfg(all(target_os = "none", feature = "guests"))]
pub mod vcpu;
