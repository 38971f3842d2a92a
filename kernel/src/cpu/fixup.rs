//! Surviving an exception that was expected.
//!
//! [`catch`] runs code that may fault. If it does, the exception handler makes [`catch`] return the [`Fault`] instead:
//! the way C's `longjmp` would. It serves the probe of a device tree that may not be there, and the self-tests, whose
//! faults are real ones.

use crate::arch::syndrome::Syndrome;
use crate::base::addr::VirtAddr;
use core::arch::naked_asm;
use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use lacuna_boot::ExceptionFrame;

/// A synchronous exception, or an SError, that was taken and survived.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// ESR_EL2.
    pub syndrome: Syndrome,
    /// FAR_EL2: the address that was accessed. Meaningful for synchronous aborts and PC alignment faults.
    pub address: VirtAddr,
    /// ELR_EL2: the instruction.
    pub at: VirtAddr,
}

/// What a function must preserve (AAPCS64, 6.1.1): enough to return from it at any moment.
#[repr(C)]
struct Recovery {
    /// x19 to x30.
    saved: [u64; 12],
    sp: u64,
    fault: Cell<Option<Fault>>,
}

/// Where to go if the running code faults; null if nothing is expected. Used by the boot CPU only.
static ARMED: AtomicPtr<Recovery> = AtomicPtr::new(ptr::null_mut());

/// Runs `code` and returns what it returns, or the fault it took.
///
/// # Safety
///
/// Code that faults is left where it stands: its destructors do not run and locks it holds stay held. So nothing that
/// `code` owns at the faulting instruction may need a destructor, and it must not be in the middle of changing state
/// that others see. Calls do not nest.
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
    ARMED.store(&raw mut recovery, Ordering::Relaxed);
    // SAFETY: `recovery` lives until after the call, and `ARMED` is cleared before it goes. `run` is given the pointer
    // that its type says. The caller vouches for the closure's being abandoned.
    unsafe {
        call_recoverably(
            &raw mut recovery,
            run::<F, R> as extern "C" fn(*mut Call<F, R>) as usize,
            (&raw mut call).addr(),
        )
    };
    ARMED.store(ptr::null_mut(), Ordering::Relaxed);
    match (recovery.fault.take(), call.result) {
        (Some(fault), _) => Err(fault),
        (None, Some(result)) => Ok(result),
        (None, None) => unreachable!("the call returned neither by itself nor through a fault"),
    }
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
        "stp x19, x20, [x0]",
        "stp x21, x22, [x0, #16]",
        "stp x23, x24, [x0, #32]",
        "stp x25, x26, [x0, #48]",
        "stp x27, x28, [x0, #64]",
        "stp x29, x30, [x0, #80]",
        "mov x9, sp",
        "str x9, [x0, #96]",
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "mov x0, x2",
        "blr x1",
        "ldp x29, x30, [sp], #16",
        "ret",
    )
}

/// Called by the exception handler: if this fault was expected, makes `frame` return to who expected it.
pub fn recover(frame: &mut ExceptionFrame, fault: Fault) -> bool {
    let armed = ARMED.load(Ordering::Relaxed);
    if armed.is_null() {
        return false;
    }
    // No swap: an exclusive could fail forever while the caches are off, and there is one CPU.
    ARMED.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: a pointer in `ARMED` is to the `Recovery` of a `catch` that has not returned: it clears the pointer first.
    let recovery = unsafe { &*armed };
    recovery.fault.set(Some(fault));
    frame.x[19..31].copy_from_slice(&recovery.saved);
    frame.sp = recovery.sp;
    frame.elr = recovery.saved[11]; // x30: where `call_recoverably` was called from
    true
}
