//! Consoles other than `virt`'s PL011: those of boards that QEMU has, and none at all.

use crate::small_guest::small;
use lacuna_tests::{Boot, NEXT_KEYBOARD, RAM_START, Tree};

const GIB: u64 = 1 << 30;

/// Expects that the self-tests pass on a board and are reported on the console that its tree names.
#[track_caller]
fn expect_pass_on(board: &str) {
    let Some(boot) = Boot::board(board) else { return };
    let outcome = boot.run();
    outcome.expect_pass();
    assert!(!outcome.console.contains("no console"), "{}", outcome.console);
}

/// Cadence's.
#[test]
fn zcu102_passes() {
    expect_pass_on("zcu102");
}

/// That of i.MX.
#[test]
fn imx8mp_evk_passes() {
    expect_pass_on("imx8mp-evk");
}

/// The mini UART.
#[test]
fn raspi3b_passes() {
    expect_pass_on("raspi3b");
}

/// A PL011 with 0x200 bytes of registers.
#[test]
fn raspi4b_passes() {
    expect_pass_on("raspi4b");
}

/// The interrupt of an i.MX UART. QEMU 10.0 delivers no virtual interrupt on this board, so the keys are the hypervisor's.
#[test]
fn keys_arrive_on_imx8mp_evk() {
    let Some(boot) = Boot::board("imx8mp-evk") else { return };
    let mut running = boot.guest(small("mode=echo")).start();
    running.expect("guest: echo, until quit");
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: hypervisor");
    running.send("state\n");
    running.expect("lacuna: domU1: vCPU 0 at 0x4");
    // More at once than the UART's FIFO holds.
    running.send(&"help\n".repeat(20));
    (0..20).for_each(|_| running.expect("gives the keyboard to domU1"));
    running.send("quit\n");
    running.finish().expect_quiet_end();
}

/// Letters on a UART that is no PL011, and that nobody has turned on before.
#[test]
fn each_stage_has_its_letter_on_zcu102() {
    let Some(boot) = Boot::board("zcu102") else { return };
    let outcome = boot.zcu102_image().run();
    outcome.expect_pass();
    outcome.expect_line("abcdeflacuna ");
}

fn tree() -> Tree {
    Tree::new().memory(&[(RAM_START, 2 * GIB)])
}

#[test]
fn a_console_without_a_driver_is_named_and_the_report_arrives() {
    let unknown = tree().console("acme,uart", 0x900_0000);
    let said = "stdout-path names /pl011@9000000, a 'acme,uart', for which there is no driver: no console";
    // By semihosting, and on the early UART of the image for the board, which has no semihosting.
    for boot in [Boot::with_tree(&unknown), Boot::with_tree(&unknown).board_image()] {
        let outcome = boot.run();
        outcome.expect_pass();
        outcome.expect_line(&format!("lacuna: warning: {said}"));
        outcome.expect_line("free    ");
    }
}

#[test]
fn a_console_where_nothing_is_costs_the_console_and_no_more() {
    for compatible in ["arm,pl011", "xlnx,xuartps", "ns16550a"] {
        let outcome = Boot::with_tree(&tree().console(compatible, 0xf00_0000)).run();
        outcome.expect_pass();
        outcome.expect_line("lacuna: warning: console /pl011@9000000 does not answer");
    }
}
