//! Guests as device trees may describe them, and what is refused.

use lacuna_tests::{Boot, Guest, Outcome, made_file, own_guest, own_guest_file};
use std::process::Command;

fn hello() -> Guest {
    own_guest("mode=hello").memory("64M")
}

/// Boots our guest in a tree with `source` laid over `/chosen`.
fn with(source: &str) -> Outcome {
    Boot::virt().guest(hello().chosen(source)).run()
}

/// Expects that the guest found `lines`, and ended the machine.
#[track_caller]
fn expect_hello(outcome: &Outcome, lines: &[&str]) {
    outcome.expect_quiet_end();
    outcome.expect_line("(domU1) guest: end");
    lines.iter().for_each(|line| outcome.expect_line(line));
}

#[test]
fn memory_may_have_one_cell() {
    expect_hello(&with("domU1 { memory = <0x8000>; };"), &["guest: memory [0x40000000, 0x42000000)"]);
}

#[test]
fn static_memory_is_found_where_all_guests_find_theirs() {
    let outcome = with("domU1 { xen,static-mem = <0 0x60000000 0 0x2000000 0 0x70000000 0 0x2000000>; };");
    expect_hello(&outcome, &["guest: memory [0x40000000, 0x44000000)"]);
}

#[test]
fn directly_mapped_memory_is_where_the_machine_has_it() {
    let outcome = with("domU1 { direct-map; xen,static-mem = <0 0x60000000 0 0x2000000 0 0x70000000 0 0x2000000>; };");
    let memory = ["guest: memory [0x60000000, 0x62000000)", "guest: memory [0x70000000, 0x72000000)"];
    expect_hello(&outcome, &memory);
}

#[test]
fn what_nobody_knows_is_told_by_name() {
    let outcome = with("domU1 { frobnicate = <1>; };");
    expect_hello(&outcome, &["lacuna: warning: frobnicate of /chosen/domU1 is unknown: ignored"]);
}

#[test]
fn accesses_to_nothing_may_read_as_ones() {
    let guest = own_guest("mode=holes").memory("64M").chosen("domU1 { trap-unmapped-accesses = <0>; };");
    let outcome = Boot::virt().guest(guest).run();
    expect_hello(&outcome, &["guest: hole ldr x 0xffffffffffffffff", "guest: hole str x is lost"]);
}

#[test]
fn modules_that_say_nothing_go_by_their_order() {
    let old = "compatible = \"xen,linux-zimage\", \"xen,multiboot-module\";";
    expect_hello(&with(&format!("domU1 {{ module@50000000 {{ {old} }}; }};")), &[]);
    expect_hello(&with("domU1 { module@50000000 { compatible = \"multiboot,module\"; }; };"), &[]);
}

#[test]
fn the_first_of_two_guests_is_started_and_the_other_named() {
    let outcome = Boot::virt().guest(hello()).guest(hello()).run();
    expect_hello(&outcome, &["/chosen/domU2: more than one guest is not supported yet: not started"]);
}

#[test]
fn xens_command_line_is_ours_where_we_have_none() {
    let outcome = with("xen,xen-bootargs = \"console=dtuart sched=null loglevel=info bootscrub=0\";");
    expect_hello(&outcome, &["lacuna: warning: unknown on the command line: console=dtuart sched=null bootscrub=0"]);
}

#[test]
fn self_tests_run_beside_a_guest_if_asked_for() {
    let outcome = Boot::virt().guest(hello().hypervisor_bootargs("selftest=pdx")).run();
    outcome.expect_pass();
    expect_hello(&outcome, &[]);
    assert!(!with("").console.contains("KTAP"), "self-tests ran though nobody asked");
}

#[test]
fn a_guest_without_a_uart_runs_in_silence() {
    let outcome =
        Boot::virt().guest(own_guest("mode=hello").memory("64M").chosen("domU1 { /delete-property/ vpl011; };"));
    let outcome = outcome.run();
    outcome.expect_quiet_end();
    assert!(!outcome.console.contains("(domU1)"), "it has a UART");
}

#[test]
fn a_kernel_packed_by_gzip_is_unpacked() {
    let output = Command::new("gzip").arg("-9c").arg(own_guest_file()).output().expect("gzip can be run");
    let packed = made_file("gz", &output.stdout);
    let outcome = Boot::virt().guest(Guest::new(&packed).bootargs("mode=hello").memory("64M")).run();
    expect_hello(&outcome, &[]);

    let cut = made_file("cut.gz", &output.stdout[..output.stdout.len() / 2]);
    let outcome = Boot::virt().guest(Guest::new(&cut).memory("64M")).run();
    outcome.expect_fatal("domU1: /chosen/domU1/module@50000000: kernel: gzip data is cut short");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (source, refusal) in [
        ("domU1 { cpus = <2>; };", "/chosen/domU1 asks for 2 CPUs, this version gives a guest 1"),
        ("domU1 { /delete-property/ memory; };", "/chosen/domU1 has no memory"),
        ("domU1 { memory = <0 0>; };", "/chosen/domU1"),
        ("domU1 { direct-map; };", "/chosen/domU1 has direct-map without xen,static-mem"),
        ("domU1 { passthrough = \"enabled\"; };", "passthrough"),
        (
            "domU1 { xen,static-mem = <0 0x60000000 0 0x2000000>; };",
            "xen,static-mem of /chosen/domU1 is 0x2000000 bytes, its memory 0x4000000",
        ),
        (
            "domU1 { xen,static-mem = <0 0x40200000 0 0x4000000>; };",
            "xen,static-mem of /chosen/domU1 [0x40200000, 0x44200000) overlaps image [0x40200000, ",
        ),
        (
            "domU1 { xen,static-mem = <0 0x4e000000 0 0x4000000>; };",
            "module /chosen/domU1/module@50000000 [0x50000000, ",
        ),
        ("domU1 { module@50000000 { compatible = \"multiboot,ramdisk\", \"multiboot,module\"; }; };", "kernel"),
        (
            "domU1 { module@50000000 { reg = <0x0 0x10000000 0x0 0x1000>; }; };",
            "module /chosen/domU1/module@50000000 [0x10000000, 0x10001000) lies outside RAM",
        ),
        ("domU1 { memory = <0 0x300000>; };", "domU1: 3.0 GiB of guest RAM do not fit into 1.9 GiB of free memory"),
    ] {
        let outcome = with(source);
        outcome.expect_fatal(refusal);
    }
}

#[test]
fn what_is_no_kernel_is_refused_by_what_it_looks_like() {
    let program = std::env::current_exe().and_then(std::fs::read).expect("this program is a file");
    let small = made_file("elf", &program[..1 << 16]);
    let outcome = Boot::virt().guest(Guest::new(&small).memory("64M")).run();
    outcome.expect_fatal("kernel is no arm64 Image: it looks like an ELF file");
}

#[test]
fn a_ramdisk_that_does_not_fit_is_refused_with_numbers() {
    let large = made_file("ramdisk", &vec![0; 20 << 20]);
    let outcome = Boot::virt().guest(own_guest("mode=hello").memory("16M").ramdisk(&large)).run();
    outcome.expect_fatal("domU1: ramdisk of 20.0 MiB does not fit into 16.0 MiB of RAM beside kernel [0x40000000, ");
}

#[test]
fn a_machine_without_a_gicv3_has_no_guests() {
    let outcome = Boot::virt().option("-M", "gic-version=2").guest(hello()).run();
    outcome.expect_fatal("/chosen/domU1 cannot be started: the device tree has no usable GICv3");
}

#[test]
fn an_image_for_an_mpu_says_that_it_starts_no_guest() {
    let outcome = Boot::virt().mpu_image("pmsa-regions=32").guest(hello()).run();
    outcome.expect_line("lacuna: error: /chosen/domU1 is not started: guests need an MMU at EL2");
    outcome.expect_failing_status();
}
