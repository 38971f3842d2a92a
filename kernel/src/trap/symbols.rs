//! The function names in the image, for backtraces.
//!
//! A backtrace is often read with only the image's console at hand, so the image carries its own names. The linker
//! script reserves room for them between `__symbols_start` and `__symbols_end`, and `tools/image` fills it after
//! linking: only then are the addresses known.
//!
//! The table, all numbers little-endian `u32`:
//!
//! | bytes | content |
//! |---|---|
//! | 0..16 | [`MAGIC`], number of entries, end of the code, length of the names |
//! | then 8 for each entry | offset of a function, offset of its name within the names; ascending in both |
//! | then the names | UTF-8, each up to where the next one starts |
//!
//! Offsets of functions and the end of the code count from the image's first byte.
//!
//! Read while a fault is being reported: nothing here allocates or panics, whatever the bytes.

use core::array;

/// First word of a filled table: `LSYM`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"LSYM");

/// Bytes before the first entry.
pub const HEADER_BYTES: usize = 16;

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 8;

/// A table of function names, borrowed from the image.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    entries: &'a [[u8; ENTRY_BYTES]],
    names: &'a [u8],
    code_end: u32,
}

impl<'a> Symbols<'a> {
    /// The table at the start of `bytes`, which may go on behind it; `None` if there is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [magic, count, code_end, names_length] = words(header);
        if magic != MAGIC {
            return None;
        }
        let entries_length = usize::try_from(count).ok()?.checked_mul(ENTRY_BYTES)?;
        let (entries, rest) = rest.split_at_checked(entries_length)?;
        let names = rest.get(..usize::try_from(names_length).ok()?)?;
        Some(Self { entries: entries.as_chunks().0, names, code_end })
    }

    /// The function that holds the byte at `offset` from the image's first byte, and how far into the function that is.
    pub fn lookup(&self, offset: u64) -> Option<(&'a str, u64)> {
        let offset = u32::try_from(offset).ok().filter(|offset| *offset < self.code_end)?;
        let next = self.entries.partition_point(|entry| words::<2>(entry)[0] <= offset);
        let [function, name] = words(self.entries.get(next.checked_sub(1)?)?);
        let name_end = match self.entries.get(next) {
            Some(entry) => words::<2>(entry)[1] as usize,
            None => self.names.len(),
        };
        let name = str::from_utf8(self.names.get(name as usize..name_end)?).ok()?;
        Some((name, u64::from(offset.checked_sub(function)?)))
    }
}

/// The first `N` little-endian words of `bytes`, 0 for those that are not there.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let words = bytes.as_chunks().0;
    array::from_fn(|index| words.get(index).map_or(0, |word| u32::from_le_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, Symbols};
    use proptest::prelude::{any, prop_assert, proptest};
    use std::vec::Vec;

    fn table(words: &[u32], names: &str) -> Vec<u8> {
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        words.chain(names.bytes()).collect()
    }

    #[test]
    fn an_address_belongs_to_the_function_that_starts_at_or_before_it() {
        let bytes = table(&[MAGIC, 2, 0x40, 7, 0x10, 0, 0x20, 3], "onefour and what follows the table");
        let symbols = Symbols::parse(&bytes).unwrap();
        assert_eq!(symbols.lookup(0xf), None);
        assert_eq!(symbols.lookup(0x10), Some(("one", 0)));
        assert_eq!(symbols.lookup(0x1f), Some(("one", 0xf)));
        assert_eq!(symbols.lookup(0x3f), Some(("four", 0x1f)));
        assert_eq!(symbols.lookup(0x40), None);
        assert_eq!(symbols.lookup(0x1_0000_0010), None);
    }

    #[test]
    fn a_region_that_was_never_filled_is_no_table() {
        assert!(Symbols::parse(&[]).is_none());
        assert!(Symbols::parse(&[0; 4096]).is_none());
    }

    #[test]
    fn a_table_that_ends_early_is_no_table() {
        let bytes = table(&[MAGIC, 1, 0x40, 3, 0x10, 0], "one");
        assert!(Symbols::parse(&bytes).is_some());
        assert!((0..bytes.len()).all(|length| Symbols::parse(&bytes[..length]).is_none()));
    }

    proptest! {
        /// The table is read while something is going wrong already: no bytes may make that worse.
        #[test]
        fn no_table_however_broken_makes_the_reader_panic(
            (count, end, names_length) in (0u32..20, any::<u32>(), 0u32..40),
            body in proptest::collection::vec(any::<u32>(), 0..40),
            offsets in proptest::collection::vec(0u64..1 << 33, 1..20),
        ) {
            let bytes = table(&[&[MAGIC, count, end, names_length], body.as_slice()].concat(), "abc");
            if let Some(symbols) = Symbols::parse(&bytes) {
                for offset in body.iter().map(|word| u64::from(*word)).chain(offsets) {
                    if let Some((_, into)) = symbols.lookup(offset) {
                        prop_assert!(into <= offset);
                    }
                }
            }
        }
    }
}
