//! The registers of one MPU region as numbers: PMSAv8-64 at EL2.
//!
//! The formats are those of DDI 0600 (Armv8-R AArch64 supplement), "PRBAR_EL2" and "PRLAR_EL2" in G1.3. Encoding takes
//! [`Attributes`], so a region that is writable and executable, or executable device memory, cannot come out of it.

use crate::base::addr::{PhysAddr, Span};
use crate::base::attributes::{Access, Attributes, MemoryType};
use crate::base::mair::{attr_index, memory_type};
use core::fmt;

/// Regions begin and end at multiples of this many bytes.
pub const GRANULE: u64 = 64;

/// Width of the addresses that a region can hold.
pub const ADDRESS_BITS: u32 = 48;

/// Bits 47:6 of either register: base, and inclusive limit. Bits 63:48 are RES0.
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - GRANULE;

/// PRBAR bits 1:0, XN: 0b10 never executed, 0b00 executed if it can be read.
const NEVER_EXECUTED: u64 = 0b10;
const EXECUTE_MASK: u64 = 0b11;
/// PRBAR bits 3:2, AP: 0b00 read-write, 0b10 read-only, both for EL2 alone. (0b01 and 0b11 let EL1 and EL0 in.)
const READ_ONLY: u64 = 0b10 << 2;
const ACCESS_MASK: u64 = 0b11 << 2;
/// PRBAR bits 5:4, SH. What is not cacheable is outer shareable whatever they say; so they say it.
const OUTER_SHAREABLE: u64 = 0b10 << 4;
const INNER_SHAREABLE: u64 = 0b11 << 4;

/// PRLAR bit 0, EN: the region takes part.
const ENABLED: u64 = 1 << 0;
/// PRLAR bits 3:1, AttrIndx: a byte of MAIR_EL2.
const ATTR_INDEX_SHIFT: u32 = 1;
const ATTR_INDEX_MASK: u64 = 0b111 << ATTR_INDEX_SHIFT;

// PRLAR bit 4, NS, stays 0: an Armv8-R64 CPU has only Secure state.

/// PRBAR_EL2: where a region begins, who may do what there, and shareability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Prbar(u64);

impl Prbar {
    /// For a disabled slot: the highest base there is. An address is in a slot if it is neither below the base nor above
    /// the limit (DDI 0600, C1.1), so with any limit but the highest such a slot has no address, enabled or not.
    pub const PARKED: Self = Self(ADDRESS_MASK);

    /// A region from the granule that contains `base` on. Address bits from 48 on are dropped.
    pub const fn new(base: PhysAddr, attributes: Attributes) -> Self {
        let access = match attributes.access() {
            Access::ReadWrite => NEVER_EXECUTED,
            Access::ReadOnly => READ_ONLY | NEVER_EXECUTED,
            Access::ReadExecute => READ_ONLY,
        };
        let shareability = match attributes.memory() {
            MemoryType::Normal => INNER_SHAREABLE,
            MemoryType::NonCacheable | MemoryType::Device => OUTER_SHAREABLE,
        };
        Self(base.get() & ADDRESS_MASK | shareability | access)
    }

    /// The register with the bits `raw`, as read.
    pub const fn from_bits(raw: u64) -> Self {
        Self(raw)
    }

    /// The bits, as written.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The region's first byte.
    pub const fn base(self) -> PhysAddr {
        PhysAddr::new(self.0 & ADDRESS_MASK)
    }

    /// The accesses allowed, or `None` for bits that [`Self::new`] never sets.
    pub const fn access(self) -> Option<Access> {
        match (self.0 & ACCESS_MASK, self.0 & EXECUTE_MASK) {
            (0, NEVER_EXECUTED) => Some(Access::ReadWrite),
            (READ_ONLY, NEVER_EXECUTED) => Some(Access::ReadOnly),
            (READ_ONLY, 0) => Some(Access::ReadExecute),
            _ => None,
        }
    }
}

/// PRLAR_EL2: where a region ends, its memory type, and whether it takes part at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Prlar(u64);

impl Prlar {
    /// A region that takes no part.
    pub const DISABLED: Self = Self(0);

    /// An enabled region up to the granule before `end`, a multiple of [`GRANULE`] from 64 to 2^48.
    ///
    /// The register holds the last granule, because 2^48 itself would not fit: the one inclusive limit there is.
    pub const fn new(end: PhysAddr, memory: MemoryType) -> Self {
        let last = end.get().wrapping_sub(GRANULE) & ADDRESS_MASK;
        Self(last | attr_index(memory) << ATTR_INDEX_SHIFT | ENABLED)
    }

    /// The register with the bits `raw`, as read.
    pub const fn from_bits(raw: u64) -> Self {
        Self(raw)
    }

    /// The bits, as written.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the region takes part.
    pub const fn is_enabled(self) -> bool {
        self.0 & ENABLED != 0
    }

    /// The first byte after the region.
    pub const fn end(self) -> PhysAddr {
        PhysAddr::new((self.0 & ADDRESS_MASK) + GRANULE)
    }

    /// The memory type, or `None` for an index that MAIR_EL2 does not use.
    pub const fn memory(self) -> Option<MemoryType> {
        memory_type((self.0 & ATTR_INDEX_MASK) >> ATTR_INDEX_SHIFT)
    }
}

/// What the two registers of a region say together, or `None` if it is disabled, or says what is never written.
pub fn decode(base: Prbar, limit: Prlar) -> Option<(Span, Attributes)> {
    let attributes = Attributes::new(limit.memory()?, base.access()?).ok()?;
    limit.is_enabled().then_some((Span { start: base.base(), end: limit.end() }, attributes))
}

/// The number of a slot: 0 to 254.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct RegionIdx(u8);

impl RegionIdx {
    /// Slot number `raw`.
    pub const fn new(raw: u8) -> Self {
        Self(raw)
    }

    /// The number, as PRSELR_EL2.REGION takes it.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for RegionIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The register file of an MPU.
///
/// A write takes effect at any time from when it is made, for certain after [`synchronise`](Self::synchronise), and
/// two writes in either order until then.
pub trait RegionRegisters {
    /// How many slots there are: MPUIR_EL2.REGION. Always the same.
    fn count(&self) -> u8;

    /// Writes the PRBAR of `slot`, which is below [`count`](Self::count).
    fn write_base(&mut self, slot: RegionIdx, base: Prbar);

    /// Writes the PRLAR of `slot`, which is below [`count`](Self::count), and with it enables or disables the slot:
    /// any slot alike, where PRENR_EL2 knows only those below 32.
    fn write_limit(&mut self, slot: RegionIdx, limit: Prlar);

    /// Makes earlier writes take effect for every later access: DSB SY, ISB.
    ///
    /// PMSAv8-64 guarantees a change only after a DSB and then a context synchronisation event (DDI 0600, C1.7.1).
    fn synchronise(&mut self);
}

#[cfg(test)]
mod tests {
    use super::{GRANULE, Prbar, Prlar, decode};
    use crate::base::addr::{PhysAddr, Span};
    use crate::base::attributes::{Access, Attributes, MemoryType};

    fn pa(raw: u64) -> PhysAddr {
        PhysAddr::new(raw)
    }

    /// Bits written out by hand from DDI 0600, G1.3; those of PRBAR are the ones that Xen boots with.
    #[test]
    fn regions_have_the_architectures_bits() {
        let prbar = |attributes| Prbar::new(pa(0), attributes).bits();
        assert_eq!(prbar(Attributes::CODE), 0x38);
        assert_eq!(prbar(Attributes::CONSTANTS), 0x3a);
        assert_eq!(prbar(Attributes::DATA), 0x32);
        assert_eq!(prbar(Attributes::DEVICE), 0x22);
        let at = Prbar::new(pa(0x9c09_0040), Attributes::DEVICE);
        assert_eq!(at.bits(), 0x9c09_0062);
        assert_eq!(Prlar::new(pa(0x9c09_1000), MemoryType::Device).bits(), 0x9c09_0fc5);
        assert_eq!(Prlar::new(pa(0x8000_0000), MemoryType::Normal).bits(), 0x7fff_ffc1);
        assert_eq!(Prlar::new(pa(64), MemoryType::NonCacheable).bits(), 0x03);
        assert!(!Prlar::DISABLED.is_enabled());
    }

    #[test]
    fn a_region_at_4_tib_and_above_keeps_its_address() {
        for bit in 6..48 {
            for (start, end) in [(1 << bit, (1 << bit) + GRANULE), ((1 << bit) - GRANULE, 1 << bit), (0, 2 << bit)] {
                let (base, limit) = (Prbar::new(pa(start), Attributes::DATA), Prlar::new(pa(end), MemoryType::Normal));
                let span = Span { start: pa(start), end: pa(end) };
                assert_eq!(decode(base, limit), Some((span, Attributes::DATA)));
                assert_eq!((base.bits() | limit.bits()) >> 48, 0, "bits 63:48 are RES0");
            }
        }
    }

    #[test]
    fn attributes_survive_encoding() {
        for memory in [MemoryType::Normal, MemoryType::NonCacheable, MemoryType::Device] {
            for access in [Access::ReadWrite, Access::ReadOnly, Access::ReadExecute] {
                let Ok(attributes) = Attributes::new(memory, access) else { continue };
                let (base, limit) = (Prbar::new(pa(0), attributes), Prlar::new(pa(1 << 48), memory));
                assert_eq!(decode(base, limit).map(|(_, attributes)| attributes), Some(attributes));
            }
        }
    }

    #[test]
    fn a_writable_executable_region_means_nothing() {
        let limit = Prlar::new(pa(0x1000), MemoryType::Normal);
        assert_eq!(decode(Prbar::from_bits(0x30), limit), None);
        assert_eq!(decode(Prbar::from_bits(0x32), Prlar::from_bits(limit.bits() | 0b1110)), None);
    }
}
