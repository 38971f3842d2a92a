//! The registers of EL1 and EL0, which belong to the guest that runs on this CPU.
//!
//! EL2 uses none of these registers, so an exit leaves them in place. When a guest starts, each register has the value
//! that the architecture gives after reset, or 0 where the architecture says UNKNOWN. No value of an earlier guest
//! remains.

use crate::arch::aarch64::{barrier, own};
use crate::arch::controls::{Feature, IdRegisters};
use crate::arch::guest_registers::{SCTLR_EL1, guest_registers};
use arm_sysregs::el0::accessors as el0;
use arm_sysregs::el1::accessors as el1;
use arm_sysregs::el1::registers::{ElrEl1, EsrEl1, FarEl1, SctlrEl1, SpsrEl1};
use arm_sysregs::el2::accessors as el2;
#[cfg(target_os = "none")]
use core::arch::global_asm;
use core::fmt;

/// Puts EL1 and EL0 into the state in which a guest starts, on a CPU with these ID registers.
///
/// # Safety
///
/// No guest may be running, or go on from where it was.
pub unsafe fn reset(id: &IdRegisters) {
    macro_rules! clear {
        ($(
            $feature:ident {
                $($name:ident $module:ident $read:ident $write:ident $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal,)*
            }
        )*) => {
            $(
                if clear!(@ $feature) {
                    $(
                        #[allow(unused_unsafe, reason = "the crate lets some of them be written by anybody")]
                        // SAFETY: a register of EL1 or EL0, or of what EL1 reads as its own, which nobody uses as the caller
                        // says: EL2 with E2H = 0 has others. It exists with the feature.
                        unsafe {
                            $module::$write(Default::default())
                        };
                    )*
                }
            )*
        };
        (@ Always) => { true };
        (@ $feature:ident) => { id.has(Feature::$feature) };
    }
    // SAFETY: nothing runs at EL1, as the caller says, so no translation or access is controlled by it yet.
    unsafe { el1::write_sctlr_el1(SctlrEl1::from_bits_retain(SCTLR_EL1)) };
    guest_registers!(clear);
    barrier::isb();
    #[cfg(target_os = "none")]
    // SAFETY: the function clears registers that EL2, built without floating point, never holds anything in; they are not
    // trapped (CPTR_EL2.TFP is 0 before any guest starts).
    unsafe {
        clear_floating_point()
    };
}

#[cfg(target_os = "none")]
unsafe extern "C" {
    /// Clears v0 to v31, FPCR and FPSR.
    fn clear_floating_point();
}

#[cfg(target_os = "none")]
global_asm!(
    ".arch_extension fp",
    ".arch_extension simd",
    "clear_floating_point:",
    ".irp number, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "movi v\\number\\().2d, #0",
    ".endr",
    "msr fpcr, xzr",
    "msr fpsr, xzr",
    "ret",
    ".arch_extension nosimd",
    ".arch_extension nofp",
);

/// What EL1 was about, for a report.
#[derive(Clone, Copy, Debug)]
pub struct El1Snapshot {
    pub(super) sctlr: u64,
    pub(super) vbar: u64,
    pub(super) esr: u64,
    pub(super) elr: u64,
    pub(super) far: u64,
    pub(super) ttbr: [u64; 2],
    pub(super) tcr: u64,
    pub(super) sp: [u64; 2],
}

/// Reads what a report on a guest shows of EL1.
pub fn snapshot() -> El1Snapshot {
    El1Snapshot {
        sctlr: el1::read_sctlr_el1().bits(),
        vbar: el1::read_vbar_el1().bits(),
        esr: el1::read_esr_el1().bits(),
        elr: el1::read_elr_el1().bits(),
        far: el1::read_far_el1().bits(),
        ttbr: [el1::read_ttbr0_el1().bits(), el1::read_ttbr1_el1().bits()],
        tcr: el1::read_tcr_el1().bits(),
        sp: [own::read_sp_el0(), el1::read_sp_el1().bits()],
    }
}

impl fmt::Display for El1Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  SCTLR_EL1 {:#018x}  VBAR_EL1  {:#018x}  TCR_EL1   {:#018x}", self.sctlr, self.vbar, self.tcr)?;
        writeln!(f, "  ESR_EL1   {:#018x}  ELR_EL1   {:#018x}  FAR_EL1   {:#018x}", self.esr, self.elr, self.far)?;
        writeln!(f, "  TTBR0_EL1 {:#018x}  TTBR1_EL1 {:#018x}", self.ttbr[0], self.ttbr[1])?;
        write!(f, "  SP_EL0    {:#018x}  SP_EL1    {:#018x}", self.sp[0], self.sp[1])
    }
}

/// VBAR_EL1: where a guest takes its exceptions.
pub fn vector_base() -> u64 {
    el1::read_vbar_el1().bits()
}

/// SCTLR_EL1.
pub fn control() -> u64 {
    el1::read_sctlr_el1().bits()
}

/// Stores what EL1 finds in its exception registers when it takes an exception that EL2 hands on.
///
/// # Safety
///
/// The guest must go on at the vector that belongs to it.
pub unsafe fn set_exception(esr: u64, elr: u64, spsr: u64) {
    el1::write_esr_el1(EsrEl1::from_bits_retain(esr));
    // SAFETY: the guest takes an exception, as the caller says, which overwrites its ELR_EL1 by definition.
    unsafe { el1::write_elr_el1(ElrEl1::from_bits_retain(elr)) };
    // SAFETY: the guest takes an exception, as the caller says, which overwrites its SPSR_EL1 by definition.
    unsafe { el1::write_spsr_el1(SpsrEl1::from_bits_retain(spsr)) };
}

/// Stores FAR_EL1, for an exception that has a fault address.
///
/// # Safety
///
/// As for [`set_exception`].
pub unsafe fn set_fault_address(far: u64) {
    // SAFETY: the guest takes an exception with a fault address, as the caller says, which overwrites its FAR_EL1 by
    // definition.
    unsafe { el1::write_far_el1(FarEl1::from_bits_retain(far)) };
}

/// One of a guest's two timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// CNTV, of the virtual counter.
    Virtual,
    /// CNTP, of the physical one.
    Physical,
}

/// Whether `timer` asserts its interrupt: ENABLE and ISTATUS set, IMASK clear (DDI 0487, D24.10.32 "CNTV_CTL_EL0").
#[inline]
pub fn timer_fires(timer: Timer) -> bool {
    const MASK: u64 = 0b111;
    const FIRES: u64 = 0b101;
    let control = match timer {
        Timer::Virtual => el0::read_cntv_ctl_el0().bits(),
        Timer::Physical => el0::read_cntp_ctl_el0().bits(),
    };
    control & MASK == FIRES
}
