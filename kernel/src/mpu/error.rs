//! Why the region table refuses.

use super::region::Region;
use crate::arch::pmsa::ADDRESS_BITS;
use crate::base::addr::{PhysAddr, Span};
use crate::base::attributes::Attributes;

/// Why an operation on the region table was refused. Neither table nor registers have changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// No bytes.
    #[error("the range at {at} is empty")]
    Empty {
        /// Start of the range.
        at: PhysAddr,
    },
    /// The range is not one of whole pages, or at boot of whole granules.
    #[error("{span} does not begin and end at multiples of {align} bytes")]
    Misaligned {
        /// The range.
        span: Span,
        /// What its ends should be multiples of: a page, or a granule.
        align: u64,
    },
    /// The range leaves the address space.
    #[error("{span} reaches past the {ADDRESS_BITS}-bit address space")]
    OutsideAddressSpace {
        /// The range.
        span: Span,
    },
    /// The range is partly inside a region.
    #[error("{span} overlaps {region}")]
    Overlap {
        /// The range.
        span: Span,
        /// The first region that it overlaps.
        region: Region,
    },
    /// The range is another type of memory in its region.
    #[error("{span} cannot be mapped as {} memory: it is {} memory in {region}", wanted.memory(), region.attributes.memory())]
    MemoryType {
        /// The range.
        span: Span,
        /// What was asked for.
        wanted: Attributes,
        /// The region that it is or lies in.
        region: Region,
    },
    /// The range has other permissions in its region.
    #[error("{span} cannot be mapped {}: it is {} in {region}", wanted.access(), region.attributes.access())]
    Access {
        /// The range.
        span: Span,
        /// What was asked for.
        wanted: Attributes,
        /// The region that it is or lies in.
        region: Region,
    },
    /// There are too few slots.
    #[error(
        "{wanted} more MPU region is needed, and of the {max} that this CPU has {used} are in use or kept for parting \
         those that share one"
    )]
    Exhausted {
        /// Slots in use, or that releases may come to need.
        used: usize,
        /// Slots in all.
        max: usize,
        /// Slots that the operation needs beyond those used.
        wanted: usize,
    },
    /// There is no memory left to remember another handle in.
    #[error("{handles} ranges are mapped, and there is no room to remember another")]
    NoRecords {
        /// How many there are.
        handles: usize,
    },
    /// There is no region.
    #[error("nothing is mapped at {at}")]
    NotMapped {
        /// The address.
        at: PhysAddr,
    },
    /// There is a region, but no mapping that could be ended.
    #[error("no mapping to end begins at {at}, which lies in {region}")]
    NotHeld {
        /// The address.
        at: PhysAddr,
        /// The region.
        region: Region,
    },
    /// The page at the address is partly inside a region.
    #[error("no mapping to end begins at {at}: the page there is only in part in {region}")]
    Straddles {
        /// The address.
        at: PhysAddr,
        /// The region.
        region: Region,
    },
    /// The operation is for a whole region.
    #[error("{span} is only a part of {region}, whose access can change only as a whole")]
    Partial {
        /// The range.
        span: Span,
        /// The region.
        region: Region,
    },
    /// The operation is for a region that one alone has mapped.
    #[error("{region} is mapped {handles} times, and its access can change only for all at once")]
    Shared {
        /// The region.
        region: Region,
        /// How many mappings of it, or of parts of it, live.
        handles: usize,
    },
    /// The operation is not for what EL2 always needs.
    #[error("{region} is locked")]
    Locked {
        /// The region.
        region: Region,
    },
    /// More regions at boot than the list for them holds.
    #[error("{span} is one region too many at boot: {max} are remembered")]
    TooManyAtBoot {
        /// The range.
        span: Span,
        /// How many there can be.
        max: usize,
    },
}
