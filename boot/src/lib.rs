//! The first instructions: Image header, entry, relocation, stacks and exception vectors.
//!
//! Entry code checks the exception level, clears BSS, applies the relocations of the static PIE and calls
//! `lacuna_main`, which the kernel provides, with the MMU and the caches still off. Entry code does no memory
//! management: [`layout`] reports the addresses that the linker script chose, and the kernel does the rest.
//!
//! Relies on: entry as Linux's `Documentation/arch/arm64/booting.rst` describes it.

#![no_std]

#[cfg(target_os = "none")]
mod entry;

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

/// Size of a CPU's stack, in bytes. `image.ld` has it too.
pub const STACK_BYTES: u64 = 32 << 10;

/// Size of the stack on which a CPU takes exceptions of EL2 when the other has no room, in bytes. `image.ld` has it too.
pub const FAULT_STACK_BYTES: u64 = 16 << 10;

/// What the exception vectors know of the CPU that they run on: the first part of its block, to which TPIDR_EL2 points.
///
/// `vectors.S` knows the offset of each field.
#[derive(Debug)]
#[repr(C)]
pub struct VectorState {
    /// Lowest address of the stack, which has [`STACK_BYTES`], and of the fault stack, which has [`FAULT_STACK_BYTES`].
    stacks: [Cell<u64>; 2],
    /// What CNTVOFF_EL2 holds. An exception of EL2's own borrows that register for some instructions, since a register is
    /// needed before memory can be reached, and sets it from here again.
    virtual_offset: Cell<u64>,
    /// x1 to x3 of what was interrupted, until there is a frame for them.
    saved: [Cell<u64>; 3],
}

const _: () = assert!(size_of::<VectorState>() == 6 * 8, "vectors.S lays the state out by hand");

impl VectorState {
    /// For the CPU that boots: `entry.S` puts the stacks in, which the linker script made for it. CNTVOFF_EL2 is 0.
    pub const fn for_boot_cpu() -> Self {
        Self::new(0, 0)
    }

    /// For a CPU that is started, whose stacks begin at these addresses. CNTVOFF_EL2 is 0.
    pub const fn new(stack: u64, fault_stack: u64) -> Self {
        Self {
            stacks: [Cell::new(stack), Cell::new(fault_stack)],
            virtual_offset: Cell::new(0),
            saved: [const { Cell::new(0) }; 3],
        }
    }

    /// Both stacks, as addresses.
    pub fn stacks(&self) -> [core::ops::Range<u64>; 2] {
        let [stack, fault_stack] = [self.stacks[0].get(), self.stacks[1].get()];
        [stack..stack + STACK_BYTES, fault_stack..fault_stack + FAULT_STACK_BYTES]
    }

    /// To be called before CNTVOFF_EL2 is set to `offset`: an exception in between sets it, which is as good.
    pub fn set_virtual_offset(&self, offset: u64) {
        self.virtual_offset.set(offset);
    }
}

/// What a CPU that is started needs before it can run Rust. `secondary.S` knows the offset of each field.
///
/// The CPU reads it, and writes a refusal, past the caches. So it lies in cache lines of its own, whatever their size: a line
/// has at most 2 KiB (CTR_EL0.CWG, DDI 0487, D24.2.34).
#[derive(Debug)]
#[repr(C, align(2048))]
pub struct CpuStart {
    /// The affinity of the CPU.
    pub affinity: u64,
    /// MAIR_EL2, TCR_EL2, TTBR0_EL2 and SCTLR_EL2 of the CPU that boots.
    pub translation: [u64; 4],
    /// TPIDR_EL2: the address of its block, which begins with its [`VectorState`].
    pub block: u64,
    /// The address at which its stack ends.
    pub stack_top: u64,
    /// Why it cannot continue, and the register with the evidence; 0 if it can, or has not arrived.
    refusal: [AtomicU64; 2],
}

const _: () = assert!(core::mem::offset_of!(CpuStart, refusal) == 56, "secondary.S lays it out by hand");

/// Why a CPU that was started does not turn its MMU on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It arrived at this exception level, not at EL2.
    Level(u64),
    /// It runs EL2 with its host extensions only (HCR_EL2.E2H).
    HostExtensions,
    /// It has no 4 KiB translation granule: ID_AA64MMFR0_EL1.TGran4.
    Granule,
    /// It has fewer physical address bits: ID_AA64MMFR0_EL1.PARange.
    PhysicalRange(u64),
}

impl CpuStart {
    /// For the CPU with this affinity.
    pub const fn new(affinity: u64, translation: [u64; 4], block: u64, stack_top: u64) -> Self {
        Self { affinity, translation, block, stack_top, refusal: [const { AtomicU64::new(0) }; 2] }
    }

    /// Why the CPU cannot go on. To be read after the caches have dropped what they hold of `self`.
    pub fn refusal(&self) -> Option<Refusal> {
        let [reason, value] = self.refusal.each_ref().map(|word| word.load(Ordering::Acquire));
        match reason {
            1 => Some(Refusal::Level(value >> 2)),
            2 => Some(Refusal::HostExtensions),
            3 => Some(Refusal::Granule),
            4 => Some(Refusal::PhysicalRange(value & 0xf)),
            _ => None,
        }
    }
}

/// What the exception vectors save, and restore when the handler returns.
///
/// The handler may change any field: execution goes on at `elr` with the registers and the stack pointer found here.
#[derive(Debug)]
#[repr(C)]
pub struct ExceptionFrame {
    /// General registers x0 to x30.
    pub x: [u64; 31],
    /// Stack pointer at the time of the exception.
    pub sp: u64,
    /// ELR_EL2: where the exception was taken from.
    pub elr: u64,
    /// SPSR_EL2: the state it was taken from.
    pub spsr: u64,
    /// ESR_EL2: why.
    pub esr: u64,
    /// FAR_EL2: the faulting address, if the class has one.
    pub far: u64,
}

const _: () = assert!(size_of::<ExceptionFrame>() == 36 * 8, "vectors.S lays the frame out by hand");

/// What is saved of a guest at an exception, and given back to it.
///
/// The rest of its state stays in the registers of EL1, which EL2 does not use.
#[derive(Debug)]
#[repr(C)]
pub struct GuestFrame {
    /// General registers x0 to x30.
    pub x: [u64; 31],
    /// ELR_EL2: where the guest was, and where it goes on.
    pub pc: u64,
    /// SPSR_EL2: its PSTATE; without BTYPE after a synchronous exception, so that it can go on behind its instruction.
    pub pstate: u64,
    /// Keeps the stack aligned to 16 bytes.
    pub padding: u64,
}

impl GuestFrame {
    /// For a guest that starts at `pc` in `pstate`, the value of SPSR_EL2, with `x0` and zeroes in x1 to x30.
    pub const fn starting(pc: u64, pstate: u64, x0: u64) -> Self {
        let mut x = [0; 31];
        x[0] = x0;
        Self { x, pc, pstate, padding: 0 }
    }
}

/// What is done at each exit from a guest against what it taught the branch predictor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// A function of the firmware, which SMC calls with no argument, if one is to be called.
    pub function: Option<u32>,
    /// After it, and after CLRBHB where the CPU has that: rounds of two taken branches each.
    pub rounds: core::num::NonZeroU32,
}

const _: () = assert!(size_of::<GuestFrame>() == 34 * 8, "vectors.S lays the frame out by hand");

/// The one call that EL3 answers if this image was entered there: its SMC function number, an OEM's (SMCCC, DEN0028, 6.2).
///
/// x1 and x2 are the physical addresses of a GICv3's distributor and of the redistributor of this CPU, whose interrupts the
/// Secure state gives away. x0 is 0 then, and SMC undefined from then on.
pub const GIVE_INTERRUPTS: u32 = 0xc300_0000 | (b'L' as u32) << 8 | b'G' as u32;

/// Where the parts of the image lie, as addresses (physical, and virtual too: the image runs where it was loaded).
///
/// All boundaries are multiples of 4 KiB, all ranges half-open. Between `data` and `stack`, `stack` and `fault_stack`,
/// and `fault_stack` and `pool` lies one guard page each.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Code, to be mapped read-execute.
    pub text: core::ops::Range<u64>,
    /// Constants, relocated pointers and the symbol table, to be mapped read-only.
    pub rodata: core::ops::Range<u64>,
    /// Data and BSS, to be mapped read-write.
    pub data: core::ops::Range<u64>,
    /// The stack of the boot CPU.
    pub stack: core::ops::Range<u64>,
    /// The stack that exceptions use when the other has no room.
    pub fault_stack: core::ops::Range<u64>,
    /// Memory for the first heap and the first page tables, with undefined contents.
    pub pool: core::ops::Range<u64>,
    /// The symbol table for backtraces, inside `rodata`.
    pub symbols: core::ops::Range<u64>,
}

impl Layout {
    /// The whole image, from its header to the end of the pool.
    pub fn image(&self) -> core::ops::Range<u64> {
        self.text.start..self.pool.end
    }
}

#[cfg(target_os = "none")]
pub use entry::{invalidate_image, layout, semihosting_answers};
#[cfg(all(target_os = "none", feature = "guests"))]
pub use entry::{is_leaving_guest, run_guest};
#[cfg(all(target_os = "none", feature = "cpus"))]
pub use entry::{secondary_entry, set_pending};
