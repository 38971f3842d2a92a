//! The command line.

use lacuna_tests::Boot;

/// Expects that a boot on the machine with the largest holes says that it uses this kind of compression.
#[track_caller]
fn expect_compression(option: &str, kind: &str) {
    let Some(boot) = Boot::versal_with_two_holes() else { return };
    let outcome = boot.bootargs(option).run();
    outcome.expect_pass();
    assert_eq!(outcome.facts().text("pdx"), kind);
}

#[test]
fn mask_compression_can_be_forced() {
    expect_compression("pdx-compress=mask", "mask");
}

#[test]
fn offset_compression_can_be_forced() {
    expect_compression("pdx-compress=offset", "offset");
}

#[test]
fn compression_can_be_switched_off() {
    expect_compression("pdx-compress=off", "none");
}

#[test]
fn a_value_that_an_option_cannot_have_is_told_with_those_that_it_can() {
    let outcome = Boot::virt().bootargs("pdx-compress=zip loglevel=9 frametable= selftest=off root=/dev/vda").run();
    outcome.expect_quiet_end();
    outcome.expect_line("lacuna: warning: pdx-compress=zip is not one of auto, mask, offset, off: ignored");
    outcome.expect_line("lacuna: warning: loglevel=9 is not one of error, warn, info, debug, trace, 0 to 8: ignored");
    outcome.expect_line("lacuna: warning: frametable= is not one of directory, contiguous: ignored");
    outcome.expect_line("lacuna: warning: unknown on the command line: root=/dev/vda");
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
fn a_choice_of_no_self_test_runs_all() {
    let outcome = Boot::virt().bootargs("selftest=nothing").run();
    let report = outcome.expect_pass();
    outcome.expect_line("lacuna: warning: selftest=nothing is the start of no test's name: ignored");
    assert!(report.passed.iter().any(|name| name.starts_with("vmap")), "not all: {:?}", report.passed);
    // The names are told, to choose from.
    report.passed.iter().for_each(|name| outcome.expect_line(&format!("#       {name}")));
}

#[test]
fn the_log_can_be_made_silent() {
    let outcome = Boot::virt().bootargs("loglevel=error selftest=off").run();
    outcome.expect_quiet_end();
    let lines: Vec<_> = outcome.console.lines().collect();
    assert!(
        matches!(lines.as_slice(), [memory, "lacuna: end: success"] if memory.starts_with("lacuna: memory ")),
        "more is printed than the lines for scripts: {lines:?}"
    );
}

/// As distributions write it into their trees.
#[test]
fn the_log_can_be_set_by_a_number_of_linux() {
    let outcome = Boot::virt().bootargs("console=ttyAMA0 loglevel=7 selftest=off").run();
    outcome.expect_quiet_end();
    outcome.expect_line("pdx     ");
    let outcome = Boot::virt().bootargs("loglevel=4 selftest=off quiet").run();
    outcome.expect_quiet_end();
    assert!(!outcome.console.contains("warning"), "a warning is printed at the level of errors");
}

#[test]
fn the_log_can_be_made_detailed() {
    Boot::virt().bootargs("loglevel=debug").run().expect_pass();
}
