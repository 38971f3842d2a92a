//! The interrupt by which one CPU makes another look at the work posted for it.

use crate::base::id::{Mpidr, PhysIntid};

/// The software-generated interrupt that is used for it.
pub const KICK: PhysIntid = PhysIntid::new(0);

/// A CPU as a target of [`KICK`]: what is written to ICC_SGI1R_EL1 (IHI 0069, 12.2.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SgiTarget(u64);

impl SgiTarget {
    /// The CPU with this affinity. A target list has 16 bits, of which the range selector says where in Aff0 they are.
    pub const fn of(mpidr: Mpidr) -> Self {
        let mpidr = mpidr.get();
        let (aff0, aff1, aff2, aff3) = (mpidr & 0xff, mpidr >> 8 & 0xff, mpidr >> 16 & 0xff, mpidr >> 32 & 0xff);
        Self(aff3 << 48 | (aff0 >> 4) << 44 | aff2 << 32 | (KICK.get() as u64) << 24 | aff1 << 16 | 1 << (aff0 & 0xf))
    }

    /// Whether it takes a range selector other than 0.
    pub const fn needs_range(self) -> bool {
        self.0 >> 44 & 0xf != 0
    }
}

/// Interrupts the CPU `target`, once earlier stores are there for it to see. Without a GIC there is no other CPU.
#[inline]
pub fn kick(target: SgiTarget) {
    #[cfg(all(target_os = "none", feature = "mmu"))]
    crate::arch::aarch64::gic::send_sgi(target.0);
    #[cfg(not(all(target_os = "none", feature = "mmu")))]
    let _ = target;
}

#[cfg(test)]
mod tests {
    use super::SgiTarget;
    use crate::base::id::Mpidr;

    /// Each field of the affinity, and Aff0 above 15, which several hypervisors have lost.
    #[test]
    fn each_affinity_is_a_target_of_its_own() {
        let raw = |mpidr| SgiTarget::of(Mpidr::new(mpidr).unwrap()).0;
        assert_eq!(raw(0), 0x1);
        assert_eq!(raw(15), 0x8000);
        assert_eq!(raw(0x10), 0x1000_0000_0001);
        assert_eq!(raw(0xff), 0xf000_0000_8000);
        assert_eq!(raw(0x103), 0x1_0008);
        assert_eq!(raw(0x12_3456), 0x5012_0034_0040);
        assert_eq!(raw(0xab_0000_0002), 0xab_0000_0000_0004);
        assert!(SgiTarget::of(Mpidr::new(0x10).unwrap()).needs_range());
        assert!(!SgiTarget::of(Mpidr::new(0x10f).unwrap()).needs_range());
    }
}
