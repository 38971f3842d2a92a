//! Debian's Linux as a guest, to userspace. What it checks of its machine is in `tests/linux-guest/init`.

use lacuna_tests::{Boot, Guest, NEXT_KEYBOARD, Outcome};
use std::time::Duration;

/// The self-tests have boots of their own.
const BOOTARGS: &str = "selftest=off";

/// How long a guest may take: several times what it takes on two cores that others use too.
const LIMIT: Duration = Duration::from_secs(180);

/// With Linux as its only guest, and `words` on the guest's command line.
fn with_linux(boot: Boot, words: &str) -> Boot {
    boot.bootargs(BOOTARGS).guest(Guest::linux(words).memory("256M")).within(LIMIT)
}

/// Boots Linux with all of its checks, and `kib` KiB through its console, and expects that nothing was wrong with either.
#[track_caller]
fn expect_working_linux(boot: Boot, kib: usize) {
    let outcome = with_linux(boot, &format!("lacuna.mem=256 lacuna.work lacuna.pattern={kib}")).run();
    expect_checks_passed(&outcome, 4);
    expect_pattern(&outcome, kib);
}

/// Expects as many checks in the guest, that all passed, and the end that the guest asked for.
#[track_caller]
fn expect_checks_passed(outcome: &Outcome, count: u32) {
    outcome.expect_quiet_end();
    outcome.expect_line(&format!("guest: {count} passed, 0 failed"));
}

/// Expects that each byte of the guest's pattern arrived, and no other.
#[track_caller]
fn expect_pattern(outcome: &Outcome, kib: usize) {
    let lines = outcome.guest_lines("domU1");
    let mut lines = lines.iter().skip_while(|line| **line != "guest: pattern begins").skip(1);
    for number in 0..kib * 1024 / 64 {
        let expected = pattern_line(number);
        match lines.next() {
            Some(line) if *line == expected => {}
            line => outcome.fail(&format!("{line:?} arrived as line {number} of the pattern, {expected:?}")),
        }
    }
    if lines.next() != Some(&"guest: pattern ends") {
        outcome.fail("the pattern has no end, or not at its end");
    }
}

/// A line of the pattern, 64 bytes with its end.
fn pattern_line(number: usize) -> String {
    const TEXT: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
    let text: String = TEXT.chars().cycle().skip(number % TEXT.len()).take(56).collect();
    format!("{number:06} {text}")
}

#[test]
fn it_works_on_virt_and_a_mebibyte_arrives_on_the_console() {
    expect_working_linux(Boot::virt().memory("2G"), 1024);
}

#[test]
fn it_works_on_versal_with_one_hole() {
    expect_working_linux(Boot::versal().memory("4G"), 64);
}

#[test]
fn it_works_on_versal_with_two_holes() {
    let Some(boot) = Boot::versal_with_two_holes() else { return };
    expect_working_linux(boot, 64);
}

#[test]
fn it_works_on_a_cpu_with_every_feature() {
    let outcome = with_linux(Boot::virt().cpu("max"), "lacuna.mem=256").run();
    expect_checks_passed(&outcome, 3);
}

#[test]
fn it_gets_what_is_typed() {
    let mut running = with_linux(Boot::virt(), "lacuna.echo").start();
    running.expect("guest: type a line");
    running.send("the quick brown fox\n");
    running.expect("guest: read: the quick brown fox");
    expect_checks_passed(&running.finish(), 2);
}

/// Its driver enables the UART's interrupt, then its own, and empties the FIFO in between.
#[test]
fn it_gets_what_was_typed_before_it_booted() {
    let mut running = with_linux(Boot::virt(), "lacuna.echo").start();
    running.send("typed ahead\n");
    running.expect("guest: read: typed ahead");
    expect_checks_passed(&running.finish(), 2);
}

#[test]
fn it_gets_nothing_while_the_keyboard_is_the_hypervisors() {
    let mut running = with_linux(Boot::virt(), "lacuna.echo").start();
    running.expect("guest: type a line");
    running.take_keyboard();
    running.send("for nobody\n");
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: domU1");
    running.send("for the guest\n");
    running.expect("guest: read: for the guest");
    let outcome = running.finish();
    expect_checks_passed(&outcome, 2);
    let is_for_nobody = |line: &&str| line.contains("nobody");
    assert!(!outcome.guest_lines("domU1").iter().any(is_for_nobody), "the guest saw what was not for it");
}

/// Expects that the guest starts again after `text`, with all of its memory given back in between, and ends it then.
#[track_caller]
fn expect_restart(words: &str, text: &str) {
    let mut running = with_linux(Boot::virt(), words).start();
    running.expect(text);
    running.expect("lacuna: domU1: reset 1, free_kib=");
    running.expect("Booting Linux on physical CPU");
    let outcome = running.quit();
    outcome.expect_quiet_end();
    let free = |end| outcome.word_after(&format!("lacuna: domU1: {end}, free_kib="));
    assert_eq!(free("reset 1"), free("switched off"), "memory was lost, or found");
}

#[test]
fn its_panic_starts_it_again() {
    expect_restart("panic=-1 lacuna.end=panic", "Kernel panic - not syncing: Attempted to kill init!");
}

#[test]
fn it_can_start_itself_again() {
    expect_restart("lacuna.end=reset", "reboot: Restarting system");
}
