//! Which vCPU has which affinity.
//!
//! vCPUs are numbered from 0, sixteen to a cluster: vCPU `n` is 0.0.`n / 16`.`n % 16`. An SGI names its targets as a list of
//! 16 below one Aff1 (IHI 0069, 12.2 "ICC_SGI1R_EL1"), so each has a bit in one, without the range selector, which not all
//! hardware has.

use super::MAX_CPUS;
use crate::base::id::VcpuId;

/// vCPUs of a cluster: the bits of a target list.
pub(super) const CLUSTER: usize = 16;

/// The place of a PE: Aff3 to Aff0, 8 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Affinity(u32);

impl Affinity {
    /// The affinity of vCPU `cpu`, which is below [`MAX_CPUS`].
    pub const fn of(cpu: VcpuId) -> Self {
        let cpu = cpu.index();
        Self(((cpu / CLUSTER) as u32) << 8 | (cpu % CLUSTER) as u32)
    }

    /// The vCPU that has it, if a guest could have that many.
    pub fn cpu(self) -> Option<VcpuId> {
        let cpu = (self.0 >> 8) as usize * CLUSTER + (self.0 & 0xff) as usize;
        (self.0 >> 16 == 0 && self.0 & 0xff < CLUSTER as u32 && cpu < MAX_CPUS).then(|| VcpuId::new(cpu as u16))
    }

    /// What the vCPU's MPIDR_EL1 must say: the affinities in their places, and bit 31, which is RES1.
    pub const fn mpidr(self) -> u64 {
        self.route() | 1 << 31
    }

    /// As GICR_TYPER has it: the four in one word.
    pub const fn packed(self) -> u32 {
        self.0
    }

    /// As GICD_IROUTER has it: Aff3 from bit 32 on.
    pub(super) const fn route(self) -> u64 {
        ((self.0 >> 24) as u64) << 32 | (self.0 & 0xff_ffff) as u64
    }

    /// The affinity whose fields stand where MPIDR_EL1 has them; other bits are ignored.
    pub const fn from_mpidr(value: u64) -> Self {
        Self::from_route(value)
    }

    /// The affinity that a guest wrote to a GICD_IROUTER; other bits are ignored.
    pub(super) const fn from_route(value: u64) -> Self {
        Self(((value >> 32) as u32) << 24 | (value as u32) & 0xff_ffff)
    }
}
