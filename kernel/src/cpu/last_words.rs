//! The activity of a CPU at the moment when another CPU stopped it.

use crate::base::id::{DomainId, VcpuId};
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a CPU was about, once it has stopped.
#[derive(Debug)]
pub struct LastWords {
    state: AtomicU32,
    /// Domain and vCPU, 16 bits each, and where the vCPU was.
    vcpu: AtomicU32,
    pc: AtomicU64,
}

/// What a CPU may be about.
#[derive(Clone, Copy, Debug)]
pub enum Occupation {
    /// It waited for something to do.
    Idle,
    /// It ran a vCPU, at this address.
    Guest(DomainId, VcpuId, u64),
    /// It has failed, and waits for its turn to report that.
    FailureToReport,
    /// It has failed, and reported that.
    Failure,
}

const UNKNOWN: u32 = 0;
const IDLE: u32 = 1;
const GUEST: u32 = 2;
const FAILURE_TO_REPORT: u32 = 3;
const FAILURE: u32 = 4;

impl Default for LastWords {
    fn default() -> Self {
        Self::new()
    }
}

impl LastWords {
    /// For a CPU that runs.
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(UNKNOWN), vcpu: AtomicU32::new(0), pc: AtomicU64::new(0) }
    }

    /// Says what the CPU was about, before it stops.
    pub fn say(&self, occupation: Occupation) {
        let state = match occupation {
            Occupation::Idle => IDLE,
            Occupation::FailureToReport => FAILURE_TO_REPORT,
            Occupation::Failure => FAILURE,
            Occupation::Guest(domain, vcpu, pc) => {
                self.vcpu.store((domain.index() as u32) << 16 | vcpu.index() as u32, Ordering::Relaxed);
                self.pc.store(pc, Ordering::Relaxed);
                GUEST
            }
        };
        self.state.store(state, Ordering::Release);
    }

    /// Whether the CPU has failed and not reported that yet.
    pub fn wait_for_a_report(&self) -> bool {
        self.state.load(Ordering::Acquire) == FAILURE_TO_REPORT
    }

    /// Whether the CPU has stopped, or will print nothing but a report.
    pub fn are_said(&self) -> bool {
        self.state.load(Ordering::Acquire) != UNKNOWN
    }
}

impl fmt::Display for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state.load(Ordering::Acquire) {
            IDLE => f.write_str("was idle"),
            GUEST => {
                let (vcpu, pc) = (self.vcpu.load(Ordering::Relaxed), self.pc.load(Ordering::Relaxed));
                write!(f, "ran vCPU {} of domain {} at {pc:#x}", vcpu & 0xffff, vcpu >> 16)
            }
            FAILURE_TO_REPORT | FAILURE => f.write_str("has failed as well"),
            _ => f.write_str("does not answer: it is busy at EL2"),
        }
    }
}
