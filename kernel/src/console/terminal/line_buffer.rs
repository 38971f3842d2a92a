//! Output of a guest, collected into whole lines, so that lines of several guests do not interleave.

use arrayvec::ArrayVec;

/// Bytes that are collected at most. A guest that prints more while another is in the middle of a line breaks that line.
const ROOM: usize = 1024;

/// A part of a line, or lines that had to wait.
#[derive(Debug, Default)]
pub struct LineBuffer(ArrayVec<u8, ROOM>);

/// What is to be done with what was collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing, for a while: the line may go on.
    Later,
    /// Print it, if nobody is in the middle of a line.
    Line,
    /// Print it: there is no more room.
    Now,
}

impl LineBuffer {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    /// Takes a byte.
    pub fn push(&mut self, byte: u8) -> Due {
        self.0.push(byte);
        match byte {
            _ if self.0.is_full() => Due::Now,
            b'\n' => Due::Line,
            _ => Due::Later,
        }
    }

    /// What there is.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, LineBuffer, ROOM};
    use proptest::prelude::{any, prop};
    use proptest::{prop_assert_eq, proptest};
    use std::vec::Vec;

    #[test]
    fn a_line_is_due_when_it_ends_and_must_go_when_there_is_no_room() {
        let mut lines = LineBuffer::new();
        assert_eq!([lines.push(b'a'), lines.push(b'\n'), lines.push(b'b')], [Due::Later, Due::Line, Due::Later]);
        assert_eq!(lines.as_bytes(), b"a\nb");
        lines.clear();
        assert!((1..ROOM).all(|_| lines.push(b'x') == Due::Later));
        assert_eq!(lines.push(b'\n'), Due::Now);
    }

    proptest! {
        /// Whenever it is printed, nothing is lost.
        #[test]
        fn what_comes_out_is_what_went_in(bytes in prop::collection::vec((any::<u8>(), any::<bool>()), 0..4000)) {
            let (mut lines, mut printed) = (LineBuffer::new(), Vec::new());
            for (byte, is_free) in &bytes {
                let due = lines.push(*byte);
                if due == Due::Now || due == Due::Line && *is_free {
                    printed.extend_from_slice(lines.as_bytes());
                    lines.clear();
                }
            }
            printed.extend_from_slice(lines.as_bytes());
            let all: Vec<u8> = bytes.iter().map(|(byte, _)| *byte).collect();
            prop_assert_eq!(printed, all);
        }
    }
}
