//! What must hold of an image before it is worth booting.
//!
//! The entry code trusts all of this: it applies relocations of one kind only, with the MMU off, and gives each segment its
//! access rights by whole pages.

use crate::elf::{Access, Elf, Relocation, Segment, SymbolKind};
use std::ops::Range;

const PAGE: u64 = lacuna::base::addr::PAGE_SIZE;

/// `R_AARCH64_RELATIVE` (ELF for the Arm 64-bit Architecture, 5.7.16).
const RELATIVE: u32 = 1027;

/// Bytes that one relocation writes; the MMU is off, so they must be aligned.
const RELOCATED: u64 = 8;

/// The arm64 Image header (Linux, Documentation/arch/arm64/booting.rst): `image_size` and the magic number.
const IMAGE_SIZE: Range<usize> = 0x10..0x18;
const MAGIC: Range<usize> = 0x38..0x3c;

/// One reason why an image cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("segment {} starts off a page boundary", hex(.0))]
    Unaligned(Range<u64>),
    #[error("segment {} is writable and executable", hex(.0))]
    WriteExecute(Range<u64>),
    #[error("segment {} overlaps {}, or shares a page with it", hex(.second), hex(.first))]
    Overlap { first: Range<u64>, second: Range<u64> },
    #[error("segment {} lies below the first one, {}", hex(.segment), hex(.first))]
    Order { first: Range<u64>, segment: Range<u64> },
    #[error("entry point {0:#x} is in no executable segment")]
    Entry(u64),
    #[error("no arm64 Image header: its magic number is not at offset 0x38 of the first segment")]
    NoHeader,
    #[error("the Image header says {header} bytes of memory, the segments take {segments}")]
    Size { header: u64, segments: u64 },
    #[error("relocation of type {kind} at {at:#x}: only R_AARCH64_RELATIVE (1027) is applied")]
    Relocation { at: u64, kind: u32 },
    #[error("relocation at {0:#x} is off an 8-byte boundary or outside the loaded file")]
    RelocationPlace(u64),
    #[error("section {0} has relocations in a form other than RELA")]
    RelocationForm(usize),
    #[error("{0} is undefined")]
    Undefined(String),
}

fn hex(range: &Range<u64>) -> String {
    format!("[{:#x}, {:#x})", range.start, range.end)
}

/// All violations in `elf`; none if it can be booted.
pub fn violations(elf: &Elf) -> Vec<Violation> {
    let mut found = Vec::new();
    segments(&elf.segments, &mut found);
    header(elf, &mut found);
    relocations(elf, &mut found);
    let undefined = elf.symbols.iter().filter(|symbol| symbol.kind == SymbolKind::Undefined);
    found.extend(undefined.map(|symbol| Violation::Undefined(symbol.name.to_owned())));
    found
}

fn segments(segments: &[Segment], found: &mut Vec<Violation>) {
    for (index, segment) in segments.iter().enumerate() {
        let memory = &segment.memory;
        if !memory.start.is_multiple_of(PAGE) {
            found.push(Violation::Unaligned(memory.clone()));
        }
        if segment.access == Access::WriteExecute {
            found.push(Violation::WriteExecute(memory.clone()));
        }
        if memory.start < segments[0].memory.start {
            found.push(Violation::Order { first: segments[0].memory.clone(), segment: memory.clone() });
        }
        let pages = |range: &Range<u64>| range.start / PAGE..range.end.div_ceil(PAGE);
        let shares_a_page = |other: &Range<u64>| {
            let (ours, theirs) = (pages(memory), pages(other));
            ours.start < theirs.end && theirs.start < ours.end
        };
        for other in &segments[..index] {
            if shares_a_page(&other.memory) {
                found.push(Violation::Overlap { first: other.memory.clone(), second: memory.clone() });
            }
        }
    }
}

fn header(elf: &Elf, found: &mut Vec<Violation>) {
    let executable = |segment: &&Segment| segment.access == Access::Execute && segment.memory.contains(&elf.entry);
    if elf.segments.iter().find(executable).is_none() {
        found.push(Violation::Entry(elf.entry));
    }
    let first = &elf.segments[0].file;
    let first = elf.bytes.get(first.start as usize..first.end as usize).unwrap_or_default();
    if first.get(MAGIC) != Some(b"ARM\x64") {
        found.push(Violation::NoHeader);
        return;
    }
    let size = first.get(IMAGE_SIZE).and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
    let (header, segments) = (size.unwrap_or(0), elf.memory_size());
    if header != segments {
        found.push(Violation::Size { header, segments });
    }
}

fn relocations(elf: &Elf, found: &mut Vec<Violation>) {
    found.extend(elf.foreign_relocations.iter().map(|section| Violation::RelocationForm(*section)));
    for Relocation { at, kind } in &elf.relocations {
        if *kind != RELATIVE {
            found.push(Violation::Relocation { at: *at, kind: *kind });
        }
        let fits = |segment: &Segment| {
            let loaded = segment.memory.start..segment.memory.start + (segment.file.end - segment.file.start);
            loaded.contains(at) && loaded.end - at >= RELOCATED
        };
        if !at.is_multiple_of(RELOCATED) || !elf.segments.iter().any(fits) {
            found.push(Violation::RelocationPlace(*at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Violation, violations};
    use crate::elf::{Access, Elf, Relocation, Segment, Symbol, SymbolKind};

    /// The start of a file with the header of an image that takes `size` bytes of memory.
    fn file(size: u64) -> Vec<u8> {
        let mut bytes = vec![0; 0x2010];
        bytes[0x10..0x18].copy_from_slice(&size.to_le_bytes());
        bytes[0x38..0x3c].copy_from_slice(b"ARM\x64");
        bytes
    }

    fn sound(bytes: &[u8]) -> Elf<'_> {
        let segment = |memory, file, access| Segment { memory, file, access };
        Elf {
            bytes,
            entry: 0x40,
            segments: vec![
                segment(0..0x1000, 0..0x1000, Access::Execute),
                segment(0x1000..0x1800, 0x1000..0x1800, Access::Read),
                segment(0x2000..0x3000, 0x2000..0x2010, Access::Write),
            ],
            symbols: vec![Symbol { name: "entry", address: 0x40, kind: SymbolKind::Function }],
            relocations: vec![Relocation { at: 0x2008, kind: 1027 }],
            foreign_relocations: vec![],
        }
    }

    /// What is said about an image that is sound but for what `harm` does to it.
    fn found(harm: impl FnOnce(&mut Elf)) -> Vec<Violation> {
        let bytes = file(0x3000);
        let mut elf = sound(&bytes);
        harm(&mut elf);
        violations(&elf)
    }

    #[test]
    fn a_sound_image_passes() {
        assert_eq!(found(|_| {}), []);
    }

    #[test]
    fn segments_that_cannot_have_rights_of_their_own_are_refused() {
        assert_eq!(found(|elf| elf.segments[1].memory.start = 0x1010), [Violation::Unaligned(0x1010..0x1800)]);
        assert_eq!(
            found(|elf| elf.segments[2].access = Access::WriteExecute),
            [Violation::WriteExecute(0x2000..0x3000)]
        );
        assert_eq!(
            found(|elf| elf.segments[1].memory.end = 0x2001),
            [Violation::Overlap { first: 0x1000..0x2001, second: 0x2000..0x3000 }]
        );
        let swapped = found(|elf| elf.segments.swap(1, 2));
        assert_eq!(swapped, [], "only the first segment has a place of its own");
        let violations = found(|elf| elf.segments[0].memory = 0x4000..0x5000);
        assert!(violations.contains(&Violation::Order { first: 0x4000..0x5000, segment: 0x1000..0x1800 }));
    }

    #[test]
    fn an_image_header_that_is_missing_or_wrong_is_refused() {
        assert_eq!(found(|elf| elf.bytes = &[]), [Violation::NoHeader]);
        assert_eq!(violations(&sound(&file(0x2000))), [Violation::Size { header: 0x2000, segments: 0x3000 }]);
        assert_eq!(found(|elf| elf.entry = 0x1000), [Violation::Entry(0x1000)]);
    }

    #[test]
    fn relocations_that_the_entry_code_cannot_apply_are_refused() {
        let with = |at, kind| found(|elf| elf.relocations.push(Relocation { at, kind }));
        assert_eq!(with(0x1000, 257), [Violation::Relocation { at: 0x1000, kind: 257 }]);
        assert_eq!(with(0x1004, 1027), [Violation::RelocationPlace(0x1004)]);
        assert_eq!(with(0x2010, 1027), [Violation::RelocationPlace(0x2010)], "bss is cleared after relocation");
        assert_eq!(found(|elf| elf.foreign_relocations.push(7)), [Violation::RelocationForm(7)]);
    }

    #[test]
    fn an_undefined_name_is_refused() {
        let missing = Symbol { name: "memcpy", address: 0, kind: SymbolKind::Undefined };
        assert_eq!(found(|elf| elf.symbols.push(missing)), [Violation::Undefined("memcpy".into())]);
    }
}
