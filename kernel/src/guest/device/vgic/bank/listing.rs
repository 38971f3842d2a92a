//! The state that moves from an interrupt into a list register, and back.

use super::InterruptBank;
use crate::arch::list_register::{InterruptState, ListRegister, OnEnd};
use crate::arch::virtual_interface::Group;
use crate::base::id::{Intid, VcpuId};

/// Whether others that are pending wait for a list register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Waiting {
    Nobody,
    /// They may go before one that is to be taken again. Its end must not make it pending behind everyone's back.
    Others,
}

impl InterruptBank {
    /// What was pending and active of those that are listed, when they were.
    pub(in super::super) fn lent(&self) -> (u32, u32) {
        (self.lent_latch & !self.forget_pending, self.lent_active & !self.forget_active)
    }

    /// Whether `listed`, in `n`'s list register, is pending for more than its line, which the bank knows, and active.
    pub(in super::super) fn seen(&self, n: u32, listed: ListRegister) -> (u32, u32) {
        let bit = 1 << n;
        let pending = if listed.state().is_pending() { bit & self.lent_latch & !self.forget_pending } else { 0 };
        let active = if listed.state().is_active() { bit & !self.forget_active } else { 0 };
        (pending, active)
    }

    /// Whether `n`, whose list register has become `listed`, is active since it was acknowledged there.
    fn was_acknowledged_there(&self, n: u32, listed: ListRegister) -> bool {
        listed.state().is_active() && self.lent_active & 1 << n == 0
    }

    /// Whether `n`, whose list register has become `listed`, is active by an acknowledgement, there or before.
    pub(in super::super) fn runs_as(&self, n: u32, listed: ListRegister) -> bool {
        listed.state().is_active() && (self.acknowledged & 1 << n != 0 || self.was_acknowledged_there(n, listed))
    }

    /// Whether `n` was given to a list register of `cpu` as pending and no more, and nobody has wanted anything else of it
    /// since.
    #[inline]
    pub(in super::super) fn was_lent_pending(&self, n: u32, cpu: VcpuId) -> bool {
        let bit = 1 << n;
        let otherwise = self.lent_active | self.forget_pending | self.forget_active | self.relinked | self.latched;
        self.resident & self.lent_latch & !otherwise & bit != 0 && usize::from(self.holder[n as usize]) == cpu.index()
    }

    /// Whether `n`, of a private bank, was given to a list register with its pending latch and no more, and nobody has wanted
    /// anything else of it since than to make it pending again.
    #[inline]
    pub(in super::super) fn was_lent_latch_alone(&self, n: u32) -> bool {
        let otherwise = self.lent_active | self.forget_pending | self.forget_active | self.relinked | self.active;
        self.resident & self.lent_latch & !otherwise & 1 << n != 0
    }

    /// Moves the pending latch of `n` into its list register, which has it.
    #[inline]
    pub(in super::super) fn take_latch(&mut self, n: u32) {
        self.latched &= !(1 << n);
    }

    /// Gives `n`, which is not resident, to list register `slot` of `cpu`. Those in `deliverable` may be pending there.
    pub(in super::super) fn lend(
        &mut self,
        n: u32,
        id: Intid,
        (cpu, slot): (usize, usize),
        deliverable: u32,
        waiting: Waiting,
    ) -> ListRegister {
        let (bit, at) = (1 << n, n as usize);
        let active = self.active & bit;
        let (priority, group) = self.rank(n);
        // A list register has one priority and one group. An active interrupt whose handler has changed them keeps those
        // that it was acknowledged with, and is listed with the new ones once it has ended.
        let unchanged = (priority, group) == (self.priority[at], Group::of(self.group, bit));
        let here = self.target[at] == Some(cpu as u8) && (active == 0 || unchanged && waiting == Waiting::Nobody);
        let pending = if here { self.pending() & deliverable & bit } else { 0 };
        let state = InterruptState::of(pending, active);
        // While its line is high, or its latch has to wait, the end of one is the beginning of the next. An
        // interrupt with a physical one must not be active and pending (IHI 0069, 12.4 "ICH_LR_EL2"), and then software
        // ends the physical one.
        let later = self.pending() & deliverable & active & !pending;
        let again = (self.line & !self.edge & bit) | later != 0;
        let end = match self.is_linked(n) {
            true if again || state == InterruptState::ActiveAndPending => OnEnd::Maintenance,
            true => OnEnd::Physical(self.physical[at]),
            false if again => OnEnd::Maintenance,
            false => OnEnd::Silent,
        };
        // The latch moves only if the register is pending for it: pending for its line alone, the bank keeps seeing the line,
        // and the end of the interrupt (OnEnd::Maintenance) looks at the line again. The active state always moves.
        self.lent_latch |= self.latched & pending;
        self.latched &= !pending;
        self.lent_active |= active;
        self.active &= !bit;
        self.resident |= bit;
        self.holder[at] = cpu as u8;
        self.slot[at] = slot as u8;
        ListRegister::new(id, priority, group, state, end)
    }

    /// Takes `n` back from its list register, which has become `listed`.
    pub(in super::super) fn take_back(&mut self, n: u32, listed: ListRegister) {
        let bit = 1 << n;
        let (pending, active) = self.seen(n, listed);
        // The end of an interrupt is matched by the priority and the group that it was acknowledged with: those of the list
        // register, whatever the guest has configured since.
        if active == 0 {
            self.acknowledged &= !bit;
        } else if self.was_acknowledged_there(n, listed) {
            self.acknowledged |= bit;
            self.acknowledged_group =
                self.acknowledged_group & !bit | if listed.group() == Group::One { bit } else { 0 };
            self.acknowledged_priority[n as usize] = listed.priority();
        }
        if listed.state() == InterruptState::Invalid && matches!(listed.end(), OnEnd::Physical(_)) {
            // The hardware deactivated the physical interrupt, of which there may be another since.
            self.linked &= !bit | self.relinked;
        }
        // Merged, not stored: the latch may have been set again in the bank while the register had the older one. `seen` has
        // left out what was taken away meanwhile, so the notes of that go now.
        self.latched |= pending;
        self.active |= active;
        for word in [
            &mut self.resident,
            &mut self.lent_latch,
            &mut self.lent_active,
            &mut self.forget_pending,
            &mut self.forget_active,
            &mut self.relinked,
        ] {
            *word &= !bit;
        }
    }
}
