//! A model of the GIC: slow and obvious, one record for each interrupt, without list registers.

use super::super::LineLevel;
use crate::arch::virtual_interface::Group;
use crate::base::id::VcpuId;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

#[derive(Clone, Copy, Debug)]
pub(super) struct Interrupt {
    pub(super) enabled: bool,
    pub(super) group: Group,
    pub(super) edge: bool,
    pub(super) line: LineLevel,
    pub(super) latch: bool,
    pub(super) active: bool,
    /// The vCPU for which it is active.
    pub(super) holder: usize,
    pub(super) priority: u8,
    /// The vCPU that it goes to.
    pub(super) target: Option<usize>,
}

impl Interrupt {
    pub(super) fn pending(&self) -> bool {
        self.latch || self.line == LineLevel::High && !self.edge
    }
}

/// Interrupts by INTID and, for SGIs and PPIs, by vCPU.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) interrupts: BTreeMap<(Option<usize>, u32), Interrupt>,
    pub(super) groups: u32,
    /// The groups that each vCPU lets through.
    pub(super) lets_through: Vec<[bool; 2]>,
}

impl Model {
    pub(super) fn new(cpus: usize, ids: &[u32]) -> Self {
        let mut model = Self { lets_through: vec![[true; 2]; cpus], ..Self::default() };
        for cpu in 0..cpus {
            for id in ids {
                let private = *id < 32;
                let interrupt = Interrupt {
                    enabled: false,
                    group: Group::One,
                    edge: *id < 16,
                    line: LineLevel::Low,
                    latch: false,
                    active: false,
                    holder: cpu,
                    priority: 0,
                    target: Some(if private { cpu } else { 0 }),
                };
                model.interrupts.insert(Self::key(VcpuId::new(cpu as u16), *id), interrupt);
            }
        }
        model
    }

    fn key(cpu: VcpuId, id: u32) -> (Option<usize>, u32) {
        ((id < 32).then_some(cpu.index()), id)
    }

    pub(super) fn get(&mut self, cpu: VcpuId, id: u32) -> &mut Interrupt {
        self.interrupts.get_mut(&Self::key(cpu, id)).expect("an interrupt of the test")
    }

    /// The interrupts that are pending for `cpu`, whatever its CPU interface lets through.
    fn deliverable(&self, cpu: VcpuId) -> impl Iterator<Item = (u32, &Interrupt)> {
        let deliverable = self.interrupts.iter().filter(move |(_, interrupt)| {
            let group = self.groups & if interrupt.group == Group::Zero { 1 } else { 2 } != 0;
            let ready = interrupt.pending() && !interrupt.active && interrupt.enabled && group;
            ready && interrupt.target == Some(cpu.index())
        });
        deliverable.map(|((_, id), interrupt)| (*id, interrupt))
    }

    /// Whether any interrupt is pending for `cpu`.
    pub(super) fn any(&self, cpu: VcpuId) -> bool {
        self.deliverable(cpu).next().is_some()
    }

    /// The interrupt that `cpu` is to take next.
    pub(super) fn best(&self, cpu: VcpuId) -> Option<(u8, u32)> {
        let let_through = self.deliverable(cpu).filter(|(_, is)| self.lets_through[cpu.index()][is.group as usize]);
        let_through.map(|(id, interrupt)| (interrupt.priority, id)).min()
    }

    pub(super) fn set_line(&mut self, cpu: VcpuId, id: u32, line: LineLevel) {
        let interrupt = self.get(cpu, id);
        interrupt.latch |= interrupt.edge && interrupt.line == LineLevel::Low && line == LineLevel::High;
        interrupt.line = line;
    }

    pub(super) fn acknowledge(&mut self, cpu: VcpuId, id: u32) {
        let interrupt = self.get(cpu, id);
        interrupt.latch = false;
        interrupt.active = true;
        interrupt.holder = cpu.index();
    }

    /// `cpu` deactivates `id`; nothing happens unless it is active for it.
    pub(super) fn deactivate(&mut self, cpu: VcpuId, id: u32) {
        let interrupt = self.get(cpu, id);
        interrupt.active &= interrupt.holder != cpu.index();
    }

    pub(super) fn set_active(&mut self, cpu: VcpuId, whose: usize, id: u32) {
        let interrupt = self.get(VcpuId::new(whose as u16), id);
        if !interrupt.active {
            interrupt.holder = interrupt.target.unwrap_or(cpu.index());
        }
        interrupt.active = true;
    }
}
