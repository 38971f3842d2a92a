//! What a guest prints, collected until it is a line: so that lines of several guests do not fall apart into each other.

use arrayvec::ArrayVec;

/// Bytes that are collected at most.
const ROOM: usize = 256;

/// A part of a line.
#[derive(Debug, Default)]
pub struct LineBuffer(ArrayVec<u8, ROOM>);

impl LineBuffer {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    /// Takes a byte. Whether what there is should be printed: because the line ends, because there is no more room, or because
    /// somebody waits for each byte, as who has the keyboard does.
    #[must_use]
    pub fn push(&mut self, byte: u8, at_once: bool) -> bool {
        self.0.push(byte);
        at_once || byte == b'\n' || self.0.is_full()
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
    use super::{LineBuffer, ROOM};
    use proptest::prelude::{any, prop};
    use proptest::{prop_assert, prop_assert_eq, proptest};
    use std::vec::Vec;

    #[test]
    fn a_line_is_printed_when_it_ends_or_is_full() {
        let mut lines = LineBuffer::new();
        assert!(!lines.push(b'a', false));
        assert!(lines.push(b'\n', false));
        assert_eq!(lines.as_bytes(), b"a\n");
        lines.clear();
        assert!((1..ROOM).all(|_| !lines.push(b'x', false)));
        assert!(lines.push(b'x', false));
    }

    proptest! {
        /// Whatever is printed in between, nothing is lost and nothing waits at a newline.
        #[test]
        fn what_comes_out_is_what_went_in(bytes in prop::collection::vec((any::<u8>(), prop::bool::weighted(0.1)), 0..2000)) {
            let (mut lines, mut printed) = (LineBuffer::new(), Vec::new());
            for (byte, at_once) in &bytes {
                if lines.push(*byte, *at_once) {
                    printed.extend_from_slice(lines.as_bytes());
                    lines.clear();
                }
                prop_assert!(!lines.as_bytes().contains(&b'\n'));
            }
            printed.extend_from_slice(lines.as_bytes());
            let all: Vec<u8> = bytes.iter().map(|(byte, _)| *byte).collect();
            prop_assert_eq!(printed, all);
        }
    }
}
