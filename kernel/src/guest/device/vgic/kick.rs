//! The vCPUs that have something to do.

use super::MAX_CPUS;
use crate::base::id::VcpuId;
use core::ops::BitOr;

/// The vCPUs on other CPUs that must leave their guest and call [`Vgic::maintain`](super::Vgic::maintain).
#[must_use = "a vCPU that is not kicked does not see its interrupt"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Kick(u64);

impl Kick {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// vCPU `cpu`; nobody if it is not below [`MAX_CPUS`].
    pub(super) const fn one(cpu: VcpuId) -> Self {
        Self(if cpu.index() < MAX_CPUS { 1 << cpu.index() } else { 0 })
    }

    /// The first `count` vCPUs, which is not 0.
    pub(super) const fn first(count: usize) -> Self {
        Self(u64::MAX >> (MAX_CPUS - count))
    }

    /// The vCPUs whose bits in `word` are set.
    pub(super) const fn from_bits(word: u64) -> Self {
        Self(word)
    }

    /// All but `cpu`.
    pub(super) const fn without(self, cpu: VcpuId) -> Self {
        Self(self.0 & !Self::one(cpu).0)
    }

    /// Those that are in `other` too.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is nobody to kick.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `cpu` is to be kicked.
    pub const fn contains(self, cpu: VcpuId) -> bool {
        self.0 & Self::one(cpu).0 != 0
    }

    /// The numbers of those to kick, in order.
    pub fn cpus(self) -> impl Iterator<Item = VcpuId> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let cpu = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (cpu < MAX_CPUS).then(|| VcpuId::new(cpu as u16))
        })
    }
}

impl BitOr for Kick {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
