//! Lacuna, a mini hypervisor for aarch64 that spends no memory on the holes of a sparse physical address space.
//!
//! Data flows one way: device tree bytes become facts ([`devtree`]), facts a memory map ([`memory_map`]), the map a
//! renumbering of frames ([`pdx`]); then frames can be taken ([`boot_alloc`]) for a table that describes all of them
//! ([`frametable`]), after which they have owners ([`page_alloc`]) and can be mapped ([`vmap`]). A later stage takes what
//! an earlier one made and never reaches back.
//!
//! All of that builds and is tested on the host. What exists only in the image is [`arch`]'s processor, the console and
//! the self-tests.

#![no_std]

#[cfg(all(target_os = "none", not(any(feature = "mmu", feature = "mpu"))))]
compile_error!("the image needs a backend: feature `mmu` or `mpu`");
#[cfg(all(target_os = "none", feature = "mmu", feature = "mpu"))]
compile_error!("the image has one backend: feature `mmu` or `mpu`, not both");

extern crate alloc;
#[cfg(any(test, fuzzing))]
extern crate std;

pub mod addr;
pub mod arch;
pub mod boot_alloc;
pub mod devtree;
pub mod frametable;
pub mod guest;
pub mod heap;
pub mod inventory;
pub mod kernel;
pub mod memory_map;
pub mod mmu;
pub mod mpu;
pub mod options;
pub mod page_alloc;
pub mod pdx;
mod sort;
pub mod symbols;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod uart;
pub mod vmap;

#[cfg(target_os = "none")]
pub mod backtrace;
#[cfg(all(target_os = "none", feature = "bench"))]
pub mod bench;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
pub mod fatal;
#[cfg(target_os = "none")]
pub mod report;
#[cfg(all(target_os = "none", feature = "selftest"))]
pub mod selftest;
#[cfg(target_os = "none")]
pub mod start;
#[cfg(target_os = "none")]
pub mod stopwatch;
