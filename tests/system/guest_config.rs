//! Guests in the device tree: what of Xen's bindings is followed, warned about or refused.

use crate::small_guest::{expect_good_end, expect_refusal, hello, hello_with, run, small};
use lacuna_tests::{Boot, Guest, image_bytes, image_file, made_file};
use std::path::PathBuf;
use std::process::Command;

/// Our guest.
const GUEST: &str = "LACUNA_GUEST";

#[test]
fn as_many_cpus_as_there_can_be_are_given_and_more_are_refused() {
    expect_refusal(hello_with("cpus = <65>;"), "/chosen/domU1 asks for 65 CPUs, a guest has 1 to 64");
    expect_good_end(&run(hello_with("cpus = <64>;")));
}

#[test]
fn what_nobody_knows_and_what_changes_nothing_is_named() {
    let outcome = run(hello_with("colour = \"red\"; xen,enhanced; garden { shed; };"));
    outcome.expect_line("lacuna: warning: colour of /chosen/domU1 is unknown: ignored");
    outcome
        .expect_line("lacuna: warning: xen,enhanced of /chosen/domU1 is ignored: there are none of Xen's interfaces");
    outcome.expect_line("lacuna: warning: /chosen/domU1/garden is of an unknown kind: ignored");
}

/// INTIDs 32 to 1019; the special ones begin in the middle of a register.
#[test]
fn a_guest_can_have_all_the_interrupts_that_a_gic_can_have() {
    for spis in [961, 988] {
        expect_good_end(&run(hello_with(&format!("nr_spis = <{spis}>;"))));
    }
    expect_refusal(hello_with("nr_spis = <989>;"), "nr_spis of /chosen/domU1 is 989, a GIC has at most 988");
}

#[test]
fn a_guest_that_wants_a_device_is_refused() {
    let words = "passthrough of /chosen/domU1 is not supported: no device can be given to a guest";
    expect_refusal(hello_with("passthrough = \"enabled\";"), words);
}

#[test]
fn without_a_uart_it_runs_in_silence() {
    let outcome = Boot::virt().guest(hello_with("/delete-property/ vpl011;")).run();
    outcome.expect_quiet_end();
    outcome.expect_line("lacuna: domU1: switched off, free_kib=");
    assert_eq!(outcome.guest_lines("domU1"), [""; 0]);
}

#[test]
fn accesses_to_nothing_can_be_told_to_read_as_ones() {
    let guest = small("mode=holes").chosen("domU1 { trap-unmapped-accesses = <0>; };");
    let outcome = run(guest);
    for line in [
        "hole ldrb 0xff",
        "hole ldrh 0xffff",
        "hole ldr w 0xffffffff",
        "hole ldr x 0xffffffffffffffff",
        "hole ldrsh w 0xffffffff",
        "hole str x is lost",
    ] {
        assert!(outcome.guest_lines("domU1").contains(&format!("guest: {line}").as_str()), "no line {line:?}");
    }
}

#[test]
fn accesses_to_nothing_abort_if_nothing_is_said() {
    let outcome = run(small("mode=holes"));
    outcome.expect_line("guest: hole ldrb vector 0, ESR 0x96000010 (class 0x25), FAR 0x22001000");
}

#[test]
fn two_guests_may_share_a_kernel() {
    let node = format!(
        "domU2 {{ compatible = \"xen,domain\"; #address-cells = <1>; #size-cells = <1>; memory = <0x4000>; cpus = <1>;
            module@50000000 {{ compatible = \"multiboot,kernel\", \"multiboot,module\"; reg = <0x50000000 {}>; }}; }};",
        image_bytes(GUEST)
    );
    let outcome = Boot::virt().cpus(2).guest(hello().chosen(&node)).run();
    expect_good_end(&outcome);
    // It has no UART.
    outcome.expect_line("lacuna: domU2: switched off, free_kib=");
}

#[test]
fn a_guest_that_is_disabled_is_not_started() {
    let outcome = Boot::virt().bootargs("selftest=off").guest(hello_with("status = \"disabled\";")).run();
    outcome.expect_quiet_end();
    outcome
        .expect_line("lacuna: warning: /chosen/domU1 is disabled: not started until somebody starts it at the prompt");
    assert_eq!(outcome.guest_lines("domU1"), [""; 0]);
}

#[test]
fn a_guest_that_is_disabled_can_be_started_at_the_prompt() {
    let disabled = hello_with("status = \"disabled\";");
    let mut running = Boot::virt().guest(disabled).guest(small("mode=spin").name("spins")).start();
    running.expect("(spins) guest: spinning");
    running.take_keyboard_from(1);
    running.send("guests\r");
    running.expect("lacuna: domU1: does not run");
    running.send("start domU1\r");
    running.expect("lacuna: domU1: switched off, free_kib=");
    running.send("quit\r");
    let outcome = running.finish();
    outcome.expect_quiet_end();
    assert!(outcome.guest_lines("domU1").contains(&"guest: end"));
}

/// The CPUs of QEMU's `virt` have phandles 0x8001 and so on, from the last CPU to the first.
#[test]
fn vcpus_run_where_the_tree_pins_them() {
    let vcpus = "cpus = <2>; vcpu@0 { compatible = \"xen,vcpu\"; id = <0>; hard-affinity = \"3\"; }; \
        vcpu@1 { compatible = \"xen,vcpu\"; id = <1>; hard-affinity = \"1-2\"; };";
    let outcome = Boot::virt().cpus(4).guest(hello_with(vcpus)).run();
    expect_good_end(&outcome);
    outcome.expect_line("        vCPU 0 on CPU 3");
    outcome.expect_line("        vCPU 1 on CPU 1");
    let outcome = Boot::virt().cpus(2).guest(hello_with(vcpus)).run();
    outcome.expect_fatal("vCPU 0 of /chosen/domU1 is to run on CPU 3 (hard-affinity), which does not run");
}

#[test]
fn cpus_of_a_pool_run_its_guests_alone() {
    let source = "pool: pool { compatible = \"xen,cpupool\"; cpupool-cpus = <&{/cpus/cpu@1}>; phandle = <0x700>; }; \
        domU1 { domain-cpupool = <0x700>; cpus = <2>; };";
    let outcome = Boot::virt().cpus(3).guest(hello().chosen(source)).guest(hello().name("second")).run();
    outcome.expect_quiet_end();
    outcome.expect_line("        vCPU 0 on CPU 1");
    outcome.expect_line("        vCPU 1 on CPU 1");
    outcome.expect_line("        vCPU 0 on CPU 0");
    let boot = Boot::virt().cpus(3).bootargs("selftest=off maxcpus=1").guest(hello().chosen(source));
    boot.run().expect_fatal("/chosen/pool has /cpus/cpu@1, which does not run");
}

#[test]
fn the_hypervisors_words_are_its_own_and_unknown_ones_are_told_in_one_line() {
    let outcome = run(hello().hypervisor_bootargs("loglevel=warn console=dtuart sync_console"));
    outcome.expect_line("lacuna: warning: unknown on the command line: console=dtuart sync_console");
    outcome.expect_line("guest: bootargs \"mode=hello\"");
    assert!(!outcome.console.contains("pdx     "), "a report for people was printed at loglevel=warn");
}

/// Our guest and a ramdisk, whose nodes say of themselves what is given here.
fn with_modules(kernel: &str, ramdisk: &str) -> Guest {
    let source = format!(
        "domU1 {{ module@50000000 {{ compatible = {kernel}; }}; module@50200000 {{ compatible = {ramdisk}; }}; }};"
    );
    hello().ramdisk(&made_file("ramdisk", &[0x5a; 4096])).chosen(&source)
}

#[test]
fn of_modules_that_say_nothing_the_first_is_the_kernel_and_the_second_the_ramdisk() {
    run(with_modules("\"multiboot,module\"", "\"multiboot,module\"")).expect_line("guest: ramdisk [");
}

#[test]
fn the_old_names_of_modules_are_known() {
    let kernel = "\"xen,linux-zimage\", \"xen,multiboot-module\"";
    let ramdisk = "\"xen,linux-initrd\", \"xen,multiboot-module\"";
    run(with_modules(kernel, ramdisk)).expect_line("guest: ramdisk [");
}

/// A device tree with these children of the root, as a blob in a file.
fn compiled(children: &str) -> PathBuf {
    let header = "/dts-v1/; / { #address-cells = <2>; #size-cells = <2>;";
    let source = made_file("part.dts", format!("{header} {children} }};").as_bytes());
    let blob = source.with_extension("dtb");
    let status = Command::new("dtc").args(["-q", "-O", "dtb", "-o"]).args([&blob, &source]).status();
    assert!(status.is_ok_and(|status| status.success()), "dtc compiles {children}");
    blob
}

#[test]
fn a_part_of_a_device_tree_is_added_to_its_own() {
    let part = "chosen { bootargs = \"mode=hello from the part\"; }; passthrough { ranges; light { dim; }; };";
    let guest = hello().device_tree(&compiled(part));
    let guest = guest.chosen("domU1 { module@50000000 { /delete-property/ bootargs; }; };");
    let outcome = run(guest);
    outcome.expect_line("guest: bootargs \"mode=hello from the part\"");
    outcome.expect_line("guest: node passthrough");
}

#[test]
fn a_part_of_a_device_tree_with_a_device_of_the_machine_is_refused() {
    let part = "passthrough { ranges; serial@9000000 { xen,path = \"/pl011@9000000\"; }; };";
    let words = "/passthrough/serial@9000000 has xen,path, but no devices are assigned to guests";
    expect_refusal(hello().device_tree(&compiled(part)), words);
}

#[test]
fn a_part_of_a_device_tree_that_is_none_is_refused() {
    let words = "domU1: multiboot,device-tree: not a device tree: it starts with 0x6e6f7420";
    expect_refusal(hello().device_tree(&made_file("part", &b"not a tree ".repeat(10))), words);
}

/// The guests of Xen's documentation (docs/misc/arm/device-tree/booting.txt), with addresses and sizes in these cells.
fn documented(address: &str, size: u32) -> String {
    let cells = if address.is_empty() { 1 } else { 2 };
    let module = |kind, start: u64, rest| {
        format!(
            "module@{start:x} {{ compatible = \"multiboot,{kind}\", \"multiboot,module\";
                reg = <{address} {start:#x} {}0xffffff>; {rest} }};",
            if size == 2 { "0 " } else { "" }
        )
    };
    let guest = |name, memory, kernel, ramdisk| {
        format!(
            "{name} {{ compatible = \"xen,domain\"; #address-cells = <{cells}>; #size-cells = <{size}>;
                memory = <0 {memory:#x}>; cpus = <1>; vpl011; {} {} }};",
            module("kernel", kernel, "bootargs = \"console=ttyAMA0\";"),
            module("ramdisk", ramdisk, "")
        )
    };
    let first = guest("domU1", 0x2_0000, 0x4a00_0000, 0x4b00_0000);
    let second = guest("domU2", 0x1_0000, 0x4c00_0000, 0x4d00_0000);
    format!("xen,xen-bootargs = \"console=dtuart\"; {first} {second}")
}

#[test]
fn the_example_of_xens_documentation_boots_in_any_cells() {
    for (address, size) in [("0", 1), ("", 1), ("0", 2), ("", 2)] {
        let mut kernel = image_file(GUEST, "img").into_os_string();
        kernel.push("@0x4a000000");
        let guest = Guest::new(kernel.as_ref()).chosen("/delete-node/ domU1;").chosen(&documented(address, size));
        let outcome = Boot::virt().guest(guest).run();
        outcome.expect_line("guest: end");
        outcome.expect_line("lacuna: domU1: switched off, free_kib=");
        // Nobody loaded its kernel.
        outcome.expect_line("lacuna: error: domU2: /chosen/domU2/module@4c000000: kernel is no arm64 Image: ");
        outcome.expect_failing_status();
        outcome.expect_line("guest: memory [0x40000000, 0x48000000)");
        outcome.expect_line("guest: bootargs \"console=ttyAMA0\"");
        outcome.expect_line("guest: ramdisk [");
    }
}
