//! Lacuna, a mini hypervisor for aarch64 that spends no memory on the holes of a sparse physical address space.
//!
//! Data flows one way: device tree bytes become facts ([`devtree`]), facts a memory map ([`memory_map`]), the map a
//! renumbering of frames ([`pdx`]); then frames can be taken ([`frames::boot_alloc`]) for a table that describes all of
//! them ([`frames::frametable`]), after which they have owners ([`frames::page_alloc`]) and can be mapped ([`vmap`]). A
//! later stage uses the results of earlier ones and never reaches back.
//!
//! All of that builds and is tested on the host. Only [`arch`]'s processor, the console and the self-tests exist in the
//! image alone.

#![no_std]

#[cfg(all(target_os = "none", not(any(feature = "mmu", feature = "mpu"))))]
compile_error!("the image needs a backend: feature `mmu` or `mpu`");
#[cfg(all(target_os = "none", feature = "mmu", feature = "mpu"))]
compile_error!("the image has one backend: feature `mmu` or `mpu`, not both");

extern crate alloc;
#[cfg(any(test, fuzzing))]
extern crate std;

pub mod arch;
pub mod base;
pub mod console;
pub mod devtree;
pub mod frames;
pub mod guest;
pub mod heap;
pub mod inventory;
pub mod memory;
pub mod memory_map;
pub mod mmu;
pub mod mpu;
pub mod options;
pub mod pdx;
pub mod trap;
pub mod vmap;

#[cfg(all(target_os = "none", feature = "bench"))]
pub mod bench;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(all(target_os = "none", feature = "guests"))]
pub mod interrupts;
#[cfg(target_os = "none")]
pub mod report;
#[cfg(all(target_os = "none", feature = "selftest"))]
pub mod selftest;
#[cfg(target_os = "none")]
pub mod start;
#[cfg(target_os = "none")]
pub mod stopwatch;
#[cfg(any(test, all(target_os = "none", feature = "selftest")))]
pub mod testing;
