//! Exceptions: those that are expected are recorded and end the code that caused them; others end the guest.

use crate::console::say;
use crate::modes::lives::REGISTERS_AT_ENTRY;
use crate::{interrupts, power};
use core::arch::global_asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

global_asm!(include_str!("entry.S"), resume_sp = sym RESUME_SP, at_entry = sym REGISTERS_AT_ENTRY);
global_asm!(include_str!("vectors.S"));

/// What the exception vectors save, and restore when the handler returns.
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    x: [u64; 31],
    sp: u64,
    elr: u64,
    spsr: u64,
    esr: u64,
    far: u64,
    /// CNTVCT_EL0 when the vector was entered.
    time: u64,
    padding: u64,
}

const _: () = assert!(size_of::<Frame>() == 38 * 8, "vectors.S lays the frame out by hand");

/// SPSR_EL1: EL1 on SP_EL0 with everything masked.
const EL1T_MASKED: u64 = 0x3c4;

/// Where `guest_run` goes on after an exception.
static RESUME_SP: AtomicU64 = AtomicU64::new(0);

/// Whether the handler runs: an exception in it is nobody's expectation.
static IS_HANDLING: AtomicBool = AtomicBool::new(false);
static IS_EXPECTED: AtomicBool = AtomicBool::new(false);
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
static KIND: AtomicU64 = AtomicU64::new(0);
static ESR: AtomicU64 = AtomicU64::new(0);
static FAR: AtomicU64 = AtomicU64::new(0);
static ELR: AtomicU64 = AtomicU64::new(0);
static SPSR: AtomicU64 = AtomicU64::new(0);

/// An exception that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of the vector.
    pub kind: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
}

impl Fault {
    /// The class of the exception.
    pub fn class(&self) -> u64 {
        self.esr >> 26 & 0x3f
    }

    /// The fault status code of an abort.
    pub fn status(&self) -> u64 {
        self.esr & 0x3f
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, esr, far, elr, spsr } = self;
        let class = self.class();
        write!(f, "vector {kind}, ESR {esr:#x} (class {class:#x}), FAR {far:#x}, ELR {elr:#x}, SPSR {spsr:#x}")
    }
}

unsafe extern "C" {
    fn guest_run(registers: *mut [u64; 4], code: u64);
    fn guest_resume();
}

/// Calls the code at `code` with x0 to x3 from `registers`, and puts them back. The exception that ended it, if one did.
///
/// # Safety
///
/// The code may change no memory that anyone holds a reference to.
pub unsafe fn attempt(code: u64, registers: &mut [u64; 4]) -> Option<Fault> {
    let daif = crate::registers::read!("daif");
    IS_TAKEN.store(false, Relaxed);
    IS_EXPECTED.store(true, Relaxed);
    // SAFETY: the caller promises that the code spares memory; guest_run saves the registers that Rust wants back, and
    // comes back by an exception if not otherwise.
    unsafe { guest_run(registers, code) };
    IS_EXPECTED.store(false, Relaxed);
    crate::registers::write!("daif", daif);
    IS_TAKEN.load(Relaxed).then(|| Fault {
        kind: KIND.load(Relaxed),
        esr: ESR.load(Relaxed),
        far: FAR.load(Relaxed),
        elr: ELR.load(Relaxed),
        spsr: SPSR.load(Relaxed),
    })
}

/// Called by `vectors.S`.
#[unsafe(no_mangle)]
extern "C" fn guest_exception(frame: &mut Frame, kind: u64) {
    const INTERRUPT: u64 = 1;
    let is_from_handler = IS_HANDLING.load(Relaxed);
    IS_HANDLING.store(true, Relaxed);
    if kind == INTERRUPT {
        interrupts::handle(frame.time);
    } else if IS_EXPECTED.load(Relaxed) && !is_from_handler {
        IS_EXPECTED.store(false, Relaxed);
        IS_TAKEN.store(true, Relaxed);
        KIND.store(kind, Relaxed);
        ESR.store(frame.esr, Relaxed);
        FAR.store(frame.far, Relaxed);
        ELR.store(frame.elr, Relaxed);
        SPSR.store(frame.spsr, Relaxed);
        frame.sp = RESUME_SP.load(Relaxed);
        frame.elr = guest_resume as *const () as u64;
        frame.spsr = EL1T_MASKED;
    } else {
        let Frame { esr, far, elr, spsr, .. } = *frame;
        say!("panic: unexpected exception: {}, x0 {:#x}", Fault { kind, esr, far, elr, spsr }, frame.x[0]);
        power::off();
    }
    IS_HANDLING.store(false, Relaxed);
}
