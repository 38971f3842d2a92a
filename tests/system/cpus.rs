//! The CPUs of a machine: found, started, or left out by name.

use lacuna_tests::{Boot, Cpu, Outcome, Tree};

/// A tree for `virt` with 1 GiB and these CPUs.
fn tree(cpus: &[Cpu]) -> Tree {
    Tree::new().memory(&[(0x4000_0000, 0x4000_0000)]).cpus(cpus)
}

/// Expects that the self-tests pass, among them those on every CPU, and that so many CPUs run.
#[track_caller]
fn expect_running(outcome: &Outcome, running: u32, all: usize) {
    let report = outcome.expect_pass();
    outcome.expect_line(&format!("cpus    {running} of {all} run"));
    assert!(report.passed.iter().any(|name| name.starts_with("cpus::work")), "no test on every CPU");
    assert_eq!(outcome.console.lines().filter(|line| line.starts_with("lacuna 0.")).count(), 1);
}

#[test]
fn four_cpus_run() {
    expect_running(&Boot::virt().cpus(4).run(), 4, 4);
}

#[test]
fn eight_cpus_with_every_feature_run() {
    expect_running(&Boot::virt().cpu("max").cpus(8).run(), 8, 8);
}

/// `virt` has 16 in a cluster: the last four have an Aff1 of 1.
#[test]
fn twenty_cpus_in_two_clusters_run() {
    expect_running(&Boot::virt().cpus(20).bootargs("selftest=cpus::w").run(), 20, 20);
}

#[test]
fn both_cpus_of_versal_run() {
    expect_running(&Boot::versal().run(), 2, 2);
}

#[test]
fn cpus_that_wait_at_a_spin_table_run() {
    let Some(boot) = Boot::board("raspi3b") else { return };
    expect_running(&boot.run(), 4, 4);
}

#[test]
fn cpus_of_an_old_psci_run() {
    let Some(boot) = Boot::board("zcu102") else { return };
    expect_running(&boot.run(), 4, 4);
}

#[test]
fn the_mpu_image_leaves_the_others_where_they_are() {
    let outcome = Boot::virt().default_mpu_image().cpus(4).run();
    outcome.expect_line("cpus    4: all but this one stay where firmware holds them");
    outcome.expect_pass();
}

#[test]
fn maxcpus_limits_them() {
    expect_running(&Boot::virt().cpus(4).bootargs("maxcpus=2").run(), 2, 4);
    expect_running(&Boot::virt().cpus(4).bootargs("maxcpus=1").run(), 1, 4);
}

#[test]
fn the_cpu_that_boots_may_stand_anywhere_in_the_tree() {
    let cpus = [3, 1, 0, 2].map(Cpu::psci);
    expect_running(&Boot::with_tree(&tree(&cpus)).cpus(4).run(), 4, 4);
}

#[test]
fn a_disabled_cpu_is_not_started() {
    let cpus = [Cpu::psci(0), Cpu { status: "disabled", ..Cpu::psci(1) }, Cpu { status: "fail", ..Cpu::psci(2) }];
    let outcome = Boot::with_tree(&tree(&[cpus.as_slice(), &[Cpu::psci(3)]].concat())).cpus(4).run();
    expect_running(&outcome, 2, 2);
}

#[test]
fn a_cpu_that_firmware_does_not_know_is_left_out_by_name() {
    let outcome = Boot::with_tree(&tree(&[0, 0x777, 1].map(Cpu::psci))).cpus(2).run();
    expect_running(&outcome, 2, 3);
    outcome.expect_line("lacuna: warning: /cpus/cpu@777 is left out: PSCI CPU_ON returned -2 (INVALID_PARAMETERS)");
}

#[test]
fn a_cpu_that_does_not_come_is_left_out_by_name() {
    let silent = Cpu { release: Some(0x5000_0008), ..Cpu::psci(1) };
    let tree = tree(&[Cpu::psci(0), silent, Cpu::psci(2)]).mem_reserve(0x5000_0000, 0x1000);
    let outcome = Boot::with_tree(&tree).cpus(4).run();
    expect_running(&outcome, 2, 3);
    outcome.expect_line("lacuna: warning: /cpus/cpu@1 is left out: it has not come within a second");
}

#[test]
fn a_release_address_that_is_not_aligned_is_refused_by_name() {
    let odd = Cpu { release: Some(0x5000_0004), ..Cpu::psci(1) };
    let outcome = Boot::with_tree(&tree(&[Cpu::psci(0), odd])).cpus(2).run();
    expect_running(&outcome, 1, 2);
    outcome.expect_line("lacuna: warning: /cpus/cpu@1 is left out: its release address 0x50000004 is no multiple of 8");
}

/// Its entry is a call of PSCI that switches it off, so that it comes and never arrives.
#[test]
fn a_cpu_that_ends_on_its_way_is_left_out_by_name() {
    const CPU_OFF: [u32; 3] = [0x5280_0040, 0x72b0_8000, 0xd400_0003]; // mov w0, #2; movk w0, #0x8400, lsl #16; smc #0
    let outcome = Boot::virt().cpus(2).sabotage("secondary_entry", &CPU_OFF).run();
    expect_running(&outcome, 1, 2);
    outcome.expect_line("lacuna: warning: /cpus/cpu@1 is left out: it has not come within a second");
}

#[test]
fn a_tree_without_the_cpu_that_boots_is_worth_a_warning() {
    let outcome = Boot::with_tree(&tree(&[Cpu::psci(1)])).cpus(2).run();
    outcome.expect_pass();
    outcome.expect_line("lacuna: warning: the device tree has no CPU with affinity 0x0, which is this CPU's");
}
