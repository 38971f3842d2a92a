//! Telling a terminal's own messages apart from typed text.
//!
//! A terminal answers queries printed on it: its cursor position, its type, its window title. The answers arrive as if
//! typed, and so do function keys, mouse and focus reports, and pasted text in its brackets. All of these begin with
//! ESC or an 8-bit control, and each is dropped as a whole: letters within it are not text.
//!
//! A sequence may arrive in pieces. Only silence ends an incomplete sequence, so nothing within an answer can end it
//! early; a person who pressed ESC alone need only wait.
//!
//! Sequences are those of ECMA-48 5.4 and 5.6, and xterm's ("XTerm Control Sequences"): keys, answers and reports.

/// Nanoseconds without a byte that end a sequence.
pub const SILENCE: u64 = 1_000_000_000;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// What begins and ends text that was pasted: CSI with this parameter and `~`.
const PASTE: u32 = 200;
const PASTE_END: &[u8] = b"\x1b[201~";

/// A character as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Ascii(u8),
    /// An 8-bit control, by itself or in UTF-8: ESC and this byte less 0x40 mean the same.
    Control(u8),
    /// A character beyond ASCII, or a byte that is none.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EscapeState {
    Text,
    /// After ESC, and bytes between it and the last one.
    Escape,
    /// In a control sequence, after CSI and any parameters. `parameter` is the first one.
    Sequence {
        is_first: bool,
        parameter: u32,
    },
    /// After SS2 or SS3: digits, and a character.
    Single,
    /// So many characters follow.
    Skip(u8),
    /// In a string: OSC, DCS, SOS, PM or APC.
    String {
        /// Whether BEL ends it, as xterm has it for OSC.
        bell: bool,
        is_escaped: bool,
    },
    /// In pasted text, after so many bytes of [`PASTE_END`].
    Paste(usize),
}

/// A recogniser of sequences.
#[derive(Debug)]
pub struct Escapes {
    state: EscapeState,
    /// A character in UTF-8 whose end has not come: its first byte, and the bytes that follow.
    partial: Option<(u8, u8)>,
    /// When the last byte came.
    last: u64,
}

impl Default for Escapes {
    fn default() -> Self {
        Self::new()
    }
}

impl Escapes {
    /// Expects text.
    pub const fn new() -> Self {
        Self { state: EscapeState::Text, partial: None, last: 0 }
    }

    /// Takes a byte that arrives at the time `now`, in nanoseconds, and returns it if it is ASCII and in no sequence.
    pub fn text(&mut self, byte: u8, now: u64) -> Option<u8> {
        if now.saturating_sub(self.last) > SILENCE {
            (self.state, self.partial) = (EscapeState::Text, None);
        }
        self.last = now;
        match self.unit(byte)? {
            Unit::Ascii(byte) if self.state == EscapeState::Text && byte != ESC => Some(byte),
            unit => {
                self.state = self.next(unit);
                None
            }
        }
    }

    /// Decodes UTF-8 as far as the length of a character. What breaks off is no character, and what follows begins one.
    fn unit(&mut self, byte: u8) -> Option<Unit> {
        if let Some((first, left)) = self.partial.take()
            && byte & 0xc0 == 0x80
        {
            if left > 1 {
                self.partial = Some((first, left - 1));
                return None;
            }
            return Some(if first == 0xc2 && byte < 0xa0 { Unit::Control(byte) } else { Unit::Other });
        }
        self.partial = match byte {
            0xc2..=0xdf => Some((byte, 1)),
            0xe0..=0xef => Some((byte, 2)),
            0xf0..=0xf4 => Some((byte, 3)),
            0x80..=0x9f => return Some(Unit::Control(byte)),
            0xa0.. => return Some(Unit::Other),
            _ => return Some(Unit::Ascii(byte)),
        };
        None
    }

    fn next(&self, unit: Unit) -> EscapeState {
        match self.state {
            EscapeState::Paste(seen) => paste(seen, unit),
            EscapeState::String { bell, is_escaped } => string(bell, is_escaped, unit),
            EscapeState::Skip(count) => skip(count),
            state => match (state, unit) {
                (_, Unit::Ascii(ESC)) => EscapeState::Escape,
                (_, Unit::Control(control)) => begun(control - 0x40),
                (EscapeState::Escape, Unit::Ascii(b' '..=b'/')) => EscapeState::Escape,
                (EscapeState::Escape, Unit::Ascii(byte)) => begun(byte),
                (EscapeState::Sequence { is_first, parameter }, Unit::Ascii(byte)) => {
                    sequence(is_first, parameter, byte)
                }
                (EscapeState::Single, Unit::Ascii(b'0'..=b'9')) => EscapeState::Single,
                _ => EscapeState::Text,
            },
        }
    }
}

/// After ESC and this byte, or the 8-bit control that means the same.
const fn begun(byte: u8) -> EscapeState {
    match byte {
        b'[' => EscapeState::Sequence { is_first: true, parameter: 0 },
        b'N' | b'O' => EscapeState::Single,
        b']' => EscapeState::String { bell: true, is_escaped: false },
        b'P' | b'X' | b'^' | b'_' => EscapeState::String { bell: false, is_escaped: false },
        _ => EscapeState::Text,
    }
}

/// In a control sequence that goes on with this byte.
const fn sequence(is_first: bool, parameter: u32, byte: u8) -> EscapeState {
    match byte {
        b'0'..=b'9' => {
            let parameter = parameter.saturating_mul(10).saturating_add((byte - b'0') as u32);
            EscapeState::Sequence { is_first: false, parameter }
        }
        b' '..=b'?' => EscapeState::Sequence { is_first: false, parameter },
        b'~' if parameter == PASTE => EscapeState::Paste(0),
        // Function keys of Linux, and reports of the mouse in the forms of X10 and xterm's highlighting.
        b'[' if is_first => EscapeState::Skip(1),
        b't' if is_first => EscapeState::Skip(2),
        b'M' if is_first => EscapeState::Skip(3),
        b'T' if is_first => EscapeState::Skip(6),
        _ => EscapeState::Text,
    }
}

const fn skip(count: u8) -> EscapeState {
    if count > 1 { EscapeState::Skip(count - 1) } else { EscapeState::Text }
}

/// In a string. A control does not end it, nor does ESC if no `\` follows: a terminal may send back what it was asked.
const fn string(bell: bool, is_escaped: bool, unit: Unit) -> EscapeState {
    match unit {
        Unit::Control(0x9c) => EscapeState::Text,
        Unit::Ascii(b'\\') if is_escaped => EscapeState::Text,
        Unit::Ascii(BEL) if bell => EscapeState::Text,
        _ => EscapeState::String { bell, is_escaped: matches!(unit, Unit::Ascii(ESC)) },
    }
}

/// In pasted text.
fn paste(seen: usize, unit: Unit) -> EscapeState {
    let seen = match unit {
        Unit::Ascii(byte) if PASTE_END.get(seen) == Some(&byte) => seen + 1,
        Unit::Control(0x9b) => 2,
        Unit::Ascii(ESC) => 1,
        _ => 0,
    };
    if seen == PASTE_END.len() { EscapeState::Text } else { EscapeState::Paste(seen) }
}

#[cfg(test)]
mod tests;
