//! Whether EL2 has an MMU or an MPU, and whether the image was built for it.

use core::fmt;
use thiserror::Error;

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
    /// 0b0010 is VMSAv8-64 as an option, which EL1 may have and EL2 lacks (DDI 0600, G1.3). Everywhere else MSA is 0.
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

/// Whether the CPU that the image runs on may have an EL3 to be called by SMC. Armv8-R AArch64 has none, and no SMC (DDI 0600,
/// B1.1); the CPU that its MPU is emulated on may.
pub const MAY_HAVE_EL3: bool = cfg!(any(feature = "mmu", feature = "pmsa-emulation"));

/// Where an image expects the memory system that it is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySystemSource {
    /// In the CPU.
    Cpu,
    /// In itself: it emulates an MPU with the CPU's MMU.
    Emulation,
}

impl MemorySystemSource {
    /// Where this image expects its memory system.
    pub const fn of_image() -> Self {
        if cfg!(feature = "pmsa-emulation") { Self::Emulation } else { Self::Cpu }
    }
}

/// Why an image cannot run on a CPU with the ID_AA64MMFR0_EL1 `id`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum MemorySystemMismatch {
    #[error("this image is built for an {wanted}, but EL2 of this CPU has an {has} (ID_AA64MMFR0_EL1 {id:#x})")]
    Other { wanted: MemorySystem, has: MemorySystem, id: u64 },
    #[error(
        "this image emulates an MPU with an MMU, but EL2 of this CPU has an MPU of its own (ID_AA64MMFR0_EL1 {id:#x}): \
         build it without pmsa-emulation"
    )]
    RealMpu { id: u64 },
}

/// Checks that an image for `wanted`, expected in `source`, can run on a CPU with the ID_AA64MMFR0_EL1 `id`.
///
/// # Errors
///
/// [`MemorySystemMismatch`].
pub fn check(wanted: MemorySystem, source: MemorySystemSource, id: u64) -> Result<(), MemorySystemMismatch> {
    match (source, MemorySystem::of(id)) {
        (MemorySystemSource::Cpu, has) if has != wanted => Err(MemorySystemMismatch::Other { wanted, has, id }),
        (MemorySystemSource::Emulation, MemorySystem::Mpu) => Err(MemorySystemMismatch::RealMpu { id }),
        (MemorySystemSource::Cpu, _) | (MemorySystemSource::Emulation, MemorySystem::Mmu) => Ok(()),
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
    use super::{MemorySystem, MemorySystemMismatch, MemorySystemSource, check};
    use std::string::ToString;

    const CORTEX_A57: u64 = 0x1124;
    const CORTEX_R82: u64 = 0x002f_0000_0000_0000;

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
    #[test]
    fn an_image_runs_where_its_memory_system_is() {
        assert_eq!(check(MemorySystem::Mmu, MemorySystemSource::Cpu, CORTEX_A57), Ok(()));
        assert_eq!(check(MemorySystem::Mpu, MemorySystemSource::Cpu, CORTEX_R82), Ok(()));
        assert_eq!(check(MemorySystem::Mpu, MemorySystemSource::Emulation, CORTEX_A57), Ok(()));
        let error = check(MemorySystem::Mpu, MemorySystemSource::Cpu, CORTEX_A57).unwrap_err();
        let words = "built for an MPU (PMSAv8-64), but EL2 of this CPU has an MMU (VMSAv8-64)";
        assert!(error.to_string().contains(words), "{error}");
    }

    /// The registers of the MPU would be the CPU's, and what the emulation writes to the MMU's undefined, without end.
    #[test]
    fn an_emulated_mpu_is_refused_where_there_is_a_real_one() {
        let refused = check(MemorySystem::Mpu, MemorySystemSource::Emulation, CORTEX_R82);
        assert_eq!(refused, Err(MemorySystemMismatch::RealMpu { id: CORTEX_R82 }));
    }
}
