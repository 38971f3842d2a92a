//! Device trees that QEMU does not write, but firmware may.

use lacuna_tests::{Boot, Cells, RAM_START, Tree};

const GIB: u64 = 1 << 30;

#[test]
fn banks_of_several_memory_nodes_are_all_found() {
    let tree =
        Tree::new().memory(&[(RAM_START + 6 * GIB, GIB)]).memory(&[(RAM_START, GIB), (RAM_START + 2 * GIB, GIB)]);
    let outcome = Boot::with_tree(&tree).memory("8G").run();
    outcome.expect_pass();
    let facts = outcome.facts();
    assert_eq!((facts.number("banks"), facts.number("ram_kib")), (3, (3 * GIB) >> 10));
}

#[test]
fn addresses_of_one_cell_are_read() {
    let tree = Tree::new().cells(Cells::One).memory(&[(RAM_START, GIB), (RAM_START + GIB + GIB / 2, GIB / 2)]);
    let outcome = Boot::with_tree(&tree).run();
    outcome.expect_pass();
    let facts = outcome.facts();
    assert_eq!((facts.number("banks"), facts.number("ram_kib")), (2, (GIB + GIB / 2) >> 10));
}

#[test]
fn banks_without_a_whole_page_are_left_out_with_a_warning() {
    let tree = Tree::new().memory(&[(RAM_START + 4 * GIB, 0), (RAM_START, 2 * GIB), (RAM_START + 3 * GIB, 0x800)]);
    let outcome = Boot::with_tree(&tree).run();
    outcome.expect_pass();
    outcome.expect_line("lacuna: warning: memory of /memory@140000000 at 0x140000000, 0x0 bytes, is empty: ignored");
    outcome.expect_line("has no whole page of 4096 bytes: ignored");
    assert_eq!(outcome.facts().number("banks"), 1);
}

#[test]
fn the_console_is_found_by_an_alias_with_options() {
    let tree = Tree::new().memory(&[(RAM_START, 2 * GIB)]);
    let tree = tree.alias("serial0", "/pl011@9000000").stdout_path("serial0:115200n8");
    Boot::with_tree(&tree).run().expect_pass();
}

/// As in the trees of Raspberry Pi 4 and 5.
#[test]
fn a_console_with_few_registers_works() {
    let tree = Tree::new().memory(&[(RAM_START, 2 * GIB)]).console_bytes(0x200);
    Boot::with_tree(&tree).run().expect_pass();
}

/// The self-tests have nowhere to report to, but the status is theirs.
#[test]
fn aliases_in_circles_cost_the_console_and_no_more() {
    let tree = Tree::new().memory(&[(RAM_START, 2 * GIB)]);
    let tree = tree.alias("serial0", "serial1").alias("serial1", "serial0").stdout_path("serial0");
    Boot::with_tree(&tree).run().expect_quiet_end();
}

#[test]
fn a_module_in_ram_is_reserved() {
    let tree = Tree::new().memory(&[(RAM_START, 2 * GIB)]).module(RAM_START + GIB, 1 << 20);
    let outcome = Boot::with_tree(&tree).run();
    outcome.expect_pass();
    outcome.expect_line("module /chosen/module@80000000");
}
