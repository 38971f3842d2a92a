//! Several guests, and guests with several vCPUs.

use crate::small_guest::{hello, small};
use lacuna_tests::{Boot, Guest, NEXT_KEYBOARD, Outcome, own_guest};
use std::time::Duration;

/// How long guests may take: several times what they take on two cores that others use too.
pub const LIMIT: Duration = Duration::from_secs(240);

/// Expects that the guest `name` came to its own end and found nothing wrong.
#[track_caller]
pub fn expect_end_of(outcome: &Outcome, name: &str) {
    let lines = outcome.guest_lines(name);
    if let Some(line) = lines.iter().find(|line| line.starts_with("guest: FAIL") || line.starts_with("guest: panic")) {
        outcome.fail(&format!("{name} says {line:?}"));
    }
    assert!(lines.contains(&"guest: end"), "{name} did not end: {lines:?}");
    outcome.expect_line(&format!("lacuna: {name}: switched off, free_kib="));
}

/// Linux with these words on its command line, and so many vCPUs.
pub fn linux(name: &str, vcpus: u32, words: &str) -> Guest {
    Guest::linux(words).memory("256M").name(name).vcpus(vcpus)
}

/// Expects that all checks passed in the guest `name`.
#[track_caller]
pub fn expect_checks_passed(outcome: &Outcome, name: &str, count: u32) {
    let wanted = format!("guest: {count} passed, 0 failed");
    let lines = outcome.guest_lines(name);
    if !lines.contains(&wanted.as_str()) {
        outcome.fail(&format!("{name} does not say {wanted:?}"));
    }
}

#[test]
fn two_guests_run_and_end_by_themselves() {
    for boot in [Boot::virt().cpus(2), Boot::versal().memory("4G")] {
        let outcome = boot.guest(hello().name("first")).guest(hello().name("second")).run();
        outcome.expect_quiet_end();
        expect_end_of(&outcome, "first");
        expect_end_of(&outcome, "second");
    }
}

#[test]
fn a_guest_that_cannot_be_built_does_not_keep_others_from_starting() {
    let outcome = Boot::virt().cpus(2).guest(hello().name("first").memory("8G")).guest(hello().name("second")).run();
    expect_end_of(&outcome, "second");
    outcome.expect_failing_status();
    outcome.expect_line("lacuna: error: first: ");
}

/// Everything that a guest can do wrong, beside one that measures time and memory.
#[test]
fn a_bad_guest_does_not_disturb_its_neighbour() {
    let bad = own_guest("mode=bad skip=forge").name("bad");
    let outcome = Boot::virt().cpus(2).guest(small("mode=hold").name("good")).guest(bad).within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_end_of(&outcome, "good");
    expect_end_of(&outcome, "bad");
}

#[test]
fn one_that_starts_again_and_again_leaves_its_neighbour_alone_and_loses_no_page() {
    let mut running = Boot::virt()
        .cpus(2)
        .guest(small("mode=reset").name("reset"))
        .guest(linux("linux", 1, "lacuna.work"))
        .within(LIMIT)
        .start();
    running.expect("guest: 3 passed, 0 failed");
    running.expect("lacuna: linux: switched off");
    (0..5).for_each(|_| running.expect("lacuna: reset: reset "));
    let outcome = running.quit();
    outcome.expect_quiet_end();
    let ends = outcome.console.lines().filter(|line| line.starts_with("lacuna: reset: "));
    let free: Vec<&str> = ends.filter_map(|line| line.rsplit_once("free_kib=").map(|(_, free)| free.trim())).collect();
    assert!(free.len() > 5, "{free:?}");
    // Before and after Linux has gone there is as much each time.
    let last = &free[free.len() - 5..];
    assert!(last.windows(2).all(|pair| pair[0] == pair[1]), "memory was lost, or found: {free:?}");
}

#[test]
fn linux_works_with_four_vcpus() {
    let words = "lacuna.mem=256 lacuna.cpus=4 lacuna.work lacuna.hotplug=50";
    let outcome = Boot::virt().cpus(4).guest(linux("domU1", 4, words)).within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_checks_passed(&outcome, "domU1", 7);
}

#[test]
fn two_linux_guests_work_with_two_vcpus_each() {
    let words = "lacuna.mem=256 lacuna.cpus=2 lacuna.work";
    let boot = Boot::virt().cpus(4).guest(linux("one", 2, words)).guest(linux("two", 2, words));
    let outcome = boot.within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_checks_passed(&outcome, "one", 6);
    expect_checks_passed(&outcome, "two", 6);
}

#[test]
fn the_keyboard_goes_from_guest_to_guest_and_on_when_one_ends() {
    let echo = |name| small("mode=echo").name(name);
    let mut running = Boot::virt().cpus(3).guest(echo("a")).guest(echo("b")).guest(echo("c")).start();
    running.expect("(a) guest: echo, until quit");
    running.send("to a\n");
    running.expect("(a) guest: echo to a");
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: b");
    running.send("quit\n");
    // `b` had it, and ends.
    running.expect("lacuna: b: switched off");
    running.expect("lacuna: keyboard: c");
    running.send("to c\n");
    running.expect("(c) guest: echo to c");
    // The hypervisor comes after the last, and then `a`: `b` is no more.
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: hypervisor");
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: a");
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: c");
    running.take_keyboard_from(1);
    running.send("quit\r");
    running.finish().expect_quiet_end();
}

#[test]
fn the_monitor_shows_guests_on_other_cpus_and_resets_one() {
    let spin = |name| small("mode=spin").name(name);
    let mut running = Boot::virt().cpus(3).guest(spin("a")).guest(spin("b")).start();
    running.take_keyboard_from(2);
    running.send("guests\r");
    running.expect("lacuna: a: runs, 16.0 MiB of RAM");
    running.expect("lacuna: b: runs, 16.0 MiB of RAM");
    running.send("state\r");
    running.expect("lacuna: a: vCPU 0 at 0x4");
    running.expect("lacuna: b: vCPU 0 at 0x4");
    running.send("state b\r");
    running.expect("lacuna: b: vCPU 0 at 0x4");
    running.send("reset\r");
    running.expect("lacuna: which of 2 guests? guests lists them");
    running.send("reset b\r");
    running.expect("lacuna: b: reset 1, free_kib=");
    running.expect("lacuna: guest b ram_kib=");
    running.send("guests\r");
    running.expect("lacuna: b: runs");
    running.send("quit\r");
    let outcome = running.finish();
    outcome.expect_quiet_end();
    assert_eq!(outcome.console.matches(": reset 1").count(), 1);
}

/// Expects that the guest which starts all its vCPUs found nothing wrong.
#[track_caller]
pub fn expect_smp(outcome: &Outcome, name: &str, vcpus: u32) {
    expect_end_of(outcome, name);
    assert!(outcome.guest_lines(name).contains(&format!("guest: smp with {vcpus} CPUs done").as_str()));
    assert_eq!(outcome.guest_lines(name).iter().filter(|line| line.starts_with("guest: ok ")).count(), 9);
}

#[test]
fn four_vcpus_start_stop_and_interrupt_each_other() {
    for boot in [Boot::virt(), Boot::virt().cpu("max")] {
        let outcome = boot.cpus(4).guest(small("mode=smp psci=strict").vcpus(4)).within(LIMIT).run();
        outcome.expect_quiet_end();
        expect_smp(&outcome, "domU1", 4);
    }
}

/// More than 16, so that some have an Aff1 of 1.
#[test]
fn twenty_vcpus_start_stop_and_interrupt_each_other() {
    let guest = small("mode=smp psci=strict").vcpus(20);
    let outcome = Boot::virt().cpus(20).guest(guest).within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_smp(&outcome, "domU1", 20);
}

/// The same steps must pass on a machine without a hypervisor: what they expect is the architecture's.
#[test]
fn a_machine_without_a_hypervisor_does_what_a_guest_expects_of_several_cpus() {
    let outcome = Boot::virt().guest_alone("mode=smp").cpus(4).within(LIMIT).run();
    assert!(!outcome.console.contains("guest: FAIL"), "{}", outcome.console);
    outcome.expect_line("guest: smp with 4 CPUs done");
}

/// While one attacks from all of its vCPUs, the other's interrupts arrive.
#[test]
fn two_guests_with_several_vcpus_do_not_disturb_each_other() {
    let guests = ["one", "two"].map(|name| small("mode=smp psci=strict").vcpus(4).name(name));
    let boot = guests.into_iter().fold(Boot::virt().cpus(8), Boot::guest);
    let outcome = boot.within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_smp(&outcome, "one", 4);
    expect_smp(&outcome, "two", 4);
}

/// With this source in its node, beside a guest that computes until it is ended.
fn beside_one_that_spins(words: &str, source: &str) -> Boot {
    let guest = small(words).chosen(&format!("domU1 {{ {source} }};"));
    Boot::virt().cpus(2).guest(guest).guest(small("mode=spin").name("spins"))
}

#[test]
fn a_guest_that_fails_starts_again_as_often_as_it_may() {
    let source = "lacuna,restart = \"on-failure\"; lacuna,restart-limit = <2>;";
    let mut running = beside_one_that_spins("mode=crash how=cpu", source).start();
    running.expect("lacuna: domU1: stopped: it switched off the only CPU that it has, free_kib=");
    running.expect("lacuna: domU1: starts again, 1 of 2");
    running.expect("lacuna: domU1: stopped: ");
    running.expect("lacuna: domU1: starts again, 2 of 2");
    running.expect("lacuna: domU1: stopped: ");
    running.expect("lacuna: keyboard: spins");
    running.take_keyboard_from(1);
    running.send("guests\r");
    running.expect("lacuna: domU1: does not run");
    running.send("quit\r");
    let outcome = running.finish();
    assert_eq!(outcome.console.matches("starts again").count(), 2);
    outcome.expect_failing_status();
}

#[test]
fn a_guest_that_switches_itself_off_starts_again_only_if_it_always_does() {
    let run = |policy: &str| {
        let source = format!("domU1 {{ lacuna,restart = \"{policy}\"; lacuna,restart-limit = <1>; }};");
        Boot::virt().guest(hello().chosen(&source)).run()
    };
    let outcome = run("always");
    outcome.expect_quiet_end();
    assert_eq!(outcome.console.matches("lacuna: domU1: switched off").count(), 2);
    outcome.expect_line("lacuna: domU1: starts again, 1 of 1");
    let outcome = run("on-failure");
    outcome.expect_quiet_end();
    assert_eq!(outcome.console.matches("lacuna: domU1: switched off").count(), 1);
}

#[test]
fn quit_ends_what_would_always_start_again() {
    let mut running = Boot::virt().guest(small("mode=spin").chosen("domU1 { lacuna,restart = \"always\"; };")).start();
    running.expect("guest: spinning");
    running.quit().expect_quiet_end();
}

#[test]
fn a_guest_can_be_ended_and_started_at_the_prompt() {
    let mut running = beside_one_that_spins("mode=spin", "").start();
    running.expect("(domU1) guest: spinning");
    running.take_keyboard_from(2);
    running.send("start domU1\r");
    running.expect("lacuna: domU1: runs already");
    running.send("stop domU1\r");
    running.expect("lacuna: domU1: ended at the prompt, free_kib=");
    running.send("stop domU1\r");
    running.expect("lacuna: domU1: does not run");
    for _ in 0..3 {
        running.send("start domU1\r");
        running.expect("lacuna: guest domU1 ram_kib=");
        running.expect("(domU1) guest: spinning");
        running.send("stop domU1\r");
        running.expect("lacuna: domU1: ended at the prompt, free_kib=");
    }
    running.send("quit\r");
    let outcome = running.finish();
    outcome.expect_quiet_end();
    let ends = outcome.console.lines().filter_map(|line| line.split_once("ended at the prompt, free_kib="));
    let free: Vec<&str> = ends.map(|(_, free)| free.trim()).collect();
    assert!(free.len() == 4 && free.windows(2).all(|pair| pair[0] == pair[1]), "memory was lost, or found: {free:?}");
}

#[test]
fn strict_guests_ends_the_boot_for_a_guest_that_cannot_be_started() {
    let boot = Boot::virt().cpus(2).bootargs("selftest=off strict-guests");
    let outcome = boot.guest(hello().name("first").memory("8G")).guest(hello().name("second")).run();
    outcome.expect_fatal("first: ");
}
