//! What a guest prints is never taken for the hypervisor's, whoever has the keyboard.

use crate::small_guest::small;
use lacuna_tests::{Boot, Outcome};

/// Columns of the smallest terminal.
const WIDTH: usize = 80;

/// What the hypervisor prints last before its own line where a guest had the terminal.
const AT_THE_BOTTOM: &str = "\x1b[999;1H\r\n";

/// Expects that each line, as scripts split them, with what only the guest prints bears the guest's mark.
#[track_caller]
fn expect_marked(outcome: &Outcome) {
    let mut lines = outcome.console.split('\n').filter(|line| line.contains("forged")).peekable();
    assert!(lines.peek().is_some(), "the guest printed nothing");
    if let Some(line) = lines.find(|line| !line.starts_with("(domU1) ") && !line.starts_with("(domU1)+")) {
        outcome.fail(&format!("a forged line: {line:?}"));
    }
}

#[test]
fn with_the_keyboard_it_forges_no_line_and_the_terminal_is_restored() {
    let outcome = Boot::virt().guest(small("mode=bad only=terminal")).run();
    outcome.expect_quiet_end();
    outcome.expect_line("guest: 2 passed, 0 failed");
    expect_marked(&outcome);
    outcome.expect_line("lacuna: domU1: switched off, free_kib=");
    assert!(
        outcome.console.contains(&format!("{AT_THE_BOTTOM}lacuna: domU1: switched off, free_kib=")),
        "the terminal was not restored"
    );
}

#[test]
fn without_the_keyboard_it_prints_text_in_rows_of_its_own() {
    let mut running = Boot::virt().guest(small("mode=forge")).start();
    running.expect("forged");
    running.take_keyboard();
    // Two rounds.
    for _ in 0..2 {
        running.expect(r"\x80\xbf\xc0\xc1");
    }
    running.send("memory\r");
    running.expect("lacuna: 16.0 MiB of RAM");
    running.send("quit\r");
    let outcome = running.finish();
    outcome.expect_quiet_end();
    expect_marked(&outcome);
    let (_, since) = outcome.console.split_once("lacuna: keyboard: hypervisor").expect("waited for above");
    for row in since.split("\r\n").filter(|row| row.starts_with("(domU1)")) {
        let is_text = row.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let columns = row.bytes().fold(0, |column, byte| if byte == b'\t' { (column / 8 + 1) * 8 } else { column + 1 });
        if !is_text || columns > WIDTH {
            outcome.fail(&format!("more than text, or {columns} columns: {row:?}"));
        }
    }
}
