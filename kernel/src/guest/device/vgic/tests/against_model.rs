//! The vGIC with its list registers behaves as a GIC without them would, whatever the guest, its devices and its vCPUs
//! do.

use super::super::{GicAccess, Kick, LineLevel, SgiKick, SgiRegister, Vgic, VgicShape};
use super::fake::{EoiMode, Fake};
use super::model::{Interrupt, Model};
use super::steps::{CPUS, FORWARDED, IDS, LINES, Manner, Step, What};
#[cfg(fuzzing)]
use super::{Frame, access};
use super::{bit, read, register, write};
use crate::arch::list_register::Maintenance;
use crate::arch::virtual_interface::Group;
use crate::base::id::{Intid, PhysIntid, VcpuId};
use crate::guest::device::size::Size;
use std::collections::BTreeMap;
use std::vec::Vec;

/// The vGIC, the model, and what they have to do with.
#[derive(Clone)]
struct Bench {
    vgic: Vgic,
    model: Model,
    fakes: Vec<Fake>,
    manner: Manner,
    /// What waits for its deactivation, by vCPU.
    dropped: Vec<(usize, u32)>,
    /// Physical interrupts that are active, with the interrupts that they are for.
    physical: BTreeMap<u32, (usize, u32)>,
}

impl Bench {
    fn new(lists: usize, manner: Manner) -> Self {
        let mode = if manner == Manner::Split { EoiMode::Split } else { EoiMode::Together };
        let mut bench = Self {
            vgic: Vgic::new(VgicShape { cpus: CPUS, spis: 32, priority_bits: 5 }).unwrap(),
            model: Model::new(CPUS, &IDS),
            fakes: (0..CPUS).map(|_| Fake::new(lists, mode)).collect(),
            manner,
            dropped: Vec::new(),
            physical: BTreeMap::new(),
        };
        bench.model.groups = 3;
        let kick = write(&mut bench.vgic, &mut bench.fakes[0], VcpuId::new(0), "CTLR", 0, 3);
        bench.calm(kick);
        bench
    }

    /// Serves kicks and maintenance interrupts until there are no more.
    fn calm(&mut self, mut kick: Kick) {
        for _ in 0..8 {
            let busy = |cpu: &usize| kick.contains(VcpuId::new(*cpu as u16)) || self.fakes[*cpu].maintenance();
            let cpus: Vec<usize> = (0..CPUS).filter(busy).collect();
            if cpus.is_empty() {
                return;
            }
            kick = Kick::NONE;
            for cpu in cpus {
                kick = kick | self.vgic.maintain(VcpuId::new(cpu as u16), &mut self.fakes[cpu]);
            }
        }
        panic!("maintenance without end");
    }

    fn step(&mut self, step: Step) {
        let Step { what, cpu, number, .. } = step;
        let id = IDS[step.id];
        let other = usize::from(number & 1);
        // Registers of SGIs and PPIs may be another vCPU's.
        let whose = if id < 32 { other } else { cpu.index() };
        let runs = self.fakes.iter().any(|fake| fake.running.iter().any(|(of, ..)| *of == id));
        let (vgic, lists) = (&mut self.vgic, &mut self.fakes[cpu.index()]);
        let kick = match what {
            // What the guest made inactive while its priority runs has no end that the architecture would define.
            What::Field("ISACTIVER") if runs && !self.model.get(VcpuId::new(whose as u16), id).active => Kick::NONE,
            What::Field(name) => {
                let interrupt = self.model.get(VcpuId::new(whose as u16), id);
                match name {
                    "ISENABLER" => interrupt.enabled = true,
                    "ICENABLER" => interrupt.enabled = false,
                    "ISPENDR" => interrupt.latch = true,
                    "ICPENDR" => interrupt.latch = false,
                    "ICACTIVER" => interrupt.active = false,
                    _ => self.model.set_active(cpu, whose, id),
                }
                write(vgic, lists, cpu, name, id + 1000 * whose as u32, bit(id))
            }
            What::Priority => {
                self.model.get(VcpuId::new(whose as u16), id).priority = number & 0xf8;
                write(vgic, lists, cpu, "IPRIORITYR", id + 1000 * whose as u32, number.into())
            }
            What::Config | What::Group => {
                let name = if what == What::Config { "ICFGR" } else { "IGROUPR" };
                let old = read(vgic, lists, cpu, name, id + 1000 * whose as u32);
                let bit = if what == What::Config { 2 << (id % 16 * 2) } else { bit(id) };
                let interrupt = self.model.get(VcpuId::new(whose as u16), id);
                if what == What::Group {
                    interrupt.group = if interrupt.group == Group::One { Group::Zero } else { Group::One };
                } else if id >= 16 {
                    interrupt.edge = !interrupt.edge;
                }
                write(vgic, lists, cpu, name, id + 1000 * whose as u32, old ^ bit)
            }
            What::Route if id >= 32 => {
                let target = usize::from(number % 3);
                self.model.get(VcpuId::new(0), id).target = (target < CPUS).then_some(target);
                write(vgic, lists, cpu, "IROUTER", id, target as u64)
            }
            What::Control => {
                self.model.groups = (number % 4).into();
                write(vgic, lists, cpu, "CTLR", 0, (number % 4).into())
            }
            What::Sgi => {
                let (targets, id) = (u64::from(number & 3), [0, 3, 15, 3][usize::from(number >> 2 & 3)]);
                let to_group = [Group::Zero, Group::One][usize::from(number >> 4 & 1)];
                for cpu in (0..CPUS).filter(|cpu| targets & 1 << cpu != 0) {
                    let interrupt = self.model.get(VcpuId::new(cpu as u16), id);
                    interrupt.latch |= interrupt.group == to_group;
                }
                let register = if to_group == Group::Zero { SgiRegister::Sgi0 } else { SgiRegister::Sgi1 };
                let SgiKick { sgis, others } = vgic.send_sgi(cpu, register, u64::from(id) << 24 | targets, lists);
                // Others look at their SGIs, or at everything.
                if number & 1 << 5 == 0 {
                    sgis | others
                } else {
                    sgis.cpus().fold(others, |kick, target| {
                        kick | self.vgic.deliver_sgis(target, &mut self.fakes[target.index()])
                    })
                }
            }
            What::Line => {
                let (id, line) =
                    (LINES[step.id % LINES.len()], if number & 2 == 0 { LineLevel::Low } else { LineLevel::High });
                self.model.set_line(cpu, id, line);
                vgic.set_line(cpu, Intid::new(id), line, lists)
            }
            What::Forward => {
                let id = FORWARDED[step.id % FORWARDED.len()];
                let physical = id + if id < 32 { 100 * cpu.index() as u32 } else { 0 };
                if self.physical.contains_key(&physical) {
                    return;
                }
                self.physical.insert(physical, (cpu.index(), id));
                self.model.get(cpu, id).latch = true;
                vgic.forward(cpu, Intid::new(id), PhysIntid::new(physical), lists)
            }
            What::Withdraw => {
                let id = FORWARDED[step.id % FORWARDED.len()];
                let linked = vgic.snapshot(cpu, Intid::new(id), lists).unwrap().physical.is_some();
                if linked && self.physical.values().any(|of| *of == (cpu.index(), id) || id >= 32 && of.1 == id) {
                    self.model.get(cpu, id).latch = false;
                    vgic.withdraw(cpu, Intid::new(id), lists)
                } else {
                    Kick::NONE
                }
            }
            What::LetThrough => {
                let group = usize::from(number & 1);
                lists.groups[group] = number & 2 == 0;
                self.model.lets_through[cpu.index()] = lists.groups;
                Kick::NONE
            }
            What::Acknowledge => {
                let best = self.model.best(cpu).filter(|(priority, _)| *priority < lists.running_priority());
                let taken = lists.acknowledge();
                assert_eq!(taken, best.map(|(_, id)| id), "what is taken, and what should be");
                if let Some(id) = taken {
                    self.model.acknowledge(cpu, id);
                }
                Kick::NONE
            }
            What::End | What::EndAndTake => {
                match (lists.end(), self.manner) {
                    (Some(id), Manner::Split) => self.dropped.push((cpu.index(), id)),
                    (Some(id), Manner::Together) => self.model.deactivate(cpu, id),
                    (None, _) => {}
                }
                if what == What::EndAndTake
                    && let Some(id) = lists.acknowledge()
                {
                    let interrupt = self.model.get(cpu, id);
                    assert!(interrupt.pending() && !interrupt.active, "{id} is not there to be taken");
                    self.model.acknowledge(cpu, id);
                }
                Kick::NONE
            }
            What::Deactivate => {
                let mine = |at: &usize| self.dropped[*at].0 == cpu.index();
                let candidates: Vec<usize> = (0..self.dropped.len()).filter(mine).collect();
                if candidates.is_empty() {
                    return;
                }
                let (_, id) = self.dropped.remove(candidates[usize::from(number) % candidates.len()]);
                self.model.deactivate(cpu, id);
                if lists.wanted.contains(Maintenance::UNLISTED) {
                    vgic.deactivate(cpu, Intid::new(id), lists)
                } else {
                    lists.deactivate_listed(id);
                    Kick::NONE
                }
            }
            What::Maintain => vgic.maintain(cpu, lists),
            What::Part => {
                let kick = vgic.part(cpu, lists);
                for (whose, id) in self.physical.values().filter(|(whose, id)| *whose == cpu.index() && *id < 32) {
                    // Its line interrupts again; what the guest has acknowledged stays so.
                    self.model.get(VcpuId::new(*whose as u16), *id).latch = false;
                }
                let private = |(_, (whose, id)): &(&u32, &(usize, u32))| *whose == cpu.index() && *id < 32;
                let mine = self.physical.iter().filter(private).map(|(physical, _)| physical);
                for physical in mine {
                    assert!(self.fakes[cpu.index()].deactivated.contains(physical), "{physical} stays active");
                }
                kick
            }
            What::Route => Kick::NONE,
        };
        self.calm(kick);
        self.check();
    }

    fn check(&mut self) {
        let mut spis = Vec::new();
        for cpu in 0..CPUS {
            let mut ids: Vec<u32> = self.fakes[cpu].listed().map(|list| list.id().get()).collect();
            spis.extend(ids.iter().copied().filter(|id| *id >= 32));
            ids.sort_unstable();
            assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "listed twice: {ids:?}");
            let next = self.fakes[cpu].best().map(|list| (list.priority(), list.id().get()));
            assert_eq!(next, self.model.best(VcpuId::new(cpu as u16)), "next of vCPU {cpu}");
            for done in core::mem::take(&mut self.fakes[cpu].deactivated) {
                let (whose, id) = self.physical.remove(&done).expect("a physical interrupt that is active");
                assert!(id >= 32 || whose == cpu, "a PPI is deactivated on another CPU");
            }
            let waits = self.model.any(VcpuId::new(cpu as u16));
            assert!(waits || !self.fakes[cpu].wanted.contains(Maintenance::NO_PENDING), "maintenance for nothing");
        }
        spis.sort_unstable();
        assert!(spis.windows(2).all(|pair| pair[0] != pair[1]), "listed on two CPUs: {spis:?}");
        for (physical, (cpu, id)) in &self.physical {
            let interrupt = *self.model.get(VcpuId::new(*cpu as u16), *id);
            assert!(interrupt.pending() || interrupt.active, "physical {physical} is never deactivated");
        }
        // Reading reads list registers back, which could hide something.
        self.clone().check_registers();
    }

    fn check_registers(&mut self) {
        for (reader, whose) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            // The word with the SGIs and PPIs, and that with the SPIs.
            for first in [0, 32] {
                let at = first + if first == 0 { 1000 * whose as u32 } else { 0 };
                let ids = IDS.into_iter().filter(|id| id / 32 == first / 32);
                let interrupts: Vec<(u32, Interrupt)> =
                    ids.map(|id| (id, *self.model.get(VcpuId::new(whose), id))).collect();
                let word = |holds: fn(&Interrupt) -> bool| {
                    interrupts.iter().filter(|(_, is)| holds(is)).fold(0, |word, (id, _)| word | bit(*id))
                };
                let mask = interrupts.iter().fold(0, |mask, (id, _)| mask | bit(*id));
                for (name, expected) in [
                    ("ISENABLER", word(|is| is.enabled)),
                    ("ICPENDR", word(Interrupt::pending)),
                    ("ISACTIVER", word(|is| is.active)),
                    ("IGROUPR", word(|is| is.group == Group::One)),
                ] {
                    let (offset, frame) = register(name, at);
                    let access = GicAccess::Read { size: Size::Word };
                    let answer = super::access(
                        &mut self.vgic,
                        &mut self.fakes[reader],
                        VcpuId::new(reader as u16),
                        frame,
                        offset,
                        access,
                    );
                    // Another's list registers are as it left them; when it was kicked, all is known.
                    self.calm(answer.unwrap().kick);
                    let value = read(&mut self.vgic, &mut self.fakes[reader], VcpuId::new(reader as u16), name, at);
                    assert_eq!(value & mask, expected, "{name} of vCPU {whose}, read by {reader}");
                }
                for (id, interrupt) in interrupts {
                    let at = at - first + id;
                    let priority =
                        read(&mut self.vgic, &mut self.fakes[reader], VcpuId::new(reader as u16), "IPRIORITYR", at);
                    assert_eq!(priority, interrupt.priority.into());
                }
            }
        }
    }

    /// The guest takes all there is, and its handlers satisfy the devices.
    fn drain(&mut self) {
        for cpu in 0..CPUS {
            for group in 0..2 {
                self.step(Step { what: What::LetThrough, cpu: VcpuId::new(cpu as u16), id: 0, number: group });
            }
        }
        for cpu in (0..CPUS).cycle().take(80) {
            let number = 0;
            if let Some((_, id)) = self.model.best(VcpuId::new(cpu as u16)).filter(|(_, id)| LINES.contains(id)) {
                let id = LINES.iter().position(|line| *line == id).unwrap();
                self.step(Step { what: What::Acknowledge, cpu: VcpuId::new(cpu as u16), id: 0, number });
                self.step(Step { what: What::Line, cpu: VcpuId::new(cpu as u16), id, number });
            } else {
                self.step(Step { what: What::Acknowledge, cpu: VcpuId::new(cpu as u16), id: 0, number });
            }
            self.step(Step { what: What::End, cpu: VcpuId::new(cpu as u16), id: 0, number });
            self.step(Step { what: What::Deactivate, cpu: VcpuId::new(cpu as u16), id: 0, number });
        }
        for cpu in 0..CPUS {
            let next = self
                .model
                .best(VcpuId::new(cpu as u16))
                .filter(|(priority, _)| *priority < self.fakes[cpu].running_priority());
            assert!(next.is_none(), "{next:?} is never taken");
        }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(*step);
        }
        self.drain();
    }
}

/// Lets happen what `bytes` stand for, to a guest with two vCPUs of 1 to 4 list registers, and compares what it sees with the
/// model. Then the guest accesses the registers at whatever offset.
///
/// # Panics
///
/// If the two differ.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let manner = if first & 4 == 0 { Manner::Together } else { Manner::Split };
    let mut bench = Bench::new(usize::from(first % 4) + 1, manner);
    let (chunks, _) = bytes.as_chunks();
    let (steps, accesses) = chunks.split_at(chunks.len().min(80));
    bench.run(&steps.iter().copied().map(Step::from).collect::<Vec<_>>());
    for [place, low, high, value] in accesses {
        let cpu = usize::from(place & 1);
        let offset = u64::from(*low) | u64::from(*high) << 8 | u64::from(place & 6) << 15;
        let size = [Size::Byte, Size::Half, Size::Word, Size::Double][usize::from(place >> 3 & 3)];
        let value = (u64::from(*value) * 0x0101_0101_0101_0101) >> (64 - 8 * size.bytes());
        let wanted = if place & 0x20 == 0 { GicAccess::Read { size } } else { GicAccess::Write { size, value } };
        let frame = if place & 0x40 == 0 { Frame::Distributor } else { Frame::Redistributors };
        if let Ok(answer) =
            access(&mut bench.vgic, &mut bench.fakes[cpu], VcpuId::new(cpu as u16), frame, offset, wanted)
        {
            assert!(size == Size::Double || answer.value >> (8 * size.bytes()) == 0, "{wanted:?} at {offset:#x}");
            for cpu in 0..CPUS {
                let _others = bench.vgic.maintain(VcpuId::new(cpu as u16), &mut bench.fakes[cpu]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bench, Manner, Step};
    use crate::testing;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #![proptest_config(testing::cases(64))]

        /// With as few list registers as there can be, interrupts that nest, and a guest that changes whatever it can while they
        /// are active.
        #[test]
        #[cfg_attr(miri, ignore = "minutes for each case when interpreted, and no unsafe code")]
        fn a_guest_that_ends_interrupts_at_once_sees_a_gic(
            lists in 1..7_usize,
            steps in prop::collection::vec(any::<[u8; 4]>(), 1..80),
        ) {
            Bench::new(lists, Manner::Together).run(&steps.into_iter().map(Step::from).collect::<Vec<_>>());
        }

        /// Interrupts end in any order, long after their priority was dropped.
        #[test]
        #[cfg_attr(miri, ignore = "minutes for each case when interpreted, and no unsafe code")]
        fn a_guest_that_deactivates_in_any_order_sees_a_gic(
            lists in 1..5_usize,
            steps in prop::collection::vec(any::<[u8; 4]>(), 1..80),
        ) {
            Bench::new(lists, Manner::Split).run(&steps.into_iter().map(Step::from).collect::<Vec<_>>());
        }
    }
}
