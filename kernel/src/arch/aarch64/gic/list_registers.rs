//! The virtual CPU interface of this CPU: its list registers, and what goes with them (IHI 0069, 12.4).

use crate::arch::aarch64::gic;
use crate::arch::list_register::{ListRegister, ListRegisters, MAX_LIST_REGISTERS, Maintenance};
use crate::arch::syndrome::Direction;
use crate::arch::virtual_interface::{CommonRegister, Features, InterfaceControl, Running};
use crate::base::id::PhysIntid;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2, ICH_LR4_EL2, ICH_LR5_EL2, ICH_LR6_EL2, ICH_LR7_EL2,
    ICH_LR8_EL2, ICH_LR9_EL2, ICH_LR10_EL2, ICH_LR11_EL2, ICH_LR12_EL2, ICH_LR13_EL2, ICH_LR14_EL2, ICH_LR15_EL2,
    ICH_VMCR_EL2, ICH_VTR_EL2, Readable, Writeable,
};
use core::arch::asm;

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
        unsafe { asm!("msr icc_sre_el1, {}", in(reg) 0b111_u64, options(nomem, nostack, preserves_flags)) };
        ICH_VMCR_EL2.set(CONTROL_START);
        set_control(ENABLE);
        barrier::isb(barrier::SY);
        interface
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
        // SAFETY: ICH_AP0R0_EL2 and ICH_AP1R0_EL2 always exist; they say which of the guest's priorities are active.
        unsafe { asm!("msr S3_4_C12_C8_0, xzr", "msr S3_4_C12_C9_0, xzr", options(nomem, nostack, preserves_flags)) };
        if self.features.preemption_bits() >= 6 {
            // SAFETY: as above: the second of each exists with 6 bits or more.
            unsafe {
                asm!("msr S3_4_C12_C8_1, xzr", "msr S3_4_C12_C9_1, xzr", options(nomem, nostack, preserves_flags))
            };
        }
        if self.features.preemption_bits() >= 7 {
            // SAFETY: as above: the third and fourth exist with 7 bits.
            unsafe {
                asm!(
                    "msr S3_4_C12_C8_2, xzr",
                    "msr S3_4_C12_C9_2, xzr",
                    "msr S3_4_C12_C8_3, xzr",
                    "msr S3_4_C12_C9_3, xzr",
                    options(nomem, nostack, preserves_flags),
                )
            };
        }
    }
}

/// The bit of ICH_HCR_EL2 that traps ICC_DIR_EL1: all that has TDIR need not have TC's other traps. A function of its own,
/// so that a test can have the machine do without.
#[inline(never)]
fn deactivation_trap(features: Features) -> u64 {
    if features.traps_deactivation_alone() { TRAP_DEACTIVATION } else { TRAP_COMMON }
}

/// Reads a system register of the virtual CPU interface, 32 bits of active priorities.
macro_rules! active_priorities {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reads an active priorities register, which the caller knows to exist.
        unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
        u128::from(value as u32)
    }};
}

/// Writes ICH_HCR_EL2.
fn set_control(value: u64) {
    // SAFETY: concerns the interrupts of a guest only.
    unsafe { asm!("msr S3_4_C12_C11_0, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
}

impl ListRegisters for CpuInterface {
    #[inline]
    fn count(&self) -> usize {
        self.features.list_registers().min(MAX_LIST_REGISTERS)
    }

    #[inline]
    fn read(&self, index: usize) -> ListRegister {
        ListRegister::from_raw(with_register!(index, get()))
    }

    #[inline]
    fn write(&mut self, index: usize, value: ListRegister) {
        with_register!(index, set(value.raw()));
    }

    #[inline]
    fn empty(&self) -> u32 {
        let empty: u64;
        // What was written to list registers is seen by a read of another register only after a context synchronisation
        // event (DDI 0487, D24.1.2.2).
        barrier::isb(barrier::SY);
        // SAFETY: reads ICH_ELRSR_EL2.
        unsafe { asm!("mrs {}, S3_4_C12_C11_5", out(reg) empty, options(nomem, nostack, preserves_flags)) };
        empty as u32
    }

    fn take_unlisted_ends(&mut self) -> u32 {
        let control: u64;
        // SAFETY: reads ICH_HCR_EL2.
        unsafe { asm!("mrs {}, S3_4_C12_C11_0", out(reg) control, options(nomem, nostack, preserves_flags)) };
        let count = control >> COUNT_SHIFT & 0x1f;
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
        let mut levels = [active_priorities!("S3_4_C12_C8_0"), active_priorities!("S3_4_C12_C9_0")];
        if bits >= 6 {
            levels[0] |= active_priorities!("S3_4_C12_C8_1") << 32;
            levels[1] |= active_priorities!("S3_4_C12_C9_1") << 32;
        }
        if bits >= 7 {
            levels[0] |= active_priorities!("S3_4_C12_C8_2") << 64 | active_priorities!("S3_4_C12_C8_3") << 96;
            levels[1] |= active_priorities!("S3_4_C12_C9_2") << 64 | active_priorities!("S3_4_C12_C9_3") << 96;
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
