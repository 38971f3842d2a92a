//! A guest in the device tree of a machine, or under an image, that has other things to do.

use crate::small_guest::{expect_good_end, hello};
use lacuna_tests::Boot;

#[test]
fn a_machine_with_a_gic_of_version_2_has_no_guests() {
    let outcome = Boot::virt().option("-M", "gic-version=2").guest(hello()).run();
    outcome.expect_fatal("/chosen/domU1 cannot be started: the device tree has no usable GICv3");
}

#[test]
fn an_image_for_an_mpu_starts_no_guest_and_fails() {
    let outcome = Boot::virt().default_mpu_image().guest(hello()).run();
    let words =
        "lacuna: error: /chosen/domU1 is not started: guests need an MMU at EL2, and this image is built for an MPU";
    outcome.expect_line(words);
    outcome.expect_failing_status();
    assert!(!outcome.console.contains("guest: "), "the guest was started");
}

#[test]
fn self_tests_run_before_a_guest_if_they_are_asked_for() {
    let outcome = Boot::virt().bootargs("selftest=all").guest(hello()).run();
    outcome.expect_pass();
    expect_good_end(&outcome);
    let (tests, guest) = (outcome.console.find("lacuna: selftest: "), outcome.console.find("guest: start"));
    assert!(tests < guest, "the guest was started before the end of the self-tests");
}

#[test]
fn self_tests_do_not_run_beside_a_guest_unless_asked_for() {
    let outcome = Boot::virt().guest(hello()).run();
    expect_good_end(&outcome);
    assert!(!outcome.console.contains("ok 1 "), "a test was run");
}
