//! The registers of EL1 and EL0, which are a guest's as long as there is one.
//!
//! EL2 uses none of them, so they stay where they are at an exit. What a guest finds in them when it starts is what a CPU
//! has after reset where the architecture says so, and 0 where it says UNKNOWN: nothing of an earlier guest's.

use crate::arch::controls::{Feature, IdRegisters};
use crate::arch::el1_reset::{SCTLR_EL1, reset_registers};
use core::arch::{asm, global_asm};
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
                $($name:ident $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal,)*
            }
        )*) => {
            $(
                if clear!(@ $feature) {
                    // SAFETY: registers of EL1 and EL0, and of what EL1 reads as its own, which nobody uses as the caller
                    // says: EL2 with E2H = 0 has others. They exist with the feature.
                    unsafe {
                        asm!(
                            $(concat!("msr S", $op0, "_", $op1, "_C", $crn, "_C", $crm, "_", $op2, ", xzr"),)*
                            options(nomem, nostack, preserves_flags),
                        )
                    };
                }
            )*
        };
        (@ Always) => { true };
        (@ $feature:ident) => { id.has(Feature::$feature) };
    }
    // SAFETY: as for those below.
    unsafe { asm!("msr sctlr_el1, {}", in(reg) SCTLR_EL1, options(nomem, nostack, preserves_flags)) };
    reset_registers!(clear);
    // SAFETY: what was written takes effect for what follows.
    unsafe { asm!("isb", options(nomem, nostack, preserves_flags)) };
    // SAFETY: the function clears registers that EL2, built without floating point, never holds anything in; they are not
    // trapped (CPTR_EL2.TFP is 0 before any guest starts).
    unsafe { clear_floating_point() };
}

unsafe extern "C" {
    /// Clears v0 to v31, FPCR and FPSR.
    fn clear_floating_point();
}

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
    sctlr: u64,
    vbar: u64,
    esr: u64,
    elr: u64,
    far: u64,
    ttbr: [u64; 2],
    tcr: u64,
    sp: [u64; 2],
}

/// Reads what a report on a guest shows of EL1.
pub fn snapshot() -> El1Snapshot {
    let (sctlr, vbar, esr, elr, far, ttbr0, ttbr1, tcr, sp0, sp1): (u64, u64, u64, u64, u64, u64, u64, u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!(
            "mrs {0}, sctlr_el1", "mrs {1}, vbar_el1", "mrs {2}, esr_el1", "mrs {3}, elr_el1", "mrs {4}, far_el1",
            "mrs {5}, ttbr0_el1", "mrs {6}, ttbr1_el1", "mrs {7}, tcr_el1", "mrs {8}, sp_el0", "mrs {9}, sp_el1",
            out(reg) sctlr, out(reg) vbar, out(reg) esr, out(reg) elr, out(reg) far,
            out(reg) ttbr0, out(reg) ttbr1, out(reg) tcr, out(reg) sp0, out(reg) sp1,
            options(nomem, nostack, preserves_flags),
        )
    };
    El1Snapshot { sctlr, vbar, esr, elr, far, ttbr: [ttbr0, ttbr1], tcr, sp: [sp0, sp1] }
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
    let vbar;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, vbar_el1", out(reg) vbar, options(nomem, nostack, preserves_flags)) };
    vbar
}

/// SCTLR_EL1.
pub fn control() -> u64 {
    let sctlr;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, sctlr_el1", out(reg) sctlr, options(nomem, nostack, preserves_flags)) };
    sctlr
}

/// Stores what EL1 finds in its exception registers when it takes an exception that EL2 hands on.
///
/// # Safety
///
/// The guest must go on at the vector that belongs to it.
pub unsafe fn set_exception(esr: u64, elr: u64, spsr: u64) {
    // SAFETY: the guest takes an exception, as the caller says, which overwrites these registers by definition.
    unsafe {
        asm!("msr esr_el1, {}", "msr elr_el1, {}", "msr spsr_el1, {}",
            in(reg) esr, in(reg) elr, in(reg) spsr, options(nomem, nostack, preserves_flags))
    };
}

/// Stores FAR_EL1, for an exception that has a fault address.
///
/// # Safety
///
/// As for [`set_exception`].
pub unsafe fn set_fault_address(far: u64) {
    // SAFETY: as there.
    unsafe { asm!("msr far_el1, {}", in(reg) far, options(nomem, nostack, preserves_flags)) };
}

/// One of a guest's two timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// CNTV, of the virtual counter.
    Virtual,
    /// CNTP, of the physical one.
    Physical,
}

/// Whether `timer` asks for its interrupt: ENABLE and ISTATUS set, IMASK clear (DDI 0487, D24.10.32 "CNTV_CTL_EL0").
#[inline]
pub fn timer_fires(timer: Timer) -> bool {
    const MASK: u64 = 0b111;
    const FIRES: u64 = 0b101;
    let control: u64;
    match timer {
        // SAFETY: reads a register.
        Timer::Virtual => unsafe {
            asm!("mrs {}, cntv_ctl_el0", out(reg) control, options(nomem, nostack, preserves_flags))
        },
        // SAFETY: as above.
        Timer::Physical => unsafe {
            asm!("mrs {}, cntp_ctl_el0", out(reg) control, options(nomem, nostack, preserves_flags))
        },
    }
    control & MASK == FIRES
}
