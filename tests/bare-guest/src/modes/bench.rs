//! What traps and interrupts cost.
//!
//! Under QEMU's `-icount shift=0` an instruction takes a nanosecond, so the counter counts instructions: 16 of them a tick
//! where it runs at 62.5 MHz. Loops are long enough for that not to matter. Each figure includes three instructions of
//! its loop.

use crate::console::say;
use crate::gic::GICD_TYPER;
use crate::machine::Machine;
use crate::registers::{self, now, read, wait_for_interrupt};
use crate::{interrupts, timer};
use core::arch::asm;

const ROUNDS: u64 = 4096;

/// Timer interrupts that are measured.
const INTERRUPTS: u64 = 256;

/// Ticks from setting the timer to its expiry: many times what an interrupt costs.
const AHEAD: u64 = 1000;

const NANOSECONDS: u64 = 1_000_000_000;

/// Prints `bench NAME=INSTRUCTIONS` for each.
pub fn run(machine: &Machine) {
    let Some(gic) = machine.gic else { return say!("FAIL no GICv3") };
    let typer = gic.distributor + GICD_TYPER;
    line("loop", per_round(empty));
    line("hvc", per_round(hvc));
    line("gicd", per_round(|| distributor(typer)));
    gic.start();
    line("sgi", per_round(sgi));

    gic.enable(timer::INTERRUPT);
    registers::unmask_interrupts();
    latency("timer", || ());
    latency("timer wfi", wait_for_interrupt);
    registers::mask_interrupts();
}

fn line(name: &str, value: u64) {
    say!("bench {name}={value}");
}

fn nanoseconds(ticks: u64) -> u64 {
    ticks * NANOSECONDS / read!("cntfrq_el0")
}

fn per_round(rounds: impl Fn()) -> u64 {
    rounds();
    let begin = now();
    rounds();
    (nanoseconds(now() - begin) + ROUNDS / 2) / ROUNDS
}

/// From the timer's expiry to the vector: mean, least and most. The wait is instructions, or what `idle` does.
fn latency(name: &str, idle: impl Fn()) {
    let (mut sum, mut least, mut most) = (0, u64::MAX, 0);
    for round in 0..INTERRUPTS {
        let before = interrupts::count(timer::INTERRUPT);
        // Not always as far ahead, so that expiry does not always meet the same instruction.
        let expiry = now() + AHEAD + round;
        timer::expire_at(expiry);
        while interrupts::count(timer::INTERRUPT) == before {
            idle();
        }
        let ticks = interrupts::last() - expiry;
        (sum, least, most) = (sum + ticks, least.min(ticks), most.max(ticks));
    }
    line(name, nanoseconds(sum) / INTERRUPTS);
    say!("bench {name} least={}", nanoseconds(least));
    say!("bench {name} most={}", nanoseconds(most));
}

/// Three instructions for each round, and nothing else.
fn empty() {
    // SAFETY: counts a register down.
    unsafe { asm!("2: nop", "subs {0}, {0}, #1", "b.ne 2b", inout(reg) ROUNDS => _, options(nostack)) };
}

/// PSCI_VERSION is 0x8400_0000.
fn hvc() {
    // SAFETY: the call returns a number; SMCCC lets it change x0 to x17.
    unsafe {
        asm!(
            "2: mov w0, #0x84000000", "hvc #0", "subs x20, x20, #1", "b.ne 2b",
            inout("x20") ROUNDS => _, clobber_abi("C"), options(nostack)
        )
    };
}

fn distributor(typer: u64) {
    // SAFETY: reading GICD_TYPER has no effect.
    unsafe {
        asm!(
            "2: nop", "ldr {1:w}, [{2}]", "subs {0}, {0}, #1", "b.ne 2b",
            inout(reg) ROUNDS => _, out(reg) _, in(reg) typer, options(nostack)
        )
    };
}

/// ICC_SGI1R_EL1 with an empty list of targets.
fn sgi() {
    // SAFETY: an interrupt for nobody is none.
    unsafe {
        asm!(
            "2: nop", "msr S3_0_C12_C11_5, xzr", "subs {0}, {0}, #1", "b.ne 2b",
            inout(reg) ROUNDS => _, options(nostack)
        )
    };
}
