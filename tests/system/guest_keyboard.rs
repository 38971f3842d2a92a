//! The keyboard: what is typed arrives whole, and the hypervisor's keys leave the guest as it is.

use crate::small_guest::{expect_good_end, small};
use lacuna_tests::{Boot, NEXT_KEYBOARD, Running};

/// The guest that prints each line that it reads.
fn echo() -> Running {
    let mut running = Boot::virt().guest(small("mode=echo")).start();
    running.expect("guest: echo, until quit");
    running
}

fn quit(mut running: Running) {
    running.send("quit\n");
    expect_good_end(&running.finish());
}

/// Text of as many characters, none like its neighbours.
fn text(length: usize) -> String {
    ('a'..='z').chain('0'..='9').cycle().take(length).collect()
}

/// Expects that a line of so many characters, typed at once, is the line that arrives.
#[track_caller]
fn expect_whole_line(length: usize) {
    let mut running = echo();
    running.send(&format!("{}\n", text(length)));
    running.expect(&format!("guest: echo {}\r\n", text(length)));
    quit(running);
}

#[test]
fn a_line_longer_than_the_uarts_buffer_arrives_whole() {
    expect_whole_line(100);
}

#[test]
fn a_line_longer_than_any_buffer_arrives_whole() {
    expect_whole_line(500);
}

#[test]
fn many_lines_at_once_arrive_in_order() {
    let mut running = echo();
    let lines: Vec<_> = (0..20).map(|number| format!("{number} {}", text(30))).collect();
    running.send(&format!("{}\n", lines.join("\n")));
    for line in lines {
        running.expect(&format!("guest: echo {line}\r\n"));
    }
    quit(running);
}

#[test]
fn the_hypervisors_commands_tell_and_the_guest_goes_on() {
    let mut running = echo();
    running.take_keyboard();
    for (line, words) in [
        ("help\r", "lacuna: reset [GUEST]   starts a guest again"),
        ("help\n", "lacuna: Ctrl-A three times gives the keyboard to domU1"),
        ("state\r\n", "lacuna: domU1: vCPU 0 at 0x4"),
        ("state domU1\r", "VBAR_EL1  0x"),
        ("irqs\r", "lacuna: "),
        ("guests\r", "lacuna: domU1: runs, 16.0 MiB of RAM"),
        ("memory\r", "lacuna: 16.0 MiB of RAM in 0 x 1 GiB, 8 x 2 MiB, 0 x 4 KiB"),
        ("reset domU2\r", "lacuna: domU2 is no guest; guests lists them"),
        ("Reset\r", "lacuna: Reset is no command; help lists them"),
        ("memroy\x7f\x08\x7f\x7fmory\r", "lacuna: 16.0 MiB"),
        ("reset\x15memory\r", "lacuna: 16.0 MiB"),
        ("reset\x03", "^C\r\nlacuna> "),
    ] {
        running.send(line);
        running.expect(words);
    }
    running.send(&format!("{}\r", " ".repeat(100) + "reset"));
    running.expect("lacuna: a line of more than 64 characters is no command");
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: domU1");
    running.send("still here\n");
    running.expect("guest: echo still here");
    quit(running);
}

#[test]
fn the_hypervisors_commands_reset_the_guest_and_end_it() {
    let mut running = echo();
    running.take_keyboard();
    running.send("reset\r");
    running.expect("lacuna: domU1: reset 1, free_kib=");
    running.expect("guest: echo, until quit");
    running.send("quit\r");
    running.expect("lacuna: domU1: switched off, free_kib=");
    running.finish().expect_quiet_end();
}

#[test]
fn letters_and_answers_of_a_terminal_reset_no_guest() {
    let mut running = echo();
    running.take_keyboard();
    running.send("RQrq");
    for answer in [
        "\x1b[24;80R",
        "\x1b[?62;22c",
        "\x1bP1$rreset\r\x1b\\",
        "\x1b]lreset\r\x1b\\",
        "\x1b]11;rgb:0/0/0\x07",
        "\x1b[200~reset\rquit\r\x1b[201~",
        "\u{9b}24;80R",
    ] {
        // In pieces, as a slow line delivers it.
        let (begin, end) = answer.split_at(2);
        running.send(begin);
        running.send(end);
    }
    running.send("\x15memory\r");
    running.expect("RQrq");
    running.expect("memory\r\nlacuna: 16.0 MiB");
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: domU1");
    let outcome = {
        running.send("quit\n");
        running.finish()
    };
    expect_good_end(&outcome);
    assert!(!outcome.console.contains("lacuna: domU1: reset"), "an answer reset the guest");
}

#[test]
fn answers_of_a_terminal_between_the_presses_do_not_keep_the_keyboard() {
    let mut running = echo();
    for key in NEXT_KEYBOARD.chars() {
        running.send(&format!("\x1b[24;80R{key}"));
    }
    running.expect("lacuna: keyboard: hypervisor");
    // An answer to what the guest asked before, in two pieces.
    running.send("\x1b]l\x01\x01\x01");
    running.send("quit\r\x1b\\memory\r");
    running.expect("memory\r\nlacuna: 16.0 MiB");
    running.send("quit\r");
    running.finish().expect_quiet_end();
}

/// More than a guest's UART and the hypervisor have room for together.
const FLOOD: usize = 10_000;

#[test]
fn a_guest_that_takes_no_keys_can_be_switched_off() {
    let mut running = Boot::virt().guest(small("mode=spin")).start();
    running.expect("guest: spinning");
    running.send(&text(FLOOD));
    running.expect("lacuna: domU1 takes no keys: what is typed is dropped");
    let outcome = running.quit();
    outcome.expect_quiet_end();
    outcome.expect_line(&format!("lacuna: domU1: {} keys were dropped", FLOOD - 4096));
    assert_eq!(outcome.console.matches("takes no keys").count(), 1, "it is said once");
}

#[test]
fn a_guest_without_a_uart_can_be_switched_off() {
    let guest = small("mode=spin").chosen("domU1 { /delete-property/ vpl011; };");
    let mut running = Boot::virt().guest(guest).start();
    running.expect("lacuna: guest domU1 ");
    running.send(&text(100));
    running.expect("lacuna: domU1 takes no keys: what is typed is dropped");
    let outcome = running.quit();
    outcome.expect_quiet_end();
    outcome.expect_line("lacuna: domU1: 100 keys were dropped");
}

#[test]
fn what_is_typed_before_the_guest_listens_arrives() {
    let mut running = Boot::virt().guest(small("mode=echo")).start();
    running.send(&format!("{}\nquit\n", text(200)));
    running.expect(&format!("guest: echo {}\r\n", text(200)));
    expect_good_end(&running.finish());
}

#[test]
fn one_or_two_of_the_switch_key_are_the_guests() {
    let mut running = echo();
    running.send("\x01\x01a\n");
    running.expect("guest: echo \x01\x01a\r\n");
    quit(running);
}
