//! Our own guest: what it finds, what it may do to its machine, and how often it may start again.

use crate::small_guest::expect_good_end;
use lacuna_tests::{Boot, own_guest};
use std::time::Duration;

/// The self-tests have boots of their own.
const BOOTARGS: &str = "selftest=off";

/// How long a guest may take that tries tens of thousands of accesses.
const LIMIT: Duration = Duration::from_secs(120);

fn with_guest(words: &str) -> Boot {
    Boot::virt().memory("2G").bootargs(BOOTARGS).guest(own_guest(words)).within(LIMIT)
}

#[test]
fn it_finds_the_memory_that_it_was_given() {
    let outcome = with_guest("mode=hello").run();
    expect_good_end(&outcome);
    outcome.expect_line("guest: memory [0x40000000, 0x50000000)");
    outcome.expect_line("guest: uart 0x22000000");
    outcome.expect_line("guest: gic distributor 0x3001000 redistributor 0x3020000");
}

#[test]
fn whatever_it_does_the_architecture_answers() {
    let outcome = with_guest("mode=bad").run();
    expect_good_end(&outcome);
    outcome.expect_line(" passed, 0 failed");
}

/// `mov x0, #0x400`: ICH_HCR_EL2.TC.
const MOV_X0_TRAP_COMMON: u32 = 0xd280_8000;
/// `ret`
const RET: u32 = 0xd65f_03c0;

/// On a CPU whose ICH_VTR_EL2.TDS is 0, ICC_DIR_EL1 is trapped together with what is common to both groups. QEMU has none,
/// so the function that chooses the trap is replaced by one that chooses as it would there.
#[test]
fn where_deactivation_has_no_trap_of_its_own_the_architecture_answers() {
    let boot = with_guest("mode=bad only=interrupts,timer")
        .sabotage("lacuna::arch::aarch64::gic::list_registers::deactivation_trap", &[MOV_X0_TRAP_COMMON, RET]);
    let outcome = boot.run();
    expect_good_end(&outcome);
    outcome.expect_line("guest: ok interrupts: split ends, and deactivation in any order");
    outcome.expect_line(" passed, 0 failed");
}

/// The guest expects of the hypervisor what it gets of a machine that has none: QEMU's devices and CPU are the oracle.
#[test]
fn what_it_expects_is_what_a_machine_without_a_hypervisor_does() {
    let steps = "mode=bad only=endian,AArch32,translation,floating,misaligned,exclusive";
    for cpu in ["cortex-a57", "max"] {
        let outcome = Boot::virt().cpu(cpu).guest_alone(steps).run();
        outcome.expect_line("guest: ok endian: loads by EL1 in the other order");
        outcome.expect_line("guest: ok endian: EL0 has an order of its own");
        outcome.expect_line(" passed, 0 failed");
    }
}

/// With all that QEMU can emulate: branch targets, tags, ID registers that trap by a class of their own, and more.
#[test]
fn whatever_it_does_on_a_newer_cpu_the_architecture_answers() {
    let outcome = with_guest("mode=bad").cpu("max").run();
    expect_good_end(&outcome);
    outcome.expect_line(" passed, 0 failed");
}

/// Expects that each line typed comes back.
#[track_caller]
fn expect_echo(boot: Boot) {
    let mut running = boot.start();
    running.expect("guest: echo, until quit");
    running.send("the quick brown fox\n");
    running.expect("guest: echo the quick brown fox");
    running.send("quit\n");
    expect_good_end(&running.finish());
}

#[test]
fn it_is_interrupted_by_what_is_typed() {
    expect_echo(with_guest("mode=echo"));
}

#[test]
fn on_versal_it_is_interrupted_by_what_is_typed() {
    let Some(boot) = Boot::versal_with_two_holes() else { return };
    expect_echo(boot.bootargs(BOOTARGS).guest(own_guest("mode=echo")));
}
