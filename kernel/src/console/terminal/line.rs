//! A line being typed: its contents, and its echo on the terminal.

use arrayvec::ArrayString;

/// Characters that a line has at most: any command is shorter.
pub const ROOM: usize = 64;

const CTRL_C: u8 = 0x03;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// A line that is longer than any command.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a line of more than {ROOM} characters is no command")]
pub struct TooLong;

/// What a key did to the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Nothing that is to be seen.
    Nothing,
    /// It was added.
    Added(char),
    /// So many characters at the end are gone.
    Erased(usize),
    /// The line is empty: Ctrl-C.
    Abandoned,
    /// Enter. The next line is empty.
    Entered(Result<ArrayString<ROOM>, TooLong>),
}

/// The line.
#[derive(Debug)]
pub struct Line {
    text: ArrayString<ROOM>,
    /// Whether something was left out at the end.
    is_cut: bool,
    /// Whether the last key was a carriage return, to which a line feed that follows belongs.
    is_returned: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self { text: ArrayString::new_const(), is_cut: false, is_returned: false }
    }

    /// What is in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Throws away what is in it.
    pub fn clear(&mut self) {
        self.text.clear();
        self.is_cut = false;
    }

    /// Takes a key.
    pub fn press(&mut self, key: u8) -> Edit {
        let follows_return = core::mem::replace(&mut self.is_returned, key == b'\r');
        match key {
            b'\n' if follows_return => Edit::Nothing,
            b'\r' | b'\n' => Edit::Entered(self.enter()),
            BACKSPACE | DELETE => Edit::Erased(self.text.pop().iter().count()),
            CTRL_U => {
                let length = self.text.len();
                self.clear();
                Edit::Erased(length)
            }
            CTRL_C => {
                self.clear();
                Edit::Abandoned
            }
            b' '..=b'~' if self.text.is_full() => {
                self.is_cut = true;
                Edit::Nothing
            }
            b' '..=b'~' => {
                self.text.push(key.into());
                Edit::Added(key.into())
            }
            _ => Edit::Nothing,
        }
    }

    fn enter(&mut self) -> Result<ArrayString<ROOM>, TooLong> {
        let line = if self.is_cut { Err(TooLong) } else { Ok(self.text) };
        self.clear();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{Edit, Line, ROOM};
    use std::string::String;
    use std::vec::Vec;

    /// The lines that were entered, and what a person saw.
    fn typed(keys: &str) -> (Vec<String>, String) {
        let mut line = Line::new();
        let (mut lines, mut seen) = (Vec::new(), String::new());
        for key in keys.bytes() {
            match line.press(key) {
                Edit::Nothing => (),
                Edit::Added(character) => seen.push(character),
                Edit::Erased(count) => seen.truncate(seen.len() - count),
                Edit::Abandoned => seen.push_str("^C\n"),
                Edit::Entered(entered) => {
                    lines.push(entered.map_or_else(|error| std::format!("{error}"), |line| line.as_str().into()));
                    seen.push('\n');
                }
            }
        }
        (lines, seen)
    }

    #[test]
    fn enter_ends_a_line_in_each_of_its_forms() {
        assert_eq!(typed("one\rtwo\r\nthree\n\n").0, ["one", "two", "three", ""]);
    }

    #[test]
    fn a_line_can_be_corrected() {
        assert_eq!(typed("\x7fresst\x08\x7fet\r"), (std::vec!["reset".into()], "reset\n".into()));
        assert_eq!(typed("quit\x15help\r"), (std::vec!["help".into()], "help\n".into()));
        assert_eq!(typed("quit\x03\r"), (std::vec!["".into()], "quit^C\n\n".into()));
        assert_eq!(typed("q\tu\x00\x1a\u{e4}it\r").0, ["quit"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_none_and_leaves_the_next_alone() {
        let (lines, seen) = typed(&std::format!("{}reset\rhelp\r", " ".repeat(ROOM)));
        assert_eq!(lines, ["a line of more than 64 characters is no command", "help"]);
        assert_eq!(seen, std::format!("{}\nhelp\n", " ".repeat(ROOM)));
        let long = "x".repeat(ROOM + 1);
        assert_eq!(typed(&std::format!("{long}\x15reset\r")).0, ["reset"], "it was thrown away");
        assert_eq!(typed(&"y".repeat(ROOM)).1.len(), ROOM);
    }
}
