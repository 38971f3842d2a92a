use super::{Escapes, SILENCE};
use crate::console::terminal::Focus;
use crate::console::terminal::input::{Input, Key};
use crate::console::terminal::line::{Edit, Line};
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::string::String;
use std::vec::Vec;

/// The text in what arrives at once.
fn text(bytes: &[u8]) -> String {
    let mut escapes = Escapes::new();
    bytes.iter().filter_map(|byte| escapes.text(*byte, 0)).map(char::from).collect()
}

#[test]
fn answers_of_a_terminal_are_no_text() {
    for answer in [
        "\x1b[24;80R",                        // DSR 6: where the cursor is
        "\x1b[0n",                            // DSR 5: that it is well
        "\x1b[?62;1;2;22c",                   // DA: what it is
        "\x1b[>41;354;0c",                    // secondary DA
        "\x1bP!|00000000\x1b\\",              // tertiary DA
        "\x1bP1$r0m\x1b\\",                   // DECRQSS: what is set
        "\x1bP1+r524742=38\x1b\\",            // XTGETTCAP
        "\x1bP>|XTerm(354)\x1b\\",            // XTVERSION
        "\x1b]10;rgb:ffff/ffff/ffff\x1b\\",   // the colour of text
        "\x1b]11;rgb:0000/0000/0000\x07",     // that of the background, ended as xterm does it
        "\x1b]52;c;cmVzZXQK\x1b\\",           // the clipboard
        "\x1b]lreset\r\x1b\\",                // the window's title
        "\x1b[8;24;80t",                      // its size
        "\x1b[?2026;2$y",                     // DECRPM: a mode
        "\x1b[I\x1b[O",                       // focus
        "\x1b[M !!\x1b[M#~~\x1b[<0;10;20M",   // the mouse
        "\x1b[200~reset\rquit\r\x1b[201~",    // pasted text
        "\x1b_Gi=1;OK\x1b\\",                 // graphics
        "\x1b/Z",                             // the VT52
        "\u{9b}24;80R\u{90}1$rreset\r\u{9c}", // 8-bit controls in UTF-8
        "\u{9d}l\u{11c}reset\r\u{9c}",        // and a character with a byte of one in it
    ] {
        assert_eq!(text(answer.as_bytes()), "", "{answer:?}");
        assert_eq!(text(std::format!("a{answer}b").as_bytes()), "ab", "{answer:?}");
    }
    for answer in
        [&b"\x9b24;80R"[..], b"\x8fR", b"\x901$rreset\r\x9c", b"\x9d11;reset\r\x9c", b"\x9b200~reset\r\x9b201~"]
    {
        assert_eq!(text(answer), "", "{}", answer.escape_ascii());
    }
}

#[test]
fn function_keys_are_no_text() {
    for key in
        ["\x1b[A", "\x1bOA", "\x1bO5P", "\x1b[1;5D", "\x1b[15~", "\x1b[[A", "\x1bNx", "\x1bR", "\x1b\x1b[B", "\u{e4}"]
    {
        assert_eq!(text(std::format!("a{key}b").as_bytes()), "ab", "{key:?}");
    }
}

#[test]
fn text_is_text() {
    let typed: Vec<u8> = (0..0x80).filter(|byte| *byte != 0x1b).collect();
    assert_eq!(text(&typed).into_bytes(), typed);
}

#[test]
fn silence_ends_what_was_begun() {
    for begun in [&b"\x1b"[..], b"\x1b[", b"\x1b[1", b"\x1bO", b"\x1b]0;x", b"\x1bP", b"\x1b[200~x", b"\x1b[M", b"\xc3"]
    {
        let mut escapes = Escapes::new();
        for (index, byte) in begun.iter().enumerate() {
            assert_eq!(escapes.text(*byte, index as u64 * SILENCE), None, "{}", begun.escape_ascii());
        }
        let last = (begun.len() as u64 - 1) * SILENCE;
        assert_eq!(escapes.text(b'h', last + SILENCE + 1), Some(b'h'), "{}", begun.escape_ascii());
    }
}

/// What a string of an answer may hold: words that a guest chose, and controls, but not its end.
fn payload() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            Just("reset\r".into()),
            Just("\rquit\n".into()),
            Just("\x03\x15reset\r".into()),
            Just("\x01\x01\x01quit\r".into()),
            Just("\x1b[A\x1bc".into()),
            "[ -\\[\\]-~\\x00-\\x06\\x08-\\x1a\u{a0}-\u{2ff}]{0,8}",
        ],
        0..5,
    )
    .prop_map(|pieces| pieces.concat())
}

/// An answer, in one of the forms that terminals have for it.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let sequence = ("[0-?]{0,12}[ -/]{0,2}", "[@-Zu-y]")
        .prop_filter("what is not followed by anything", |(parameters, last)| {
            !parameters.is_empty() || !"[MTt".contains(last)
        })
        .prop_map(|(parameters, last)| ('[', parameters + &last, ""));
    let operating = (payload(), prop_oneof![Just("\x07"), Just("\x1b\\")]).prop_map(|(text, end)| (']', text, end));
    let string = (prop_oneof![Just('P'), Just('X'), Just('^'), Just('_')], payload())
        .prop_map(|(kind, text)| (kind, text, "\x1b\\"));
    let single = (prop_oneof![Just('N'), Just('O')], "[0-9]{0,2}[@-~]").prop_map(|(kind, text)| (kind, text, ""));
    let pasted = payload().prop_map(|text| ('[', std::format!("200~{text}"), "\x1b[201~"));
    let mouse = "[ -~]{3}".prop_map(|report| ('[', std::format!("M{report}"), ""));
    let form = 0..3;
    (prop_oneof![sequence, operating, string, single, pasted, mouse], form).prop_map(|((kind, text, end), form)| {
        let control = kind as u8 + 0x40;
        let begin = match form {
            0 => std::vec![0x1b, kind as u8],
            1 => std::vec![control],
            _ => std::vec![0xc2, control],
        };
        [begin, text.into_bytes(), end.into()].concat()
    })
}

proptest! {
    /// Whatever a terminal answers, in whatever pieces it arrives, there is no text in it, so it is no command.
    #[test]
    fn no_answer_is_a_command(answers in prop::collection::vec(answer(), 0..8), gap in 0..SILENCE) {
        let mut input = Input::new(1, Focus::Hypervisor);
        for (index, key) in answers.concat().into_iter().enumerate() {
            prop_assert_eq!(input.press(key, index as u64 * gap), Key::Held);
        }
        prop_assert_eq!(input.focus(), Focus::Hypervisor);
    }

    /// The same at any pace, for answers without line ends, as those of today's terminals are.
    #[test]
    fn no_answer_is_a_command_at_any_pace(
        answers in prop::collection::vec(answer(), 0..8),
        gaps in prop::collection::vec(0..3 * SILENCE, 1..20),
    ) {
        let (mut input, mut line, mut now) = (Input::new(0, Focus::Hypervisor), Line::new(), 0);
        let keys = answers.concat().into_iter().filter(|key| !matches!(key, b'\r' | b'\n'));
        for (key, gap) in keys.zip(gaps.iter().cycle()) {
            now += gap;
            if let Key::To(_, keys) = input.press(key, now) {
                prop_assert!(!keys.into_iter().any(|key| matches!(line.press(key), Edit::Entered(_))));
            }
        }
    }

    /// No bytes panic, and after silence a person is heard.
    #[test]
    fn after_silence_there_is_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut escapes = Escapes::new();
        for byte in bytes {
            escapes.text(byte, 0);
        }
        prop_assert_eq!(escapes.text(b'x', SILENCE + 1), Some(b'x'));
    }
}
