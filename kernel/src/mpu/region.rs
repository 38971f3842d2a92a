//! Regions: ranges of addresses that can be used in one way.

use super::handles::List;
use crate::arch::pmsa::RegionIdx;
use crate::base::addr::Span;
use crate::base::attributes::Attributes;
use core::fmt;

/// What a region is for, and with that whether it can ever go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// The image: locked.
    Boot,
    /// Memory that EL2 took for good, such as its heap: locked.
    Heap,
    /// What somebody has mapped: there as long as it is held.
    Dynamic,
}

/// A range of addresses that can be used in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub(super) span: Span,
    pub(super) attributes: Attributes,
    pub(super) kind: RegionKind,
    /// Mappings of the region or parts of it. Never empty for a dynamic region.
    pub(super) list: List,
    /// Where it is in the MPU, alone or with its neighbours.
    pub(super) slot: RegionIdx,
}

impl Region {
    /// The addresses.
    pub const fn span(&self) -> Span {
        self.span
    }

    /// What they may be used for.
    pub const fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// What the region is for.
    pub const fn kind(&self) -> RegionKind {
        self.kind
    }

    /// The slot that it is in.
    pub const fn slot(&self) -> RegionIdx {
        self.slot
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RegionKind::Boot => "the image's region",
            RegionKind::Heap => "EL2's own region",
            RegionKind::Dynamic => "region",
        };
        write!(f, "{kind} {} ({})", self.span, self.attributes)
    }
}
