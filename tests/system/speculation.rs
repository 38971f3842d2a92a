//! What exits do against what a guest taught the branch predictor, and what a guest is told of the firmware's
//! workarounds.
//!
//! QEMU's firmware has none, so in some of these the function that asks for them is replaced by one that is told of
//! all. A call of one changes nothing there, but is in QEMU's log.

use lacuna_tests::{Boot, Outcome, counted, output_directory, own_guest};
use std::fs;

/// What asks the firmware.
const FEATURE: &str = "lacuna::cpu::firmware::feature";
/// `mov w0, #0`: the workaround is there and required; `ret`.
const REQUIRED: [u32; 2] = [0x5280_0000, 0xd65f_03c0];

/// The guest asks for workarounds, and calls those that it is told of.
fn asked(boot: Boot) -> Outcome {
    let outcome = boot.guest(own_guest("mode=bad only=calls:").memory("16M")).run();
    outcome.expect_quiet_end();
    outcome.expect_line(" passed, 0 failed");
    outcome
}

#[test]
fn without_workarounds_exits_do_what_the_cpu_can_and_say_what_stays() {
    let outcome = asked(Boot::virt());
    outcome
        .expect_line("exits   clear the branch history by 8 rounds of branches; branch targets stay, as the firmware");
    outcome.expect_line("guest: workarounds -1 -1 -1");
}

#[test]
fn a_cpu_that_hardly_speculates_is_left_alone_and_its_guest_is_told() {
    let outcome = asked(Boot::virt().cpu("cortex-a53"));
    assert!(outcome.console.lines().any(|line| line == "exits   leave the branch predictor as it is"));
    outcome.expect_line("guest: workarounds 1 -1 1");
}

/// How often QEMU went from EL2 to its firmware, and from the guest to EL2.
fn calls_and_exits(name: &str, options: &str) -> (usize, usize) {
    let log = output_directory().join("tests").join(format!("speculation.{name}.qemu.log"));
    let boot = Boot::virt().sabotage(FEATURE, &REQUIRED).bootargs(options);
    let outcome = asked(boot.option("-d", "int").option("-D", log.to_str().expect("the path is ours")));
    outcome.expect_line("guest: workarounds 0 -2 0");
    let log = fs::read_to_string(log).expect("QEMU writes its log");
    let count = |words: &str| log.lines().filter(|line| line.starts_with(words)).count();
    // SMC of the guest is trapped, and a Hypervisor Trap there.
    (count("Taking exception 13 [Secure Monitor Call]"), count("...from EL1 to EL2"))
}

#[test]
fn the_firmware_is_called_at_each_exit_that_needs_it_and_a_guest_s_call_is_one() {
    let (calls, exits) = calls_and_exits("auto", "");
    // One more, before the guest starts, has loads held back; the last one switches the machine off.
    assert_eq!(calls, exits + 2);
    let (calls, exits) = calls_and_exits("off", "mitigations=off");
    assert!(exits > 1000);
    // Those two, and the guest's own two.
    assert_eq!(calls, 4);
}

#[test]
fn branches_at_each_exit_cost_what_they_cost_and_only_if_chosen() {
    /// Two branches and a subtraction, 8 times.
    const BRANCHES: u64 = 24;
    /// Instructions from one tick to the next, with one in a nanosecond and 62.5 MHz.
    const TICK: u64 = 16;
    let costs = |options: &str, cpu: &str| {
        let boot = Boot::virt().memory("2G").cpu(cpu).bootargs(&format!("selftest=off {options}"));
        let outcome = counted(boot).run();
        outcome.expect_quiet_end();
        outcome.costs()
    };
    let (off, auto) = (costs("mitigations=off", "cortex-a57"), costs("mitigations=auto", "cortex-a57"));
    for (off, auto) in [(off.call, auto.call), (off.distributor, auto.distributor)] {
        assert!((off + BRANCHES..=off + BRANCHES + 10).contains(&auto), "{off} without, {auto} with them");
    }
    // A timer expires with a tick of the counter.
    let timer = off.timer + BRANCHES - TICK..=off.timer + BRANCHES + 10 + TICK;
    assert!(timer.contains(&auto.timer), "{} without, {} with them", off.timer, auto.timer);
    let untouched = costs("mitigations=auto", "cortex-a53");
    assert_eq!((untouched.call, untouched.distributor), (off.call, off.distributor));
}
