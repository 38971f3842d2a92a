//! A guest's interrupts, printed for a person.

use super::bank::ones;
use super::{Affinity, Vgic};
use crate::arch::list_register::{InterruptState, ReadLists};
use crate::arch::virtual_interface::Group;
use crate::base::id::{Intid, PhysIntid, VcpuId};
use core::fmt;

/// An interrupt at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptSnapshot {
    /// The INTID.
    pub id: Intid,
    /// Whether it waits to be taken, was taken, or both.
    pub state: InterruptState,
    /// Whether the guest enabled it.
    pub enabled: bool,
    /// Its priority: lower goes first.
    pub priority: u8,
    /// Its group.
    pub group: Group,
    /// Whose it is, as the guest set it.
    pub affinity: Affinity,
    /// The physical interrupt behind it.
    pub physical: Option<PhysIntid>,
}

impl InterruptSnapshot {
    /// Whether it is enabled, pending or active.
    pub fn is_in_use(&self) -> bool {
        self.enabled || self.state != InterruptState::Invalid
    }
}

impl fmt::Display for InterruptSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            InterruptState::Invalid => "idle",
            InterruptState::Pending => "pending",
            InterruptState::Active => "active",
            InterruptState::ActiveAndPending => "active and pending",
        };
        let enabled = if self.enabled { "enabled" } else { "disabled" };
        let group = self.group as u8;
        write!(f, "interrupt {}: {state}, {enabled}, group {group}, priority {:#04x}", self.id, self.priority)?;
        self.physical.map_or(Ok(()), |physical| write!(f, ", physical {physical}"))
    }
}

impl Vgic {
    /// Whether the guest has enabled interrupt `id` of `cpu`, if there is one.
    pub fn is_enabled(&self, cpu: VcpuId, id: Intid) -> bool {
        self.locate(cpu, id).is_some_and(|(index, n)| self.banks[index].enabled & 1 << n != 0)
    }

    /// Interrupt `id` as `cpu` sees it, if there is one.
    pub fn snapshot(&self, cpu: VcpuId, id: Intid, lists: &impl ReadLists) -> Option<InterruptSnapshot> {
        let (index, n) = self.locate(cpu, id)?;
        let bank = &self.banks[index];
        let bit = 1 << n;
        let (pending, active, _) = self.sample(cpu, index, lists);
        Some(InterruptSnapshot {
            id,
            state: InterruptState::of(pending & bit, active & bit),
            enabled: bank.enabled & bit != 0,
            priority: bank.priority[n as usize],
            group: Group::of(bank.group, bit),
            affinity: bank.route(n),
            physical: bank.is_linked(n).then(|| bank.physical(n)),
        })
    }

    /// The interrupts of `cpu` and the SPIs that are enabled, pending or active.
    pub fn in_use(&self, cpu: VcpuId, lists: &impl ReadLists) -> impl Iterator<Item = InterruptSnapshot> {
        let indices = core::iter::once(cpu.index()).chain(self.cpus.len()..self.banks.len());
        let ids = indices.flat_map(move |index| {
            let bank = &self.banks[index];
            ones(bank.enabled | bank.busy()).map(move |n| self.id_of(index, n))
        });
        ids.filter_map(move |id| self.snapshot(cpu, id, lists))
    }
}
