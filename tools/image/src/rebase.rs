//! Moves an ELF file to the address where a board loads it, for loaders and debuggers that take the file at its word.
//!
//! The image is linked at 0 and relocates itself wherever it is, so nothing that is loaded changes: only what the file says
//! about it. Nobody may relocate it a second time: the file stops calling itself position-independent and hides its
//! relocations. Its line tables would have to be rewritten, so they are hidden too; those of the file at 0 serve a debugger
//! that is told the offset.

use object::LittleEndian as LE;
use object::elf::{
    ET_EXEC, FileHeader64, PT_DYNAMIC, PT_LOAD, PT_NULL, ProgramHeader64, SHF_ALLOC, SHN_ABS, SHN_UNDEF, SHT_NULL,
    SHT_SYMTAB, SectionHeader64, Sym64,
};
use object::pod::{Pod, from_bytes_mut, slice_from_bytes_mut};
use object::read::elf::{ElfFile64, FileHeader, SectionHeader};
use std::ops::Range;

/// What the names of sections with line tables and the like begin with.
const DEBUG: &[u8] = b".debug_";

/// Why an ELF file cannot be moved.
#[derive(Debug, thiserror::Error)]
pub enum RebaseError {
    #[error("load address {base:#x} is not a multiple of {align:#x}, the alignment of the segment at {segment:#x}")]
    Alignment { base: u64, align: u64, segment: u64 },
    #[error("address {address:#x}, moved by {base:#x}, is past the end of the address space")]
    PastTheEnd { address: u64, base: u64 },
    #[error("not an ELF file: {0}")]
    Malformed(#[from] object::read::Error),
    #[error("the ELF file ends inside its {0}")]
    Short(&'static str),
}

/// Moves the ELF file `bytes`, linked at 0, to `base`.
pub fn rebase(bytes: &mut [u8], base: u64) -> Result<(), RebaseError> {
    let moved = |address: u64| address.checked_add(base).ok_or(RebaseError::PastTheEnd { address, base });
    let Tables { segments, sections, symbols, debug } = Tables::of(bytes)?;

    let (header, _) = from_bytes_mut::<FileHeader64<LE>>(bytes).map_err(|()| RebaseError::Short("header"))?;
    header.e_type.set(LE, ET_EXEC);
    header.e_entry.set(LE, moved(header.e_entry.get(LE))?);

    for segment in table::<ProgramHeader64<LE>>(bytes, segments, "program headers")? {
        match segment.p_type.get(LE) {
            PT_LOAD => {
                let (align, address) = (segment.p_align.get(LE), segment.p_vaddr.get(LE));
                if align > 1 && !base.is_multiple_of(align) {
                    return Err(RebaseError::Alignment { base, align, segment: address });
                }
                segment.p_vaddr.set(LE, moved(address)?);
                segment.p_paddr.set(LE, moved(segment.p_paddr.get(LE))?);
            }
            PT_DYNAMIC => segment.p_type.set(LE, PT_NULL),
            _ => {}
        }
    }
    for (index, section) in table::<SectionHeader64<LE>>(bytes, sections, "section headers")?.iter_mut().enumerate() {
        if section.sh_flags.get(LE).contains(SHF_ALLOC) {
            section.sh_addr.set(LE, moved(section.sh_addr.get(LE))?);
        }
        if debug.contains(&index) {
            section.sh_type.set(LE, SHT_NULL);
        }
    }
    for symbol in table::<Sym64<LE>>(bytes, symbols, "symbol table")? {
        // Absolute ones are numbers with a name, such as sizes.
        if ![SHN_UNDEF, SHN_ABS].contains(&symbol.st_shndx.get(LE)) {
            symbol.st_value.set(LE, moved(symbol.st_value.get(LE))?);
        }
    }
    Ok(())
}

/// Where in the file its tables lie.
struct Tables {
    segments: Range<u64>,
    sections: Range<u64>,
    symbols: Range<u64>,
    /// Numbers of the sections with line tables and the like.
    debug: Vec<usize>,
}

impl Tables {
    fn of(bytes: &[u8]) -> Result<Self, RebaseError> {
        let file = ElfFile64::<LE>::parse(bytes)?;
        let header = file.elf_header();
        let sized = |start: u64, count: usize, entry: usize| start..start.saturating_add((count * entry) as u64);
        let sections = file.elf_section_table();
        let mut tables = Self {
            segments: sized(header.e_phoff(LE), file.elf_program_headers().len(), size_of::<ProgramHeader64<LE>>()),
            sections: sized(header.e_shoff(LE), sections.len(), size_of::<SectionHeader64<LE>>()),
            symbols: 0..0,
            debug: vec![],
        };
        for (index, section) in sections.enumerate() {
            if section.sh_type(LE) == SHT_SYMTAB {
                let (start, size) = (section.sh_offset(LE), section.sh_size(LE));
                tables.symbols = start..start.saturating_add(size);
            }
            if sections.section_name(LE, section)?.starts_with(DEBUG) {
                tables.debug.push(index.0);
            }
        }
        Ok(tables)
    }
}

/// The entries of the table at `range`.
fn table<'a, T: Pod>(bytes: &'a mut [u8], range: Range<u64>, what: &'static str) -> Result<&'a mut [T], RebaseError> {
    let short = RebaseError::Short(what);
    let Some(bytes) = bytes.get_mut(range.start as usize..range.end as usize) else { return Err(short) };
    let count = bytes.len() / size_of::<T>();
    slice_from_bytes_mut(bytes, count).map(|(entries, _)| entries).map_err(|()| short)
}

#[cfg(test)]
mod tests {
    use super::{RebaseError, rebase};
    use crate::elf::{Elf, ElfError};
    use object::LittleEndian as LE;
    use object::elf::{
        ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_AARCH64, ET_DYN, EV_CURRENT, FileHeader64, PT_DYNAMIC, PT_LOAD, PT_NULL,
        ProgramHeader64, SHF_ALLOC, SHN_ABS, SHN_UNDEF, SHT_PROGBITS, SHT_STRTAB, SHT_SYMTAB, SectionHeader64, Sym64,
        SymbolSection,
    };
    use object::pod::{bytes_of, from_bytes_mut};
    use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym};

    /// An all-zero table entry with what `fill` puts into it.
    fn entry<T: object::pod::Pod>(zero: &mut [u8], fill: impl FnOnce(&mut T)) -> Vec<u8> {
        let (entry, _) = from_bytes_mut::<T>(zero).expect("there are enough zeros");
        fill(entry);
        bytes_of(entry).to_vec()
    }

    fn segment(kind: object::elf::ProgramType, address: u64) -> Vec<u8> {
        entry::<ProgramHeader64<LE>>(&mut [0; 64], |segment| {
            segment.p_type.set(LE, kind);
            segment.p_vaddr.set(LE, address);
            segment.p_paddr.set(LE, address);
            segment.p_align.set(LE, 0x1_0000);
        })
    }

    fn section(name: u32, kind: object::elf::SectionType, address: u64, file: (usize, usize), link: u32) -> Vec<u8> {
        entry::<SectionHeader64<LE>>(&mut [0; 64], |section| {
            section.sh_name.set(LE, name);
            section.sh_type.set(LE, kind);
            if address > 0 {
                section.sh_flags.set(LE, SHF_ALLOC);
            }
            section.sh_addr.set(LE, address);
            section.sh_offset.set(LE, file.0 as u64);
            section.sh_size.set(LE, file.1 as u64);
            section.sh_link.set(LE, link);
            section.sh_entsize.set(LE, if kind == SHT_SYMTAB { 24 } else { 0 });
        })
    }

    fn symbol(section: SymbolSection, value: u64) -> Vec<u8> {
        entry::<Sym64<LE>>(&mut [0; 64], |symbol| {
            symbol.st_shndx.set(LE, section);
            symbol.st_value.set(LE, value);
        })
    }

    /// A file of header, two segments, symbols, names and sections, in this order.
    fn file() -> Vec<u8> {
        let names = b"\0.text\0.debug_line\0.symtab\0.strtab\0";
        let segments = [segment(PT_LOAD, 0x1_0000), segment(PT_DYNAMIC, 0x1_0800)].concat();
        let symbols = [symbol(SHN_UNDEF, 0), symbol(SymbolSection(1), 0x1_0040), symbol(SHN_ABS, 0x120)].concat();
        let symbols_at = 64 + segments.len();
        let names_at = symbols_at + symbols.len();
        let sections_at = names_at + names.len();
        let sections = [
            section(0, object::elf::SHT_NULL, 0, (0, 0), 0),
            section(1, SHT_PROGBITS, 0x1_0000, (0, 0), 0),
            section(7, SHT_PROGBITS, 0, (0, 0), 0),
            section(19, SHT_SYMTAB, 0, (symbols_at, symbols.len()), 4),
            section(27, SHT_STRTAB, 0, (names_at, names.len()), 0),
        ];
        let header = entry::<FileHeader64<LE>>(&mut [0; 64], |header| {
            header.e_ident.magic = ELFMAG;
            header.e_ident.class = ELFCLASS64;
            header.e_ident.data = ELFDATA2LSB;
            header.e_ident.version = EV_CURRENT;
            header.e_type.set(LE, ET_DYN);
            header.e_machine.set(LE, EM_AARCH64);
            header.e_version.set(LE, 1);
            header.e_entry.set(LE, 0x1_0040);
            header.e_phoff.set(LE, 64);
            header.e_shoff.set(LE, sections_at as u64);
            header.e_ehsize.set(LE, 64);
            header.e_phentsize.set(LE, 56);
            header.e_phnum.set(LE, 2);
            header.e_shentsize.set(LE, 64);
            header.e_shnum.set(LE, sections.len() as u16);
            header.e_shstrndx.set(LE, SymbolSection(4));
        });
        [header, segments, symbols, names.to_vec(), sections.concat()].concat()
    }

    #[test]
    fn everything_with_an_address_moves_and_nothing_else() {
        let mut bytes = file();
        assert!(Elf::read(&bytes).is_ok(), "the file that is moved is one");
        rebase(&mut bytes, 0x20_0000).unwrap();
        let file = ElfFile64::<LE>::parse(bytes.as_slice()).unwrap();
        assert_eq!(file.elf_header().e_entry(LE), 0x21_0040);
        let segments: Vec<_> = file
            .elf_program_headers()
            .iter()
            .map(|segment| (segment.p_type(LE), segment.p_vaddr(LE), segment.p_paddr(LE)))
            .collect();
        assert_eq!(segments, [(PT_LOAD, 0x21_0000, 0x21_0000), (PT_NULL, 0x1_0800, 0x1_0800)]);
        let sections: Vec<_> =
            file.elf_section_table().iter().map(|section| (section.sh_type(LE), section.sh_addr(LE))).collect();
        let null = object::elf::SHT_NULL;
        assert_eq!(sections, [(null, 0), (SHT_PROGBITS, 0x21_0000), (null, 0), (SHT_SYMTAB, 0), (SHT_STRTAB, 0)]);
        let symbols: Vec<_> = file.elf_symbol_table().iter().map(|symbol| symbol.st_value(LE)).collect();
        assert_eq!(symbols, [0, 0x21_0040, 0x120]);
    }

    #[test]
    fn a_moved_file_can_be_moved_no_further() {
        let mut bytes = file();
        rebase(&mut bytes, 0x20_0000).unwrap();
        assert!(matches!(Elf::read(&bytes), Err(ElfError::Fixed(2))));
    }

    #[test]
    fn a_load_address_that_a_segment_cannot_have_is_refused() {
        let refused = rebase(&mut file(), 0x20_1000).unwrap_err().to_string();
        assert_eq!(
            refused,
            "load address 0x201000 is not a multiple of 0x10000, the alignment of the segment at 0x10000"
        );
        let refused = rebase(&mut file(), u64::MAX - 0xffff);
        assert!(matches!(refused, Err(RebaseError::PastTheEnd { .. })));
    }
}
