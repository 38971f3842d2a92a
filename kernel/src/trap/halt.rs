//! Reports of CPUs that fail at the same time, and the stop of all CPUs for the failure of one.
//!
//! A CPU that reports a fatal error prints alone: another CPU that fails meanwhile waits for its turn. The first CPU to
//! fail then stops the others, waits briefly until each has reported its activity, and ends the machine.

#[cfg(feature = "cpus")]
use crate::console::Emergency;
use crate::cpu::block::block;
use crate::cpu::crew::{self, Crew, CrewMember, within};
use crate::cpu::last_words::Occupation;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

/// How long the CPU that ends the machine waits for the others.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a CPU waits for another's report, which may go over a slow UART, and may hang.
const PATIENCE_WITH_A_REPORT: Duration = Duration::from_secs(10);

/// No CPU.
const NOBODY: u32 = u32::MAX;

/// The CPU that was the first to fail: it ends the machine.
static FIRST: AtomicU32 = AtomicU32::new(NOBODY);

/// Whether a CPU reports.
static IS_REPORTING: AtomicBool = AtomicBool::new(false);

/// Has all other CPUs stop, if this one is the first to fail, or else waits for its turn to report something fatal.
pub fn begin_report() {
    // Until then there is one CPU, and perhaps no EL2 to find its block by.
    let Some(crew) = crew::running() else { return };
    if FIRST.compare_exchange(NOBODY, number(), Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        // Before anything is printed: what others print would go between the words.
        crew.stop_others();
        within(PATIENCE, || others(crew).all(|member| member.last_words().are_said()));
    } else {
        crew::say(Occupation::FailureToReport);
    }
    within(PATIENCE_WITH_A_REPORT, || {
        IS_REPORTING.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    });
}

/// Ends this CPU's report. The first CPU to fail says what the others were about; for any other this is the end.
pub fn end_report() {
    let Some(crew) = crew::running() else { return };
    IS_REPORTING.store(false, Ordering::Release);
    if FIRST.load(Ordering::Acquire) != number() {
        crew::stop(Occupation::Failure);
    }
    // Those that have failed meanwhile take their turns.
    within(PATIENCE_WITH_A_REPORT, || !others(crew).any(|member| member.last_words().wait_for_a_report()));
    for member in others(crew) {
        // A failure to print can be told to nobody.
        let _ = writeln!(Emergency, "  CPU {} {}", member.id(), member.last_words());
    }
}

fn others(crew: &Crew) -> impl Iterator<Item = &'static CrewMember> {
    crew.members().filter(|member| member.id() != block().id())
}

fn number() -> u32 {
    block().id().index() as u32
}
