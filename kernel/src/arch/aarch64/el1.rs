//! The registers of EL1 and EL0, which are a guest's as long as there is one.
//!
//! EL2 uses none of them, so they stay where they are at an exit. What a guest finds in them when it starts is what a CPU
//! has after reset where the architecture says so, and 0 where it says UNKNOWN: nothing of an earlier guest's.

use crate::arch::aarch64::cpu;
use aarch64_cpu::registers::{ID_AA64ISAR1_EL1, Readable};
use core::arch::{asm, global_asm};
use core::fmt;

/// SCTLR_EL1 after reset: MMU and caches off, little endian, with the bits that are RES1 in Armv8.0: LSMAOE, nTLSMD, SPAN,
/// EIS, TSCXT and EOS (DDI 0487, D24.2.131).
const SCTLR_EL1_RESET: u64 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11;

/// ID_AA64ISAR1_EL1 fields API and APA, GPI and GPA: pointer authentication (DDI 0487, D24.2.77).
const POINTER_AUTHENTICATION: u64 = 0xff << 24 | 0xff << 4;

/// ID_AA64ISAR2_EL1 fields APA3 and GPA3: the same, by another algorithm.
const POINTER_AUTHENTICATION_3: u64 = 0xff << 8;

/// Whether the CPU has pointer authentication, so that its keys exist.
pub fn has_pointer_authentication() -> bool {
    ID_AA64ISAR1_EL1.get() & POINTER_AUTHENTICATION != 0
        || cpu::instruction_features_2() & POINTER_AUTHENTICATION_3 != 0
}

/// Puts EL1 and EL0 into the state in which a guest starts.
///
/// # Safety
///
/// No guest may be running, or go on from where it was.
pub unsafe fn reset() {
    // SAFETY: registers of EL1 and EL0, which nobody uses as the caller says: EL2 with E2H = 0 has its own.
    unsafe {
        asm!(
            "msr sctlr_el1, {sctlr}",
            "msr cpacr_el1, xzr",
            "msr ttbr0_el1, xzr",
            "msr ttbr1_el1, xzr",
            "msr tcr_el1, xzr",
            "msr mair_el1, xzr",
            "msr amair_el1, xzr",
            "msr vbar_el1, xzr",
            "msr esr_el1, xzr",
            "msr far_el1, xzr",
            "msr afsr0_el1, xzr",
            "msr afsr1_el1, xzr",
            "msr par_el1, xzr",
            "msr elr_el1, xzr",
            "msr spsr_el1, xzr",
            "msr sp_el0, xzr",
            "msr sp_el1, xzr",
            "msr tpidr_el0, xzr",
            "msr tpidrro_el0, xzr",
            "msr tpidr_el1, xzr",
            "msr contextidr_el1, xzr",
            "msr csselr_el1, xzr",
            "msr mdscr_el1, xzr",
            "msr cntkctl_el1, xzr",
            "msr cntv_ctl_el0, xzr",
            "msr cntv_cval_el0, xzr",
            "msr cntp_ctl_el0, xzr",
            "msr cntp_cval_el0, xzr",
            "isb",
            sctlr = in(reg) SCTLR_EL1_RESET,
            options(nomem, nostack, preserves_flags),
        )
    };
    if has_pointer_authentication() {
        // APIAKey, APIBKey, APDAKey, APDBKey and APGAKey, lower and upper halves, by encoding: the names need Armv8.3.
        // SAFETY: as above, and they exist.
        unsafe {
            asm!(
                "msr S3_0_C2_C1_0, xzr",
                "msr S3_0_C2_C1_1, xzr",
                "msr S3_0_C2_C1_2, xzr",
                "msr S3_0_C2_C1_3, xzr",
                "msr S3_0_C2_C2_0, xzr",
                "msr S3_0_C2_C2_1, xzr",
                "msr S3_0_C2_C2_2, xzr",
                "msr S3_0_C2_C2_3, xzr",
                "msr S3_0_C2_C3_0, xzr",
                "msr S3_0_C2_C3_1, xzr",
                options(nomem, nostack, preserves_flags),
            )
        };
    }
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
pub struct Snapshot {
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
pub fn snapshot() -> Snapshot {
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
    Snapshot { sctlr, vbar, esr, elr, far, ttbr: [ttbr0, ttbr1], tcr, sp: [sp0, sp1] }
}

impl fmt::Display for Snapshot {
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
