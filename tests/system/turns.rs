//! Several vCPUs on one CPU.

use crate::many_guests::{LIMIT, expect_checks_passed, expect_end_of, expect_smp, linux};
use crate::small_guest::{hello, small};
use lacuna_tests::{Boot, own_guest};

/// Each with other values in all registers that a guest can see, and all of them exchanged thousands of times.
#[test]
fn registers_hold_while_guests_take_turns() {
    for boot in [Boot::virt(), Boot::virt().cpu("max"), Boot::versal().memory("4G").bootargs("selftest=off maxcpus=1")]
    {
        let guest = |seed: u32| small(&format!("mode=turns seed={seed}")).name(&format!("domU{seed}"));
        let outcome = boot.guest(guest(1)).guest(guest(2)).guest(guest(3)).within(LIMIT).run();
        outcome.expect_quiet_end();
        for name in ["domU1", "domU2", "domU3"] {
            expect_end_of(&outcome, name);
            let lines = outcome.guest_lines(name);
            let held = lines.iter().find_map(|line| line.strip_prefix("guest: registers hold, 5000 turns of which "));
            let others = held.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
            assert!(others > 4000, "{name} was mostly alone: {lines:?}");
        }
    }
}

/// The same guest must notice what it is there to notice.
#[test]
fn registers_that_a_switch_forgets_are_noticed() {
    /// RET.
    const RETURN: u32 = 0xd65f_03c0;
    for function in ["store_floating_point", "load_floating_point"] {
        let guest = |seed: u32| small(&format!("mode=turns seed={seed} rounds=10")).name(&format!("domU{seed}"));
        let outcome = Boot::virt().sabotage(function, &[RETURN]).guest(guest(1)).guest(guest(2)).run();
        let is_noticed = |name| outcome.guest_lines(name).iter().any(|line| line.starts_with("guest: FAIL v0 to v31"));
        assert!(is_noticed("domU1") || is_noticed("domU2"), "{}", outcome.console);
    }
}

/// Interrupts, CPU_ON and CPU_OFF, with all vCPUs on one CPU, on two, and beside another guest that does the same.
#[test]
fn vcpus_that_share_cpus_start_stop_and_interrupt_each_other() {
    let guest = |name| small("mode=smp psci=strict").vcpus(4).name(name);
    for cpus in [1, 2, 3] {
        let outcome = Boot::virt().cpus(cpus).guest(guest("one")).within(LIMIT).run();
        outcome.expect_quiet_end();
        expect_smp(&outcome, "one", 4);
    }
    let outcome = Boot::virt().cpus(2).guest(guest("one")).guest(guest("two")).within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_smp(&outcome, "one", 4);
    expect_smp(&outcome, "two", 4);
}

#[test]
fn linux_guests_with_two_vcpus_each_share_two_cpus() {
    let words = "lacuna.mem=256 lacuna.cpus=2 lacuna.work";
    let boot = Boot::virt().cpus(2).guest(linux("one", 2, words)).guest(linux("two", 2, words));
    let outcome = boot.within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_checks_passed(&outcome, "one", 6);
    expect_checks_passed(&outcome, "two", 6);
}

#[test]
fn linux_with_four_vcpus_works_on_two_cpus() {
    let words = "lacuna.mem=256 lacuna.cpus=4 lacuna.work lacuna.hotplug=10";
    let outcome = Boot::virt().cpus(2).guest(linux("domU1", 4, words)).within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_checks_passed(&outcome, "domU1", 7);
}

/// A guest that never waits leaves the others their turns, however often they sleep.
#[test]
fn a_guest_that_never_waits_does_not_keep_others_from_running() {
    let mut running = Boot::virt()
        .bootargs("selftest=off slice=2")
        .guest(small("mode=spin").name("spins"))
        .guest(linux("linux", 1, "lacuna.work"))
        .guest(hello().name("hello"))
        .within(LIMIT)
        .start();
    running.expect("lacuna: linux: switched off");
    let outcome = running.quit();
    outcome.expect_quiet_end();
    expect_end_of(&outcome, "hello");
    expect_checks_passed(&outcome, "linux", 3);
}

/// Everything that a guest can do wrong, on the CPU of one that looks after its registers.
#[test]
fn a_bad_guest_does_not_disturb_the_guest_on_its_cpu() {
    let bad = own_guest("mode=bad skip=forge").name("bad");
    let good = small("mode=turns rounds=20000").name("good");
    let outcome = Boot::virt().guest(good).guest(bad).within(LIMIT).run();
    outcome.expect_quiet_end();
    expect_end_of(&outcome, "good");
    expect_end_of(&outcome, "bad");
}

#[test]
fn the_monitor_shows_guests_that_wait_for_their_turn() {
    let spin = |name| small("mode=spin").name(name);
    let mut running = Boot::virt().guest(spin("a")).guest(spin("b")).guest(spin("c").vcpus(2)).start();
    running.take_keyboard_from(3);
    for _ in 0..5 {
        running.send("state\r");
        running.expect("lacuna: a: vCPU 0 at 0x4");
        running.expect("lacuna: b: vCPU 0 at 0x4");
        running.expect("lacuna: c: vCPU 0 at 0x4");
        running.expect("lacuna: c: vCPU 1 is off");
        running.send("irqs b\r");
    }
    running.send("reset b\r");
    running.expect("lacuna: b: reset 1, free_kib=");
    running.expect("(b) guest: spinning");
    running.send("stop a\r");
    running.expect("lacuna: a: ended at the prompt, free_kib=");
    running.send("start a\r");
    running.expect("(a) guest: spinning");
    running.send("quit\r");
    let outcome = running.finish();
    outcome.expect_quiet_end();
    assert!(!outcome.console.contains("does not answer"), "{}", outcome.console);
}

/// Which of them has just begun, waits or runs when it is reset is chance: many times.
#[test]
fn guests_that_share_a_cpu_end_and_start_without_losing_a_page() {
    let reset = |name| small("mode=reset").name(name);
    let mut running = Boot::virt().guest(reset("a")).guest(reset("b")).within(LIMIT).start();
    (0..20).for_each(|_| running.expect("lacuna: b: reset "));
    running.take_keyboard_from(2);
    running.send("quit\r");
    let outcome = running.finish();
    outcome.expect_quiet_end();
    let free = |name: &str| -> Vec<u64> {
        let ends = outcome.console.lines().filter(|line| line.starts_with(&format!("lacuna: {name}: reset ")));
        ends.filter_map(|line| line.rsplit_once("free_kib=")?.1.trim().parse().ok()).collect()
    };
    for name in ["a", "b"] {
        let free = free(name);
        assert!(free.len() >= 5 && free[2..].windows(2).all(|pair| pair[0] == pair[1]), "{name}: {free:?}");
    }
}
