//! Reading all list registers of a CPU back, and filling them anew.
//!
//! Active interrupts come first, because the hardware ends only interrupts that it finds listed. One list register is always
//! left for the most urgent pending interrupt. While pending interrupts wait for a list register, the CPU interface raises a
//! maintenance interrupt as soon as no listed interrupt is pending (NPIE). Listed interrupts are more urgent than waiting ones,
//! so the order is kept. Interrupts of a group that the guest has disabled at its CPU interface come last, and while any of them
//! waits, enabling the group raises a maintenance interrupt. While active interrupts wait, the end of an interrupt that is not
//! listed raises one (LRENPIE); the priorities at which the guest still runs say which interrupt has ended.

use super::bank::{Waiting, ones};
use super::lists::count;
use super::ranking::{Best, Rank, Readiness};
use super::{Kick, Vgic};
use crate::arch::list_register::{ListRegister, ListRegisters, MAX_LIST_REGISTERS, Maintenance};
use crate::arch::virtual_interface::{Group, InterfaceControl};
use crate::base::id::VcpuId;

impl Vgic {
    /// Reads all list registers back.
    pub(super) fn fold(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        let mut kick = Kick::NONE;
        if self.cpus[cpu.index()].asked.contains(Maintenance::UNLISTED) {
            let ends = lists.take_unlisted_ends();
            if ends != 0 {
                kick = kick | self.end_unlisted(cpu, ends, lists);
            }
        }
        for n in ones(self.banks[cpu.index()].take_releases()) {
            lists.deactivate(self.banks[cpu.index()].physical(n));
        }
        for slot in ones(self.cpus[cpu.index()].used) {
            if let Some((index, n)) = self.locate(cpu, self.cpus[cpu.index()].held[slot as usize]) {
                kick = kick | self.take_back(cpu, index, n, lists);
            }
        }
        kick
    }

    /// The guest ended interrupts that are not listed, `ends` of them; the hardware does not say which. Those that it
    /// acknowledged and whose priority it does not run at any more are the ones. The others among the ends were of
    /// interrupts that the guest had made inactive before.
    #[cold]
    fn end_unlisted(&mut self, cpu: VcpuId, ends: u32, lists: &mut impl ListRegisters) -> Kick {
        if lists.control().splits_ends() {
            // The ends dropped priorities; what deactivates is trapped.
            return Kick::NONE;
        }
        let running = lists.running();
        let mut acknowledged = Best::new();
        self.each(
            cpu,
            |vgic, index| vgic.banks[index].acknowledged(),
            |index, n| acknowledged.offer(self.rank(index, n, Readiness::Due)),
        );
        // A listed interrupt may have been acknowledged at the level of one that has ended: two cannot run at one level.
        let mut retaken: u128 = 0;
        for slot in ones(self.cpus[cpu.index()].used) {
            let listed = lists.read(slot as usize);
            let holder = self.locate(cpu, self.cpus[cpu.index()].held[slot as usize]);
            if holder.is_some_and(|(index, n)| self.banks[index].runs_as(n, listed)) {
                retaken |= 1 << running.level(listed.priority(), listed.group());
            }
        }
        let (mut left, mut kick) = (ends, Kick::NONE);
        for rank in acknowledged.first(MAX_LIST_REGISTERS) {
            let Some((index, n)) = self.locate(cpu, rank.id).filter(|_| left > 0) else { break };
            let (priority, group) = self.banks[index].rank(n);
            if running.has(priority, group) && retaken >> running.level(priority, group) & 1 == 0 {
                continue;
            }
            left -= 1;
            self.banks[index].clear_active(1 << n);
            kick = kick | self.release(cpu, index, 1 << n, lists) | self.kicks(cpu, index, 1 << n);
        }
        kick
    }

    /// Fills the list registers, after [`fold`](Self::fold).
    pub(super) fn fill(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) {
        let control = lists.control();
        let (mut active, mut pending, mut waiting) = (Best::new(), Best::new(), ByGroup::default());
        self.each(cpu, Self::listable, |index, n| {
            let bank = &self.banks[index];
            if bank.active() & 1 << n != 0 {
                let class = if bank.acknowledged() & 1 << n != 0 { Readiness::Due } else { Readiness::Idle };
                active.offer(self.rank(index, n, class));
            } else {
                let (_, group) = bank.rank(n);
                let class = if control.enables(group) { Readiness::Due } else { Readiness::Idle };
                waiting[group as usize] += 1;
                pending.offer(self.rank(index, n, class));
            }
        });

        // One register stays for the best pending one: were all taken by active ones, nothing could preempt them.
        let count = count(lists);
        let room = if pending.seen() == 0 { count } else { count - 1 };
        let active_listed = active.first(room);
        let pending_listed = pending.first(count - active_listed.len());
        let waits = pending.seen() > pending_listed.len();
        let others = if waits { Waiting::Others } else { Waiting::Nobody };
        let (mut slot, mut listed) = (0, ByGroup::default());
        for rank in active_listed.iter().chain(pending_listed) {
            if let Some((index, n)) = self.locate(cpu, rank.id) {
                if slot >= active_listed.len() {
                    listed[self.banks[index].rank(n).1 as usize] += 1;
                }
                self.list(cpu, index, n, slot, others, lists);
                slot += 1;
            }
        }
        // What was in the others has moved back into the banks, and must not be delivered from here as well.
        for empty in slot..count {
            lists.write(empty, ListRegister::EMPTY);
        }

        for (waiting, listed) in waiting.iter_mut().zip(listed) {
            *waiting -= listed;
        }
        let mut ask = wanted(control, waiting, listed);
        if active.seen() > active_listed.len() {
            ask = ask | Maintenance::UNLISTED;
        }
        if self.cpus[cpu.index()].asked != ask {
            if ask.contains(Maintenance::UNLISTED) && !self.cpus[cpu.index()].asked.contains(Maintenance::UNLISTED) {
                // Ends of what was not active at all are counted too, and do not count.
                let _before = lists.take_unlisted_ends();
            }
            self.cpus[cpu.index()].asked = ask;
            lists.want_maintenance(ask);
        }
    }

    /// Reads all list registers back and fills them anew.
    pub(super) fn refill(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        let kick = self.fold(cpu, lists);
        self.fill(cpu, lists);
        kick
    }

    /// Visits the interrupts that are `cpu`'s, not resident and chosen by `which` from each bank.
    fn each(&self, cpu: VcpuId, which: impl Fn(&Self, usize) -> u32, mut visit: impl FnMut(usize, u32)) {
        for index in core::iter::once(cpu.index()).chain(self.cpus.len()..self.banks.len()) {
            let bank = &self.banks[index];
            for n in ones(which(self, index) & !bank.resident()).filter(|n| bank.owner(*n) == Some(cpu)) {
                visit(index, n);
            }
        }
    }

    fn rank(&self, index: usize, n: u32, class: Readiness) -> Rank {
        Rank { class, priority: self.banks[index].rank(n).0, id: self.id_of(index, n) }
    }
}

/// A number for each group.
type ByGroup = [usize; Group::ALL.len()];

/// What maintenance pending interrupts ask for, of which some wait for a list register and others are listed, under
/// `control`.
fn wanted(control: InterfaceControl, waiting: ByGroup, listed: ByGroup) -> Maintenance {
    let mut ask = Maintenance::NOTHING;
    for group in Group::ALL.into_iter().filter(|group| waiting[*group as usize] != 0) {
        ask = ask | Maintenance::NO_PENDING;
        let other = group.other();
        // Each of these asks once: the guest has to change its mind before it asks again.
        if !control.enables(group) {
            ask = ask | Maintenance::enabled(group);
        } else if control.enables(other) && listed[other as usize] != 0 {
            // Those listed stay there if the guest keeps their group out.
            ask = ask | Maintenance::disabled(other);
        }
    }
    ask
}
