//! Everything that a guest should not do, one named step after the other.
//!
//! A step prints `step NAME` before and `ok NAME` or `FAIL NAME: why` after, so that what killed the guest is known from the
//! last line. What a step expects is what the architecture says of a machine like the one in the device tree.

mod calls;
mod devices;
mod expect;
mod faults;
mod interrupts;
mod memory;
mod nesting;
mod registers;
mod scribble;
mod semihosting;
mod state;
mod terminal;
mod timers;

use crate::code::{self, Code, Run};
use crate::console::say;
use crate::machine::{self, Machine};
use crate::registers::write;
use expect::Verdict;
pub use terminal::forge_for_ever;

/// CPACR_EL1.FPEN: floating point and SIMD are not trapped.
const FLOATING_POINT: u64 = 3 << 20;

/// What was tried so far.
#[derive(Debug)]
struct Steps {
    passed: u32,
    failed: u32,
    only: Option<&'static str>,
    skip: Option<&'static str>,
}

impl Steps {
    /// Does a step, unless the command line leaves it out.
    fn step(&mut self, name: &str, act: impl FnOnce() -> Verdict) {
        let is_left_out = |words: &str| words.split(',').any(|word| !word.is_empty() && name.starts_with(word));
        if self.only.is_some_and(|only| !is_left_out(only)) || self.skip.is_some_and(is_left_out) {
            return;
        }
        say!("step {name}");
        match act() {
            Ok(()) => {
                self.passed += 1;
                say!("ok {name}");
            }
            Err(why) => {
                self.failed += 1;
                say!("FAIL {name}: {why}");
            }
        }
    }
}

/// All steps, or those whose names begin with one of `only=`, but not those with one of `skip=` (words between commas).
pub fn run(machine: &Machine) {
    let Some(gic) = machine.gic else { return say!("FAIL no GICv3") };
    let mut steps = Steps { passed: 0, failed: 0, only: machine.word("only"), skip: machine.word("skip") };
    write!("cpacr_el1", FLOATING_POINT);
    memory::run(&mut steps, machine);
    devices::run(&mut steps, machine, &gic);
    calls::run(&mut steps);
    registers::run(&mut steps);
    faults::run(&mut steps);
    semihosting::run(&mut steps, machine);
    state::run(&mut steps, machine, &gic);
    interrupts::run(&mut steps, &gic);
    nesting::run(&mut steps, &gic);
    timers::run(&mut steps, &gic);
    terminal::run(&mut steps);
    scribble::run(&mut steps, machine, &gic);
    say!("{} passed, {} failed", steps.passed, steps.failed);
}

/// A place in RAM that may be written to: it holds no instructions.
fn scratch() -> u64 {
    code::address() + 0x800
}

/// Whether the instructions may have that address: it is not this program's, or free for them.
fn is_nobodys(address: u64) -> bool {
    !machine::image().contains(&address) || (scratch()..scratch() + 0x800).contains(&address)
}

/// Runs an instruction that accesses memory at x0, at most 64 bytes of it, or jumps there.
fn at(word: u32, address: u64, value: u64) -> Run {
    assert!(is_nobodys(address), "{address:#x} is memory of the program");
    // SAFETY: checked just now: what is there is a device, nothing at all, or RAM that is in nobody's hands.
    unsafe { code::run(word, address, value) }
}

/// Runs instructions that access no memory but by `Code`'s own: system registers, calls, exceptions.
fn plain(words: &[u32], x: [u64; 4]) -> Run {
    // SAFETY: callers give none that does.
    unsafe { Code::new(words).run(x) }
}

/// Runs instructions that access only what x0 leads to, as in [`at`].
fn plain_at(words: &[u32], x: [u64; 4]) -> Run {
    assert!(is_nobodys(x[0]), "{:#x} is memory of the program", x[0]);
    // SAFETY: checked just now.
    unsafe { Code::new(words).run(x) }
}
