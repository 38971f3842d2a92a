//! What the guest was given.

use crate::console::say;
use crate::machine::{self, Machine};
use core::ops::Range;

/// Prints it.
pub fn run(machine: &Machine) {
    let line = |what: &str, range: Range<u64>| say!("{what} [{:#x}, {:#x})", range.start, range.end);
    for bank in machine.banks() {
        line("memory", bank);
    }
    line("image", machine::image());
    line("tree", machine.tree.clone());
    if let Some(ramdisk) = machine.ramdisk.clone() {
        line("ramdisk", ramdisk);
    }
    say!("uart {:#x}", machine.uart);
    if let Some(gic) = machine.gic {
        say!("gic distributor {:#x} redistributor {:#x}", gic.distributor, gic.redistributor);
    }
    machine.each_node(|name| say!("node {name}"));
    say!("bootargs {:?}", machine.bootargs);
}
