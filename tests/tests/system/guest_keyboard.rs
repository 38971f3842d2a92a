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
fn the_hypervisors_keys_tell_and_the_guest_goes_on() {
    let mut running = echo();
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: hypervisor (h for help)");
    for (key, words) in [
        ("h", "lacuna: s state of domU1, i its interrupts, m its memory; R resets domU1, Q switches all off"),
        ("s", "lacuna: domU1: vCPU 0 at 0x4"),
        ("s", "VBAR_EL1  0x"),
        ("i", "lacuna: "),
        ("m", "lacuna: 16.0 MiB of RAM in 0 x 1 GiB, 8 x 2 MiB, 0 x 4 KiB"),
        ("?", "lacuna: Ctrl-A three times gives the keyboard to domU1"),
    ] {
        running.send(key);
        running.expect(words);
    }
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: domU1");
    running.send("still here\n");
    running.expect("guest: echo still here");
    quit(running);
}

#[test]
fn the_hypervisors_keys_reset_the_guest_and_end_it() {
    let mut running = echo();
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: hypervisor");
    running.send("R");
    running.expect("lacuna: domU1: reset 1, free_kib=");
    running.expect("guest: echo, until quit");
    running.send("Q");
    running.expect("lacuna: domU1: switched off, free_kib=");
    running.finish().expect_quiet_end();
}

#[test]
fn a_guest_that_takes_no_keys_can_be_switched_off() {
    let mut running = Boot::virt().guest(small("mode=spin")).start();
    running.expect("guest: spinning");
    running.send(&text(100));
    running.send(NEXT_KEYBOARD);
    running.expect("lacuna: keyboard: hypervisor");
    running.send("Q");
    running.finish().expect_quiet_end();
}

#[test]
fn one_or_two_of_the_switch_key_are_the_guests() {
    let mut running = echo();
    running.send("\x01\x01a\n");
    running.expect("guest: echo \x01\x01a\r\n");
    quit(running);
}
