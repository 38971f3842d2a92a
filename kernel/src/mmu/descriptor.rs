//! Translation table descriptors as numbers: VMSAv8-64, 4 KiB granule, 48-bit addresses, the EL2 regime with one
//! privilege level (HCR_EL2.E2H = 0).
//!
//! The formats are those of DDI 0487, D8.3 "Translation table descriptor formats". Encoding takes [`Attributes`], so a
//! descriptor that is writable and executable, or executable device memory, cannot come out of it.

use crate::base::addr::{PAGE_SHIFT, PhysAddr};
use crate::base::attributes::{Access, Attributes, MemoryType};
use crate::base::mair::{attr_index, memory_type};

/// Entries of a translation table: 4 KiB of 8-byte descriptors.
pub const ENTRIES: u64 = 512;

/// A translation table as memory.
pub type Table = [u64; ENTRIES as usize];

/// Neighbouring entries that one contiguous hint joins (4 KiB granule, levels 2 and 3; DDI 0487, D8 "The Contiguous
/// bit").
pub const RUN: u64 = 16;

/// Bits of a virtual address that one level resolves.
const LEVEL_BITS: u32 = 9;

/// Width of input and output addresses: four levels of 9 bits above the page offset.
pub const ADDRESS_BITS: u32 = 4 * LEVEL_BITS + PAGE_SHIFT;

/// A lookup level. Leaves exist at levels 1 (1 GiB), 2 (2 MiB) and 3 (4 KiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// The root table: one entry is 512 GiB, always a table (a block here needs FEAT_LPA2).
    L0,
    /// One entry is 1 GiB.
    L1,
    /// One entry is 2 MiB.
    L2,
    /// One entry is a page of 4 KiB.
    L3,
}

impl Level {
    /// log2 of the bytes that one entry translates.
    pub const fn shift(self) -> u32 {
        PAGE_SHIFT + LEVEL_BITS * (3 - self as u32)
    }

    /// Bytes that one entry translates.
    pub const fn size(self) -> u64 {
        1 << self.shift()
    }

    /// Bytes from the start of what one entry translates up to the address or size `bytes`.
    pub const fn offset(self, bytes: u64) -> u64 {
        bytes & (self.size() - 1)
    }

    /// The level below, or `None` below level 3.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::L0 => Some(Self::L1),
            Self::L1 => Some(Self::L2),
            Self::L2 => Some(Self::L3),
            Self::L3 => None,
        }
    }

    /// The level of the largest leaf that fits a virtual and a physical address and the bytes left.
    pub const fn of_leaf(va: u64, pa: u64, left: u64) -> Self {
        if left < Self::L2.size() || Self::L2.offset(va | pa) != 0 {
            Self::L3
        } else if left < Self::L1.size() || Self::L1.offset(va | pa) != 0 {
            Self::L2
        } else {
            Self::L1
        }
    }

    /// The level above, or `None` above the root.
    pub const fn up(self) -> Option<Self> {
        match self {
            Self::L0 => None,
            Self::L1 => Some(Self::L0),
            Self::L2 => Some(Self::L1),
            Self::L3 => Some(Self::L2),
        }
    }

    /// Whether the contiguous hint is used at this level. At level 1 it would join 16 GiB, which nothing here maps at
    /// once.
    pub const fn takes_hint(self) -> bool {
        matches!(self, Self::L2 | Self::L3)
    }

    /// The entry for address `va` in a table of this level; the bits above the low 9 belong to the levels above.
    pub const fn index(self, va: u64) -> u64 {
        va >> self.shift() & (ENTRIES - 1)
    }
}

// D8.3 "VMSAv8-64 descriptor formats", stage 1. Bits not named here stay 0: NS (ignored outside Secure state), nG
// (there is no ASID), GP, DBM, PXN (RES0 with one privilege level) and PBHA.
/// Bit 0: the entry translates something.
const VALID: u64 = 1 << 0;
/// Bit 1 of a valid entry: a table above level 3, a page at level 3; clear for a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bits 4:2 of a leaf, AttrIndx.
const ATTR_INDEX_SHIFT: u32 = 2;
const ATTR_INDEX_MASK: u64 = 0b111 << ATTR_INDEX_SHIFT;
/// Bit 6 of a leaf, AP\[1\]: RES1 in a regime with one privilege level.
const AP1: u64 = 1 << 6;
/// Bit 7 of a leaf, AP\[2\]: no writes.
const READ_ONLY: u64 = 1 << 7;
/// Bits 9:8 of a leaf, SH. What is not cacheable is outer shareable whatever they say; so they say it.
const OUTER_SHAREABLE: u64 = 0b10 << 8;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Bit 10 of a leaf: the access flag, set from the start so that no access takes an Access flag fault.
const ACCESSED: u64 = 1 << 10;
/// Bit 52 of a leaf: one of [`RUN`] entries that may share a TLB entry.
const CONTIGUOUS: u64 = 1 << 52;
/// Bit 54 of a leaf: XN, never executed.
const EXECUTE_NEVER: u64 = 1 << 54;
/// Bits 47:12, the output address or the next table; a block has zeros in its low ones.
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - (1 << PAGE_SHIFT);

/// Bits 11:2 of a *table* descriptor are IGNORED by hardware (bit 10 too, as long as TCR2_EL2.HAFT stays 0); software
/// may change them in a live entry without break-before-make. They hold how many valid entries the table has, 1 to
/// 512.
const COUNT_SHIFT: u32 = 2;
const COUNT_MASK: u64 = 0x3ff << COUNT_SHIFT;

/// One entry of a translation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Descriptor(u64);

impl Descriptor {
    /// Translates nothing.
    pub const INVALID: Self = Self(0);

    /// The descriptor with the bits `raw`, as read from a table.
    pub const fn from_bits(raw: u64) -> Self {
        Self(raw)
    }

    /// The bits, as written to a table.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A leaf of `level` for the output address `pa`, without contiguous hint. Address bits below the size of the leaf
    /// are dropped; level 0, which has no leaves, gives [`Self::INVALID`].
    pub const fn leaf(level: Level, pa: PhysAddr, attributes: Attributes) -> Self {
        let kind = match level {
            Level::L0 => return Self::INVALID,
            Level::L1 | Level::L2 => VALID,
            Level::L3 => VALID | TABLE_OR_PAGE,
        };
        let address = pa.get() & ADDRESS_MASK & !(level.size() - 1);
        Self(address | kind | leaf_bits(attributes))
    }

    /// A table descriptor for the table at `table`, of which `count` entries are valid.
    pub const fn table(table: PhysAddr, count: u64) -> Self {
        Self(table.get() & ADDRESS_MASK | count << COUNT_SHIFT & COUNT_MASK | TABLE_OR_PAGE | VALID)
    }

    /// Whether the entry translates anything.
    pub const fn is_valid(self) -> bool {
        self.0 & VALID != 0
    }

    /// Whether the entry, found at `level`, leads to a table of the next level.
    pub const fn is_table(self, level: Level) -> bool {
        !matches!(level, Level::L3) && self.0 & (TABLE_OR_PAGE | VALID) == TABLE_OR_PAGE | VALID
    }

    /// Output address of a leaf, or address of the next table.
    pub const fn address(self) -> PhysAddr {
        PhysAddr::new(self.0 & ADDRESS_MASK)
    }

    /// The valid entries of the table that this table descriptor leads to.
    pub const fn count(self) -> u64 {
        (self.0 & COUNT_MASK) >> COUNT_SHIFT
    }

    /// The table descriptor with `added` more valid entries counted, [`ENTRIES`] at most in all.
    pub const fn counting_up(self, added: u64) -> Self {
        Self(self.0 + (added << COUNT_SHIFT))
    }

    /// The table descriptor with `removed` fewer valid entries counted, which it has.
    pub const fn counting_down(self, removed: u64) -> Self {
        Self(self.0 - (removed << COUNT_SHIFT))
    }

    /// The leaf with its contiguous hint set.
    pub const fn with_hint(self) -> Self {
        Self(self.0 | CONTIGUOUS)
    }

    /// The leaf with its contiguous hint clear.
    pub const fn without_hint(self) -> Self {
        Self(self.0 & !CONTIGUOUS)
    }

    /// Whether the leaf has the contiguous hint.
    pub const fn is_contiguous(self) -> bool {
        self.0 & CONTIGUOUS != 0
    }

    /// The leaf, of the same size and hint, for an output address `bytes` further up.
    pub const fn advanced(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The first of the leaves of the level `below` that together translate what this block does, without hint.
    pub const fn first_part(self, below: Level) -> Self {
        let kind = if matches!(below, Level::L3) { TABLE_OR_PAGE } else { 0 };
        Self(self.0 & !CONTIGUOUS | kind)
    }

    /// The leaf with the memory type and access of `attributes` in place of its own.
    pub const fn with_attributes(self, attributes: Attributes) -> Self {
        const OWN: u64 = ATTR_INDEX_MASK | AP1 | READ_ONLY | INNER_SHAREABLE | ACCESSED | EXECUTE_NEVER;
        Self(self.0 & !OWN | leaf_bits(attributes))
    }

    /// What the leaf allows, or `None` for bits that [`Self::leaf`] never sets.
    pub const fn attributes(self) -> Option<Attributes> {
        let Some(memory) = memory_type((self.0 & ATTR_INDEX_MASK) >> ATTR_INDEX_SHIFT) else { return None };
        let access = match (self.0 & READ_ONLY != 0, self.0 & EXECUTE_NEVER != 0) {
            (false, true) => Access::ReadWrite,
            (true, true) => Access::ReadOnly,
            (true, false) => Access::ReadExecute,
            (false, false) => return None,
        };
        match Attributes::new(memory, access) {
            Ok(attributes) => Some(attributes),
            Err(_) => None,
        }
    }
}

/// The bits of a leaf that come from its attributes.
const fn leaf_bits(attributes: Attributes) -> u64 {
    let shareability = match attributes.memory() {
        MemoryType::Normal => INNER_SHAREABLE,
        MemoryType::NonCacheable | MemoryType::Device => OUTER_SHAREABLE,
    };
    let access = match attributes.access() {
        Access::ReadWrite => EXECUTE_NEVER,
        Access::ReadOnly => READ_ONLY | EXECUTE_NEVER,
        Access::ReadExecute => READ_ONLY,
    };
    attr_index(attributes.memory()) << ATTR_INDEX_SHIFT | AP1 | shareability | ACCESSED | access
}

#[cfg(test)]
mod tests {
    use super::{Descriptor, Level};
    use crate::base::addr::PhysAddr;
    use crate::base::attributes::{Access, Attributes, MemoryType};

    const PA: PhysAddr = PhysAddr::new(0xabcd_c000_0000);

    /// Bits written out by hand from DDI 0487, D8.3.
    #[test]
    fn leaves_have_the_architectures_bits() {
        let bits = |level, attributes| Descriptor::leaf(level, PA, attributes).bits();
        assert_eq!(bits(Level::L3, Attributes::DATA), 0x0040_abcd_c000_0743);
        assert_eq!(bits(Level::L2, Attributes::CONSTANTS), 0x0040_abcd_c000_07c1);
        assert_eq!(bits(Level::L1, Attributes::CODE), 0x0000_abcd_c000_07c1);
        assert_eq!(bits(Level::L3, Attributes::DEVICE), 0x0040_abcd_c000_064b);
        assert_eq!(Descriptor::leaf(Level::L2, PA, Attributes::DATA).with_hint().bits(), 0x0050_abcd_c000_0741);
    }

    #[test]
    fn attributes_survive_encoding_at_every_level() {
        for memory in [MemoryType::Normal, MemoryType::NonCacheable, MemoryType::Device] {
            for access in [Access::ReadWrite, Access::ReadOnly, Access::ReadExecute] {
                let Ok(attributes) = Attributes::new(memory, access) else {
                    continue;
                };
                for level in [Level::L1, Level::L2, Level::L3] {
                    let leaf = Descriptor::leaf(level, PA, attributes).with_hint();
                    assert_eq!(leaf.attributes(), Some(attributes));
                    assert_eq!((leaf.address(), leaf.is_contiguous(), leaf.is_table(level)), (PA, true, false));
                    let other = Descriptor::leaf(level, PA, Attributes::CODE).with_hint();
                    assert_eq!(other.with_attributes(attributes), leaf);
                }
            }
        }
    }

    #[test]
    fn a_writable_executable_descriptor_means_nothing() {
        let code = Descriptor::leaf(Level::L3, PA, Attributes::CODE);
        assert_eq!(Descriptor::from_bits(code.bits() & !(1 << 7)).attributes(), None);
    }

    #[test]
    fn a_table_descriptor_counts_up_to_a_full_table() {
        for count in [1, 511, 512] {
            let table = Descriptor::table(PA, count);
            assert_eq!((table.address(), table.count(), table.is_table(Level::L2)), (PA, count, true));
            assert_eq!(table.bits() >> 48, 0);
            assert_eq!(Descriptor::table(PA, 0).counting_up(count), table);
            assert_eq!(table.counting_down(count), Descriptor::table(PA, 0));
        }
        assert!(!Descriptor::table(PA, 1).is_table(Level::L3));
    }
}
