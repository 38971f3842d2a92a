//! The maintenance that a change of a live translation table needs, as a trait: host tests put a model behind it.

use crate::base::addr::{PhysAddr, VirtAddr};

/// Which cached translations of an address are invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those from the leaf only: TLBI VALE2IS.
    Leaf,
    /// Those from every level of the walk, for a table on the way is going away: TLBI VAE2IS.
    Walk,
}

/// The barriers and TLB maintenance that changes of a live table need, for all CPUs of the inner shareable domain.
pub trait TlbOps {
    /// Makes earlier descriptor stores visible to table walks before anything later: DSB ISHST. Comes before a TLB
    /// invalidation (or a walk could put back the old entry), and before a table that was just filled is linked.
    fn drain(&mut self);

    /// Makes earlier stores over invalid descriptors usable by the next instruction: DSB ISHST, ISB.
    fn publish(&mut self);

    /// Starts to invalidate what TLBs hold for the page, block or entry at `va`.
    fn invalidate(&mut self, va: VirtAddr, scope: Scope);

    /// Waits for earlier invalidations, and for accesses that used the old translations, on all CPUs: DSB ISH, ISB.
    fn complete(&mut self);

    /// The descriptor `bits` was just stored at address `slot`: nothing to do for hardware, something to check for a model
    /// of it.
    fn stored(&mut self, slot: PhysAddr, bits: u64) {
        let _ = (slot, bits);
    }
}
