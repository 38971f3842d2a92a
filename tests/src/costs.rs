//! What a hypervisor costs, by the account of our guest with `mode=bench` (`tests/bare-guest`).
//!
//! The same guest runs under Lacuna and, to compare, under Xen, from the same device tree.

use crate::boot::{Boot, image};
use crate::figures::{Figure, Unit};
use crate::guest::Guest;
use crate::outcome::Outcome;
use std::fmt;
use std::time::Duration;

/// Our guest.
pub(crate) const GUEST: &str = "LACUNA_GUEST";

/// How much RAM it is given.
const GUEST_MEMORY: &str = "256M";
const GUEST_BYTES: u64 = 256 << 20;

/// What the guest prints last.
const END: &str = "guest: end";

/// The counter's unit: a tick of one is an instruction.
const GHZ: u64 = 1_000_000_000;

/// Bytes of a cache line, by which scrubbing is counted.
const LINE: u64 = 64;

/// Our guest, with `words` on its command line.
pub fn own_guest(words: &str) -> Guest {
    Guest::new(&image(GUEST)).bootargs(words).memory(GUEST_MEMORY)
}

/// Figures of the guest's, in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// From reset to the guest's first instruction.
    pub start: u64,
    /// A call of PSCI_VERSION.
    pub call: u64,
    /// A read of GICD_TYPER.
    pub distributor: u64,
    /// A write of ICC_SGI1R_EL1 that interrupts nobody.
    pub sgi: u64,
    /// From the expiry of the virtual timer to the guest's vector, on average.
    pub timer: u64,
    /// The same, if the guest waits by WFI.
    pub idle: u64,
}

/// The words of which a line of the guest's must consist that is not there, or is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct NoFigure(&'static str);

impl fmt::Display for NoFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not one line guest: {} with a number", self.0)
    }
}

impl Costs {
    /// Reads what a guest printed, whatever the hypervisor puts before its lines.
    pub fn parse(console: &str) -> Result<Self, NoFigure> {
        let figure = |name: &'static str| number(console, "bench ", name).ok_or(NoFigure(name));
        let start = |name: &'static str| number(console, "start ", name).ok_or(NoFigure(name));
        Ok(Self {
            start: start("cntpct")? * (GHZ / start("cntfrq")?.max(1)),
            call: figure("hvc")?,
            distributor: figure("gicd")?,
            sgi: figure("sgi")?,
            timer: figure("timer")?,
            idle: figure("timer wfi")?,
        })
    }

    /// Each with its name, as the rows of a table.
    pub fn rows(&self) -> [(&'static str, u64); 6] {
        [
            ("reset to guest's first instruction, no scrub", self.start),
            ("guest: HVC PSCI_VERSION", self.call),
            ("guest: read of GICD_TYPER", self.distributor),
            ("guest: write of ICC_SGI1R_EL1, no target", self.sgi),
            ("guest: timer's expiry to handler", self.timer),
            ("guest: timer's expiry to handler, from WFI", self.idle),
        ]
    }
}

/// The number behind `name=` in the only line `guest: KIND…` that has it.
fn number(console: &str, kind: &str, name: &str) -> Option<u64> {
    let lines = console.lines().filter_map(|line| line.split_once("guest: ")?.1.strip_prefix(kind));
    let value = |line: &str| match kind {
        "bench " => line.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.trim().parse()),
        _ => line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::parse),
    };
    let mut values = lines.filter_map(value);
    match (values.next(), values.next()) {
        (Some(Ok(value)), None) => Some(value),
        _ => None,
    }
}

impl Outcome {
    /// What the guest with `mode=bench` counted.
    #[track_caller]
    pub fn costs(&self) -> Costs {
        Costs::parse(&self.console).unwrap_or_else(|error| self.fail(&error.to_string()))
    }
}

/// The boot, counting instructions as time, with our guest that counts.
pub fn counted(boot: Boot) -> Boot {
    count_with(boot, own_guest("mode=bench"))
}

fn count_with(boot: Boot, guest: Guest) -> Boot {
    boot.guest(guest).option("-icount", "shift=0,sleep=off").within(Duration::from_secs(120))
}

/// Boots Xen on the same machine with the same guest. Xen does not end with its guest, and is stopped then.
pub fn run_xen(boot: Boot) -> Outcome {
    let guest = own_guest("mode=bench").hypervisor_bootargs("console=dtuart bootscrub=0");
    let mut running = count_with(boot.xen(), guest).start();
    running.expect(END);
    running.stop()
}

/// The figures of a boot with their limits.
pub fn figures(machine: &'static str, start_limit: u64, boot: &Outcome) -> Vec<Figure> {
    let instructions = |what, value, limit| Figure { what, machine, value, limit, unit: Unit::Instructions };
    let (costs, guest) = (boot.costs(), boot.guest_facts());
    let (zero, clean) = (guest.number("zero_ns"), guest.number("clean_ns"));
    vec![
        instructions("reset to guest's first instruction, no scrub", costs.start - zero - clean, start_limit),
        instructions("scrub of the guest's 256 MiB", zero, GUEST_BYTES / LINE * 5 / 2),
        instructions("its way out of the caches", clean, GUEST_BYTES / LINE * 5 / 2),
        Figure {
            what: "memory for a guest beside its RAM",
            machine,
            value: guest.number("overhead_bytes"),
            limit: 256 << 10,
            unit: Unit::Bytes,
        },
        instructions("guest: HVC PSCI_VERSION", costs.call, 84),
        instructions("guest: read of GICD_TYPER", costs.distributor, 172),
        instructions("guest: write of ICC_SGI1R_EL1, no target", costs.sgi, 153),
        instructions("guest: timer's expiry to handler", costs.timer, 160),
    ]
}

/// The boot with two CPUs, counting instructions as time, with our guest that counts what two vCPUs do with each other.
pub fn counted_with_two_cpus(boot: Boot) -> Boot {
    count_with(boot.cpus(2), own_guest("mode=smp-bench").memory("16M").vcpus(2))
}

/// The boot, counting instructions as time, with two guests that give their one CPU to each other.
pub fn counted_in_turns(boot: Boot) -> Boot {
    let guest = |name, words| own_guest(words).memory("16M").name(name);
    count_with(boot.guest(guest("first", "mode=turns-bench")), guest("second", "mode=turns-bench partner=yes"))
}

/// What a switch between two vCPUs costs, one way.
pub fn figures_of_turns(machine: &'static str, boot: &Outcome) -> Vec<Figure> {
    let value = number(&boot.console, "bench ", "turn").unwrap_or_else(|| boot.fail(&NoFigure("turn").to_string()));
    vec![Figure {
        what: "guest: turn given to a vCPU of another",
        machine,
        value,
        limit: 900,
        unit: Unit::Instructions,
    }]
}

/// The same guest without a hypervisor.
pub fn counted_alone_with_two_cpus(boot: Boot) -> Boot {
    boot.cpus(2).guest_alone("mode=smp-bench").option("-icount", "shift=0,sleep=off").within(Duration::from_secs(120))
}

/// What a hypervisor adds to what two vCPUs do with each other: what was counted with it, less what was counted without.
/// Instructions of both CPUs count.
pub fn figures_of_two_cpus(machine: &'static str, with: &Outcome, without: &Outcome) -> Vec<Figure> {
    let figure = |what, name, limit| {
        let of = |outcome: &Outcome| {
            number(&outcome.console, "bench ", name).unwrap_or_else(|| outcome.fail(&NoFigure(name).to_string()))
        };
        Figure { what, machine, value: of(with).saturating_sub(of(without)), limit, unit: Unit::Instructions }
    };
    vec![
        figure("guest: SGI from a vCPU to itself", "sgi self", 250),
        figure("guest: SGI from a vCPU to another, both CPUs", "sgi other", 450),
        figure("guest: CPU_ON to the other's first instruction", "cpu on", 2500),
    ]
}

/// What mitigations add to an exit, from a boot without them and one with those that the CPU needs.
pub fn mitigation_figures(machine: &'static str, without: &Outcome, with: &Outcome) -> Vec<Figure> {
    let (without, with) = (without.costs(), with.costs());
    let figure = |what, value| Figure { what, machine, value, limit: 35, unit: Unit::Instructions };
    vec![
        figure("mitigations at an exit by HVC", with.call - without.call),
        figure("mitigations at an exit by an interrupt", with.timer - without.timer),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Costs, NoFigure};

    const LINES: &str = "(XEN) DOM1: guest: start cntpct=2634547 cntvct=1686148 cntfrq=62500000\r
(XEN) DOM1: guest: bench hvc=474\r
(domU1) guest: bench gicd=614\r
guest: bench sgi=514
guest: bench timer=1071
guest: bench timer least=896
guest: bench timer wfi=39159
";

    #[test]
    fn figures_are_read_whatever_stands_before_the_line() {
        let costs = Costs { start: 42_152_752, call: 474, distributor: 614, sgi: 514, timer: 1071, idle: 39159 };
        assert_eq!(Costs::parse(LINES), Ok(costs));
    }

    #[test]
    fn a_figure_that_is_missing_or_there_twice_is_named() {
        assert_eq!(Costs::parse(&LINES.replace("sgi=514", "sgi=")), Err(NoFigure("sgi")));
        assert_eq!(Costs::parse(&format!("{LINES}guest: bench hvc=1\n")), Err(NoFigure("hvc")));
    }
}
