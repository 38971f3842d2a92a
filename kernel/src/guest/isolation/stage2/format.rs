//! Stage 2 descriptors and the registers that lead to them, as numbers: VMSAv8-64, 4 KiB granule, FEAT_S2FWB not used
//! (HCR_EL2.FWB = 0).
//!
//! A guest's addresses have at most 40 bits, so the walk starts at level 1: one table resolves 39 bits, and stage 2 may
//! put up to 16 of them side by side for four bits more (DDI 0487, D8 "Concatenated translation tables"). That is a
//! level and a table less than a walk from level 0, which CPUs with 42 bits of physical address and fewer do not have.
//!
//! Levels and the contiguous hint are those of [`crate::mmu::descriptor`]; only the bits of a leaf differ.

use crate::base::addr::{PAGE_SHIFT, PhysAddr};
use crate::base::id::DomainId;
use crate::guest::memory::extent::ExtentKind;
use crate::mmu::descriptor::{ADDRESS_BITS, ENTRIES, Level};

/// The widest guest address that is used, in bits.
///
/// More would let a guest have RAM above 1 TiB, and its root take more tables.
pub const MAX_IPA_BITS: u32 = 40;

/// Where the walk starts.
pub const START_LEVEL: Level = Level::L1;

// D8.3 "VMSAv8-64 descriptor formats", stage 2. Bits not named here stay 0: FnXS, DBM, XN[0] (with FEAT_XNX it would tell
// EL1 from EL0), PBHA and what is left to software.
/// Bit 0: the entry translates something.
const VALID: u64 = 1 << 0;
/// Bit 1 of a valid entry: a table above level 3, a page at level 3; clear for a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bits 5:2 of a leaf, MemAttr: Normal, outer and inner write-back cacheable.
const NORMAL_WRITE_BACK: u64 = 0b1111 << 2;
/// Device-nGnRE.
const DEVICE_NGNRE: u64 = 0b0001 << 2;
/// Bits 7:6 of a leaf, S2AP.
const READ_ONLY: u64 = 0b01 << 6;
const READ_WRITE: u64 = 0b11 << 6;
/// Bits 9:8 of a leaf, SH. Device memory is outer shareable whatever they say; so they say it.
const OUTER_SHAREABLE: u64 = 0b10 << 8;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Bit 10 of a leaf: the access flag, set from the start so that no access takes an Access flag fault.
const ACCESSED: u64 = 1 << 10;
/// Bit 52 of a leaf: one of 16 entries that may share a TLB entry.
const CONTIGUOUS: u64 = 1 << 52;
/// Bits 54:53 of a leaf, XN: executed neither at EL1 nor at EL0, with FEAT_XNX and without.
const EXECUTE_NEVER: u64 = 0b10 << 53;
/// Bits 47:12, the output address or the next table.
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - (1 << PAGE_SHIFT);

impl ExtentKind {
    /// The bits of a leaf that come from its kind.
    const fn bits(self) -> u64 {
        ACCESSED
            | match self {
                Self::Ram => NORMAL_WRITE_BACK | READ_WRITE | INNER_SHAREABLE,
                Self::Rom => NORMAL_WRITE_BACK | READ_ONLY | INNER_SHAREABLE,
                Self::Device => DEVICE_NGNRE | READ_WRITE | OUTER_SHAREABLE | EXECUTE_NEVER,
            }
    }
}

/// One entry of a stage 2 translation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Stage2Descriptor(u64);

impl Stage2Descriptor {
    /// The descriptor with the bits `raw`, as read from a table.
    pub const fn from_bits(raw: u64) -> Self {
        Self(raw)
    }

    /// The bits, as written to a table.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A leaf of `level`, 1 to 3, for the output address `pa`, without contiguous hint. Address bits below the size of the
    /// leaf are dropped.
    pub const fn leaf(level: Level, pa: PhysAddr, kind: ExtentKind) -> Self {
        let shape = match level {
            Level::L0 | Level::L1 | Level::L2 => VALID,
            Level::L3 => VALID | TABLE_OR_PAGE,
        };
        Self(pa.get() & ADDRESS_MASK & !(level.size() - 1) | shape | kind.bits())
    }

    /// A table descriptor for the table at `table`.
    pub const fn table(table: PhysAddr) -> Self {
        Self(table.get() & ADDRESS_MASK | TABLE_OR_PAGE | VALID)
    }

    /// The leaf with its contiguous hint set.
    pub const fn with_hint(self) -> Self {
        Self(self.0 | CONTIGUOUS)
    }

    /// Whether the leaf has the contiguous hint.
    pub const fn is_contiguous(self) -> bool {
        self.0 & CONTIGUOUS != 0
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

    /// What the leaf leads to, or `None` for bits that [`Self::leaf`] never sets.
    pub fn kind(self) -> Option<ExtentKind> {
        const OWN: u64 = NORMAL_WRITE_BACK | READ_WRITE | INNER_SHAREABLE | ACCESSED | 0b11 << 53;
        [ExtentKind::Ram, ExtentKind::Rom, ExtentKind::Device].into_iter().find(|kind| kind.bits() == self.0 & OWN)
    }
}

/// The number by which TLBs tell one guest's translations from another's: 8 bits, or 16 (ID_AA64MMFR1_EL1.VMIDBits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Vmid(u16);

impl Vmid {
    /// The identifier of a domain, on CPUs with `bits` bits of it; `None` if there are too few. A domain keeps its number, so
    /// it keeps its identifier. 0 is nobody's: it stands in VTTBR_EL2 while no guest has the CPU.
    pub fn of(domain: DomainId, bits: u32) -> Option<Self> {
        let vmid = domain.index() as u64 + 1;
        (vmid >> bits == 0).then_some(Self(vmid as u16))
    }

    /// The identifier as a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// How wide a guest's addresses are, and what follows: the value of VTCR_EL2 and the size of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    physical_bits: u32,
    /// VTCR_EL2.VS, in its place.
    vmid_size: u64,
}

/// VTCR_EL2 (DDI 0487, D24.2 "VTCR_EL2"): bit 31 is RES1; SL0, bits 7:6, is 0b01 for a start at level 1; TG0, bits 15:14,
/// is 0 for 4 KiB. Walks by hardware look into the caches as EL2's do.
const VTCR_FIXED: u64 = 1 << 31 | VTCR_SH0_INNER | VTCR_ORGN0_WRITE_BACK | VTCR_IRGN0_WRITE_BACK | VTCR_SL0_LEVEL_1;
const VTCR_SH0_INNER: u64 = 0b11 << 12;
const VTCR_ORGN0_WRITE_BACK: u64 = 0b01 << 10;
const VTCR_IRGN0_WRITE_BACK: u64 = 0b01 << 8;
const VTCR_SL0_LEVEL_1: u64 = 0b01 << 6;
/// VS: VMIDs have 16 bits, not 8.
const VTCR_VS: u64 = 1 << 19;
/// PS, the width of output addresses.
const VTCR_PS_SHIFT: u32 = 16;

/// Bits that ID_AA64MMFR0_EL1.PARange and VTCR_EL2.PS stand for, in the order of their encoding, as far as descriptors
/// reach.
const PHYSICAL_BITS: [u32; 6] = [32, 36, 40, 42, 44, 48];

/// Guest address bits that one table of the start level resolves.
const ROOT_TABLE_BITS: u32 = START_LEVEL.shift() + ENTRIES.ilog2();

impl Config {
    /// For a CPU that implements physical addresses of `physical_bits` bits, as ID_AA64MMFR0_EL1.PARange says; what is
    /// between two of its values counts as the lower, and what is above 48 as 48.
    ///
    /// Guest addresses may not be wider than physical ones.
    pub fn new(physical_bits: u32) -> Self {
        let fitting = PHYSICAL_BITS.into_iter().rev().find(|bits| *bits <= physical_bits);
        Self { physical_bits: fitting.unwrap_or(PHYSICAL_BITS[0]), vmid_size: 0 }
    }

    /// The same, for CPUs with VMIDs of `bits` bits, 8 or 16.
    pub fn with_vmids(self, bits: u32) -> Self {
        Self { vmid_size: if bits == 16 { VTCR_VS } else { 0 }, ..self }
    }

    /// Width of a guest address, in bits: 32, 36 or 40.
    pub const fn ipa_bits(self) -> u32 {
        if self.physical_bits < MAX_IPA_BITS { self.physical_bits } else { MAX_IPA_BITS }
    }

    /// One past the highest guest address.
    pub const fn ipa_end(self) -> u64 {
        1 << self.ipa_bits()
    }

    /// How many tables stand side by side at the start level, 1 or 2. They must lie at a multiple of their size.
    pub const fn root_tables(self) -> u64 {
        1 << self.ipa_bits().saturating_sub(ROOT_TABLE_BITS)
    }

    /// The value of VTCR_EL2.
    pub fn vtcr(self) -> u64 {
        let size = PHYSICAL_BITS.iter().position(|bits| *bits == self.physical_bits).unwrap_or(0) as u64;
        let t0sz = u64::from(64 - self.ipa_bits());
        VTCR_FIXED | self.vmid_size | size << VTCR_PS_SHIFT | t0sz
    }
}

/// The value of VTTBR_EL2: the root in BADDR, bits 47:1, and the VMID in bits 63:48. CnP, bit 0, stays 0.
pub const fn vttbr(root: PhysAddr, vmid: Vmid) -> u64 {
    const VMID_SHIFT: u32 = 48;
    root.get() & ADDRESS_MASK | (vmid.get() as u64) << VMID_SHIFT
}

#[cfg(test)]
mod tests {
    use super::{Config, Stage2Descriptor, Vmid, vttbr};
    use crate::base::addr::PhysAddr;
    use crate::base::id::DomainId;
    use crate::guest::memory::extent::ExtentKind;
    use crate::mmu::descriptor::Level;
    use aarch64_paging::descriptor::Stage2Attributes;
    use std::vec::Vec;

    const PA: PhysAddr = PhysAddr::new(0xabcd_c000_0000);

    /// Bits written out by hand from DDI 0487, D8.3.
    #[test]
    fn leaves_have_the_architectures_bits() {
        let bits = |level, kind| Stage2Descriptor::leaf(level, PA, kind).bits();
        assert_eq!(bits(Level::L3, ExtentKind::Ram), 0x0000_abcd_c000_07ff);
        assert_eq!(bits(Level::L2, ExtentKind::Ram), 0x0000_abcd_c000_07fd);
        assert_eq!(bits(Level::L1, ExtentKind::Rom), 0x0000_abcd_c000_077d);
        assert_eq!(bits(Level::L3, ExtentKind::Device), 0x0040_abcd_c000_06c7);
        assert_eq!(Stage2Descriptor::leaf(Level::L2, PA, ExtentKind::Ram).with_hint().bits(), 0x0010_abcd_c000_07fd);
        assert_eq!(Stage2Descriptor::table(PA).bits(), 0x0000_abcd_c000_0003);
    }

    #[test]
    fn the_other_library_has_the_same_names_for_the_bits() {
        let page = |kind| {
            Stage2Attributes::from_bits_retain(Stage2Descriptor::leaf(Level::L3, PhysAddr::new(0), kind).bits() as usize)
        };
        let common = Stage2Attributes::VALID | Stage2Attributes::TABLE_OR_PAGE | Stage2Attributes::ACCESS_FLAG;
        let normal = common
            | Stage2Attributes::MEMATTR_NORMAL_INNER_WB
            | Stage2Attributes::MEMATTR_NORMAL_OUTER_WB
            | Stage2Attributes::SH_INNER;
        assert_eq!(page(ExtentKind::Ram), normal | Stage2Attributes::S2AP_ACCESS_RW);
        assert_eq!(page(ExtentKind::Rom), normal | Stage2Attributes::S2AP_ACCESS_RO);
        let device = Stage2Attributes::MEMATTR_DEVICE_nGnRE | Stage2Attributes::SH_OUTER | Stage2Attributes::XN;
        assert_eq!(page(ExtentKind::Device), common | device | Stage2Attributes::S2AP_ACCESS_RW);
    }

    #[test]
    fn a_kind_survives_encoding_at_every_level() {
        for kind in [ExtentKind::Ram, ExtentKind::Rom, ExtentKind::Device] {
            for level in [Level::L1, Level::L2, Level::L3] {
                let leaf = Stage2Descriptor::leaf(level, PA, kind).with_hint();
                assert_eq!((leaf.kind(), leaf.address(), leaf.is_contiguous()), (Some(kind), PA, true));
                assert!(leaf.is_valid() && !leaf.is_table(level));
            }
        }
        assert_eq!(Stage2Descriptor::table(PA).kind(), None);
        let write_only = Stage2Descriptor::leaf(Level::L3, PA, ExtentKind::Ram).bits() & !(1 << 6);
        assert_eq!(Stage2Descriptor::from_bits(write_only).kind(), None);
    }

    /// Worked out by hand, field by field: RES1 0x8000_0000, PS << 16, SH0 0x3000, ORGN0 0x400, IRGN0 0x100, SL0 0x40,
    /// T0SZ.
    #[test]
    fn vtcr_follows_the_width_of_physical_addresses() {
        let facts = |bits| (Config::new(bits).vtcr(), Config::new(bits).ipa_bits(), Config::new(bits).root_tables());
        assert_eq!(facts(32), (0x8000_3560, 32, 1));
        assert_eq!(facts(36), (0x8001_355c, 36, 1));
        assert_eq!(facts(40), (0x8002_3558, 40, 2));
        assert_eq!(facts(42), (0x8003_3558, 40, 2));
        assert_eq!(facts(44), (0x8004_3558, 40, 2));
        assert_eq!(facts(48), (0x8005_3558, 40, 2));
    }

    #[test]
    fn widths_that_the_tables_cannot_hold_are_cut() {
        assert_eq!(Config::new(52), Config::new(48));
        assert_eq!(Config::new(56), Config::new(48));
        assert_eq!(Config::new(39), Config::new(36));
        assert_eq!(Config::new(0), Config::new(32));
    }

    #[test]
    fn vttbr_holds_root_and_vmid() {
        let value = |domain, bits| {
            Vmid::of(DomainId::new(domain), bits).map(|vmid| vttbr(PhysAddr::new(0xabcd_ef01_2000), vmid))
        };
        assert_eq!(value(0xa4, 8), Some(0x00a5_abcd_ef01_2000));
        assert_eq!(value(0xbea4, 16), Some(0xbea5_abcd_ef01_2000));
    }

    /// Two guests with one VMID would use each other's translations.
    #[test]
    fn a_domain_without_a_vmid_of_its_own_has_none() {
        for bits in [8, 16] {
            let all: Vec<_> = (0..=u16::MAX).filter_map(|domain| Vmid::of(DomainId::new(domain), bits)).collect();
            assert_eq!(all.len(), (1 << bits) - 1);
            assert!(all.windows(2).all(|pair| pair[0] < pair[1]) && all[0].get() == 1);
        }
    }

    #[test]
    fn vtcr_says_how_wide_vmids_are() {
        assert_eq!(Config::new(40).with_vmids(8).vtcr(), 0x8002_3558);
        assert_eq!(Config::new(40).with_vmids(16).vtcr(), 0x800a_3558);
    }
}
