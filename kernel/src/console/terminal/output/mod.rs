//! Output: which speaker's line is printed, and which effects a guest's bytes may have on a terminal.
//!
//! A guest that owns the keyboard owns the terminal too, because a shell that edits lines moves the cursor: its bytes
//! are passed through unchanged (*raw*). The next speaker first restores the terminal, and begins a line at the bottom
//! of the screen. All other guests print text: bytes that would move the cursor back, or up, appear as `\xNN`.
//!
//! In either form, the bytes of a guest never follow a newline without the guest's mark in between. So a program that
//! splits the output at newlines cannot take a guest's line for one of the hypervisor's.

use crate::base::id::DomainId;
use crate::console::terminal::Focus;

/// What brings a terminal of the VT100's family back from whatever a guest did to it, and the cursor to the last line:
///
/// - CAN and ST end a sequence or a string that was begun, `ESC <` ends the VT52's mode, SI and `ESC ( B` choose ASCII,
/// - DECSTR resets attributes, margins and modes, and what it leaves alone on some terminals is named: the alternate screen,
///   then the reports of mouse, focus and pasted text, which a terminal sends as if they were typed,
/// - a row beyond any screen is its last one.
pub const RESTORE: &[u8] =
    b"\x18\x1b\\\x1b<\x0f\x1b(B\x1b[!p\x1b[m\x1b[r\x1b[?7h\x1b[?47l\x1b[?1000;1002;1003;1004;2004l\x1b[999;1H";

/// Columns that each terminal has. A longer line would go on at the start of the next row, where a guest's mark has to be.
const WIDTH: usize = 80;

/// Columns from one tabulator stop to the next.
const TAB: usize = 8;

/// Who prints.
#[derive(Clone, Copy, Debug)]
pub enum Speaker<'a> {
    /// The hypervisor. Its lines stand without a mark.
    Hypervisor,
    /// The line in which somebody types a command, at the hypervisor's prompt.
    Prompt,
    /// A guest.
    Guest {
        /// Which one.
        id: DomainId,
        /// What its lines are marked with.
        name: &'a str,
    },
}

/// Whose a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Author {
    Hypervisor,
    Prompt,
    Guest(DomainId),
}

impl Speaker<'_> {
    const fn author(self) -> Author {
        match self {
            Self::Hypervisor => Author::Hypervisor,
            Self::Prompt => Author::Prompt,
            Self::Guest { id, .. } => Author::Guest(id),
        }
    }
}

/// Where the cursor of the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    /// At the start of a line on which nothing is.
    Fresh,
    /// Somewhere in a line of this speaker.
    In(Author),
    /// The same, and its last byte was a carriage return.
    Returned(Author),
}

/// What stands between a guest's mark and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// A line of the guest's begins.
    Line = b' ' as isize,
    /// A line that was too long for a row goes on.
    Rest = b'+' as isize,
}

/// The way out.
#[derive(Debug)]
pub struct Output {
    cursor: Cursor,
    /// Whose bytes go through as they are, if a guest's do.
    raw: Focus,
    /// The column of the cursor, from 0, in a guest's line of text; [`WIDTH`] where nobody knows it.
    column: usize,
    /// Whether bytes went through that may have left the terminal in any state.
    is_unsettled: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// For a terminal whose cursor is at the start of a line.
    pub const fn new() -> Self {
        Self { cursor: Cursor::Fresh, raw: Focus::Hypervisor, column: 0, is_unsettled: false }
    }

    /// Lets the bytes of `focus` through as they are, if that is a guest, and no other's.
    pub fn set_raw(&mut self, focus: Focus) {
        self.raw = focus;
        // A carriage return was sent in one form and not in the other.
        if let Cursor::Returned(author) = self.cursor {
            self.cursor = Cursor::In(author);
        }
    }

    /// Whether the cursor is at the start of a line on which nothing is.
    pub fn is_at_line_start(&self) -> bool {
        self.cursor == Cursor::Fresh
    }

    /// Whether the cursor is in the line in which a command is typed.
    pub fn is_at_prompt(&self) -> bool {
        self.cursor == Cursor::In(Author::Prompt)
    }

    /// Whether the cursor is in a line of another guest than `speaker`.
    pub fn breaks_a_guests_line(&self, speaker: Speaker<'_>) -> bool {
        match self.cursor {
            Cursor::In(author @ Author::Guest(_)) | Cursor::Returned(author @ Author::Guest(_)) => {
                author != speaker.author()
            }
            _ => false,
        }
    }

    /// Whether somebody else's line needs [`RESTORE`] before it.
    pub fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// Prints `bytes` as `speaker`'s, through `send`.
    ///
    /// Each line of a guest begins with `(name) `, or with `(name)+` where a line goes on that was too long for a row. If
    /// it is another speaker's line that the cursor is in, that line ends first, and its speaker's next byte begins a new
    /// one. What comes out ends lines with `\r\n`: a lone `\n` gets its `\r`, and a `\r` at the start of a line, where it
    /// would move nothing, is left out. A lone `\r` of a guest ends its line, unless its bytes go through as they are.
    pub fn write(&mut self, speaker: Speaker<'_>, bytes: &[u8], mut send: impl FnMut(u8)) {
        bytes.iter().for_each(|&byte| self.put(speaker, byte, &mut send));
    }

    fn put(&mut self, speaker: Speaker<'_>, byte: u8, send: &mut impl FnMut(u8)) {
        let me = speaker.author();
        let text_of = match speaker {
            Speaker::Guest { id, name } if self.raw != Focus::Guest(id) => Some(name),
            Speaker::Hypervisor | Speaker::Prompt | Speaker::Guest { .. } => None,
        };
        let is_guest_in_raw = text_of.is_none() && matches!(me, Author::Guest(_));
        if self.is_unsettled && !is_guest_in_raw {
            RESTORE.iter().for_each(|&byte| send(byte));
            self.is_unsettled = false;
            self.end_line(send);
        }
        match self.cursor {
            Cursor::In(other) | Cursor::Returned(other) if other != me => self.end_line(send),
            _ => (),
        }
        if let Some(name) = text_of {
            return self.put_text(me, name, byte, send);
        }
        if self.cursor == Cursor::Fresh {
            if byte == b'\r' {
                return;
            }
            if let Speaker::Guest { name, .. } = speaker {
                self.mark(name, Begin::Line, send);
            }
        }
        if byte == b'\n' && self.cursor != Cursor::Returned(me) {
            send(b'\r');
        }
        send(byte);
        self.column = WIDTH;
        self.is_unsettled |= is_guest_in_raw && unsettles(byte);
        self.cursor = match byte {
            b'\n' => Cursor::Fresh,
            b'\r' => Cursor::Returned(me),
            _ => Cursor::In(me),
        };
    }

    /// Prints a byte of a guest that does not have the terminal.
    fn put_text(&mut self, me: Author, name: &str, byte: u8, send: &mut impl FnMut(u8)) {
        match (byte, self.cursor) {
            (b'\r', Cursor::Fresh) => return,
            (b'\r', _) => return self.cursor = Cursor::Returned(me),
            (b'\n', Cursor::Fresh) => self.mark(name, Begin::Line, send),
            (b'\n', _) => (),
            // The carriage return was a lone one.
            (_, Cursor::Returned(_)) => self.end_line(send),
            _ => (),
        }
        if byte == b'\n' {
            return self.end_line(send);
        }
        if self.cursor == Cursor::Fresh {
            self.mark(name, Begin::Line, send);
        }
        let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
        let escaped = [b'\\', b'x', hex(byte >> 4), hex(byte & 0xf)];
        let (shown, columns): (&[u8], usize) = match byte {
            b'\t' => (b"\t", TAB - self.column % TAB),
            b' '..=b'~' => (&[byte], 1),
            _ => (&escaped, escaped.len()),
        };
        if self.column + columns > WIDTH {
            self.end_line(send);
            self.mark(name, Begin::Rest, send);
        }
        shown.iter().for_each(|&byte| send(byte));
        self.column += columns;
        self.cursor = Cursor::In(me);
    }

    fn end_line(&mut self, send: &mut impl FnMut(u8)) {
        b"\r\n".iter().for_each(|&byte| send(byte));
        self.cursor = Cursor::Fresh;
    }

    fn mark(&mut self, name: &str, begin: Begin, send: &mut impl FnMut(u8)) {
        let mark = [b"(", name.as_bytes(), b")", &[begin as u8]];
        mark.iter().copied().flatten().for_each(|&byte| send(byte));
        self.column = mark.iter().map(|part| part.len()).sum();
    }
}

/// Whether a byte may do more to a terminal than to print text on the line that it is in: all controls but the harmless
/// ones, and the 8-bit controls, which in UTF-8 are bytes of text.
const fn unsettles(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x07 | 0x08 | 0xa0..)
}

#[cfg(test)]
mod tests;
