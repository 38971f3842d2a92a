//! Memory that has an owner, and the owner.

use crate::base::addr::Span;
use alloc::string::String;
use core::fmt;

/// Who a range of physical memory belongs to. Prints as it should stand in a message: `module /chosen/domU1/module@50000000`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// The hypervisor's own image. The device tree does not know it; whoever knows where the image runs adds it.
    Image,
    /// The device tree blob. Added by whoever knows where the blob lies.
    DeviceTree,
    /// `linux,initrd-start` and `linux,initrd-end` of `/chosen`.
    Initrd,
    /// A boot module, with the path of its node.
    Module(String),
    /// Host memory given to one guest by `xen,static-mem`, with the path of the guest's node.
    StaticMem(String),
    /// Host memory that guests are to share, with the path of its `xen,domain-shared-memory-v1` node.
    SharedMem(String),
    /// A child of `/reserved-memory`.
    ReservedMemory {
        /// Path of the node.
        node: String,
        /// Whether the range may be mapped at all.
        mapping: MapPermission,
    },
    /// An entry of the blob's memory reservation block (`/memreserve/`), counted from 0.
    MemReserve(usize),
    /// Frame 0, which is never handed out so that address 0 can stay unmapped.
    FrameZero,
}

/// What `/reserved-memory` allows to be done with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapPermission {
    /// The range may be mapped.
    Allowed,
    /// `no-map`: the range must not be mapped, not even for speculation.
    Forbidden,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image => f.write_str("image"),
            Self::DeviceTree => f.write_str("device tree"),
            Self::Initrd => f.write_str("initrd"),
            Self::Module(node) => write!(f, "module {node}"),
            Self::StaticMem(node) => write!(f, "xen,static-mem of {node}"),
            Self::SharedMem(node) => write!(f, "shared memory {node}"),
            Self::ReservedMemory { node, mapping: MapPermission::Allowed } => write!(f, "reserved-memory {node}"),
            Self::ReservedMemory { node, mapping: MapPermission::Forbidden } => {
                write!(f, "reserved-memory (no-map) {node}")
            }
            Self::MemReserve(entry) => write!(f, "memreserve entry {entry}"),
            Self::FrameZero => f.write_str("frame 0"),
        }
    }
}

/// A range of physical memory and its owner. Prints as `initrd [0x48000000, 0x49000000)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Whose the range is.
    pub owner: Owner,
    /// The range, to the byte.
    pub span: Span,
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.owner, self.span)
    }
}
