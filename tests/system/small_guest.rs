//! Our guest with little memory, which is all that it takes to see whether a guest is started, and as what.

use lacuna_tests::{Boot, Guest, Outcome, own_guest};

/// The guest that prints what it finds.
pub fn hello() -> Guest {
    small("mode=hello")
}

/// The guest with these words on its command line.
pub fn small(words: &str) -> Guest {
    own_guest(words).memory("16M")
}

/// The guest that prints what it finds, with this source of a device tree laid over its node.
pub fn hello_with(source: &str) -> Guest {
    hello().chosen(&format!("domU1 {{ {source} }};"))
}

/// Boots the guest on `virt`, and expects that it came to its own end and found nothing wrong.
#[track_caller]
pub fn run(guest: Guest) -> Outcome {
    let outcome = Boot::virt().guest(guest).run();
    expect_good_end(&outcome);
    outcome
}

/// Expects that the guest came to its own end and found nothing wrong.
#[track_caller]
pub fn expect_good_end(outcome: &Outcome) {
    outcome.expect_quiet_end();
    let lines = outcome.guest_lines("domU1");
    if let Some(line) = lines.iter().find(|line| line.starts_with("guest: FAIL") || line.starts_with("guest: panic")) {
        outcome.fail(&format!("the guest says {line:?}"));
    }
    outcome.expect_line("guest: end");
    outcome.expect_line("lacuna: domU1: switched off, free_kib=");
}

/// Boots the guest on `virt`, and expects that it is refused in these words.
#[track_caller]
pub fn expect_refusal(guest: Guest, words: &str) {
    let outcome = Boot::virt().guest(guest).run();
    outcome.expect_fatal(words);
    if outcome.console.contains("guest: ") {
        outcome.fail("the guest was started");
    }
}
