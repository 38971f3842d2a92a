//! A model of the virtual CPU interface that assumes the worst, and the guest's side of it (IHI 0069, 6 and 12.4).
//!
//! It panics at a list register that the architecture forbids.

use crate::arch::list_register::{InterruptState, ListRegister, ListRegisters, Maintenance, OnEnd, ReadLists};
use crate::arch::virtual_interface::{Group, InterfaceControl, Running};
use crate::base::id::{Intid, PhysIntid};
use std::vec;
use std::vec::Vec;

/// What the guest does at the end of an interrupt: ICC_CTLR_EL1.EOImode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EoiMode {
    /// A write to ICC_EOIR drops the priority and deactivates.
    Together,
    /// Deactivation is a write to ICC_DIR.
    Split,
}

#[derive(Clone, Debug)]
pub(super) struct Fake {
    pub(super) lists: Vec<ListRegister>,
    pub(super) mode: EoiMode,
    /// The interrupts whose priority was not dropped, with the priority and group of then, the last the one that runs.
    pub(super) running: Vec<(u32, u8, Group)>,
    /// The groups that the guest lets through, ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1.
    pub(super) groups: [bool; 2],
    pub(super) wanted: Maintenance,
    /// The physical interrupts that were deactivated, in this order; who did it does not matter to them.
    pub(super) deactivated: Vec<u32>,
    unlisted: u32,
    /// List registers read and written.
    pub(super) accesses: core::cell::Cell<usize>,
}

impl Fake {
    pub(super) fn new(count: usize, mode: EoiMode) -> Self {
        Self {
            lists: vec![ListRegister::EMPTY; count],
            mode,
            running: Vec::new(),
            groups: [true; 2],
            wanted: Maintenance::NOTHING,
            deactivated: Vec::new(),
            unlisted: 0,
            accesses: 0.into(),
        }
    }

    /// Listed interrupts that have not ended.
    pub(super) fn listed(&self) -> impl Iterator<Item = ListRegister> {
        self.lists.iter().copied().filter(|list| list.state() != InterruptState::Invalid)
    }

    /// The list register of interrupt `id`.
    pub(super) fn find(&self, id: u32) -> Option<ListRegister> {
        self.listed().find(|list| list.id() == Intid::new(id))
    }

    /// The pending interrupt with the highest priority.
    pub(super) fn best(&self) -> Option<ListRegister> {
        let pending =
            self.listed().filter(|list| list.state() == InterruptState::Pending && self.groups[list.group() as usize]);
        pending.min_by_key(|list| (list.priority(), list.id()))
    }

    /// The priority that an interrupt must be above to be taken.
    pub(super) fn running_priority(&self) -> u8 {
        self.running.last().map_or(0xff, |(_, priority, _)| *priority)
    }

    /// The guest reads ICC_IAR.
    pub(super) fn acknowledge(&mut self) -> Option<u32> {
        let best = self.best().filter(|list| list.priority() < self.running_priority())?;
        let list = self.lists.iter_mut().find(|list| **list == best).unwrap();
        *list = list.with_state(InterruptState::Active);
        self.running.push((best.id().get(), best.priority(), best.group()));
        Some(best.id().get())
    }

    /// The guest writes the interrupt that runs to ICC_EOIR0 or ICC_EOIR1, which drops the highest active priority. The
    /// interrupt is deactivated if it is listed with that priority and the group of the register, and counted if it is not
    /// listed as active; the latter in both modes, as on QEMU.
    pub(super) fn end(&mut self) -> Option<u32> {
        let (id, priority, group) = self.running.pop()?;
        match self.lists.iter().find(|list| list.id() == Intid::new(id) && list.state().is_active()) {
            None => self.unlisted += 1,
            Some(list) if self.mode == EoiMode::Split || (list.priority(), list.group()) != (priority, group) => {}
            Some(_) => self.deactivate_listed(id),
        }
        Some(id)
    }

    /// What the hardware does with a write to ICC_DIR that is not trapped, and with the second half of one to ICC_EOIR.
    pub(super) fn deactivate_listed(&mut self, id: u32) {
        let Some(list) = self.lists.iter_mut().find(|list| list.id() == Intid::new(id) && list.state().is_active())
        else {
            self.unlisted += 1;
            return;
        };
        *list =
            list.with_state(if list.state().is_pending() { InterruptState::Pending } else { InterruptState::Invalid });
        if let OnEnd::Physical(physical) = list.end() {
            self.deactivated.push(physical.get());
        }
    }

    /// The list registers whose end was signalled, as a bitmap: ICH_EISR_EL2.
    pub(super) fn ended(&self) -> u32 {
        let told = |list: &ListRegister| list.state() == InterruptState::Invalid && list.end() == OnEnd::Maintenance;
        (0..).zip(&self.lists).filter(|(_, list)| told(list)).fold(0, |bits, (n, _)| bits | 1 << n)
    }

    /// Whether the maintenance interrupt is asserted.
    pub(super) fn maintenance(&self) -> bool {
        let no_pending = self.lists.iter().all(|list| list.state() != InterruptState::Pending);
        self.ended() != 0
            || self.wanted.contains(Maintenance::NO_PENDING) && no_pending
            || self.wanted.contains(Maintenance::UNLISTED) && self.unlisted != 0
            || Group::ALL.into_iter().any(|group| {
                let changed = [Maintenance::disabled(group), Maintenance::enabled(group)];
                self.wanted.contains(changed[usize::from(self.groups[group as usize])])
            })
    }
}

impl ReadLists for Fake {
    fn read(&self, index: usize) -> ListRegister {
        self.accesses.set(self.accesses.get() + 1);
        self.lists[index]
    }
}

impl ListRegisters for Fake {
    fn count(&self) -> usize {
        self.lists.len()
    }

    fn write(&mut self, index: usize, value: ListRegister) {
        self.accesses.set(self.accesses.get() + 1);
        let forbidden = matches!(value.end(), OnEnd::Physical(_)) && value.state() == InterruptState::ActiveAndPending;
        assert!(!forbidden, "interrupt {} has a physical one, and is active and pending", value.id());
        self.lists[index] = value;
    }

    fn empty(&self) -> u32 {
        let silent = |list: &ListRegister| list.state() == InterruptState::Invalid && list.end() != OnEnd::Maintenance;
        (0..).zip(&self.lists).filter(|(_, list)| silent(list)).fold(0, |bits, (n, _)| bits | 1 << n)
    }

    fn take_unlisted_ends(&mut self) -> u32 {
        core::mem::take(&mut self.unlisted)
    }

    fn control(&self) -> InterfaceControl {
        let groups = Group::ALL.into_iter().filter(|group| self.groups[*group as usize]);
        let enabled = groups.fold(0, |bits, group| bits | 1 << group as u32);
        let split = if self.mode == EoiMode::Split { 1 << 9 } else { 0 };
        // VBPR0 and VBPR1 for 5 bits of preemption.
        InterfaceControl::from_raw(2 << 21 | 3 << 18 | split | enabled)
    }

    fn running(&self) -> Running {
        let mut levels = [0; 2];
        for (_, priority, group) in &self.running {
            levels[*group as usize] |= 1 << (priority >> 3);
        }
        Running::new(levels, self.control(), 5)
    }

    fn want_maintenance(&mut self, when: Maintenance) {
        self.wanted = when;
    }

    fn deactivate(&mut self, physical: PhysIntid) {
        self.deactivated.push(physical.get());
    }
}
