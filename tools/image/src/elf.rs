//! What of an ELF file matters here, as plain values.

use object::LittleEndian;
use object::elf::{
    EM_AARCH64, ET_DYN, FileHeader64, PF_W, PF_X, PT_LOAD, ProgramHeader64, SHF_ALLOC, SHT_REL, SHT_RELR, STT_FUNC,
    STT_NOTYPE,
};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, Rela, SectionHeader, Sym, SymbolTable};
use std::ops::Range;

/// Why a file is not an image at all; faults of an image are [`crate::check::Violation`]s.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    #[error("not a little-endian 64-bit ELF file: {0}")]
    Malformed(#[from] object::read::Error),
    #[error("an ELF file for machine {0}, not for AArch64 (183)")]
    Machine(u16),
    #[error("not position-independent: ELF type {0}, not ET_DYN (3)")]
    Fixed(u16),
    #[error("nothing to load")]
    Empty,
    #[error("a segment of {size} bytes at {start:#x} reaches past the end of the address space")]
    PastTheEnd { start: u64, size: u64 },
    #[error("the file ends before byte {end} of a segment")]
    Short { end: u64 },
    #[error("the symbol name {0:?} is not UTF-8")]
    Name(String),
}

/// A part of the file that is loaded. Addresses are those of the ELF file, of which a static PIE has its first byte at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Addresses in memory.
    pub memory: Range<u64>,
    /// Offsets in the ELF file; shorter than `memory` by what is zero at first.
    pub file: Range<u64>,
    pub access: Access,
}

impl Segment {
    /// The offset in the ELF file of what is loaded at `address`.
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        let offset = self.file.start.checked_add(address.checked_sub(self.memory.start)?)?;
        (offset <= self.file.end).then_some(offset)
    }
}

/// What a segment allows beside reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Execute,
    WriteExecute,
}

/// A named place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    pub name: &'a str,
    pub address: u64,
    pub kind: SymbolKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    Function,
    /// A name of assembly or of the linker script, of no type.
    Label,
    Undefined,
    Other,
}

/// An address that the image must correct when it runs elsewhere than at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relocation {
    pub at: u64,
    /// The ABI's number for its kind.
    pub kind: u32,
}

/// The parts of an ELF file that make the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf<'a> {
    pub bytes: &'a [u8],
    pub entry: u64,
    /// In the order of the file, at least one.
    pub segments: Vec<Segment>,
    pub symbols: Vec<Symbol<'a>>,
    pub relocations: Vec<Relocation>,
    /// Numbers of loaded sections with relocations in a form other than RELA.
    pub foreign_relocations: Vec<usize>,
}

impl<'a> Elf<'a> {
    /// Reads `bytes`.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let file = ElfFile64::<LittleEndian>::parse(bytes)?;
        let header = file.elf_header();
        if header.e_machine(LittleEndian) != EM_AARCH64 {
            return Err(ElfError::Machine(header.e_machine(LittleEndian).0));
        }
        if header.e_type(LittleEndian) != ET_DYN {
            return Err(ElfError::Fixed(header.e_type(LittleEndian).0));
        }
        let loaded = file.elf_program_headers().iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD);
        let segments = loaded.map(segment).collect::<Result<Vec<_>, _>>()?;
        if segments.is_empty() {
            return Err(ElfError::Empty);
        }
        if let Some(short) = segments.iter().find(|segment| segment.file.end > bytes.len() as u64) {
            return Err(ElfError::Short { end: short.file.end });
        }
        let mut relocations = Vec::new();
        let mut foreign_relocations = Vec::new();
        for (index, section) in file.elf_section_table().enumerate() {
            if !section.sh_flags(LittleEndian).contains(SHF_ALLOC) {
                continue;
            }
            if let Some((entries, _)) = section.rela(LittleEndian, bytes)? {
                relocations.extend(entries.iter().map(|entry| Relocation {
                    at: entry.r_offset(LittleEndian),
                    kind: entry.r_type(LittleEndian, false).0,
                }));
            }
            if [SHT_REL, SHT_RELR].contains(&section.sh_type(LittleEndian)) {
                foreign_relocations.push(index.0);
            }
        }
        let entry = header.e_entry(LittleEndian);
        Ok(Self {
            bytes,
            entry,
            segments,
            symbols: symbols(file.elf_symbol_table())?,
            relocations,
            foreign_relocations,
        })
    }

    /// Address of the image's first byte.
    pub fn base(&self) -> u64 {
        self.segments[0].memory.start
    }

    /// Bytes of memory that the image takes.
    pub fn memory_size(&self) -> u64 {
        let end = self.segments.iter().map(|segment| segment.memory.end).max();
        end.unwrap_or(0).saturating_sub(self.base())
    }

    /// The one symbol called `name`.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        let symbol = self.symbols.iter().find(|symbol| symbol.name == name && symbol.kind != SymbolKind::Undefined)?;
        Some(symbol.address)
    }
}

fn segment(header: &ProgramHeader64<LittleEndian>) -> Result<Segment, ElfError> {
    let sized = |start: u64, size: u64| {
        let end = start.checked_add(size).ok_or(ElfError::PastTheEnd { start, size })?;
        Ok::<_, ElfError>(start..end)
    };
    let flags = header.p_flags(LittleEndian);
    let access = match (flags.contains(PF_W), flags.contains(PF_X)) {
        (false, false) => Access::Read,
        (true, false) => Access::Write,
        (false, true) => Access::Execute,
        (true, true) => Access::WriteExecute,
    };
    Ok(Segment {
        memory: sized(header.p_vaddr(LittleEndian), header.p_memsz(LittleEndian))?,
        file: sized(header.p_offset(LittleEndian), header.p_filesz(LittleEndian))?,
        access,
    })
}

fn symbols<'a>(table: &SymbolTable<'a, FileHeader64<LittleEndian>>) -> Result<Vec<Symbol<'a>>, ElfError> {
    let mut symbols = Vec::new();
    // The first symbol of every table is empty.
    for symbol in table.iter().skip(1) {
        let name = table.symbol_name(LittleEndian, symbol)?;
        let kind = match symbol.st_type() {
            _ if symbol.is_undefined(LittleEndian) => SymbolKind::Undefined,
            // A number with a name, such as those of an assembler's .equ, not a place.
            _ if symbol.is_absolute(LittleEndian) => SymbolKind::Other,
            STT_FUNC => SymbolKind::Function,
            STT_NOTYPE => SymbolKind::Label,
            _ => SymbolKind::Other,
        };
        let name = str::from_utf8(name).map_err(|_| ElfError::Name(String::from_utf8_lossy(name).into_owned()))?;
        symbols.push(Symbol { name, address: symbol.st_value(LittleEndian), kind });
    }
    Ok(symbols)
}
