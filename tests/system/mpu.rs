//! The image for an MPU, on a CPU that has none, by emulation: the registers it programs, and the faults they lead to.

use lacuna_tests::{Boot, Outcome};

fn virt(regions: u32) -> Boot {
    Boot::virt().mpu_image(&format!("pmsa-regions={regions}"))
}

fn versal(regions: u32) -> Boot {
    Boot::versal().mpu_image(&format!("pmsa-regions={regions}"))
}

#[test]
fn virt_passes_with_16_regions() {
    virt(16).run().expect_pass();
}

#[test]
fn virt_passes_with_32_regions() {
    virt(32).run().expect_pass();
}

#[test]
fn virt_passes_with_255_regions() {
    virt(255).run().expect_pass();
}

#[test]
fn versal_passes_with_16_regions() {
    versal(16).run().expect_pass();
}

#[test]
fn versal_passes_with_32_regions() {
    versal(32).run().expect_pass();
}

#[test]
fn versal_passes_with_255_regions() {
    versal(255).run().expect_pass();
}

#[test]
fn versal_with_40_gib_passes() {
    versal(32).memory("40G").run().expect_pass();
}

/// A change that takes effect before it must can hide a barrier that is missing.
#[test]
fn it_passes_if_changes_take_effect_as_late_as_they_may() {
    Boot::virt().mpu_image("pmsa-regions=32,arg=pmsa-sync=late").run().expect_pass();
}

#[test]
fn versal_passes_if_changes_take_effect_as_late_as_they_may() {
    Boot::versal().mpu_image("pmsa-regions=16,arg=pmsa-sync=late").run().expect_pass();
}

#[test]
fn it_passes_on_a_cpu_with_every_feature() {
    virt(32).cpu("max").run().expect_pass();
}

#[test]
fn it_passes_with_128_mib() {
    virt(32).memory("128M").run().expect_pass();
}

fn frametable_kib(outcome: &Outcome) -> (u64, u64) {
    outcome.expect_pass();
    let facts = outcome.facts();
    (facts.number("chunks"), facts.number("frametable_kib"))
}

#[test]
fn a_directory_leaves_holes_out_of_the_frametable() {
    let outcome = versal(32).bootargs("pdx-compress=off").run();
    assert_eq!(frametable_kib(&outcome), (2, 8 << 10));
}

#[test]
fn a_contiguous_frametable_can_be_chosen_and_pays_for_holes() {
    let outcome = versal(32).bootargs("pdx-compress=off frametable=contiguous").run();
    assert_eq!(frametable_kib(&outcome), (1, 68 << 10));
}

#[test]
fn an_mpu_too_small_for_the_image_is_refused() {
    virt(5).run().expect_fatal("image cannot be protected where it is: 1 more MPU region is needed");
}

#[test]
fn an_mpu_too_small_for_the_device_tree_is_refused() {
    virt(6).run().expect_fatal("1 more MPU region is needed");
}

#[test]
fn a_number_of_regions_that_no_mpu_has_is_refused() {
    virt(256).run().expect_fatal("pmsa-regions");
}

#[test]
fn an_unexpected_exception_is_reported_as_on_an_mmu() {
    let function = "lacuna::selftest::pdx::gives_the_published_layouts";
    // `mov x0, #0x18`, `ldr x0, [x0]`
    let outcome = virt(32).sabotage(function, &[0xd280_0300, 0xf940_0000]).run();
    outcome.expect_fatal("data read, translation fault");
    outcome.expect_line("FAR 0x0000000000000018");
    outcome.expect_line(&format!("{function}+0x4"));
}
