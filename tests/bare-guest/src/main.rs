//! A guest that measures what a hypervisor costs, and tries what it withstands.
//!
//! The word `mode=` on its command line says what it does:
//!
//! | word | what it does |
//! |---|---|
//! | `mode=hello` | prints what its device tree says, and ends |
//! | `mode=bench` | counts what traps and interrupts cost, and ends |
//! | `mode=echo` | prints each line that it reads, until `quit` |
//! | `mode=hold` | has EL2 fault between two of its exits, checks that all its registers hold, and ends |
//! | `mode=reset` | checks that its RAM is zero, fills it, and starts again, for ever |
//! | `mode=lives` | reads every system register, writes every one, and starts again, for ever |
//! | `mode=holes` | prints what is read where nothing is, writes there, and ends |
//! | `mode=smp`, `psci=strict` | starts all its CPUs, has them interrupt, stop and start each other, and ends |
//! | `mode=smp-bench` | counts what interrupts between two CPUs and CPU_ON cost, and ends |
//! | `mode=turns`, `seed=`, `rounds=` | gives its CPU to others again and again, checks that all its registers hold, and ends |
//! | `mode=turns-bench`, `partner` | counts what it costs to give its CPU to another guest that does the same, and ends |
//! | `mode=spin` | uses its CPU, for ever |
//! | `mode=crash`, `how=` | ends by an exception without a handler: `zero`, `undefined`, `stack`, `vbar`, `walk`; without a CPU: `cpu`; or in the next life: `reset` |
//! | `mode=forge` | prints lines of the hypervisor's, and what terminals answer, for ever |
//! | `mode=bad`, `only=`, `skip=` | behaves badly in every way, step by step, and ends; `only=timer,PSCI` does those alone |
//!
//! Every line starts with `guest: `; the last one before the end is `guest: end`. It runs with the MMU off and depends on
//! no hypervisor: what it expects is what the architecture says.

#![no_std]
#![no_main]

mod bad;
mod code;
mod console;
mod exceptions;
mod gic;
mod interrupts;
mod machine;
mod modes;
mod power;
mod registers;
mod timer;

use console::say;
use core::panic::PanicInfo;
use machine::Machine;

/// Entered from `entry.S` with x0 as the hypervisor left it, and the counters at the first instruction.
#[unsafe(no_mangle)]
extern "C" fn guest_main(tree: u64, virtual_ticks: u64, physical_ticks: u64) -> ! {
    // SAFETY: the boot protocol puts the device tree there, and nothing writes outside the image before it was read.
    let machine = unsafe { Machine::read(tree) };
    let Some(machine) = machine else { power::off() };
    console::start(machine.uart);
    say!("start cntpct={physical_ticks} cntvct={virtual_ticks} cntfrq={}", registers::read!("cntfrq_el0"));
    match machine.word("mode") {
        Some("hello") | None => modes::hello::run(&machine),
        Some("bench") => modes::bench::run(&machine),
        Some("echo") => modes::echo::run(&machine),
        Some("hold") => modes::hold::run(),
        Some("reset") => modes::reset::run(&machine),
        Some("lives") => modes::lives::run(),
        Some("holes") => modes::holes::run(&machine),
        Some("smp") => modes::smp::run(&machine),
        Some("smp-bench") => modes::smp::bench(&machine),
        Some("turns") => modes::turns::run(&machine),
        Some("turns-bench") => modes::turns::bench(&machine),
        Some("spin") => modes::spin(),
        Some("crash") => modes::crash::run(&machine),
        Some("forge") => bad::forge_for_ever(),
        Some("bad") => bad::run(&machine),
        Some(mode) => say!("FAIL there is no mode={mode}"),
    }
    power::off()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    say!("panic: {info}");
    power::off()
}
