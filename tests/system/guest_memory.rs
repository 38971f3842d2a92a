//! Memory of a guest: how much, from where, and at which addresses.

use crate::small_guest::{expect_refusal, hello, hello_with, run, small};
use lacuna_tests::{Boot, Guest};

/// 16 MiB of host memory in the cells of `/chosen`.
const STATIC: &str = "xen,static-mem = <0 0x60000000 0 0x1000000>;";

#[test]
fn its_size_is_read_in_one_cell() {
    run(hello_with("memory = <0x6000>;")).expect_line("guest: memory [0x40000000, 0x41800000)");
}

#[test]
fn its_size_is_read_in_two_cells() {
    run(hello_with("memory = <0 0x6000>;")).expect_line("guest: memory [0x40000000, 0x41800000)");
}

#[test]
fn a_guest_without_memory_is_refused() {
    expect_refusal(hello_with("/delete-property/ memory;"), "/chosen/domU1 has no memory");
    expect_refusal(hello_with("memory = <0>;"), "memory of /chosen/domU1 is 0 KiB, not a multiple of 4 KiB above 0");
}

#[test]
fn more_than_is_free_is_refused_with_both_numbers() {
    expect_refusal(hello().memory("4G"), "domU1: 4.0 GiB of guest RAM do not fit into 1.9 GiB of free memory");
}

#[test]
fn static_memory_lies_at_the_usual_addresses() {
    let outcome = run(hello_with(STATIC));
    outcome.expect_line("[0x0060000000, 0x0061000000)   16.0 MiB  xen,static-mem of /chosen/domU1");
    outcome.expect_line("guest: memory [0x40000000, 0x41000000)");
}

#[test]
fn static_memory_in_pieces_is_one_bank() {
    let outcome = run(hello_with("xen,static-mem = <0 0x70000000 0 0x800000 0 0x60000000 0 0x800000>;"));
    outcome.expect_line("guest: memory [0x40000000, 0x41000000)");
}

#[test]
fn a_direct_map_has_the_addresses_of_the_host() {
    let outcome = run(hello_with(&format!("{STATIC} direct-map;")));
    outcome.expect_line("guest: memory [0x60000000, 0x61000000)");
    outcome.expect_line("guest: image [0x60000000, ");
    outcome.expect_line("guest: uart 0x22000000");
}

#[test]
fn a_direct_map_in_pieces_has_as_many_banks() {
    let outcome = run(hello_with("direct-map; xen,static-mem = <0 0x70000000 0 0x800000 0 0x60000000 0 0x800000>;"));
    outcome.expect_line("guest: memory [0x60000000, 0x60800000)");
    outcome.expect_line("guest: memory [0x70000000, 0x70800000)");
}

/// Expects that a guest which starts again finds its memory zero each time, and that none is lost.
#[track_caller]
fn expect_zeros(guest: Guest) {
    let mut running = Boot::virt().guest(guest).start();
    for _ in 0..3 {
        running.expect("bytes are zero, reset");
    }
    let outcome = running.stop();
    assert!(!outcome.console.contains("guest: FAIL"), "old contents were found");
    let free = |reset| outcome.word_after(&format!("lacuna: domU1: reset {reset}, free_kib="));
    assert_eq!(free(1), free(2), "memory was lost, or found");
}

#[test]
fn static_memory_is_zero_at_each_start() {
    expect_zeros(small("mode=reset").chosen(&format!("domU1 {{ {STATIC} }};")));
}

#[test]
fn a_direct_map_is_zero_at_each_start() {
    expect_zeros(small("mode=reset").chosen(&format!("domU1 {{ {STATIC} direct-map; }};")));
}

#[test]
fn a_direct_map_over_a_device_is_refused_by_both_names() {
    // RAM of this machine is where a guest has its UART.
    let guest = hello_with("xen,static-mem = <0 0x22000000 0 0x1000000>; direct-map;");
    let outcome = Boot::versal().memory("4G").guest(guest).run();
    outcome.expect_fatal("domU1: RAM bank 0 [0x22000000, 0x23000000) overlaps the PL011 [0x22000000, 0x22001000)");
}

#[test]
fn static_memory_over_a_module_is_refused_by_both_names() {
    let guest = hello_with("xen,static-mem = <0 0x50000000 0 0x1000000>;");
    let outcome = Boot::virt().guest(guest).run();
    outcome.expect_fatal("xen,static-mem of /chosen/domU1 [0x50000000, 0x51000000)");
    outcome.expect_fatal("module /chosen/domU1/module@50000000 [0x50000000, ");
}

#[test]
fn static_memory_over_the_image_is_refused_by_both_names() {
    let outcome = Boot::virt().guest(hello_with("xen,static-mem = <0 0x40000000 0 0x1000000>;")).run();
    outcome.expect_fatal("image [0x40200000, ");
    outcome.expect_fatal("xen,static-mem of /chosen/domU1 [0x40000000, 0x41000000)");
}

#[test]
fn static_memory_outside_ram_is_refused() {
    let guest = hello_with("xen,static-mem = <1 0 0 0x1000000>;");
    expect_refusal(guest, "xen,static-mem of /chosen/domU1 [0x100000000, 0x101000000) lies outside RAM");
}

#[test]
fn static_memory_of_another_size_is_refused_with_both_numbers() {
    let guest = hello_with("xen,static-mem = <0 0x60000000 0 0x800000>;");
    expect_refusal(guest, "xen,static-mem of /chosen/domU1 is 0x800000 bytes, its memory 0x1000000");
}
