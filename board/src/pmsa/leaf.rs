//! A region's attributes as those of a translation table entry.
//!
//! VMSAv8-64 and PMSAv8-64 describe memory alike: the same MAIR_EL2, the same encoding of shareability, the same
//! SCTLR_EL2 with WXN. So each field of a region has its place in a leaf of the EL2 regime with HCR_EL2.E2H = 0 (DDI
//! 0487, D8.3).

use super::registers::Region;

/// Valid.
const VALID: u64 = 1 << 0;
/// AttrIndx, bits 4:2.
const ATTR_INDEX_SHIFT: u32 = 2;
/// AP\[1\], RES1 in a regime with one privilege level.
const AP1: u64 = 1 << 6;
/// AP\[2\]: no writes.
const READ_ONLY: u64 = 1 << 7;
/// SH, bits 9:8.
const SHAREABILITY_SHIFT: u32 = 8;
/// The access flag, set because an MPU has none.
const ACCESSED: u64 = 1 << 10;
/// XN.
const EXECUTE_NEVER: u64 = 1 << 54;

/// The attributes of a leaf, and its valid bit: all but the address and what tells a page from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf(u64);

impl Leaf {
    /// What a region says of its memory. NS has no place: an Armv8-R core has only the Secure state, QEMU's CPU only
    /// the Non-secure one.
    pub const fn of_region(region: Region) -> Self {
        let read_only = if region.is_writable() { 0 } else { READ_ONLY };
        let execute_never = if region.is_executable() { 0 } else { EXECUTE_NEVER };
        let shareability = region.shareability() << SHAREABILITY_SHIFT;
        Self::new(region.attr_index(), shareability | read_only | execute_never)
    }

    /// The default memory map, that an address in no region belongs to while SCTLR_EL2.BR is set.
    ///
    /// It is IMPLEMENTATION DEFINED (DDI 0600, part C). Ours is as strict as it may be: Device-nGnRnE everywhere, never
    /// executable. `None` if no byte of MAIR_EL2 says Device-nGnRnE: then the table cannot either.
    pub fn of_background(mair: u64) -> Option<Self> {
        let index = mair.to_le_bytes().iter().position(|attributes| *attributes == 0)?;
        Some(Self::new(index as u64, EXECUTE_NEVER))
    }

    const fn new(attr_index: u64, rest: u64) -> Self {
        Self(attr_index << ATTR_INDEX_SHIFT | rest | ACCESSED | AP1 | VALID)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}
