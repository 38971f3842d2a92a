//! One serial line for the hypervisor and all of its guests.
//!
//! On the way out, each line says which guest it is from, and a line is of one speaker only ([`Output`]). On the way in, the
//! keyboard belongs to one of them at a time, and a key that nobody types three times in a row moves it on ([`Input`]). That
//! is how Xen does both, so fingers need not learn anything.
//!
//! What is printed is printed at once, byte by byte: a prompt has no newline at its end and must be seen.

use arrayvec::ArrayVec;
use core::mem;

/// The key that moves the keyboard on: Ctrl-A.
pub const SWITCH: u8 = 0x01;

/// How often in a row it takes.
pub const PRESSES: usize = 3;

/// Whom the keyboard belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The hypervisor.
    Hypervisor,
    /// A guest, by its number from 0 on.
    Guest(usize),
}

/// Who prints.
#[derive(Clone, Copy, Debug)]
pub enum Speaker<'a> {
    /// The hypervisor. Its lines stand without a mark.
    Hypervisor,
    /// A guest.
    Guest {
        /// Its number.
        number: usize,
        /// What its lines are marked with.
        name: &'a str,
    },
}

impl Speaker<'_> {
    const fn focus(self) -> Focus {
        match self {
            Self::Hypervisor => Focus::Hypervisor,
            Self::Guest { number, .. } => Focus::Guest(number),
        }
    }
}

/// Where the cursor of the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    /// At the start of a line on which nothing is.
    Fresh,
    /// Somewhere in a line of this speaker.
    In(Focus),
    /// The same, and its last byte was a carriage return.
    Returned(Focus),
}

/// The way out.
#[derive(Debug)]
pub struct Output {
    cursor: Cursor,
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// For a terminal whose cursor is at the start of a line.
    pub const fn new() -> Self {
        Self { cursor: Cursor::Fresh }
    }

    /// Whether the cursor is at the start of a line on which nothing is.
    pub fn is_at_line_start(&self) -> bool {
        self.cursor == Cursor::Fresh
    }

    /// Prints `bytes` as `speaker`'s, through `send`.
    ///
    /// Each line of a guest begins with `(name) `. If it is another speaker's line that the cursor is in, that line ends
    /// first, and its speaker's next byte begins a new one. What comes out ends lines with `\r\n`: a lone `\n` gets its
    /// `\r`, and a `\r` at the start of a line, where it would move nothing, is left out. A `\r` elsewhere goes through,
    /// and what follows it overwrites the line, mark and all.
    pub fn write(&mut self, speaker: Speaker<'_>, bytes: &[u8], mut send: impl FnMut(u8)) {
        bytes.iter().for_each(|&byte| self.put(speaker, byte, &mut send));
    }

    fn put(&mut self, speaker: Speaker<'_>, byte: u8, send: &mut impl FnMut(u8)) {
        let me = speaker.focus();
        match self.cursor {
            Cursor::In(other) | Cursor::Returned(other) if other != me => {
                b"\r\n".iter().for_each(|&byte| send(byte));
                self.cursor = Cursor::Fresh;
            }
            _ => (),
        }
        if self.cursor == Cursor::Fresh {
            if byte == b'\r' {
                return;
            }
            if let Speaker::Guest { name, .. } = speaker {
                let mark = [b"(", name.as_bytes(), b") "];
                mark.iter().copied().flatten().for_each(|&byte| send(byte));
            }
        }
        if byte == b'\n' && self.cursor != Cursor::Returned(me) {
            send(b'\r');
        }
        send(byte);
        self.cursor = match byte {
            b'\n' => Cursor::Fresh,
            b'\r' => Cursor::Returned(me),
            _ => Cursor::In(me),
        };
    }
}

/// What a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Nothing yet: whose the key is depends on the next one.
    Held,
    /// It is for this one, behind the switch keys that turned out to be ordinary.
    To(Focus, ArrayVec<u8, PRESSES>),
    /// It was the last of those that move the keyboard on, to this one.
    Switched(Focus),
}

/// The way in.
#[derive(Debug)]
pub struct Input {
    focus: Focus,
    guests: usize,
    /// Switch keys in a row that nobody got yet, fewer than [`PRESSES`].
    held: usize,
}

impl Input {
    /// For `guests` guests, numbered from 0; the keyboard belongs to `focus` at first.
    pub const fn new(guests: usize, focus: Focus) -> Self {
        Self { focus, guests, held: 0 }
    }

    /// Whom the keyboard belongs to.
    pub const fn focus(&self) -> Focus {
        self.focus
    }

    /// Gives the keyboard to `focus`, say because it belonged to a guest that is no more.
    pub const fn give(&mut self, focus: Focus) {
        self.focus = focus;
    }

    /// Takes a key.
    ///
    /// [`SWITCH`] is held back, because it may be the first of three. One or two of it followed by another key are passed
    /// on before that one: to send a guest a Ctrl-A, say to its shell, press what comes after it.
    pub fn press(&mut self, key: u8) -> Key {
        if key != SWITCH {
            let held = core::iter::repeat_n(SWITCH, mem::take(&mut self.held));
            return Key::To(self.focus, held.chain([key]).take(PRESSES).collect());
        }
        self.held += 1;
        if self.held < PRESSES {
            return Key::Held;
        }
        self.held = 0;
        self.focus = self.next();
        Key::Switched(self.focus)
    }

    /// The hypervisor's turn comes after the last guest's.
    const fn next(&self) -> Focus {
        let number = match self.focus {
            Focus::Hypervisor => 0,
            Focus::Guest(number) => number.saturating_add(1),
        };
        if number < self.guests { Focus::Guest(number) } else { Focus::Hypervisor }
    }
}

#[cfg(test)]
mod tests {
    use super::{Focus, Input, Key, Output, Speaker};
    use proptest::prelude::prop;
    use proptest::{prop_assert, prop_assert_eq, proptest};
    use std::string::String;
    use std::vec::Vec;

    const LINUX: Speaker<'static> = Speaker::Guest { number: 0, name: "linux" };
    const OTHER: Speaker<'static> = Speaker::Guest { number: 1, name: "b" };
    const LACUNA: Speaker<'static> = Speaker::Hypervisor;

    fn printed(pieces: &[(Speaker<'_>, &str)]) -> String {
        let mut output = Output::new();
        let mut bytes = Vec::new();
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
    fn a_carriage_return_in_a_line_goes_through_without_a_mark() {
        assert_eq!(printed(&[(LINUX, "10%\r20%\r\n")]), "(linux) 10%\r20%\r\n");
    }

    #[test]
    fn bytes_that_are_no_text_go_through() {
        let mut bytes = Vec::new();
        Output::new().write(LACUNA, &[0, 0xff, 0x1b], |byte| bytes.push(byte));
        assert_eq!(bytes, [0, 0xff, 0x1b]);
    }

    fn to(focus: Focus, keys: &[u8]) -> Key {
        Key::To(focus, keys.iter().copied().collect())
    }

    #[test]
    fn three_switch_keys_move_the_keyboard_to_each_in_turn() {
        let mut input = Input::new(2, Focus::Guest(0));
        for focus in [Focus::Guest(1), Focus::Hypervisor, Focus::Guest(0), Focus::Guest(1)] {
            assert_eq!([1, 1, 1].map(|key| input.press(key)), [Key::Held, Key::Held, Key::Switched(focus)]);
            assert_eq!((input.focus(), input.press(b'x')), (focus, to(focus, b"x")));
        }
    }

    #[test]
    fn fewer_switch_keys_are_passed_on_with_the_next_key() {
        let mut input = Input::new(1, Focus::Hypervisor);
        assert_eq!([1, b'a'].map(|key| input.press(key)), [Key::Held, to(Focus::Hypervisor, b"\x01a")]);
        assert_eq!([1, 1, b'b'].map(|key| input.press(key))[2], to(Focus::Hypervisor, b"\x01\x01b"));
        assert_eq!(input.press(b'c'), to(Focus::Hypervisor, b"c"));
    }

    #[test]
    fn without_guests_the_keyboard_stays() {
        let mut input = Input::new(0, Focus::Hypervisor);
        assert_eq!([1, 1, 1].map(|key| input.press(key))[2], Key::Switched(Focus::Hypervisor));
    }

    #[test]
    fn the_keyboard_can_be_taken_from_a_guest() {
        let mut input = Input::new(1, Focus::Guest(usize::MAX));
        assert_eq!([1, 1, 1].map(|key| input.press(key))[2], Key::Switched(Focus::Hypervisor));
        input.give(Focus::Guest(0));
        assert_eq!(input.press(b'x'), to(Focus::Guest(0), b"x"));
    }

    proptest! {
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
                let said = pieces.iter().filter(|(by, _)| by.focus() == speaker.focus());
                let said: String = said.flat_map(|(_, text)| text.chars()).filter(char::is_ascii_lowercase).collect();
                prop_assert_eq!(&heard[who], &said);
            }
        }

        /// No key is lost but the ones that switch.
        #[test]
        fn keys_arrive_in_order(keys in prop::collection::vec(0u8..3, 0..60)) {
            let mut input = Input::new(3, Focus::Hypervisor);
            let mut arrived = Vec::new();
            for &key in &keys {
                match input.press(key) {
                    Key::Held => (),
                    Key::To(_, keys) => arrived.extend(keys),
                    Key::Switched(_) => arrived.extend([1; 3]),
                }
            }
            prop_assert!(keys.starts_with(&arrived) && keys.len() - arrived.len() < 3);
        }
    }
}
