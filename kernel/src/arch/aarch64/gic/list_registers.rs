//! The virtual CPU interface of this CPU: its list registers, and the registers that control them (IHI 0069, 12.4).

use crate::arch::aarch64::{gic, own};
use crate::arch::list_register::{ListRegister, ListRegisters, MAX_LIST_REGISTERS, Maintenance, ReadLists};
use crate::arch::syndrome::Direction;
use crate::arch::virtual_interface::{CommonRegister, Features, InterfaceControl, Running};
use crate::base::id::PhysIntid;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2, ICH_LR4_EL2, ICH_LR5_EL2, ICH_LR6_EL2, ICH_LR7_EL2,
    ICH_LR8_EL2, ICH_LR9_EL2, ICH_LR10_EL2, ICH_LR11_EL2, ICH_LR12_EL2, ICH_LR13_EL2, ICH_LR14_EL2, ICH_LR15_EL2,
    ICH_VMCR_EL2, ICH_VTR_EL2, Readable, Writeable,
};
use arm_sysregs::el1::accessors::{read_icc_sre_el1, write_icc_sre_el1};
use arm_sysregs::el1::registers::IccSreEl1;
use arm_sysregs::el2::accessors::{read_ich_hcr_el2, write_ich_hcr_el2};
use arm_sysregs::el2::registers::IchHcrEl2;

/// ICH_HCR_EL2: En, the virtual CPU interface works.
const ENABLE: u64 = 1 << 0;
/// TC: the registers of the guest that are common to both groups are trapped: ICC_DIR_EL1, ICC_CTLR_EL1, ICC_PMR_EL1,
/// ICC_RPR_EL1 and those that send SGIs.
const TRAP_COMMON: u64 = 1 << 10;
/// TDIR: ICC_DIR_EL1 of the guest is trapped.
const TRAP_DEACTIVATION: u64 = 1 << 14;
/// EOIcount: interrupts ended that are not listed.
const COUNT_SHIFT: u32 = 27;

/// ICH_VMCR_EL2 for a guest that starts: no group enabled, every priority masked. VFIQEn, bit 3, is RES1 where there are
/// only system registers.
const CONTROL_START: u64 = 1 << 3;
/// ICC_SRE_EL1 for a guest that starts: SRE, DFB and DIB, system registers and no bypass.
const ACCESS_START: u64 = 0b111;

/// The virtual CPU interface of this CPU while a guest has it.
#[derive(Debug)]
pub struct CpuInterface {
    features: Features,
    /// Traps ICC_DIR_EL1: TDIR or TC.
    trap: u64,
    /// ICH_HCR_EL2 as last written.
    control: u64,
}

/// Calls `$call` with the `$index`-th list register.
macro_rules! with_register {
    ($index:expr, $call:ident $arguments:tt) => {
        match $index {
            0 => ICH_LR0_EL2.$call $arguments,
            1 => ICH_LR1_EL2.$call $arguments,
            2 => ICH_LR2_EL2.$call $arguments,
            3 => ICH_LR3_EL2.$call $arguments,
            4 => ICH_LR4_EL2.$call $arguments,
            5 => ICH_LR5_EL2.$call $arguments,
            6 => ICH_LR6_EL2.$call $arguments,
            7 => ICH_LR7_EL2.$call $arguments,
            8 => ICH_LR8_EL2.$call $arguments,
            9 => ICH_LR9_EL2.$call $arguments,
            10 => ICH_LR10_EL2.$call $arguments,
            11 => ICH_LR11_EL2.$call $arguments,
            12 => ICH_LR12_EL2.$call $arguments,
            13 => ICH_LR13_EL2.$call $arguments,
            14 => ICH_LR14_EL2.$call $arguments,
            _ => ICH_LR15_EL2.$call $arguments,
        }
    };
}

/// Calls `$with` with the number and the name of each list register: without a choice by number at run time.
macro_rules! each_register {
    ($with:ident) => {
        $with! {
            0 ICH_LR0_EL2 1 ICH_LR1_EL2 2 ICH_LR2_EL2 3 ICH_LR3_EL2 4 ICH_LR4_EL2 5 ICH_LR5_EL2 6 ICH_LR6_EL2 7 ICH_LR7_EL2
            8 ICH_LR8_EL2 9 ICH_LR9_EL2 10 ICH_LR10_EL2 11 ICH_LR11_EL2 12 ICH_LR12_EL2 13 ICH_LR13_EL2 14 ICH_LR14_EL2
            15 ICH_LR15_EL2
        }
    };
}

/// The virtual CPU interface of a vCPU that shares its CPU, while another vCPU has the CPU's.
#[derive(Clone, Debug)]
pub struct StoredInterface {
    lists: [ListRegister; MAX_LIST_REGISTERS],
    running: [u64; ACTIVE_PRIORITIES.len()],
    /// ICH_VMCR_EL2.
    interface: u64,
    /// ICH_HCR_EL2, with the ends that it has counted.
    control: u64,
    /// ICC_SRE_EL1: SRE, DFB and DIB, where the guest can change them.
    access: u64,
}

impl Default for StoredInterface {
    fn default() -> Self {
        Self {
            lists: [ListRegister::EMPTY; MAX_LIST_REGISTERS],
            running: [0; ACTIVE_PRIORITIES.len()],
            interface: CONTROL_START,
            control: 0,
            access: ACCESS_START,
        }
    }
}

impl CpuInterface {
    /// What it can do.
    pub fn features() -> Features {
        Features::from_raw(ICH_VTR_EL2.get())
    }

    /// Takes the interface for a guest that starts: nothing listed, nothing active, masked.
    pub fn start() -> Self {
        let features = Self::features();
        let mut interface = Self { features, trap: deactivation_trap(features), control: ENABLE };
        interface.clear();
        // What an earlier guest may have switched off, where it can be: SRE, DFB and DIB of ICC_SRE_EL1.
        // SAFETY: a guest reaches its interrupts by system registers, which ICC_SRE_EL2 allows.
        unsafe { write_icc_sre_el1(IccSreEl1::from_bits_retain(ACCESS_START)) };
        ICH_VMCR_EL2.set(CONTROL_START);
        set_control(ENABLE);
        barrier::isb(barrier::SY);
        interface
    }

    /// Stores the interface of the vCPU that is on this CPU.
    pub fn store(&self, to: &mut StoredInterface) {
        to.control = read_ich_hcr_el2().bits();
        // Off while list registers of two vCPUs are mixed. What was written is seen in other registers from here on.
        set_control(0);
        barrier::isb(barrier::SY);
        let count = self.count();
        macro_rules! store {
            ($($index:literal $register:ident)*) => {
                $(if $index < count {
                    to.lists[$index] = ListRegister::from_raw($register.get());
                })*
            };
        }
        each_register!(store);
        for (ap, running) in self.active_priorities().zip(&mut to.running) {
            *running = (ap.read)();
        }
        to.interface = ICH_VMCR_EL2.get();
        to.access = read_icc_sre_el1().bits();
    }

    /// Gives the CPU's interface back to the vCPU from which it was stored. It is off, as [`store`](Self::store) and
    /// [`stop`](Self::stop) leave it.
    pub fn load(&mut self, from: &StoredInterface) {
        let count = self.count();
        macro_rules! load {
            ($($index:literal $register:ident)*) => {
                $(if $index < count {
                    $register.set(from.lists[$index].raw());
                })*
            };
        }
        each_register!(load);
        for (ap, running) in self.active_priorities().zip(&from.running) {
            // SAFETY: the register exists with so many bits. The priorities are those that this vCPU left active.
            unsafe { (ap.write)(*running) };
        }
        // SAFETY: a guest reaches its interrupts by system registers, which ICC_SRE_EL2 allows; these are its own settings.
        unsafe { write_icc_sre_el1(IccSreEl1::from_bits_retain(from.access)) };
        ICH_VMCR_EL2.set(from.interface);
        set_control(from.control);
        barrier::isb(barrier::SY);
    }

    /// The registers of active priorities that there are.
    fn active_priorities(&self) -> impl Iterator<Item = &'static ActivePriorities> + use<> {
        let bits = self.features.preemption_bits();
        ACTIVE_PRIORITIES.iter().take_while(move |ap| bits >= ap.bits)
    }

    /// Takes the interface from the guest, whose interrupts are gone.
    pub fn stop(mut self) {
        set_control(0);
        self.clear();
        barrier::isb(barrier::SY);
    }

    /// Does a trapped access of the guest to one of its registers, which TC brings here. What a load reads; 0 for a store.
    #[cold]
    #[inline(never)]
    pub fn access(&mut self, register: CommonRegister, access: Direction, value: u64) -> u64 {
        match access {
            Direction::Read => register.read(self.features, &self.running()),
            Direction::Write => {
                ICH_VMCR_EL2.set(register.write(self.features, self.control(), value).raw());
                0
            }
        }
    }

    fn clear(&mut self) {
        for index in 0..self.count() {
            self.write(index, ListRegister::EMPTY);
        }
        for ap in self.active_priorities() {
            // SAFETY: the register exists with so many bits. It says which of a guest's priorities are active, and the guest
            // is gone or has not begun.
            unsafe { (ap.write)(0) };
        }
    }
}

/// One of the registers in which the priorities of a guest's active interrupts stand.
struct ActivePriorities {
    /// Bits of priority that it takes for the register to exist (IHI 0069, 12.4 "ICH_AP0R<n>_EL2").
    bits: u32,
    /// The group.
    group: usize,
    /// Of the first priority in it, in a bitmap of all.
    shift: u32,
    read: fn() -> u64,
    write: unsafe fn(u64),
}

macro_rules! active_priorities {
    ($($bits:literal $group:literal $shift:literal $read:ident $write:ident,)*) => {
        [$(ActivePriorities { bits: $bits, group: $group, shift: $shift, read: own::$read, write: own::$write },)*]
    };
}

/// In ascending order of those bits.
static ACTIVE_PRIORITIES: [ActivePriorities; 8] = active_priorities![
    0 0 0 read_ich_ap0r0_el2 write_ich_ap0r0_el2,
    0 1 0 read_ich_ap1r0_el2 write_ich_ap1r0_el2,
    6 0 32 read_ich_ap0r1_el2 write_ich_ap0r1_el2,
    6 1 32 read_ich_ap1r1_el2 write_ich_ap1r1_el2,
    7 0 64 read_ich_ap0r2_el2 write_ich_ap0r2_el2,
    7 1 64 read_ich_ap1r2_el2 write_ich_ap1r2_el2,
    7 0 96 read_ich_ap0r3_el2 write_ich_ap0r3_el2,
    7 1 96 read_ich_ap1r3_el2 write_ich_ap1r3_el2,
];

/// The bit of ICH_HCR_EL2 that traps ICC_DIR_EL1: all that has TDIR need not have TC's other traps. A function of its own,
/// so that a test can have the machine do without.
#[inline(never)]
fn deactivation_trap(features: Features) -> u64 {
    if features.traps_deactivation_alone() { TRAP_DEACTIVATION } else { TRAP_COMMON }
}

/// Writes ICH_HCR_EL2.
fn set_control(value: u64) {
    // SAFETY: the register decides about the virtual interrupts of a guest, and about nothing of EL2's.
    unsafe { write_ich_hcr_el2(IchHcrEl2::from_bits_retain(value)) };
}

impl ReadLists for CpuInterface {
    #[inline]
    fn read(&self, index: usize) -> ListRegister {
        ListRegister::from_raw(with_register!(index, get()))
    }
}

impl ReadLists for StoredInterface {
    fn read(&self, index: usize) -> ListRegister {
        self.lists[index]
    }
}

impl ListRegisters for CpuInterface {
    #[inline]
    fn count(&self) -> usize {
        self.features.list_registers().min(MAX_LIST_REGISTERS)
    }

    #[inline]
    fn write(&mut self, index: usize, value: ListRegister) {
        with_register!(index, set(value.raw()));
    }

    #[inline]
    fn empty(&self) -> u32 {
        // What was written to list registers is seen by a read of another register only after a context synchronisation
        // event (DDI 0487, D24.1.2.2).
        barrier::isb(barrier::SY);
        own::read_ich_elrsr_el2() as u32
    }

    fn take_unlisted_ends(&mut self) -> u32 {
        let count = read_ich_hcr_el2().bits() >> COUNT_SHIFT & 0x1f;
        if count != 0 {
            set_control(self.control);
        }
        count as u32
    }

    #[inline]
    fn control(&self) -> InterfaceControl {
        InterfaceControl::from_raw(ICH_VMCR_EL2.get())
    }

    #[inline(never)]
    fn running(&self) -> Running {
        let bits = self.features.preemption_bits();
        let mut levels = [0; 2];
        for ap in self.active_priorities() {
            levels[ap.group] |= u128::from((ap.read)() as u32) << ap.shift;
        }
        Running::new(levels, self.control(), bits)
    }

    fn want_maintenance(&mut self, when: Maintenance) {
        let trap = if when.contains(Maintenance::UNLISTED) { self.trap } else { 0 };
        self.control = ENABLE | when.raw() | trap;
        set_control(self.control);
    }

    fn deactivate(&mut self, physical: PhysIntid) {
        gic::deactivate(physical);
    }
}
