//! The image as it is built for a board: without semihosting, which hardware does not have, but with a UART from the start.

use lacuna_tests::Boot;
use std::time::Duration;

#[test]
fn it_passes_and_powers_off_by_psci() {
    Boot::virt().board_image().run().expect_pass();
}

#[test]
fn it_says_on_the_early_uart_that_it_was_entered_at_el1() {
    // Nobody could be told a status: it stops, and so does the test.
    let boot = Boot::virt().board_image().option("-M", "virtualization=off").within(Duration::from_secs(3));
    boot.run().expect_line("lacuna: fatal: entered at EL1");
}
