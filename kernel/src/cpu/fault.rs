//! An expected fault at EL2, and the place where execution resumes.

use crate::arch::syndrome::Syndrome;
use crate::base::addr::VirtAddr;
use core::cell::Cell;

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
pub(super) struct Recovery {
    /// x19 to x30.
    pub saved: [u64; 12],
    pub sp: u64,
    pub fault: Cell<Option<Fault>>,
}
