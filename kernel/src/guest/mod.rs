//! Guests: virtual machines described by the device tree, as Xen's dom0less guests are.
//!
//! The device tree's description of a guest ([`crate::devtree::Guest`]) becomes a [`domain`]: addresses ([`layout`],
//! [`map`]), RAM ([`memory`]) and its translation ([`isolation`]), with kernel, ramdisk and a device tree put into it
//! ([`load`]), and emulated devices ([`device`]). Then it runs, and exits to EL2 for operations that it cannot do
//! itself ([`exit`]). `run` is the order of all that.
//!
//! Every decision that does not need the processor is a plain function, tested on the host. Host builds leave out only
//! the code that runs a guest, and so do images for an MPU, which has no stage 2 of this kind.

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
pub mod seating;
pub mod sysreg;
pub mod turns;
#[cfg(all(target_os = "none", feature = "guests"))]
pub mod vcpu;
