//! The virtual GICv3 of one guest.
//!
//! The processor's virtual CPU interface delivers a guest's interrupts without the hypervisor's help, out of a few
//! *list registers*. Software emulates the distributor and the redistributors, and chooses the interrupts to list. List
//! registers stay live between exits, so the state of a listed interrupt is in the hardware, and is read back only when
//! an operation needs it: an exit that does not concern the vGIC costs nothing here.
//!
//! - `bank`: the state of 32 interrupts that is not in a list register.
//! - `interface`: the guest's settings at its CPU interface, as values.
//! - `lists` and `refill`: moving state into list registers and back, the highest priority first.
//! - `access`, `distributor`, `redistributor` and `registers`: the registers that the guest sees.
//! - `sgi`: interrupts from one vCPU to another.
//!
//! Each vCPU has a physical CPU, whose list registers are an argument: only that CPU can reach them. An operation on
//! one CPU that concerns another's list registers leaves a note in the bank and returns a [`Kick`]; the other CPU then
//! does its part in [`Vgic::maintain`].
//!
//! Relies on: the physical CPU interface splitting the end of an interrupt in two (ICC_CTLR_EL1.EOImode = 1), so that a
//! forwarded interrupt stays active until the guest ends it; and a guest whose MPIDR_EL1 values are those of
//! [`Affinity`]. The numbers and rules are those of IHI 0069.

mod access;
mod affinity;
mod bank;
mod distributor;
mod kick;
mod lists;
mod ranking;
mod redistributor;
mod refill;
mod registers;
mod report;
mod sgi;
#[cfg(any(test, fuzzing))]
mod tests;

pub use crate::arch::list_register::{
    InterruptState, ListRegister, ListRegisters, MAX_LIST_REGISTERS, Maintenance, OnEnd, ReadLists,
};
pub use crate::arch::virtual_interface::{CommonRegister, Features, Group, InterfaceControl, Running};
use crate::base::id::{Intid, MAX_VCPUS, PhysIntid, VcpuId};
pub use crate::guest::device::size::Size;
pub use access::{Frame, GicAccess, GicAnswer, GicRejected, Sizes};
pub use affinity::Affinity;
pub use distributor::DISTRIBUTOR_BYTES;
pub use kick::Kick;
pub use redistributor::REDISTRIBUTOR_BYTES;
pub use report::InterruptSnapshot;
pub use sgi::{SgiKick, SgiRegister};
#[cfg(fuzzing)]
pub use tests::against_model::fuzz;

use crate::base::interrupt::MAX_SPIS;
use alloc::vec::Vec;
use bank::InterruptBank;
use registers::CtlrGroups;

/// Interrupts of one bank: registers with a bit for each have 32.
const BANK: u32 = 32;
/// The most vCPUs of one guest: as many as a [`Kick`] has bits.
pub const MAX_CPUS: usize = MAX_VCPUS as usize;
/// The first of the special INTIDs, which are no interrupts (IHI 0069, 2.2.1): the last bank ends with four of them.
const SPECIAL: u32 = BANK + MAX_SPIS;

/// How large a vGIC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VgicShape {
    /// vCPUs, from 1 to [`MAX_CPUS`].
    pub cpus: usize,
    /// SPIs, at most [`MAX_SPIS`]; rounded up to a multiple of 32.
    pub spis: u32,
    /// Bits of a priority that the virtual CPU interface has: ICH_VTR_EL2.PRIbits + 1, taken as 4 to 8.
    pub priority_bits: u32,
}

/// Why there is no vGIC of some shape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum VgicShapeError {
    /// A guest has a vCPU, and no more than a kick can name.
    #[error("a vGIC for {cpus} vCPUs, which takes 1 to {MAX_CPUS}")]
    Cpus {
        /// How many there should be.
        cpus: usize,
    },
    /// INTIDs end.
    #[error("a vGIC with {spis} SPIs, which has {MAX_SPIS} at most")]
    Spis {
        /// How many there should be.
        spis: u32,
    },
}

/// The level of the line between a device and the GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineLevel {
    /// The device deasserts its line.
    Low,
    /// The device asserts its line.
    High,
}

/// What is known of a vCPU besides its interrupts.
#[derive(Clone, Debug)]
struct Cpu {
    /// The list registers that were filled and not read back since, as a bitmap.
    used: u32,
    /// The INTIDs in them.
    held: [Intid; MAX_LIST_REGISTERS],
    /// What maintenance its interface was last told to ask for. Anything but nothing means that interrupts wait.
    asked: Maintenance,
    /// GICR_WAKER.ProcessorSleep, in its place.
    sleep: u32,
}

/// The vGIC of one guest.
///
/// `cpu` is everywhere the number of the vCPU that runs on this physical CPU, below [`cpus`](Self::cpus), and `lists` are
/// this CPU's list registers.
#[derive(Clone, Debug)]
pub struct Vgic {
    /// SGIs and PPIs of each vCPU, then the SPIs.
    banks: Vec<InterruptBank>,
    cpus: Vec<Cpu>,
    groups: CtlrGroups,
    /// The bits of a priority that exist.
    priority_mask: u8,
}

impl Vgic {
    /// A vGIC after reset. All of its memory is allocated here.
    pub fn new(shape: VgicShape) -> Result<Self, VgicShapeError> {
        let VgicShape { cpus, spis, priority_bits } = shape;
        if !(1..=MAX_CPUS).contains(&cpus) {
            return Err(VgicShapeError::Cpus { cpus });
        }
        if spis > MAX_SPIS {
            return Err(VgicShapeError::Spis { spis });
        }
        let private = (0..cpus).map(|cpu| InterruptBank::private(VcpuId::new(cpu as u16)));
        let shared = (0..spis.div_ceil(BANK)).map(|_| InterruptBank::shared());
        let cpu = Cpu {
            used: 0,
            held: [Intid::new(0); MAX_LIST_REGISTERS],
            asked: Maintenance::NOTHING,
            sleep: redistributor::SLEEP,
        };
        Ok(Self {
            banks: private.chain(shared).collect(),
            cpus: (0..cpus).map(|_| cpu.clone()).collect(),
            groups: CtlrGroups::default(),
            priority_mask: 0xff << (8 - priority_bits.clamp(4, 8)),
        })
    }

    /// How many vCPUs there are.
    pub fn cpus(&self) -> usize {
        self.cpus.len()
    }

    /// The end of the INTIDs, in whole banks: of those below, all exist but the special ones.
    pub fn interrupts(&self) -> u32 {
        (self.banks.len() - self.cpus.len() + 1) as u32 * BANK
    }

    /// Sets the line of a device that the hypervisor emulates: interrupt `id`, an SPI, or a PPI of `cpu`.
    ///
    /// A level-sensitive interrupt is pending as long as its line is high, an edge-triggered one from its rise on. Nothing
    /// happens if there is no such interrupt.
    pub fn set_line(&mut self, cpu: VcpuId, id: Intid, line: LineLevel, lists: &mut impl ListRegisters) -> Kick {
        let Some((index, n)) = self.locate(cpu, id) else { return Kick::NONE };
        if !self.banks[index].set_line(n, line) {
            return Kick::NONE;
        }
        self.settle(cpu, index, n, lists)
    }

    /// Makes a physical interrupt the guest's interrupt `id`, an SPI, or a PPI of `cpu`.
    ///
    /// `physical` was acknowledged on this CPU and its priority dropped, and it stays active until the guest ends its own
    /// interrupt, or loses it: it is deactivated exactly once, by the hardware or here. If the guest has no such interrupt,
    /// that is now. The interrupt must not have a device of the hypervisor as well.
    pub fn forward(&mut self, cpu: VcpuId, id: Intid, physical: PhysIntid, lists: &mut impl ListRegisters) -> Kick {
        let Some((index, n)) = self.locate(cpu, id) else {
            lists.deactivate(physical);
            return Kick::NONE;
        };
        if self.repeat(cpu, index, n, physical, lists) {
            return Kick::NONE;
        }
        // What was forwarded before and has ended since must not be taken for this one.
        let (slot, kick) = self.lift(cpu, index, n, lists);
        if let Some(other) = self.banks[index].link(n, physical) {
            lists.deactivate(other);
        }
        kick | self.place(cpu, index, n, slot, lists)
    }

    /// Withdraws a forwarded interrupt that the guest has not acknowledged, because its cause is gone: a timer was
    /// switched off. It is deactivated. One that the guest has taken is left to it, and what was not forwarded as it is.
    pub fn withdraw(&mut self, cpu: VcpuId, id: Intid, lists: &mut impl ListRegisters) -> Kick {
        let Some((index, n)) = self.locate(cpu, id) else { return Kick::NONE };
        if !self.banks[index].is_linked(n) {
            return Kick::NONE;
        }
        self.change(cpu, index, 1 << n, lists, |bank| bank.clear_pending(1 << n))
    }

    /// What a write of `id` to ICC_DIR_EL1 means, which is trapped while [`Maintenance::UNLISTED`] is asked for. Nothing, as
    /// in hardware, where the end of an interrupt deactivates it already (IHI 0069, 12.2 "ICC_DIR_EL1").
    pub fn deactivate(&mut self, cpu: VcpuId, id: Intid, lists: &mut impl ListRegisters) -> Kick {
        let Some((index, n)) = self.locate(cpu, id) else { return Kick::NONE };
        if self.banks[index].owner(n) != Some(cpu) || !lists.control().splits_ends() {
            return Kick::NONE;
        }
        self.change(cpu, index, 1 << n, lists, |bank| bank.clear_active(1 << n))
    }

    /// Reads the list registers back and fills them anew: on a maintenance interrupt, on a kick, and before the vCPU runs
    /// for the first time.
    pub fn maintain(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        self.refill(cpu, lists)
    }

    /// Takes back what `cpu` has listed, which is left: it is switched off, or its guest has ended. No interrupt of its own is
    /// active from then on, and none of the machine's is pending for it: what was forwarded is deactivated, on its CPU, which
    /// this is.
    pub fn retire(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        let kick = self.fold(cpu, lists);
        let index = cpu.index();
        let linked = self.banks[index].linked();
        self.banks[index].clear_active(u32::MAX);
        self.banks[index].clear_pending(linked);
        let mut kick = kick | self.release(cpu, index, u32::MAX, lists);
        for shared in self.cpus.len()..self.banks.len() {
            kick = kick | self.kicks(cpu, shared, u32::MAX);
        }
        self.cpus[index].asked = Maintenance::NOTHING;
        kick
    }

    /// Takes the machine's interrupts from `cpu`, which leaves its CPU to another vCPU for a while: they are deactivated, so
    /// that they can interrupt for that one. An interrupt that the guest has not acknowledged is not pending any more: its
    /// line interrupts again when the vCPU is back. One that it has acknowledged stays active without the physical one.
    pub fn part(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        let bank = &self.banks[cpu.index()];
        // The hardware has deactivated one that the guest has ended. It stays as it is, for the next of its kind.
        let is_over = |n: &u32| {
            bank.is_resident(*n) && {
                let listed = lists.read(bank.slot(*n));
                listed.state() == InterruptState::Invalid && listed.end() == OnEnd::Physical(bank.physical(*n))
            }
        };
        if bank::ones(bank.linked()).all(|n| is_over(&n)) && !bank.has_releases() {
            return Kick::NONE;
        }
        self.part_from(cpu, lists)
    }

    #[cold]
    #[inline(never)]
    fn part_from(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        let index = cpu.index();
        let kick = self.fold(cpu, lists);
        let linked = self.banks[index].linked();
        self.banks[index].clear_pending(linked);
        for n in bank::ones(self.banks[index].cut(linked)) {
            lists.deactivate(self.banks[index].physical(n));
        }
        self.fill(cpu, lists);
        kick
    }

    /// Whether an interrupt of `cpu` is pending in a list register, or waits for one.
    pub fn has_pending(&self, cpu: VcpuId, lists: &impl ReadLists) -> bool {
        let Cpu { used, asked, .. } = self.cpus[cpu.index()];
        asked != Maintenance::NOTHING || bank::ones(used).any(|slot| lists.read(slot as usize).state().is_pending())
    }

    /// Puts the vGIC in the state after reset, but for the lines of devices, which are theirs.
    ///
    /// What was forwarded is deactivated. vCPUs on other CPUs lose what they have listed when they are kicked.
    pub fn reset(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        let mut kick = self.fold(cpu, lists);
        self.groups = CtlrGroups::default();
        for index in 0..self.banks.len() {
            let fresh = if index < self.cpus.len() {
                InterruptBank::private(VcpuId::new(index as u16))
            } else {
                InterruptBank::shared()
            };
            self.banks[index].reset(&fresh);
            kick = kick | self.release(cpu, index, u32::MAX, lists);
        }
        for cpu in &mut self.cpus {
            cpu.sleep = redistributor::SLEEP;
        }
        self.fill(cpu, lists);
        kick | self.others(cpu)
    }

    /// All vCPUs but `cpu`.
    fn others(&self, cpu: VcpuId) -> Kick {
        Kick::first(self.cpus.len()).without(cpu)
    }

    /// The bank of interrupt `id` as `cpu` sees it, and the number within.
    #[inline]
    fn locate(&self, cpu: VcpuId, id: Intid) -> Option<(usize, u32)> {
        let index = self.bank_of(cpu, (id.get() / BANK) as usize).filter(|_| id.get() < SPECIAL)?;
        Some((index, id.get() % BANK))
    }

    /// Where the bank is that `cpu` sees as number `bank`: 0 is its own.
    #[inline]
    fn bank_of(&self, cpu: VcpuId, bank: usize) -> Option<usize> {
        let index = if bank == 0 { cpu.index() } else { self.cpus.len() + bank - 1 };
        (index < self.banks.len()).then_some(index)
    }

    /// The INTID of number `n` in the bank at `index`.
    fn id_of(&self, index: usize, n: u32) -> Intid {
        let bank = if index < self.cpus.len() { 0 } else { index - self.cpus.len() + 1 };
        Intid::new(bank as u32 * BANK + n)
    }
}
