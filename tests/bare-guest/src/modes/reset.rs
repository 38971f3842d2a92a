//! Starting again and again, and what is found in RAM then.

use crate::console::say;
use crate::machine::Machine;
use crate::{power, registers};

/// What is left in RAM for the next start, which must not see it.
const PATTERN: u64 = 0xa5a5_5a5a_dead_beef;

/// Checks that RAM beside what the hypervisor put there is zero, fills it, and resets; ends at the first byte that is not.
pub fn run(machine: &Machine) {
    let mut other = None;
    let mut bytes = 0;
    machine.each_free(|range| {
        bytes += range.end - range.start;
        other = other.or_else(|| registers::find_other(range, 0));
    });
    if let Some(address) = other {
        say!("FAIL old contents at {address:#x}: {:#x}", registers::read_ram(address));
        return;
    }
    say!("{bytes} bytes are zero, reset");
    // SAFETY: Rust knows of the image, which is left out, and of the tree, which is left out too.
    machine.each_free(|range| unsafe { registers::fill_ram(range, PATTERN) });
    power::reset()
}
