//! The CPU that the emulation runs on: its registers and its TLB.

use super::cpu::{Cpu, Use};
use core::arch::asm;
use core::ops::Range;
use core::ptr;

macro_rules! read {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reading this register of EL2 changes nothing.
        unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

/// The CPU that executes this, at EL2 with HCR_EL2.E2H = 0.
#[derive(Debug)]
pub struct ThisCpu {
    /// The emulation's own state and tables.
    pub state: Range<u64>,
    /// A function of the exception handler.
    pub handler: u64,
}

impl Cpu for ThisCpu {
    fn sctlr(&self) -> u64 {
        read!("sctlr_el2")
    }

    fn mair(&self) -> u64 {
        read!("mair_el2")
    }

    fn instruction(&self, address: u64) -> u32 {
        // SAFETY: the emulator asks for an instruction that raised an exception, so it was fetched, or that the tables
        // map; and what can be executed can be read: neither PMSAv8-64 nor stage 1 of EL2 knows memory that can only be
        // executed.
        unsafe { ptr::with_exposed_provenance::<u32>(address as usize).read_volatile() }
    }

    fn publish(&mut self) {
        // SAFETY: barriers change no state of the program. Without `nomem` the compiler keeps stores before them.
        unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
    }

    fn invalidate(&mut self) {
        // SAFETY: a TLB is a cache of the tables: with less in it the program does the same. The stores to the tables
        // are complete before (DDI 0487, D8.17).
        unsafe { asm!("dsb ishst", "tlbi alle2", "dsb ish", "isb", options(nostack, preserves_flags)) };
    }

    fn start_stepping(&mut self) {
        let mdscr = read!("mdscr_el1") | MDSCR_SS | MDSCR_KDE;
        let mdcr = read!("mdcr_el2") | MDCR_TDE;
        // SAFETY: debug exceptions stay masked until the vectors return to code with SPSR_EL2.D clear, which is the
        // instruction to step over. The OS lock would keep them off altogether.
        unsafe {
            asm!("msr oslar_el1, xzr", "msr mdcr_el2, {}", "msr mdscr_el1, {}", "isb", in(reg) mdcr, in(reg) mdscr,
                options(nomem, nostack, preserves_flags))
        };
    }

    fn stop_stepping(&mut self) {
        let mdscr = read!("mdscr_el1") & !(MDSCR_SS | MDSCR_KDE);
        let mdcr = read!("mdcr_el2") & !MDCR_TDE;
        // SAFETY: without these bits EL2 takes no debug exceptions, as before stepping.
        unsafe {
            asm!("msr mdscr_el1, {}", "msr mdcr_el2, {}", "isb", in(reg) mdscr, in(reg) mdcr,
                options(nomem, nostack, preserves_flags))
        };
    }

    fn lifelines(&self) -> [(u64, Use); 6] {
        let here = 0_u8;
        let stack = (&raw const here).addr() as u64;
        [
            (read!("vbar_el2"), Use::Execute),
            (self.handler, Use::Execute),
            ((&raw const A_CONSTANT).addr() as u64, Use::Read),
            (self.state.start, Use::Write),
            (self.state.end - 1, Use::Write),
            (stack, Use::Write),
        ]
    }
}

/// What is constant is where this is.
static A_CONSTANT: u64 = 0x6c61_6375_6e61;

/// MDSCR_EL1.SS: software step.
const MDSCR_SS: u64 = 1 << 0;
/// MDSCR_EL1.KDE: debug exceptions of the exception level that handles them.
const MDSCR_KDE: u64 = 1 << 13;
/// MDCR_EL2.TDE: EL2 handles debug exceptions.
const MDCR_TDE: u64 = 1 << 8;

/// TCR_EL2: bits 31 and 23 are RES1, walks are inner shareable and write-back write-allocate, T0SZ is 16 for 48 bits,
/// and TG0 is 0 for 4 KiB (DDI 0487, D24.2.197).
const TCR_EL2: u64 = 1 << 31 | 1 << 23 | 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | 16;
/// TCR_EL2.PS.
const TCR_EL2_PS_SHIFT: u32 = 16;
/// The largest TCR_EL2.PS whose addresses tables of the 4 KiB granule can hold: 48 bits.
const PS_48_BITS: u64 = 0b101;

/// Has the MMU use the tables at `root` as soon as SCTLR_EL2.M is set.
///
/// # Safety
///
/// The MMU must be off. `root` must be the address of a table of level 0, which stays one as long as the MMU is used.
pub unsafe fn use_tables(root: u64) {
    let physical_size = (read!("id_aa64mmfr0_el1") & 0xf).min(PS_48_BITS);
    let tcr = TCR_EL2 | physical_size << TCR_EL2_PS_SHIFT;
    // SAFETY: the registers are not used before the MMU is on, and then `root` is what the caller says.
    unsafe {
        asm!("msr tcr_el2, {}", "msr ttbr0_el2, {}", "isb", in(reg) tcr, in(reg) root,
            options(nostack, preserves_flags))
    };
}
