//! The end of a run, and of one that cannot continue: one line with the reason, and a failing status.
//!
//! PSCI SYSTEM_OFF has no exit status, so [`finish`] prints the outcome on the console: on the last line, which no
//! guest can print, since none runs any more.
//!
//! A fatal error has its cause outside: a device tree that contradicts itself, a machine with too little memory. A
//! panic is a bug of ours, and prints where. Neither takes a lock or allocates.
//!
//! A failed allocation that its caller cannot do without is a fatal error. Stable Rust has no handler of its own for
//! that without `std`: the `alloc` crate's default panics, and the panic handler recognises these panics by their
//! source location.

use crate::base::outcome::Outcome;
use crate::console::Emergency;
use crate::cpu::block::block;
use crate::cpu::power;
use crate::heap::HEAP;
use crate::trap::backtrace;
#[cfg(feature = "cpus")]
use crate::trap::halt;
use core::arch::asm;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

/// Prints `lacuna: fatal: <what>` and ends the machine with a failing status.
#[macro_export]
macro_rules! fatal {
    ($($argument:tt)*) => {
        $crate::trap::fatal::end(format_args!($($argument)*))
    };
}

/// Does what [`fatal!`](crate::fatal!) does. Takes no lock and allocates nothing.
pub fn end(what: fmt::Arguments<'_>) -> ! {
    #[cfg(feature = "cpus")]
    halt::begin_report();
    // A failure to print can be told to nobody.
    let _ = writeln!(Emergency, "lacuna: fatal: {what}");
    #[cfg(feature = "cpus")]
    halt::end_report();
    finish(Outcome::Failure)
}

/// Prints how the run went, as `lacuna: end: success` or `lacuna: end: failure`, and ends the machine.
pub fn finish(outcome: Outcome) -> ! {
    let outcome_in_words = match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
    };
    // A failure to print can be told to nobody.
    let _ = writeln!(Emergency, "lacuna: end: {outcome_in_words}");
    power::end(outcome)
}

/// The file of the `alloc` crate in which nothing panics but its handler of allocation errors.
const ALLOCATION_ERROR: &str = "alloc/src/alloc.rs";

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A panic in the middle of a report ends the machine at once.
    if block().begin_report() > 0 {
        power::end(Outcome::Failure);
    }
    if info.location().is_some_and(|place| place.file().ends_with(ALLOCATION_ERROR)) {
        // The heap's lock is free: its `alloc` has returned.
        end(format_args!("out of memory: {}, heap: {}", info.message(), HEAP.usage()));
    }
    #[cfg(feature = "cpus")]
    halt::begin_report();
    let _ = write!(Emergency, "\nlacuna: panic: {}", info.message());
    if let Some(place) = info.location() {
        let _ = write!(Emergency, " ({}:{})", place.file(), place.line());
    }
    let _ = writeln!(Emergency, "\n  on CPU {}", block().id());
    let (here, frame): (u64, u64);
    // SAFETY: the program counter goes into a register that the compiler chose, and nothing else changes.
    unsafe { asm!("adr {}, .", out(reg) here, options(nomem, nostack, preserves_flags)) };
    // SAFETY: the frame pointer, which each function keeps, is copied into a register that the compiler chose.
    unsafe { asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    backtrace::print(&mut Emergency, here, 0, frame);
    #[cfg(feature = "cpus")]
    halt::end_report();
    finish(Outcome::Failure)
}
