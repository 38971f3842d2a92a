//! The one door to memory that EL2 has not owned from the start.
//!
//! EL2 maps its image, its heap and the frametable, and nothing else: there is no direct map of RAM. Whatever else it
//! looks at, a device tree, a device, a guest's memory, it maps here first, for as long as it looks. A [`Mapping`] ends
//! when it is dropped.
//!
//! Both backends offer the same calls and are built and tested on the host; the image has one, by Cargo feature.

pub mod over_mmu;
pub mod over_mpu;
pub mod space;

#[cfg(not(feature = "mpu"))]
use over_mmu as backend;
#[cfg(feature = "mpu")]
use over_mpu as backend;

pub use backend::{FRAMETABLE_SPAN, GROWTH_FRAMES, Mapping, Shortage, Vmap, VmapError};
