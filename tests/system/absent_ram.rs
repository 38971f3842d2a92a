//! RAM that the device tree names and the machine lacks: said by name, and the boot goes on without it.

use lacuna_tests::{Boot, Outcome, RAM_START, Tree};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Boots both images on `virt` with 1 GiB of RAM and `tree`; the self-tests use all of the memory that is left.
#[track_caller]
fn expect_passes(tree: &Tree) -> [Outcome; 2] {
    [Boot::with_tree(tree), Boot::with_tree(tree).mpu_image("pmsa-regions=32")].map(|boot| {
        let outcome = boot.memory("1G").run();
        outcome.expect_pass();
        outcome
    })
}

#[test]
fn a_bank_of_which_half_is_there_is_cut() {
    for outcome in expect_passes(&Tree::new().memory(&[(RAM_START, 2 * GIB)])) {
        outcome.expect_line(
            "lacuna: warning: memory of /memory@40000000 at 0x40000000, 0x80000000 bytes, does not answer from 0x80000000 on: \
             cut there",
        );
        assert_eq!(outcome.facts().number("ram_kib"), GIB >> 10);
    }
}

/// As the trees of boards have it that are sold with 4 GiB too: ZCU102, Versal.
#[test]
fn a_high_bank_that_is_not_there_is_ignored() {
    for outcome in expect_passes(&Tree::new().memory(&[(RAM_START, GIB), (0x8_0000_0000, 2 * GIB)])) {
        outcome.expect_line("memory of /memory@40000000 at 0x800000000, 0x80000000 bytes, does not answer: ignored");
        assert_eq!((outcome.facts().number("banks"), outcome.facts().number("ram_kib")), (1, GIB >> 10));
    }
}

/// A hundred banks that do not exist, between and above those that do.
#[test]
fn many_banks_that_are_not_there_are_ignored() {
    let mut banks = vec![(RAM_START, 512 * MIB), (RAM_START + 768 * MIB, 256 * MIB)];
    banks.extend((0..100).map(|bank| (0x1_0000_0000 + bank * GIB, 16 * MIB)));
    for outcome in expect_passes(&Tree::new().memory(&banks)) {
        assert_eq!((outcome.facts().number("banks"), outcome.facts().number("ram_kib")), (2, 768 << 10));
    }
}

#[test]
fn a_module_in_ram_that_is_not_there_is_refused_by_name() {
    let tree = Tree::new().memory(&[(RAM_START, 2 * GIB)]).module(RAM_START + GIB, MIB);
    let outcome = Boot::with_tree(&tree).memory("1G").run();
    outcome.expect_fatal("module /chosen/module@80000000 [0x80000000, 0x80100000) lies outside RAM");
}

/// All of a bank is the module's, so no free memory in it can be tried.
#[test]
fn a_module_that_nobody_can_read_is_refused_by_name() {
    let tree = Tree::new().memory(&[(RAM_START, GIB), (0x8_0000_0000, MIB)]).module(0x8_0000_0000, MIB);
    let outcome = Boot::with_tree(&tree).memory("1G").run();
    outcome.expect_fatal("module /chosen/module@800000000 [0x800000000, 0x800100000) lies where no memory answers");
}
