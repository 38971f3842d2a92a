//! What the hypervisor says of a guest that behaves badly: each report names what was tried and where, and there is an
//! end to them.

use lacuna_tests::{Boot, Outcome, own_guest};
use std::time::Duration;

/// How long a guest may take that tries tens of thousands of accesses.
const LIMIT: Duration = Duration::from_secs(120);

/// Boots the guest that does those of the bad steps whose names start with one of these, between commas.
#[track_caller]
fn try_steps(boot: Boot, only: &str) -> Outcome {
    let words = format!("mode=bad only={only}");
    let outcome = boot.guest(own_guest(&words).memory("16M")).within(LIMIT).run();
    outcome.expect_quiet_end();
    outcome.expect_line(" passed, 0 failed");
    outcome
}

/// Expects a report with these words.
#[track_caller]
fn expect_report(outcome: &Outcome, words: &str) {
    let is_report = |line: &str| line.starts_with("lacuna: warning: domU1: vCPU 0 at 0x") && line.contains(words);
    if !outcome.console.lines().any(is_report) {
        outcome.fail(&format!("no report says {words:?}"));
    }
}

#[test]
fn whatever_it_does_on_versal_the_architecture_answers() {
    try_steps(Boot::versal().memory("4G"), "");
}

#[test]
fn an_access_to_nothing_is_told_by_what_is_nearest_and_all_are_counted() {
    /// Addresses where nothing is, and how often each is accessed. One more address leaves no CPU.
    const ADDRESSES: u64 = 15;
    const ACCESSES: u64 = 21;
    let outcome = try_steps(Boot::virt(), "unmapped");
    for words in [
        "1-byte read: 0x0 is 0x3001000 bytes below the GIC distributor [0x3001000, 0x3011000); injected ",
        "8-byte write: 0x3040000 is 0x0 bytes past the GIC redistributors [0x3020000, 0x3040000); injected ",
        "2-byte read: 0x21fff000 is 0x1000 bytes below the PL011 [0x22000000, 0x22001000)",
        "4-byte write: 0x22001000 is 0x0 bytes past the PL011 [0x22000000, 0x22001000)",
        "read by an instruction that is not emulated (a pair, say): 0x41000000 is 0x0 bytes past RAM bank 0 [",
    ] {
        expect_report(&outcome, words);
    }
    let lines = || outcome.console.lines().filter_map(|line| line.strip_prefix("lacuna: warning: domU1: "));
    let told = lines().filter(|line| line.starts_with("vCPU 0 at ")).count() as u64;
    let left_out =
        lines().filter_map(|line| line.strip_suffix(" more reports on it were left out")?.parse::<u64>().ok());
    assert_eq!(told + left_out.sum::<u64>(), ADDRESSES * ACCESSES, "{told} of them told");
    assert!(told < ADDRESSES * ACCESSES, "there was room for all");
}

#[test]
fn calls_that_nobody_answers_are_told_to_whoever_debugs_and_not_for_ever() {
    let outcome = try_steps(Boot::virt().bootargs("loglevel=debug"), "calls: unknown functions");
    let told = outcome.console.lines().filter(|line| line.ends_with("call 0x840000ff is not supported")).count();
    assert!((1..1000).contains(&told), "{told} of 1000 calls are told");
    outcome.expect_line(" more reports on it were left out");
}

#[test]
fn an_access_that_no_device_takes_is_told_with_the_device() {
    let outcome = try_steps(Boot::virt(), "execute,calls,devices");
    for words in [
        "read by an instruction that is not emulated (a pair, say): 0x22000040 is 0x40 bytes into the PL011 [",
        "write by an instruction that is not emulated (a pair, say): 0x3001004 is 0x4 bytes into the GIC distributor [",
        "1-byte read: 1 bytes at GICD offset 0x4, a register that takes 4 bytes; injected an external abort",
        "8-byte write: 8 bytes at GICR offset 0x10200, a register that takes 4 bytes; injected an external abort",
        "8-byte read: 8 bytes at offset 0x40 of a UART, whose registers have at most 4; injected an external abort",
        "4-byte read: offset 0x41 of a UART is between two registers; injected an external abort",
        "instruction fetch, translation fault: 0x22000000 is 0x0 bytes into the PL011 [0x22000000, 0x22001000); injected ",
        "HVC #0x4a48; injected an undefined-instruction exception",
        "SMC #0xffff, which no service answers; injected an undefined-instruction exception",
    ] {
        expect_report(&outcome, words);
    }
}

#[test]
fn a_system_register_that_it_has_not_is_told_by_name() {
    let outcome = try_steps(Boot::virt(), "names");
    for words in [
        "read of PMCR_EL0, which this guest does not have; injected an undefined-instruction exception",
        "read of DBGBVR2_EL1, which this guest does not have; injected an undefined-instruction exception",
    ] {
        expect_report(&outcome, words);
    }
}
