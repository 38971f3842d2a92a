//! Why memory is not mapped.

use super::Chosen;
use super::backend::Backend;
use crate::base::addr::PhysAddr;

/// Why a range of frames cannot be mapped, or an address not be unmapped. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmapError<E = <Chosen as Backend>::Error> {
    /// No frames.
    #[error("vmap of no frames")]
    Empty,
    /// The frames leave the physical address space.
    #[error("vmap of {bytes:#x} bytes from physical address {start} reaches past the physical address space")]
    Physical {
        /// First byte.
        start: PhysAddr,
        /// Length in bytes.
        bytes: u64,
    },
    /// The MMU's tables, or the MPU's regions, do not allow it.
    #[error("{0}")]
    Backend(E),
}

impl<E> From<E> for VmapError<E> {
    fn from(error: E) -> Self {
        Self::Backend(error)
    }
}
