//! MAIR_EL2: which memory type has which attribute index, for page tables and MPU regions alike.

use crate::base::attributes::MemoryType;

/// MAIR_EL2 as both backends expect it: one byte for each [`MemoryType`], at the index that [`attr_index`] gives it.
pub const MAIR_EL2: u64 = MAIR_NORMAL << (8 * attr_index(MemoryType::Normal))
    | MAIR_NON_CACHEABLE << (8 * attr_index(MemoryType::NonCacheable))
    | MAIR_DEVICE << (8 * attr_index(MemoryType::Device));

/// Normal memory, inner and outer write-back non-transient, read- and write-allocate (DDI 0487, D24 "MAIR_EL2").
const MAIR_NORMAL: u64 = 0xff;
/// Normal memory, inner and outer non-cacheable.
const MAIR_NON_CACHEABLE: u64 = 0x44;
/// Device-nGnRE.
const MAIR_DEVICE: u64 = 0x04;

/// AttrIndx: which byte of MAIR_EL2 describes the memory.
pub const fn attr_index(memory: MemoryType) -> u64 {
    match memory {
        MemoryType::Normal => 0,
        MemoryType::NonCacheable => 1,
        MemoryType::Device => 2,
    }
}

/// The memory that byte `index` of MAIR_EL2 describes, or `None` for a byte that is not used.
pub const fn memory_type(index: u64) -> Option<MemoryType> {
    match index {
        0 => Some(MemoryType::Normal),
        1 => Some(MemoryType::NonCacheable),
        2 => Some(MemoryType::Device),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAIR_EL2, attr_index, memory_type};
    use crate::base::attributes::MemoryType;

    #[test]
    fn every_memory_type_has_a_byte_of_its_own() {
        assert_eq!(MAIR_EL2, 0x04_44_ff);
        for memory in [MemoryType::Normal, MemoryType::NonCacheable, MemoryType::Device] {
            assert_eq!(memory_type(attr_index(memory)), Some(memory));
        }
        assert_eq!(memory_type(3), None);
    }
}
