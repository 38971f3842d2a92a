//! Ways out of a guest that EL2 cannot close: whoever starts the machine must, and an image that sees one starts no guest.

use crate::small_guest::{expect_good_end, hello, small};
use lacuna_tests::{Boot, made_file};
use std::fs;

#[test]
fn a_guest_that_calls_by_semihosting_has_undefined_instructions_and_no_file() {
    let file = made_file("victim", b"");
    fs::remove_file(&file).expect("a file that was just made can be removed");
    let words = format!("mode=bad only=semihosting file={}", file.display());
    let outcome = Boot::virt().guest(small(&words)).run();
    expect_good_end(&outcome);
    outcome.expect_line("guest: 6 passed, 0 failed");
    assert!(!file.exists(), "the guest made {}", file.display());
}

#[test]
fn no_guest_is_started_where_semihosting_answers() {
    let boot = Boot::virt().option("-semihosting-config", "enable=on,target=native");
    let outcome = boot.guest(hello()).run();
    outcome.expect_fatal("/chosen/domU1 cannot be started: semihosting is on");
    assert!(!outcome.console.contains("guest: "), "the guest was started");
}

#[test]
fn an_image_alone_needs_no_semihosting_to_pass() {
    Boot::virt().without_semihosting().run().expect_pass();
    Boot::versal().without_semihosting().run().expect_pass();
}

#[test]
fn an_image_for_an_mpu_needs_no_semihosting_to_pass() {
    Boot::virt().default_mpu_image().without_semihosting().run().expect_pass();
}

#[test]
fn what_is_fatal_is_told_and_fails_without_semihosting() {
    // In the facts, before they are complete, and after.
    let outcome = Boot::virt().guest(hello().chosen("domU1 { passthrough = \"enabled\"; };")).run();
    outcome.expect_fatal("/chosen/domU1");
    let outcome = Boot::virt().option("-M", "gic-version=2").guest(hello()).run();
    outcome.expect_fatal("/chosen/domU1");
    assert!(outcome.console.ends_with("lacuna: end: failure\r\n"), "the end is not told last");
}
