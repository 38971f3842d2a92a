//! Surviving an expected exception.
//!
//! [`catch`] runs code that may fault. If it faults, the exception handler makes [`catch`] return the [`Fault`], the
//! way C's `longjmp` would. Its users are the probe of a device tree that may not be there, and the self-tests, whose
//! faults are real.

use crate::cpu::block::block;
pub use crate::cpu::fault::Fault;
use crate::cpu::fault::Recovery;
use core::arch::naked_asm;
use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr;
use lacuna_boot::ExceptionFrame;

/// Runs `code` and returns what it returns, or the fault it took.
///
/// # Safety
///
/// Code that faults is left where it stands: its destructors do not run and locks it holds stay held. So nothing that
/// `code` owns at the faulting instruction may need a destructor, and it must not be in the middle of changing state
/// that others see. Calls nest: a fault ends the innermost.
pub unsafe fn catch<R, F: FnOnce() -> R>(code: F) -> Result<R, Fault> {
    struct Call<F, R> {
        code: ManuallyDrop<F>,
        result: Option<R>,
    }
    extern "C" fn run<F: FnOnce() -> R, R>(call: *mut Call<F, R>) {
        // SAFETY: `call` points to the local of `catch` below, which outlives this call and is not used meanwhile.
        let call = unsafe { &mut *call };
        // SAFETY: `run` is called once for each `Call`, so the closure is taken once.
        let code = unsafe { ManuallyDrop::take(&mut call.code) };
        call.result = Some(code());
    }

    let mut recovery = Recovery { saved: [0; 12], sp: 0, fault: Cell::new(None) };
    let mut call = Call { code: ManuallyDrop::new(code), result: None };
    let outer = block().recovery.replace(&raw const recovery);
    // SAFETY: `recovery` lives until after the call, and the block forgets it before it goes. `run` is given the pointer
    // that its type says. The caller vouches for the closure's being abandoned.
    unsafe {
        call_recoverably(
            &raw mut recovery,
            run::<F, R> as extern "C" fn(*mut Call<F, R>) as usize,
            (&raw mut call).addr(),
        )
    };
    block().recovery.set(outer);
    match (recovery.fault.take(), call.result) {
        (Some(fault), _) => Err(fault),
        (None, Some(result)) => Ok(result),
        (None, None) => unreachable!("the call returned neither by itself nor through a fault"),
    }
}

/// Reads address 0, which is never mapped, and returns the fault; `None` if there was one to be read.
#[cfg(feature = "selftest")]
pub fn provoke() -> Option<Fault> {
    // SAFETY: the read owns nothing, and changes nothing.
    unsafe { catch(read_zero) }.err()
}

/// A load that Rust knows nothing of: address 0 is no valid pointer.
#[cfg(feature = "selftest")]
fn read_zero() {
    // SAFETY: a load of EL2's changes no memory; if it faults, its caller catches it.
    unsafe { core::arch::asm!("ldr xzr, [{}]", in(reg) 0_u64, options(nostack, readonly)) };
}

/// Saves what a return needs into `recovery` and calls `code(argument)`.
///
/// # Safety
///
/// `code` must be the address of an `extern "C"` function that may be called with `argument`; `recovery` must stay valid
/// until this returns.
#[unsafe(naked)]
unsafe extern "C" fn call_recoverably(recovery: *mut Recovery, code: usize, argument: usize) {
    naked_asm!(
        ".cfi_startproc",
        "stp x19, x20, [x0]",
        "stp x21, x22, [x0, #16]",
        "stp x23, x24, [x0, #32]",
        "stp x25, x26, [x0, #48]",
        "stp x27, x28, [x0, #64]",
        "stp x29, x30, [x0, #80]",
        "mov x9, sp",
        "str x9, [x0, #96]",
        "stp x29, x30, [sp, #-16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset x29, -16",
        ".cfi_offset x30, -8",
        "mov x29, sp",
        "mov x0, x2",
        "blr x1",
        "ldp x29, x30, [sp], #16",
        "ret",
        ".cfi_endproc",
    )
}

/// Called by the exception handler: if this fault was expected, makes `frame` return to who expected it.
pub fn recover(frame: &mut ExceptionFrame, fault: Fault) -> bool {
    // Once only: should what `catch` returns to fault, before it says what is expected there, that is nobody's fault.
    let armed = block().recovery.replace(ptr::null());
    // SAFETY: a pointer in the block is null, or to the `Recovery` of a `catch` on this CPU that has not returned: it takes
    // the pointer back first.
    let Some(recovery) = (unsafe { armed.as_ref() }) else { return false };
    recovery.fault.set(Some(fault));
    frame.x[19..31].copy_from_slice(&recovery.saved);
    frame.sp = recovery.sp;
    frame.elr = recovery.saved[11]; // x30: where `call_recoverably` was called from
    true
}
