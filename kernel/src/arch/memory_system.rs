//! Whether EL2 has an MMU or an MPU.

use core::fmt;

/// What translates and protects EL2's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySystem {
    /// VMSAv8-64: page tables.
    Mmu,
    /// PMSAv8-64: regions.
    Mpu,
}

impl MemorySystem {
    /// Decodes ID_AA64MMFR0_EL1.
    ///
    /// MSA, bits 51:48, is 0b1111 on Armv8-R AArch64, where MSA_frac, bits 55:52, says more: 0b0001 is PMSAv8-64 alone,
    /// 0b0010 is VMSAv8-64 as an option, which EL1 may have and EL2 has not (DDI 0600, G1.3). Everywhere else MSA is 0.
    pub const fn of(id_aa64mmfr0: u64) -> Self {
        const PMSA: u64 = 0b1111;
        const FRACTION: [u64; 2] = [0b0001, 0b0010];
        let (msa, fraction) = ((id_aa64mmfr0 >> 48) & 0xf, (id_aa64mmfr0 >> 52) & 0xf);
        if msa == PMSA && (fraction == FRACTION[0] || fraction == FRACTION[1]) { Self::Mpu } else { Self::Mmu }
    }

    /// The memory system that this image is built for.
    pub const fn of_image() -> Self {
        if cfg!(feature = "mpu") { Self::Mpu } else { Self::Mmu }
    }
}

impl fmt::Display for MemorySystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mmu => "MMU (VMSAv8-64)",
            Self::Mpu => "MPU (PMSAv8-64)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::MemorySystem;

    #[test]
    fn an_mpu_is_told_by_both_fields() {
        // Cortex-A57, Cortex-A72 and `max` of QEMU 7.2 have neither field.
        assert_eq!(MemorySystem::of(0x1124), MemorySystem::Mmu);
        // Armv8-R: without and with an MMU for EL1.
        assert_eq!(MemorySystem::of(0x001f_0000_0000_0000), MemorySystem::Mpu);
        assert_eq!(MemorySystem::of(0x002f_0000_0000_0000), MemorySystem::Mpu);
        assert_eq!(MemorySystem::of(0x000f_0000_0000_0000), MemorySystem::Mmu);
        assert_eq!(MemorySystem::of(0x0010_0000_0000_0000), MemorySystem::Mmu);
    }
}
