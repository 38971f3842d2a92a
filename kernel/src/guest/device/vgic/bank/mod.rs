//! The state of 32 interrupts, except for the part in list registers.
//!
//! A word has a bit for each interrupt, so a guest-visible register is a word, and finding the deliverable interrupts
//! is a few operations on words. State *moves*: state that goes into a list register leaves the bank, and state that
//! comes back is merged with the changes since. So another CPU can make an interrupt pending that is listed elsewhere,
//! and neither occurrence is lost. If another CPU clears state, it leaves a note (`forget_pending`, `forget_active`)
//! for the CPU that will read the list register.

mod listing;

pub(super) use listing::Waiting;

use super::LineLevel;
use super::affinity::Affinity;
use crate::arch::virtual_interface::Group;
use crate::base::id::{PhysIntid, VcpuId};

const INTERRUPTS: usize = super::BANK as usize;

/// INTIDs 0 to 15, which are edge-triggered.
pub(super) const SGIS: u32 = 0xffff;

/// 32 interrupts. An SPI has a target that the guest chooses; an SGI or PPI has its vCPU.
#[derive(Clone, Debug)]
pub(super) struct InterruptBank {
    pub(super) enabled: u32,
    /// In group 1.
    pub(super) group: u32,
    /// Edge-triggered.
    pub(super) edge: u32,
    /// The level of the device's line.
    line: u32,
    /// Pending by an edge or by software.
    latched: u32,
    active: u32,
    /// Active because the guest acknowledged them, and not because it wrote to a register; and which of them were in group 1
    /// when they were acknowledged.
    acknowledged: u32,
    acknowledged_group: u32,
    /// In a list register of their holder.
    resident: u32,
    /// Resident interrupts whose pending latch moved into the list register, and those whose active state did.
    lent_latch: u32,
    lent_active: u32,
    /// Resident interrupts that were made not pending, or not active, while a list register had that state: when it is read
    /// back, the state is dropped.
    forget_pending: u32,
    forget_active: u32,
    /// Interrupts for which a physical interrupt is active.
    linked: u32,
    /// Linked interrupts whose list register still names the physical interrupt before this one, which has ended.
    relinked: u32,
    /// Interrupts whose physical interrupt the vCPU of this bank is to deactivate: a PPI can be deactivated on its CPU only.
    to_release: u32,
    pub(super) priority: [u8; INTERRUPTS],
    /// The priority with which an interrupt was acknowledged.
    acknowledged_priority: [u8; INTERRUPTS],
    physical: [PhysIntid; INTERRUPTS],
    affinity: [Affinity; INTERRUPTS],
    /// The vCPU of that affinity.
    target: [Option<u8>; INTERRUPTS],
    /// The vCPU that has it listed, or for which it is active.
    holder: [u8; INTERRUPTS],
    /// The list register of those that are resident.
    slot: [u8; INTERRUPTS],
}

impl InterruptBank {
    /// SGIs and PPIs of `cpu`.
    pub(super) fn private(cpu: VcpuId) -> Self {
        let mut bank = Self { edge: SGIS, ..Self::shared() };
        bank.holder.fill(cpu.index() as u8);
        for n in 0..super::BANK {
            bank.set_route(n, Affinity::of(cpu), cpu.index() + 1);
        }
        bank
    }

    /// SPIs, for vCPU 0 until the guest says otherwise.
    pub(super) fn shared() -> Self {
        Self {
            enabled: 0,
            group: u32::MAX,
            edge: 0,
            line: 0,
            latched: 0,
            active: 0,
            acknowledged: 0,
            acknowledged_group: 0,
            resident: 0,
            lent_latch: 0,
            lent_active: 0,
            forget_pending: 0,
            forget_active: 0,
            linked: 0,
            relinked: 0,
            to_release: 0,
            priority: [0; INTERRUPTS],
            acknowledged_priority: [0; INTERRUPTS],
            physical: [PhysIntid::new(0); INTERRUPTS],
            affinity: [Affinity::of(VcpuId::new(0)); INTERRUPTS],
            target: [Some(0); INTERRUPTS],
            holder: [0; INTERRUPTS],
            slot: [0; INTERRUPTS],
        }
    }

    /// Takes what the guest configures from `fresh`, and makes nothing pending or active. Lines stay, and so do links, which
    /// are to be released.
    pub(super) fn reset(&mut self, fresh: &Self) {
        (self.enabled, self.group, self.edge) = (fresh.enabled, fresh.group, fresh.edge);
        (self.priority, self.affinity, self.target) = (fresh.priority, fresh.affinity, fresh.target);
        self.clear_pending(u32::MAX);
        self.clear_active(u32::MAX);
    }

    /// Sets the line of `n`; whether that changes anything.
    pub(super) fn set_line(&mut self, n: u32, line: LineLevel) -> bool {
        let bit = 1 << n;
        let old = self.line;
        match line {
            LineLevel::Low => self.line &= !bit,
            LineLevel::High => self.line |= bit,
        }
        let rose = self.line & !old;
        self.latched |= rose & self.edge;
        self.line != old
    }

    /// Makes `n` pending for `physical`. Gives back the physical interrupt that it was pending or active for before, if
    /// that is another.
    pub(super) fn link(&mut self, n: u32, physical: PhysIntid) -> Option<PhysIntid> {
        let other = self.is_linked(n).then_some(self.physical[n as usize]).filter(|other| *other != physical);
        self.linked |= 1 << n;
        self.relinked |= self.resident & 1 << n;
        self.latched |= 1 << n;
        self.physical[n as usize] = physical;
        other
    }

    /// The SGIs that are pending and not in a list register for that.
    #[inline]
    pub(super) fn latched_sgis(&self) -> u32 {
        self.latched & SGIS
    }

    pub(super) fn set_pending(&mut self, bits: u32) {
        self.latched |= bits;
    }

    pub(super) fn clear_pending(&mut self, bits: u32) {
        self.latched &= !bits;
        self.forget_pending |= bits & self.resident;
    }

    /// Makes interrupts active for their targets; for `cpu` if they have none.
    pub(super) fn set_active(&mut self, bits: u32, cpu: VcpuId) {
        for n in ones(bits & !self.active & !self.resident) {
            self.holder[n as usize] = self.target[n as usize].unwrap_or(cpu.index() as u8);
        }
        self.active |= bits;
    }

    pub(super) fn clear_active(&mut self, bits: u32) {
        self.active &= !bits;
        self.acknowledged &= !bits;
        self.forget_active |= bits & self.resident;
    }

    /// Sends `n` to `affinity`, which is one of the first `cpus` vCPUs' or nobody's.
    pub(super) fn set_route(&mut self, n: u32, affinity: Affinity, cpus: usize) {
        self.affinity[n as usize] = affinity;
        self.target[n as usize] =
            affinity.cpu().filter(|cpu| *cpu < VcpuId::new(cpus as u16)).map(|cpu| cpu.index() as u8);
    }

    pub(super) fn route(&self, n: u32) -> Affinity {
        self.affinity[n as usize]
    }

    /// Pending interrupts, without pending latches that moved into list registers.
    pub(super) fn pending(&self) -> u32 {
        self.latched | self.line & !self.edge
    }

    /// Active interrupts, without active states that moved into list registers.
    pub(super) fn active(&self) -> u32 {
        self.active
    }

    /// Those that are active by an acknowledgement, apart from what list registers have seen since.
    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged & self.active
    }

    /// The priority and the group of `n` for the guest's CPU interface: those that it was acknowledged with as long as it is
    /// active, since the interface matches the end of an interrupt by them; else those that the guest has set.
    pub(super) fn rank(&self, n: u32) -> (u8, Group) {
        let (bit, at) = (1 << n, n as usize);
        if self.acknowledged() & bit != 0 {
            (self.acknowledged_priority[at], Group::of(self.acknowledged_group, bit))
        } else {
            (self.priority[at], Group::of(self.group, bit))
        }
    }

    /// Those that are in a list register.
    pub(super) fn resident(&self) -> u32 {
        self.resident
    }

    /// Those that have anything besides what the guest configured.
    pub(super) fn busy(&self) -> u32 {
        self.pending() | self.active | self.resident
    }

    pub(super) fn is_linked(&self, n: u32) -> bool {
        self.linked & 1 << n != 0
    }

    /// Interrupts for which a physical interrupt is active.
    pub(super) fn linked(&self) -> u32 {
        self.linked
    }

    pub(super) fn is_resident(&self, n: u32) -> bool {
        self.resident & 1 << n != 0
    }

    /// The vCPU whose list registers `n` is for: that which has it, or else its target, if there is one.
    pub(super) fn owner(&self, n: u32) -> Option<VcpuId> {
        let held = (self.active | self.resident) & 1 << n != 0;
        let owner = if held { Some(self.holder[n as usize]) } else { self.target[n as usize] };
        owner.map(|owner| VcpuId::new(owner.into()))
    }

    /// The list register of `n`, which is resident.
    pub(super) fn slot(&self, n: u32) -> usize {
        self.slot[n as usize].into()
    }

    /// Ends the links of those in `bits` that are neither pending nor active any more, and says which they were.
    pub(super) fn unlink(&mut self, bits: u32) -> u32 {
        let idle = bits & self.linked & !self.busy();
        self.linked &= !idle;
        idle
    }

    /// Ends the links of those in `bits`, and says which there were.
    pub(super) fn cut(&mut self, bits: u32) -> u32 {
        let cut = bits & self.linked;
        self.linked &= !cut;
        self.relinked &= !cut;
        cut
    }

    pub(super) fn physical(&self, n: u32) -> PhysIntid {
        self.physical[n as usize]
    }

    /// Leaves it to the vCPU of this bank to deactivate the physical interrupts of `bits`.
    pub(super) fn release_later(&mut self, bits: u32) {
        self.to_release |= bits;
    }

    /// Whether [`take_releases`](Self::take_releases) has any.
    pub(super) fn has_releases(&self) -> bool {
        self.to_release != 0
    }

    /// The interrupts that were left by [`release_later`](Self::release_later).
    pub(super) fn take_releases(&mut self) -> u32 {
        core::mem::take(&mut self.to_release)
    }
}

/// The numbers of the bits that are set in `word`.
pub(super) fn ones(word: u32) -> impl Iterator<Item = u32> {
    let mut left = word;
    core::iter::from_fn(move || {
        let bit = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (bit < u32::BITS).then_some(bit)
    })
}
