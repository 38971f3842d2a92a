//! Fills the image's table of function names; [`lacuna::trap::symbols`] defines and reads it.

use crate::elf::{Access, Elf, SymbolKind};
use crate::name::readable;
use lacuna::trap::symbols::{ENTRY_BYTES, HEADER_BYTES, MAGIC};
use std::collections::BTreeMap;
use std::ops::Range;

const REGION_START: &str = "__symbols_start";
const REGION_END: &str = "__symbols_end";

/// Why an image did not get its names.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SymbolsError {
    #[error("no {0}: the linker script reserves room for the function names between {REGION_START} and {REGION_END}")]
    NoRegion(&'static str),
    #[error("the room for function names, [{:#x}, {:#x}), is not loaded from the file", .0.start, .0.end)]
    NotLoaded(Range<u64>),
    #[error("{count} function names need {needed} bytes, the linker script reserves {reserved}")]
    Full { count: usize, needed: usize, reserved: usize },
    #[error("the image is larger than 4 GiB")]
    Large,
}

/// The names of the functions in an image, by their distance from its first byte.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    functions: BTreeMap<u32, String>,
    code_end: u32,
}

impl Names {
    /// The functions of `elf`, and the labels in its assembly that have no function at the same place.
    pub fn of(elf: &Elf) -> Result<Self, SymbolsError> {
        let offset = |address: u64| address.checked_sub(elf.base()).and_then(|offset| u32::try_from(offset).ok());
        let code = || elf.segments.iter().filter(|segment| segment.access == Access::Execute);
        let mut names = Self::default();
        for segment in code() {
            names.code_end = names.code_end.max(offset(segment.memory.end).ok_or(SymbolsError::Large)?);
        }
        for kind in [SymbolKind::Function, SymbolKind::Label] {
            for symbol in elf.symbols.iter().filter(|symbol| symbol.kind == kind) {
                let in_code = code().any(|segment| segment.memory.contains(&symbol.address));
                if in_code && !is_noise(symbol.name) {
                    let offset = offset(symbol.address).ok_or(SymbolsError::Large)?;
                    names.functions.entry(offset).or_insert_with(|| readable(symbol.name));
                }
            }
        }
        Ok(names)
    }

    /// How many functions there are.
    pub fn count(&self) -> usize {
        self.functions.len()
    }

    /// The table as it lies in the image.
    pub fn encode(&self) -> Result<Vec<u8>, SymbolsError> {
        let word = |number: usize| u32::try_from(number).map_err(|_| SymbolsError::Large);
        let text: String = self.functions.values().map(String::as_str).collect();
        let mut words = vec![MAGIC, word(self.count())?, self.code_end, word(text.len())?];
        let mut name = 0;
        for (function, text) in &self.functions {
            words.extend([*function, word(name)?]);
            name += text.len();
        }
        debug_assert_eq!(words.len() * size_of::<u32>(), HEADER_BYTES + self.count() * ENTRY_BYTES);
        Ok(words.into_iter().flat_map(u32::to_le_bytes).chain(text.bytes()).collect())
    }
}

/// Marks of the assembler (`$x`, `.L…`) and of the linker script (`__…`), which name no code.
fn is_noise(name: &str) -> bool {
    name.is_empty() || name.starts_with(['$', '.']) || name.starts_with("__")
}

/// The offsets in the file of the room that `elf` has for the table.
pub fn region(elf: &Elf) -> Result<Range<usize>, SymbolsError> {
    let start = elf.symbol(REGION_START).ok_or(SymbolsError::NoRegion(REGION_START))?;
    let end = elf.symbol(REGION_END).ok_or(SymbolsError::NoRegion(REGION_END))?;
    let offsets = elf.segments.iter().find_map(|segment| Some(segment.file_offset(start)?..segment.file_offset(end)?));
    let offsets = offsets.filter(|offsets| offsets.start < offsets.end).ok_or(SymbolsError::NotLoaded(start..end))?;
    Ok(offsets.start as usize..offsets.end as usize)
}

/// Puts the names into `room`; the bytes used.
pub fn fill(names: &Names, room: &mut [u8]) -> Result<usize, SymbolsError> {
    let table = names.encode()?;
    let full = SymbolsError::Full { count: names.count(), needed: table.len(), reserved: room.len() };
    room.get_mut(..table.len()).ok_or(full)?.copy_from_slice(&table);
    Ok(table.len())
}

#[cfg(test)]
mod tests {
    use super::{Names, SymbolsError, fill, region};
    use crate::elf::{Access, Elf, Segment, Symbol, SymbolKind};
    use lacuna::trap::symbols::Symbols;
    use proptest::prelude::{Strategy, prop_assert_eq, proptest};

    fn elf<'a>(symbols: &[(&'a str, u64, SymbolKind)]) -> Elf<'a> {
        let segment = |memory, file, access| Segment { memory, file, access };
        let symbol =
            |(name, address, kind): &(&'a str, u64, SymbolKind)| Symbol { name, address: *address, kind: *kind };
        Elf {
            bytes: &[],
            entry: 0x1000,
            segments: vec![
                segment(0x1000..0x2000, 0x100..0x1100, Access::Execute),
                segment(0x2000..0x4000, 0x1100..0x2100, Access::Write),
            ],
            symbols: symbols.iter().map(symbol).collect(),
            relocations: vec![],
            foreign_relocations: vec![],
        }
    }

    #[test]
    fn functions_and_labels_in_code_are_named_and_nothing_else() {
        let names = Names::of(&elf(&[
            ("$x", 0x1000, SymbolKind::Label),
            ("entry", 0x1000, SymbolKind::Label),
            ("vectors", 0x1800, SymbolKind::Label),
            ("same_place", 0x1800, SymbolKind::Function),
            ("__text_end", 0x1900, SymbolKind::Label),
            ("TABLE", 0x1a00, SymbolKind::Other),
            ("in_data", 0x2000, SymbolKind::Function),
        ]));
        let table = names.unwrap().encode().unwrap();
        let symbols = Symbols::parse(&table).unwrap();
        assert_eq!(symbols.lookup(0x7ff), Some(("entry", 0x7ff)));
        assert_eq!(symbols.lookup(0xfff), Some(("same_place", 0x7ff)));
        assert_eq!(symbols.lookup(0x1000), None);
    }

    #[test]
    fn names_that_do_not_fit_are_an_error_that_says_how_many_bytes_they_need() {
        let names = Names::of(&elf(&[("entry", 0x1000, SymbolKind::Function)])).unwrap();
        assert_eq!(fill(&names, &mut [0; 29]), Ok(29));
        assert_eq!(fill(&names, &mut [0; 28]), Err(SymbolsError::Full { count: 1, needed: 29, reserved: 28 }));
    }

    #[test]
    fn the_room_must_be_named_and_loaded_from_the_file() {
        let with = |start, end| {
            region(&elf(&[("__symbols_start", start, SymbolKind::Label), ("__symbols_end", end, SymbolKind::Label)]))
        };
        assert_eq!(with(0x2800, 0x3000), Ok(0x1900..0x2100));
        assert_eq!(with(0x2800, 0x3001), Err(SymbolsError::NotLoaded(0x2800..0x3001)));
        assert_eq!(with(0x2800, 0x2800), Err(SymbolsError::NotLoaded(0x2800..0x2800)));
        assert_eq!(region(&elf(&[])), Err(SymbolsError::NoRegion("__symbols_start")));
    }

    fn any_names() -> impl Strategy<Value = Names> {
        proptest::collection::btree_map(0u32..200, "[a-z:é]{0,12}", 0..30)
            .prop_map(|functions| Names { functions, code_end: 190 })
    }

    proptest! {
        /// The reader's binary search agrees with looking at every function.
        #[test]
        fn every_address_is_found_as_by_looking_at_all_functions(names in any_names()) {
            let table = names.encode().unwrap();
            let symbols = Symbols::parse(&table).unwrap();
            for offset in 0..250 {
                let mut functions = names.functions.iter().filter(|(start, _)| offset < names.code_end && **start <= offset);
                let expected = functions.next_back().map(|(start, name)| (name.as_str(), u64::from(offset - start)));
                prop_assert_eq!(symbols.lookup(offset.into()), expected);
            }
        }
    }
}
