//! Finding and mapping the device tree.

use crate::base::addr::{PhysAddr, Span};
use crate::base::attributes::Attributes;
use crate::cpu::fixup::{self, Fault};
use crate::devtree::{self, Blob, BlobError};
use crate::vmap::{Mapping, Vmap, VmapError};
use core::fmt;

/// The lowest alignment of a device tree (Devicetree Specification v0.4, 5.6; Linux's booting.rst).
const DEVICE_TREE_ALIGN: u64 = 8;

/// Why there is no device tree to go by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// There is no device tree.
    #[error("no device tree: x0 is 0, and there is none at {} either", Addresses(.0))]
    Missing(&'static [u64]),
    /// x0 is not an address of a device tree.
    #[error("device tree at {at} is not aligned to {DEVICE_TREE_ALIGN} bytes")]
    Misaligned {
        /// The address.
        at: PhysAddr,
    },
    /// The device tree's memory does not answer.
    #[error("device tree at {at} cannot be read ({})", fault.syndrome.class())]
    Unreadable {
        /// The address.
        at: PhysAddr,
        /// What reading it led to.
        fault: Fault,
    },
    /// It cannot be mapped.
    #[error("device tree at {at} cannot be mapped: {source}")]
    Unmappable {
        /// The address.
        at: PhysAddr,
        /// Why.
        source: VmapError,
    },
    /// What is there is no device tree.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Addresses, in words.
struct Addresses<'a>(&'a [u64]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.0.iter().enumerate() {
            write!(f, "{}{address:#x}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A device tree in memory.
pub enum DeviceTree<'v> {
    /// Where the loader put it.
    Loaded {
        /// All of it, read-only.
        mapping: Mapping<'v>,
        /// Its first byte.
        start: PhysAddr,
    },
    /// Compiled into the image, for a board without firmware.
    BuiltIn(&'static [u8]),
}

impl<'v> DeviceTree<'v> {
    /// Takes the board's own device tree, if the image was built for a board that needs one. Else maps that at `address`,
    /// or, if that is 0, the first one found where loaders are known to leave it.
    ///
    /// # Errors
    ///
    /// [`TreeError`] for whatever is found instead.
    pub fn find(vmap: &'v Vmap, address: u64) -> Result<Self, TreeError> {
        if let Some(bytes) = lacuna_board::BOARD.device_tree {
            return Ok(Self::BuiltIn(bytes));
        }
        if address != 0 {
            return Self::map(vmap, PhysAddr::new(address));
        }
        let candidates = lacuna_board::DEVICE_TREE_CANDIDATES;
        let found = candidates.iter().find_map(|at| Self::map(vmap, PhysAddr::new(*at)).ok());
        found.ok_or(TreeError::Missing(candidates))
    }

    /// Maps the header first, and then the size in the header.
    fn map(vmap: &'v Vmap, at: PhysAddr) -> Result<Self, TreeError> {
        if !at.is_aligned(DEVICE_TREE_ALIGN) {
            return Err(TreeError::Misaligned { at });
        }
        let map = |bytes| {
            vmap.map_bytes(at, bytes, Attributes::CONSTANTS).map_err(|source| TreeError::Unmappable { at, source })
        };
        let header =
            read_header(&map(devtree::HEADER_SIZE as u64)?).map_err(|fault| TreeError::Unreadable { at, fault })?;
        let size = devtree::total_size(&header)?;
        Ok(Self::Loaded { mapping: map(size as u64)?, start: at })
    }

    /// The blob, unchecked.
    pub fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: the blob's memory is mapped as long as `self` lives, which the slice borrows. Nobody writes it: it is
            // mapped read-only here, reserved in the memory map, and no guest runs yet.
            Self::Loaded { mapping, .. } => unsafe {
                core::slice::from_raw_parts(mapping.as_ptr().as_ptr(), mapping.bytes() as usize)
            },
            Self::BuiltIn(bytes) => bytes,
        }
    }

    /// Checks the blob.
    ///
    /// # Errors
    ///
    /// [`TreeError::Blob`].
    pub fn check(&self) -> Result<Blob<'_>, TreeError> {
        Ok(Blob::check(self.bytes())?)
    }

    /// Where the blob lies, if it is memory of its own.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Loaded { mapping, start } => Span::sized(*start, mapping.bytes()),
            Self::BuiltIn(_) => None,
        }
    }
}

/// Reads the header of what may be a device tree, and may be no memory at all.
fn read_header(mapping: &Mapping<'_>) -> Result<[u8; devtree::HEADER_SIZE], Fault> {
    let header = mapping.as_ptr().cast::<[u8; devtree::HEADER_SIZE]>();
    let read = || {
        // SAFETY: the header's bytes are mapped; any are valid.
        let bytes = unsafe { header.read_volatile() };
        // An external abort may come late, as an SError: have it now.
        aarch64_cpu::asm::barrier::dsb(aarch64_cpu::asm::barrier::SY);
        bytes
    };
    // SAFETY: the closure owns nothing, and leaves nothing half done if the load faults: the mapping is read-only.
    unsafe { fixup::catch(read) }
}
