//! Kernels and ramdisks: what is started, and what is refused by its name.

use crate::small_guest::{expect_refusal, hello, hello_with, run};
use lacuna_tests::{Guest, image_file, made_file};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Our guest, as the linker and as make leave it.
const GUEST: &str = "LACUNA_GUEST";

/// With the kernel in this file.
fn with_kernel(file: &Path) -> Guest {
    Guest::new(file).memory("16M").bootargs("mode=hello")
}

/// Our guest as gzip packs it.
fn packed() -> Vec<u8> {
    let output = Command::new("gzip").args(["-9", "--stdout"]).arg(image_file(GUEST, "img")).output();
    let output = output.expect("gzip can be run");
    assert!(output.status.success(), "gzip packs an image");
    output.stdout
}

/// Expects that what a boot loader put there in the place of a kernel is refused in these words.
#[track_caller]
fn expect_no_kernel(bytes: &[u8], words: &str) {
    let kernel = with_kernel(&made_file("kernel", bytes));
    expect_refusal(kernel, &format!("domU1: /chosen/domU1/module@50000000: {words}"));
}

#[test]
fn a_packed_kernel_is_the_same_kernel() {
    let lines = |guest| {
        let lines = run(guest).guest_lines("domU1").join("\n");
        lines.split_once("\n").map(|(_, lines)| lines.to_string()).expect("the first line counts ticks")
    };
    let kernel = with_kernel(&made_file("gz", &packed()));
    assert_eq!(lines(kernel), lines(hello()));
}

#[test]
fn an_elf_file_is_refused_with_what_to_do() {
    let kernel = with_kernel(&image_file(GUEST, "elf"));
    expect_refusal(kernel, "kernel is no arm64 Image: it looks like an ELF file (the Image is made of it by objcopy");
}

#[test]
fn garbage_is_refused_with_its_first_bytes() {
    let words = "kernel is no arm64 Image: it looks like something unknown that starts with [67, 61, 72, 62]";
    expect_no_kernel(&b"garbage ".repeat(1000), words);
}

#[test]
fn a_kernel_without_a_header_is_refused() {
    expect_no_kernel(b"short", "kernel of 5 bytes is no arm64 Image, the header of which has 64");
}

#[test]
fn a_packed_kernel_that_is_cut_short_is_refused() {
    let packed = packed();
    let half = packed.len() / 2;
    expect_no_kernel(&packed[..half], &format!("kernel: gzip data is cut short: its {half} bytes end in the data"));
}

#[test]
fn a_packed_kernel_that_is_damaged_is_refused() {
    let mut packed = packed();
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    expect_no_kernel(&packed, "kernel: gzip data unpacks to bytes of checksum ");
}

#[test]
fn a_packed_ramdisk_in_the_place_of_a_kernel_is_refused() {
    let archive = made_file("cpio", &b"070701".repeat(100));
    let output = Command::new("gzip").arg("--stdout").arg(&archive).output().expect("gzip can be run");
    let words = "kernel is packed by gzip, but no arm64 Image: what is packed looks like a cpio archive: a ramdisk";
    expect_no_kernel(&output.stdout, words);
}

#[test]
fn a_guest_without_a_kernel_is_refused() {
    expect_refusal(hello_with("/delete-node/ module@50000000;"), "/chosen/domU1 has no kernel module");
}

#[test]
fn a_module_in_a_hole_is_refused_by_name() {
    let guest = hello_with("module@50000000 { reg = <1 0 0 0x1000>; };");
    expect_refusal(guest, "module /chosen/domU1/module@50000000 [0x100000000, 0x100001000) lies outside RAM");
}

#[test]
fn a_module_that_was_not_loaded_is_refused() {
    let guest = hello_with("module@50000000 { reg = <0 0x58000000 0 0x1000>; };");
    expect_refusal(guest, "kernel is no arm64 Image: it looks like memory that nothing was loaded to");
}

#[test]
fn a_ramdisk_arrives_in_pages_of_its_own() {
    let outcome = run(hello().ramdisk(&made_file("ramdisk", &[0x5a; 5000])));
    let range = outcome.word_after("guest: ramdisk [");
    let start = u64::from_str_radix(range.trim_start_matches("0x").trim_end_matches(','), 16).expect("an address");
    assert_eq!(start % 4096, 0);
    outcome.expect_line(&format!("guest: ramdisk [{start:#x}, {:#x})", start + 5000));
}

#[test]
fn a_ramdisk_too_large_for_its_guest_is_refused_with_both_numbers() {
    let file = made_file("ramdisk", &[]);
    fs::OpenOptions::new().write(true).open(&file).and_then(|file| file.set_len(20 << 20)).expect("a file can grow");
    expect_refusal(
        hello().ramdisk(&file),
        "domU1: ramdisk of 20.0 MiB does not fit into 16.0 MiB of RAM beside kernel [",
    );
}
