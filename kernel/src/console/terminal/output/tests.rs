use super::{Output, RESTORE, Speaker, WIDTH};
use crate::base::id::DomainId;
use crate::console::terminal::Focus;
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::string::String;
use std::vec::Vec;

const LINUX: Speaker<'static> = Speaker::Guest { id: DomainId::new(0), name: "linux" };
const OTHER: Speaker<'static> = Speaker::Guest { id: DomainId::new(1), name: "b" };
const LACUNA: Speaker<'static> = Speaker::Hypervisor;

fn printed(pieces: &[(Speaker<'_>, &str)]) -> String {
    let mut output = Output::new();
    let mut bytes = Vec::new();
    output.set_raw(Focus::Guest(DomainId::new(0)));
    for (speaker, text) in pieces {
        output.write(*speaker, text.as_bytes(), |byte| bytes.push(byte));
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn each_line_of_a_guest_says_whose_it_is() {
    assert_eq!(printed(&[(LINUX, "one\r\ntwo\r\n")]), "(linux) one\r\n(linux) two\r\n");
    assert_eq!(printed(&[(LACUNA, "started\n")]), "started\r\n");
}

#[test]
fn a_prompt_is_seen_before_its_line_ends() {
    assert_eq!(printed(&[(LINUX, "# "), (LINUX, "l"), (LINUX, "s\r\n")]), "(linux) # ls\r\n");
}

#[test]
fn another_speaker_begins_a_line_of_its_own() {
    let pieces = [(LINUX, "# "), (OTHER, "hello\r\n"), (LINUX, "ls\r\n"), (LACUNA, "note\n")];
    assert_eq!(printed(&pieces), "(linux) # \r\n(b) hello\r\n(linux) ls\r\nnote\r\n");
    let pieces = [(LACUNA, "wait"), (LINUX, "x"), (LACUNA, ", done\n")];
    assert_eq!(printed(&pieces), "wait\r\n(linux) x\r\n, done\r\n");
}

#[test]
fn lines_end_alike_whatever_a_guest_sends() {
    for text in ["a\r\nb\r\n", "a\nb\n", "a\n\rb\n\r", "a\r\r\nb\r\r\n"] {
        let plain = printed(&[(LINUX, text)]).replace("\r\r", "\r");
        assert_eq!(plain, "(linux) a\r\n(linux) b\r\n", "{text:?}");
    }
    assert_eq!(printed(&[(LINUX, "\r\n\n")]), "(linux) \r\n(linux) \r\n");
}

#[test]
fn a_carriage_return_goes_through_for_the_guest_that_has_the_keyboard() {
    assert_eq!(printed(&[(LINUX, "10%\r20%\r\n")]), "(linux) 10%\r20%\r\n");
}

#[test]
fn a_lone_carriage_return_ends_the_line_of_a_guest_without_the_keyboard() {
    let pieces = [(OTHER, "10%\r20%\r\r"), (OTHER, "30%"), (OTHER, "\r\n"), (OTHER, "\rlacuna: x\n")];
    assert_eq!(printed(&pieces), "(b) 10%\r\n(b) 20%\r\n(b) 30%\r\n(b) lacuna: x\r\n");
}

#[test]
fn what_would_move_the_cursor_is_shown() {
    let tricks = "\x1b[6n\x08\x0b\x0c\x07\x00\x7f\u{9b}A";
    assert_eq!(printed(&[(OTHER, tricks)]), r"(b) \x1b[6n\x08\x0b\x0c\x07\x00\x7f\xc2\x9bA");
    assert_eq!(printed(&[(OTHER, "a\tb\n")]), "(b) a\tb\r\n");
    assert_eq!(printed(&[(LINUX, tricks)]), std::format!("(linux) {tricks}"));
}

#[test]
fn a_long_line_of_a_guest_goes_on_behind_its_mark() {
    let line = "x".repeat(WIDTH);
    let expected = std::format!("(b) {}\r\n(b)+xxxx\r\n", "x".repeat(WIDTH - 4));
    assert_eq!(printed(&[(OTHER, &line), (OTHER, "\n")]), expected);
    assert_eq!(
        printed(&[(LINUX, &line)]),
        std::format!("(linux) {line}"),
        "the guest with the keyboard has the terminal"
    );
}

#[test]
fn whoever_follows_a_guest_with_the_terminal_restores_it_once() {
    let restore = core::str::from_utf8(RESTORE).unwrap();
    let pieces = [(LINUX, "\x1b[8m\n"), (LACUNA, "note\n"), (LACUNA, "more\n")];
    assert_eq!(printed(&pieces), std::format!("(linux) \x1b[8m\r\n{restore}\r\nnote\r\nmore\r\n"));
    let pieces = [(LINUX, "text\r\x08\n"), (LACUNA, "note\n")];
    assert_eq!(printed(&pieces), "(linux) text\r\x08\r\nnote\r\n", "nothing is to be restored");
}

#[test]
fn a_guest_that_loses_the_keyboard_goes_on_behind_its_mark() {
    for (raw, text, then) in [("# l", "s", "(linux)+s"), ("10%\r", "20%", "(linux)+20%"), ("\x1b[", "2J", "(linux) 2J")]
    {
        let mut output = Output::new();
        let mut bytes = Vec::new();
        output.set_raw(Focus::Guest(DomainId::new(0)));
        output.write(LINUX, raw.as_bytes(), |_| ());
        output.set_raw(Focus::Hypervisor);
        output.write(LINUX, text.as_bytes(), |byte| bytes.push(byte));
        let printed = String::from_utf8(bytes).unwrap();
        assert!(printed.ends_with(&std::format!("\r\n{then}")), "{printed:?}");
    }
}

#[test]
fn the_prompt_has_a_line_of_its_own() {
    let pieces = [(Speaker::Prompt, "> res"), (LACUNA, "note\n"), (Speaker::Prompt, "> res"), (OTHER, "x")];
    assert_eq!(printed(&pieces), "> res\r\nnote\r\n> res\r\n(b) x");
}

#[test]
fn bytes_of_the_hypervisor_that_are_no_text_go_through() {
    let mut bytes = Vec::new();
    Output::new().write(LACUNA, &[0, 0xff, 0x1b], |byte| bytes.push(byte));
    assert_eq!(bytes, [0, 0xff, 0x1b]);
}

/// What hostile guests print: any bytes, and those that mean something.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let trick = prop_oneof![
        any::<u8>().prop_map(|byte| std::vec![byte]),
        Just(b"\rlacuna: fatal: no\r\n".to_vec()),
        Just(b"\x1b[2J\x1b[H".to_vec()),
        Just(b"\xc2\x9b1A".to_vec()),
        (0..3 * WIDTH).prop_map(|length| std::vec![b'-'; length]),
    ];
    prop::collection::vec(trick, 0..20).prop_map(|tricks| tricks.concat())
}

proptest! {
    /// A guest without the keyboard prints text, and each row that it prints begins with its mark.
    #[test]
    fn a_guest_without_the_keyboard_prints_marked_rows(texts in prop::collection::vec(hostile(), 0..4)) {
        let mut output = Output::new();
        let mut bytes = Vec::new();
        for text in &texts {
            output.write(OTHER, text, |byte| bytes.push(byte));
        }
        let printed = String::from_utf8(bytes).expect("ASCII");
        for row in printed.split("\r\n").filter(|row| !row.is_empty()) {
            prop_assert!(row.starts_with("(b) ") || row.starts_with("(b)+"), "{row:?}");
            prop_assert!(row.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')), "{row:?}");
            let columns = row.bytes().fold(0, |column, byte| if byte == b'\t' { column / 8 * 8 + 8 } else { column + 1 });
            prop_assert!(columns <= WIDTH, "{columns} columns: {row:?}");
        }
    }

    /// Whoever has the keyboard, a program that splits at newlines sees no line of a guest without its mark.
    #[test]
    fn no_guest_prints_a_line_of_the_hypervisors(
        pieces in prop::collection::vec((0usize..3, hostile(), any::<bool>()), 0..10),
    ) {
        let mut output = Output::new();
        let mut bytes = Vec::new();
        for (who, text, is_raw) in &pieces {
            output.set_raw(if *is_raw { Focus::Guest(DomainId::new(0)) } else { Focus::Hypervisor });
            match who {
                0 => output.write(LACUNA, b"H\n", |byte| bytes.push(byte)),
                1 => output.write(LINUX, text, |byte| bytes.push(byte)),
                _ => output.write(OTHER, text, |byte| bytes.push(byte)),
            }
        }
        for line in bytes.split(|byte| *byte == b'\n') {
            let is_marked = line.starts_with(b"(linux)") || line.starts_with(b"(b)");
            let is_ours = [&b""[..], b"\r", b"H\r"].contains(&line) || line.starts_with(RESTORE);
            prop_assert!(is_marked || is_ours, "{}", line.escape_ascii());
        }
    }

    /// A line has one speaker, and every byte of text arrives: checked by taking the output apart again.
    #[test]
    fn speakers_never_share_a_line(pieces in prop::collection::vec((0usize..3, "[a-c\r\n]{0,4}"), 0..40)) {
        let speakers = [LACUNA, LINUX, OTHER];
        let pieces: Vec<_> = pieces.iter().map(|(who, text)| (speakers[*who], text.as_str())).collect();
        let all = printed(&pieces);
        let marks = ["", "(linux) ", "(b) "];
        let mut heard = [String::new(), String::new(), String::new()];
        for line in all.split('\n') {
            let who = (1..3).find(|&who| line.starts_with(marks[who])).unwrap_or(0);
            let text = &line[marks[who].len()..];
            prop_assert!(!text.contains('('), "two speakers: {line:?}");
            heard[who].extend(text.chars().filter(char::is_ascii_lowercase));
        }
        for (who, speaker) in speakers.iter().enumerate() {
            let said = pieces.iter().filter(|(by, _)| by.author() == speaker.author());
            let said: String = said.flat_map(|(_, text)| text.chars()).filter(char::is_ascii_lowercase).collect();
            prop_assert_eq!(&heard[who], &said);
        }
    }
}
