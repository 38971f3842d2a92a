//! The command line.

use lacuna_tests::Boot;

/// The kind of compression that a boot on the machine with the largest holes says it uses.
fn compression(option: &str) -> String {
    let outcome = Boot::versal().memory("40G").bootargs(option).run();
    outcome.expect_pass();
    outcome.facts().text("pdx").into()
}

#[test]
fn mask_compression_can_be_forced() {
    assert_eq!(compression("pdx-compress=mask"), "mask");
}

#[test]
fn offset_compression_can_be_forced() {
    assert_eq!(compression("pdx-compress=offset"), "offset");
}

#[test]
fn compression_can_be_switched_off() {
    assert_eq!(compression("pdx-compress=off"), "none");
}

#[test]
fn an_unknown_compression_is_refused_with_those_that_there_are() {
    let outcome = Boot::virt().bootargs("pdx-compress=zip").run();
    outcome.expect_fatal("pdx-compress=zip is not one of auto, mask, offset, off");
}

#[test]
fn self_tests_can_be_switched_off() {
    let outcome = Boot::virt().bootargs("selftest=off").run();
    outcome.expect_quiet_end();
    assert!(!outcome.console.contains("ok 1 "), "a test was run");
}

#[test]
fn self_tests_can_be_chosen_by_the_start_of_their_name() {
    let chosen = Boot::virt().bootargs("selftest=vmap").run().expect_pass();
    assert!(chosen.passed.iter().all(|name| name.starts_with("vmap")), "not only vmap: {:?}", chosen.passed);
}

#[test]
fn a_choice_of_no_self_test_is_refused() {
    let outcome = Boot::virt().bootargs("selftest=nothing").run();
    outcome.expect_fatal("selftest=nothing is the start of no test's name");
}

#[test]
fn the_log_can_be_made_silent() {
    let outcome = Boot::virt().bootargs("loglevel=error selftest=off").run();
    outcome.expect_quiet_end();
    let lines: Vec<_> = outcome.console.lines().collect();
    assert!(
        matches!(lines.as_slice(), [line] if line.starts_with("lacuna: memory ")),
        "more is printed than the line for scripts: {lines:?}"
    );
}

#[test]
fn the_log_can_be_made_detailed() {
    Boot::virt().bootargs("loglevel=debug").run().expect_pass();
}
