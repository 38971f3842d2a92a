//! Machines as QEMU describes them.

use lacuna_tests::{Boot, Outcome, own_guest};
use std::time::Duration;

const MIB: u64 = 1 << 10;
const GIB: u64 = 1 << 20;

/// How long a guest may take that tries what it can.
const GUEST_LIMIT: Duration = Duration::from_secs(120);

/// Expects a pass on a machine with as much RAM, in KiB, in as many banks.
#[track_caller]
fn expect_pass_with(outcome: &Outcome, banks: u64, ram_kib: u64) {
    outcome.expect_pass();
    let facts = outcome.facts();
    assert_eq!((facts.number("banks"), facts.number("ram_kib")), (banks, ram_kib));
}

#[test]
fn virt_passes_with_2_gib() {
    expect_pass_with(&Boot::virt().memory("2G").run(), 1, 2 * GIB);
}

#[test]
fn virt_passes_with_128_mib() {
    expect_pass_with(&Boot::virt().memory("128M").run(), 1, 128 * MIB);
}

#[test]
fn virt_passes_with_1_gib() {
    expect_pass_with(&Boot::virt().memory("1G").run(), 1, GIB);
}

#[test]
fn virt_passes_with_3_gib() {
    expect_pass_with(&Boot::virt().memory("3G").run(), 1, 3 * GIB);
}

#[test]
fn virt_passes_with_a_gic_of_version_2() {
    Boot::virt().option("-M", "gic-version=2").run().expect_pass();
}

#[test]
fn virt_passes_with_a_gic_of_version_3() {
    Boot::virt().option("-M", "gic-version=3").run().expect_pass();
}

#[test]
fn virt_passes_on_a_cortex_a53() {
    Boot::virt().cpu("cortex-a53").run().expect_pass();
}

#[test]
fn virt_passes_on_a_cpu_with_every_feature() {
    Boot::virt().cpu("max").run().expect_pass();
}

#[test]
fn versal_with_4_gib_has_a_hole_and_passes() {
    let outcome = Boot::versal().memory("4G").run();
    expect_pass_with(&outcome, 2, 4 * GIB);
    let frametable = outcome.facts().number("frametable_kib");
    assert!(frametable <= 9 * MIB, "the frametable takes {frametable} KiB, more than 9 MiB");
}

#[test]
fn versal_with_40_gib_has_two_holes_and_passes() {
    let Some(boot) = Boot::versal_with_two_holes() else { return };
    let outcome = boot.run();
    expect_pass_with(&outcome, 3, 40 * GIB);
    let frametable = outcome.facts().number("frametable_kib");
    assert!(frametable <= 82 * MIB, "the frametable takes {frametable} KiB, more than 82 MiB");
}

#[test]
fn a_tree_that_lies_where_ram_starts_is_found() {
    Boot::like_elf().run().expect_pass();
}

#[test]
fn entered_at_el3_it_goes_on_at_el2() {
    Boot::like_elf().option("-M", "secure=on").run().expect_pass();
}

#[test]
fn entered_at_el3_it_goes_on_at_el2_on_a_cpu_with_every_feature() {
    Boot::like_elf().option("-M", "secure=on").cpu("max").run().expect_pass();
}

/// Expects that a guest on a machine which was entered at EL3 has a timer, and interrupts for all else that it tries.
#[track_caller]
fn expect_interrupts_from_el3(cpu: &str) {
    let guest = own_guest("mode=bad only=interrupts,waiting,timer,calls");
    let boot = Boot::like_elf().option("-M", "secure=on").cpu(cpu).bootargs("selftest=off").guest(guest);
    let mut machine = boot.within(GUEST_LIMIT).start();
    machine.expect("guest: ok timer: a thousand in a row, none lost");
    machine.expect(" passed, 0 failed");
    // Nobody at EL3 switches the machine off. It is ended here.
    machine.expect("lacuna: end: success");
}

#[test]
fn entered_at_el3_a_guest_has_interrupts() {
    expect_interrupts_from_el3("cortex-a57");
}

#[test]
fn entered_at_el3_a_guest_has_interrupts_on_a_cpu_with_every_feature() {
    expect_interrupts_from_el3("max");
}

#[test]
fn ram_that_ends_inside_a_page_of_entries_passes() {
    // 129 MiB are 33024 frames, whose entries end half way through a page: the tail of it is what the self-test reads.
    Boot::virt().memory("129M").run().expect_pass();
}
