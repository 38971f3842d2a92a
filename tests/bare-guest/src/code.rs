//! Instructions that are put together and run, whatever comes of them.

use crate::exceptions::{Fault, attempt};
use core::arch::asm;
use core::ptr;

/// The word of an instruction, as the assembler has it.
macro_rules! word {
    ($instruction:literal) => {{
        let word: u64;
        // SAFETY: the instruction itself is jumped over; its word is read from this code, which is memory like any other.
        unsafe {
            core::arch::asm!(
                "adr {word:x}, 2f",
                "ldr {word:w}, [{word:x}]",
                "b 3f",
                "2:",
                ".arch_extension fp",
                ".arch_extension simd",
                ".arch_extension lse",
                $instruction,
                "3:",
                word = out(reg) word,
                options(nostack, readonly)
            )
        };
        word as u32
    }};
}
pub(crate) use word;

/// `ret`
const RET: u32 = 0xd65f_03c0;

/// What came of running instructions.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// x0 to x3 afterwards.
    pub x: [u64; 4],
    /// The exception that ended it.
    pub fault: Option<Fault>,
}

unsafe extern "C" {
    static __code_start: u8;
    static __code_end: u8;
}

/// Where the instructions are put.
pub fn address() -> u64 {
    &raw const __code_start as u64
}

/// Instructions in the one place there is for them, until others are put there.
#[derive(Debug)]
pub struct Code(());

impl Code {
    /// Puts the instructions in place, and a return behind them.
    pub fn new(words: &[u32]) -> Self {
        for (index, word) in words.iter().chain(&[RET]).enumerate() {
            let at = address() + 4 * index as u64;
            assert!(at + 4 <= &raw const __code_end as u64, "{} instructions are too many", words.len());
            // SAFETY: checked just now to be in the room that the linker script keeps for this, which Rust knows nothing of.
            unsafe { ptr::write_volatile(at as *mut u32, *word) };
            // SAFETY: instruction caches are told of the change; nothing else depends on it.
            unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", in(reg) at, options(nostack)) };
        }
        crate::registers::barrier();
        Self(())
    }

    /// Runs the instructions with x0 to x3.
    ///
    /// # Safety
    ///
    /// With these registers they may change no memory that anyone holds a reference to.
    pub unsafe fn run(&self, x: [u64; 4]) -> Run {
        let mut x = x;
        // SAFETY: the caller promises it.
        let fault = unsafe { attempt(address(), &mut x) };
        Run { x, fault }
    }
}

/// Runs one instruction with x0 and x1.
///
/// # Safety
///
/// As for [`Code::run`].
pub unsafe fn run(word: u32, x0: u64, x1: u64) -> Run {
    let code = Code::new(&[word]);
    // SAFETY: the caller promises it.
    unsafe { code.run([x0, x1, 0, 0]) }
}

/// `mrs x0, S<op0>_<op1>_C<crn>_C<crm>_<op2>` (DDI 0487, C6.2.228); op0 is 2 or 3.
pub const fn mrs([op0, op1, crn, crm, op2]: [u32; 5]) -> u32 {
    0xd530_0000 | (op0 - 2) << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

/// `msr S<op0>_<op1>_C<crn>_C<crm>_<op2>, x0`.
pub const fn msr(register: [u32; 5]) -> u32 {
    mrs(register) & !(1 << 21)
}

/// `sys #<op1>, C<crn>, C<crm>, #<op2>, x0`.
pub const fn sys([op1, crn, crm, op2]: [u32; 4]) -> u32 {
    0xd508_0000 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}
