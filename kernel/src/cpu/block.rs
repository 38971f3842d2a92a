//! A physical CPU's own state: its block, to which TPIDR_EL2 points from the first Rust instruction on.
//!
//! [`CpuBlock`] is neither `Send` nor `Sync`, so a reference to a block stays on the block's CPU, and its fields are
//! `Cell`s. An exception at EL2 may interrupt an update between two instructions, so each field changes by one store.

use crate::arch::aarch64::cpu;
use crate::base::id::{CpuId, DomainId, VcpuId};
use crate::cpu::fault::Recovery;
use core::cell::Cell;
use core::ops::Range;
use core::ptr;
use lacuna_boot::VectorState;

/// The block of a CPU.
#[repr(C)]
pub struct CpuBlock {
    /// For `vectors.S`, which finds it where TPIDR_EL2 points.
    vectors: VectorState,
    id: CpuId,
    /// What an exception that is expected goes back to; null if none is expected.
    pub(super) recovery: Cell<*const Recovery>,
    /// How many reports of something fatal have begun here.
    reports: Cell<u32>,
    /// The virtual CPU that has this CPU.
    running: Cell<Option<(DomainId, VcpuId)>>,
}

/// The block of the CPU that boots.
#[repr(transparent)]
struct BootCpu(CpuBlock);

// SAFETY: nobody names the static but the entry code, which has the TPIDR_EL2 of one CPU point to it: so no other CPU can
// have a reference to it.
unsafe impl Sync for BootCpu {}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "entry.S names it")]
static lacuna_boot_cpu: BootCpu = BootCpu(CpuBlock::new(VectorState::for_boot_cpu(), CpuId::BOOT));

/// The block of the CPU that this runs on. At EL2 only.
#[inline]
pub fn block() -> &'static CpuBlock {
    // SAFETY: TPIDR_EL2 points to a `CpuBlock` that is never freed from before the first Rust instruction on, on every CPU,
    // and no code changes it.
    unsafe { &*ptr::with_exposed_provenance::<CpuBlock>(cpu::thread_pointer() as usize) }
}

impl CpuBlock {
    /// The block of CPU `id`.
    pub const fn new(vectors: VectorState, id: CpuId) -> Self {
        Self { vectors, id, recovery: Cell::new(ptr::null()), reports: Cell::new(0), running: Cell::new(None) }
    }

    /// Which CPU it is.
    pub fn id(&self) -> CpuId {
        self.id
    }

    /// The stacks of this CPU: the one in use, and the one for exceptions that find no room there.
    pub fn stacks(&self) -> [Range<u64>; 2] {
        self.vectors.stacks()
    }

    /// To be called before CNTVOFF_EL2 is set to `offset`: EL2's own exceptions set it from here.
    pub fn set_virtual_offset(&self, offset: u64) {
        self.vectors.set_virtual_offset(offset);
    }

    /// A report of something fatal begins here: returns how many have begun before it and never ended.
    pub fn begin_report(&self) -> u32 {
        self.reports.replace(self.reports.get() + 1)
    }

    /// Says which virtual CPU has this CPU from now on.
    pub fn set_running(&self, vcpu: Option<(DomainId, VcpuId)>) {
        self.running.set(vcpu);
    }

    /// The virtual CPU that has this CPU.
    pub fn running(&self) -> Option<(DomainId, VcpuId)> {
        self.running.get()
    }
}
