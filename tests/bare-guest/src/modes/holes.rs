//! Addresses where nothing is, for a machine on which that is no error.

use crate::code::{self, word};
use crate::console::say;
use crate::machine::Machine;

/// From the UART to an address where nothing is.
const HOLE: u64 = 0x1000;

/// Prints what loads of each size find, and stores something.
pub fn run(machine: &Machine) {
    let address = machine.uart + HOLE;
    for (name, word) in [
        ("ldrb", word!("ldrb w1, [x0]")),
        ("ldrh", word!("ldrh w1, [x0]")),
        ("ldr w", word!("ldr w1, [x0]")),
        ("ldr x", word!("ldr x1, [x0]")),
        ("ldrsh w", word!("ldrsh w1, [x0]")),
    ] {
        // SAFETY: the load changes no memory.
        let run = unsafe { code::run(word, address, 0) };
        match run.fault {
            None => say!("hole {name} {:#x}", run.x[1]),
            Some(fault) => say!("hole {name} {fault}"),
        }
    }
    let store = word!("str x1, [x0]");
    // SAFETY: no memory is where nothing is.
    match unsafe { code::run(store, address, 0) }.fault {
        None => say!("hole str x is lost"),
        Some(fault) => say!("hole str x {fault}"),
    }
}
