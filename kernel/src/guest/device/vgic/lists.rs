//! Moving state from the banks into list registers, and back.
//!
//! Mostly one interrupt changes and a list register is free: [`Vgic::settle`]. Otherwise all list registers of the CPU
//! are read back and filled anew with the most urgent interrupts: [`Vgic::refill`].

use super::bank::{Waiting, ones};
use super::{Kick, Vgic};
use crate::arch::list_register::{
    InterruptState, ListRegister, ListRegisters, MAX_LIST_REGISTERS, Maintenance, OnEnd, ReadLists,
};
use crate::base::id::{PhysIntid, VcpuId};

impl Vgic {
    /// Those of a bank that may be pending in a list register.
    #[inline]
    pub(super) fn deliverable(&self, index: usize) -> u32 {
        let bank = &self.banks[index];
        bank.enabled & self.groups.of(bank.group)
    }

    /// Those of a bank that belong into a list register: active, or pending and deliverable.
    #[inline]
    pub(super) fn listable(&self, index: usize) -> u32 {
        let bank = &self.banks[index];
        bank.active() | bank.pending() & self.deliverable(index)
    }

    /// Lists interrupt `n` of a bank as it is now, after something about it has changed.
    pub(super) fn settle(&mut self, cpu: VcpuId, index: usize, n: u32, lists: &mut impl ListRegisters) -> Kick {
        let (slot, kick) = self.lift(cpu, index, n, lists);
        kick | self.place(cpu, index, n, slot, lists)
    }

    /// Makes interrupt `n` of a bank pending again where it is listed, if that is all that has to be done for `physical`: the
    /// same was forwarded before, has come to its end, and nothing about it has changed since. So it mostly is with a timer.
    #[inline]
    pub(super) fn repeat(
        &mut self,
        cpu: VcpuId,
        index: usize,
        n: u32,
        physical: PhysIntid,
        lists: &mut impl ListRegisters,
    ) -> bool {
        let bank = &self.banks[index];
        // While others wait, the slot may be due to a more urgent one; and what was lent with more than its pending latch
        // must go through the bank, where notes of what happened meanwhile are merged.
        if self.cpus[cpu.index()].asked != Maintenance::NOTHING || !bank.was_lent_pending(n, cpu) {
            return false;
        }
        let slot = bank.slot(n);
        let listed = lists.read(slot);
        let again = listed.state() == InterruptState::Invalid && listed.end() == OnEnd::Physical(physical);
        if again {
            lists.write(slot, listed.with_state(InterruptState::Pending));
        }
        again
    }

    /// Takes interrupt `n` of a bank back, if it is listed here. Its list register is for [`place`](Self::place) to fill.
    pub(super) fn lift(
        &mut self,
        cpu: VcpuId,
        index: usize,
        n: u32,
        lists: &mut impl ListRegisters,
    ) -> (Option<usize>, Kick) {
        let bank = &self.banks[index];
        if !bank.is_resident(n) || bank.owner(n) != Some(cpu) {
            return (None, Kick::NONE);
        }
        if self.cpus[cpu.index()].asked.contains(Maintenance::UNLISTED) {
            // An end that is still to be charged needs all that is listed in its place; `place` fills anew.
            return (None, self.fold(cpu, lists));
        }
        let slot = bank.slot(n);
        (Some(slot), self.take_back(cpu, index, n, lists))
    }

    /// Lists interrupt `n` of a bank, which is not listed here, if it is to be; in `slot`, if that was its own.
    pub(super) fn place(
        &mut self,
        cpu: VcpuId,
        index: usize,
        n: u32,
        slot: Option<usize>,
        lists: &mut impl ListRegisters,
    ) -> Kick {
        let bit = 1 << n;
        // Others wait for a list register already: who gets one has to be decided among all.
        if self.cpus[cpu.index()].asked != Maintenance::NOTHING {
            return self.refill(cpu, lists) | self.kicks(cpu, index, bit);
        }
        if self.banks[index].owner(n) != Some(cpu) || self.listable(index) & bit == 0 {
            // Its former register still holds the state that `lift` moved back into the bank: it must not count twice.
            if let Some(slot) = slot {
                lists.write(slot, ListRegister::EMPTY);
            }
            return self.kicks(cpu, index, bit);
        }
        let (slot, kick) = slot.map_or_else(|| self.free_slot(cpu, lists), |slot| (Some(slot), Kick::NONE));
        match slot {
            Some(slot) => self.list(cpu, index, n, slot, Waiting::Nobody, lists),
            None => return kick | self.refill(cpu, lists),
        }
        kick
    }

    /// A list register for one more interrupt.
    fn free_slot(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> (Option<usize>, Kick) {
        let all = u32::MAX >> (u32::BITS as usize - count(lists));
        let free = all & !self.cpus[cpu.index()].used;
        if free != 0 {
            return (Some(free.trailing_zeros() as usize), Kick::NONE);
        }
        // One whose interrupt the guest has ended is empty in hardware and still counts as used: the bank has to learn of the
        // end before the register can hold another.
        let Some(slot) = ones(all & lists.empty()).next() else { return (None, Kick::NONE) };
        let Some((index, n)) = self.locate(cpu, self.cpus[cpu.index()].held[slot as usize]) else {
            return (None, Kick::NONE);
        };
        (Some(slot as usize), self.take_back(cpu, index, n, lists))
    }

    /// Lists interrupt `n` of a bank in `slot`.
    #[inline]
    pub(super) fn list(
        &mut self,
        cpu: VcpuId,
        index: usize,
        n: u32,
        slot: usize,
        waiting: Waiting,
        lists: &mut impl ListRegisters,
    ) {
        let id = self.id_of(index, n);
        let deliverable = self.deliverable(index);
        // First the bank gives the state away, then the hardware has it: in between nobody can see it twice, as this CPU is at
        // EL2. From the write on, only the list register knows whether the guest has acknowledged the interrupt.
        let value = self.banks[index].lend(n, id, (cpu.index(), slot), deliverable, waiting);
        self.cpus[cpu.index()].used |= 1 << slot;
        self.cpus[cpu.index()].held[slot] = id;
        lists.write(slot, value);
    }

    /// Takes interrupt `n`, which `cpu` has listed, back into its bank. The list register stays as it is.
    pub(super) fn take_back(&mut self, cpu: VcpuId, index: usize, n: u32, lists: &mut impl ListRegisters) -> Kick {
        let slot = self.banks[index].slot(n);
        self.banks[index].take_back(n, lists.read(slot));
        self.cpus[cpu.index()].used &= !(1 << slot);
        self.release(cpu, index, 1 << n, lists) | self.kicks(cpu, index, 1 << n)
    }

    /// Does something to the interrupts `bits` of a bank, wherever they are.
    pub(super) fn change(
        &mut self,
        cpu: VcpuId,
        index: usize,
        bits: u32,
        lists: &mut impl ListRegisters,
        act: impl FnOnce(&mut super::bank::InterruptBank),
    ) -> Kick {
        // What a guest configures is mostly idle, and then nothing of it is in a list register. Otherwise state moves back
        // first, so that `act` changes all of it and not only the part that stayed in the bank.
        let idle = self.banks[index].busy() & bits == 0;
        let mut kick = if idle { Kick::NONE } else { self.fold(cpu, lists) };
        act(&mut self.banks[index]);
        kick = kick | self.release(cpu, index, bits, lists) | self.kicks(cpu, index, bits);
        if !idle {
            self.fill(cpu, lists);
        } else if self.listable(index) & bits != 0 {
            kick = kick | self.refill(cpu, lists);
        }
        kick
    }

    /// The pending and the active interrupts of a bank, and who has to be kicked before it is known for certain: what other
    /// vCPUs have listed counts as it was then.
    pub(super) fn sample(&self, cpu: VcpuId, index: usize, lists: &impl ReadLists) -> (u32, u32, Kick) {
        let bank = &self.banks[index];
        let (lent_pending, lent_active) = bank.lent();
        let (mut pending, mut active, mut kick) = (bank.pending(), bank.active(), Kick::NONE);
        for n in ones(bank.resident()) {
            let bit = 1 << n;
            let (listed_pending, listed_active) = match bank.owner(n) {
                Some(owner) if owner == cpu => bank.seen(n, lists.read(bank.slot(n))),
                owner => {
                    kick = kick | owner.map_or(Kick::NONE, Kick::one);
                    (lent_pending & bit, lent_active & bit)
                }
            };
            pending |= listed_pending;
            active |= listed_active;
        }
        (pending, active, kick)
    }

    /// Deactivates the physical interrupts of those of `bits` that have ended without the hardware's doing.
    pub(super) fn release(&mut self, cpu: VcpuId, index: usize, bits: u32, lists: &mut impl ListRegisters) -> Kick {
        let ended = self.banks[index].unlink(bits);
        if ended != 0 && index < self.cpus.len() && index != cpu.index() {
            // A PPI can only be deactivated on its CPU.
            self.banks[index].release_later(ended);
            return Kick::one(VcpuId::new(index as u16));
        }
        for n in ones(ended) {
            lists.deactivate(self.banks[index].physical(n));
        }
        Kick::NONE
    }

    /// The other vCPUs that have, or should have, one of `bits` listed.
    pub(super) fn kicks(&self, cpu: VcpuId, index: usize, bits: u32) -> Kick {
        let bank = &self.banks[index];
        let owners = ones(bits & (self.listable(index) | bank.resident())).filter_map(|n| bank.owner(n));
        owners.fold(Kick::NONE, |kick, owner| kick | Kick::one(owner)).without(cpu)
    }
}

/// How many list registers there are, as the architecture limits it.
pub(super) fn count(lists: &impl ListRegisters) -> usize {
    lists.count().clamp(1, MAX_LIST_REGISTERS)
}
