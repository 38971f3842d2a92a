//! The virtual CPU interface of this CPU: its list registers, and what goes with them (IHI 0069, 12.4).

use crate::arch::aarch64::gic;
use crate::guest::device::vgic::{ListRegister, ListRegisters, Maintenance};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2, ICH_LR4_EL2, ICH_LR5_EL2, ICH_LR6_EL2, ICH_LR7_EL2,
    ICH_LR8_EL2, ICH_LR9_EL2, ICH_LR10_EL2, ICH_LR11_EL2, ICH_LR12_EL2, ICH_LR13_EL2, ICH_LR14_EL2, ICH_LR15_EL2,
    ICH_VMCR_EL2, ICH_VTR_EL2, Readable, Writeable,
};
use core::arch::asm;

/// ICH_HCR_EL2: En, the virtual CPU interface works.
const ENABLE: u64 = 1 << 0;
/// LRENPIE: maintenance when an interrupt that is not listed was ended.
const UNLISTED: u64 = 1 << 2;
/// NPIE: maintenance when no listed interrupt is pending.
const NO_PENDING: u64 = 1 << 3;
/// TDIR: ICC_DIR_EL1 of the guest is trapped, where ICH_VTR_EL2.TDS says that this can be.
const TRAP_DEACTIVATION: u64 = 1 << 14;
/// EOIcount: interrupts ended that are not listed.
const COUNT_SHIFT: u32 = 27;

/// ICH_VTR_EL2.TDS.
const HAS_TRAP: u64 = 1 << 19;
/// ICH_VTR_EL2.PREbits: bits of a preemption level, less 1. From 6 bits on there is more than one active priorities
/// register of each group.
const PREEMPTION_SHIFT: u32 = 26;

/// ICH_VMCR_EL2 for a guest that starts: no group enabled, every priority masked. VFIQEn, bit 3, is RES1 where there are
/// only system registers.
const CONTROL_START: u64 = 1 << 3;

/// The virtual CPU interface of this CPU while a guest has it.
#[derive(Debug)]
pub struct CpuInterface {
    count: usize,
    /// TDIR if it can be set.
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
    /// Bits of a priority that it has: ICH_VTR_EL2.PRIbits + 1.
    pub fn priority_bits() -> u32 {
        ((ICH_VTR_EL2.get() >> 29) as u32 & 0b111) + 1
    }

    /// Takes the interface for a guest that starts: nothing listed, nothing active, masked.
    pub fn start() -> Self {
        let features = ICH_VTR_EL2.get();
        let count = (features & 0x1f) as usize + 1;
        let trap = if features & HAS_TRAP != 0 { TRAP_DEACTIVATION } else { 0 };
        let mut interface = Self { count: count.min(16), trap, control: ENABLE };
        interface.clear(features);
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
        self.clear(ICH_VTR_EL2.get());
        barrier::isb(barrier::SY);
    }

    fn clear(&mut self, features: u64) {
        for index in 0..self.count {
            self.write(index, ListRegister::EMPTY);
        }
        let levels = (features >> PREEMPTION_SHIFT & 0b111) + 1;
        // SAFETY: ICH_AP0R0_EL2 and ICH_AP1R0_EL2 always exist; they say which of the guest's priorities are active.
        unsafe { asm!("msr S3_4_C12_C8_0, xzr", "msr S3_4_C12_C9_0, xzr", options(nomem, nostack, preserves_flags)) };
        if levels >= 6 {
            // SAFETY: as above: the second of each exists with 6 bits or more.
            unsafe {
                asm!("msr S3_4_C12_C8_1, xzr", "msr S3_4_C12_C9_1, xzr", options(nomem, nostack, preserves_flags))
            };
        }
        if levels >= 7 {
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

/// Writes ICH_HCR_EL2.
fn set_control(value: u64) {
    // SAFETY: concerns the interrupts of a guest only.
    unsafe { asm!("msr S3_4_C12_C11_0, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
}

impl ListRegisters for CpuInterface {
    #[inline]
    fn count(&self) -> usize {
        self.count
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

    fn want_maintenance(&mut self, when: Maintenance) {
        let no_pending = if when.contains(Maintenance::NO_PENDING) { NO_PENDING } else { 0 };
        let unlisted = if when.contains(Maintenance::UNLISTED) { UNLISTED | self.trap } else { 0 };
        self.control = ENABLE | no_pending | unlisted;
        set_control(self.control);
    }

    fn deactivate(&mut self, physical: u32) {
        gic::deactivate(physical);
    }
}
