//! Lives of a guest: to its end, to its next one, and to those that nobody would wish for.

use lacuna_tests::{Boot, own_guest};

/// How often a guest starts again before it is ended.
const RESETS: usize = 20;

fn with_guest(boot: Boot, words: &str) -> Boot {
    boot.guest(own_guest(words).memory("16M"))
}

fn virt(words: &str) -> Boot {
    with_guest(Boot::virt(), words)
}

fn versal(words: &str) -> Boot {
    with_guest(Boot::versal().memory("4G"), words)
}

/// Expects that a guest starts with nothing but zeros each time, that all memory is free again in between, and that it
/// is switched off when somebody says so.
#[track_caller]
fn expect_many_lives(boot: Boot) {
    let mut running = boot.start();
    for reset in 1..=RESETS {
        running.expect("bytes are zero, reset");
        running.expect(&format!("lacuna: domU1: reset {reset}, free_kib="));
    }
    let outcome = running.quit();
    outcome.expect_quiet_end();
    assert!(!outcome.console.contains("guest: FAIL"), "old contents were found");
    let switched_off = outcome.word_after("lacuna: domU1: switched off, free_kib=");
    for reset in 1..=RESETS {
        let free = outcome.word_after(&format!("lacuna: domU1: reset {reset}, free_kib="));
        assert_eq!(free, switched_off, "memory was lost, or found, by reset {reset}");
    }
}

#[test]
fn twenty_lives_on_virt_cost_no_page() {
    expect_many_lives(virt("mode=reset"));
}

#[test]
fn twenty_lives_on_versal_cost_no_page() {
    expect_many_lives(versal("mode=reset"));
}

#[test]
fn lives_without_an_end_do_not_fill_the_console() {
    const LIVES: usize = 20;
    let mut running = virt("mode=crash how=reset").start();
    (0..LIVES).for_each(|_| running.expect("guest: crash reset"));
    let outcome = running.quit();
    let lines = |words: &str| outcome.console.lines().filter(|line| line.starts_with(words)).count();
    assert!((1..LIVES - 1).contains(&lines("lacuna: domU1: reset ")), "each reset is told");
    assert!(lines("lacuna: warning: domU1: ") < LIVES * 64, "each life has room of its own for reports");
    outcome.expect_line(" more reports on it were left out");
}

/// Expects that the guest which crashes in this way is stopped, that its end is told in these words, and where it was.
#[track_caller]
fn expect_stop(how: &str, words: &str) {
    let outcome = virt(&format!("mode=crash how={how}")).run();
    outcome.expect_line(&format!("guest: crash {how}"));
    outcome.expect_line(&format!("lacuna: domU1: stopped: {words}"));
    outcome.expect_failing_status();
}

/// No exception can be taken there, so that one leads to the next, and never back to the guest.
const VOID: &str = "its exception vectors are not in memory: instruction fetch, translation fault, ";

#[test]
fn vectors_in_the_void_stop_it() {
    expect_stop("vbar", &format!("{VOID}0x100000 is "));
}

#[test]
fn an_undefined_instruction_with_vectors_in_the_void_stops_it() {
    expect_stop("undefined", &format!("{VOID}0x100000 is "));
}

#[test]
fn a_stack_in_the_void_with_vectors_there_too_stops_it() {
    // On its own stack pointer the CPU enters the second group of vectors.
    expect_stop("stack", &format!("{VOID}0x100200 is "));
}

/// The address is that of the table, not of what was to be translated.
#[test]
fn tables_in_the_void_stop_it() {
    expect_stop("walk", "its exception vectors are not in memory: walk of its own page tables, 0x100000 is ");
    // Its code is fetched first, from an address with another offset in its page.
    let outcome = virt("mode=crash how=walk").run();
    outcome.expect_line(": walk of its own page tables: 0x100000 is 0x2f01000 bytes below the GIC distributor [");
}

#[test]
fn the_end_of_its_only_cpu_stops_it() {
    expect_stop("cpu", "it switched off the only CPU that it has");
}

#[test]
fn a_jump_to_nowhere_is_told_and_its_own_to_handle() {
    let outcome = virt("mode=crash how=zero").run();
    outcome.expect_quiet_end();
    outcome.expect_line(
        "domU1: vCPU 0 at 0x0: instruction fetch, translation fault: 0x0 is 0x3001000 bytes below the GIC",
    );
    outcome.expect_line("guest: panic: unexpected exception: ");
}
