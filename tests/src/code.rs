//! The instructions in an image, to look for those that must not be there.
//!
//! Independent of any disassembler, and of the code that made the image: a few encodings, held against every word of code.
//! What of the text is code and what is data between it, the mapping symbols `$x` and `$d` tell, which compiler and
//! assembler leave at each change (ELF for the Arm 64-bit Architecture, 5.5.5).

use object::elf::{SHF_EXECINSTR, STT_FUNC};
use object::read::elf::{ElfFile64, SectionHeader, Sym};
use object::{LittleEndian, Object, ObjectSection};
use std::collections::BTreeMap;

/// A kind of instruction (encodings: DDI 0487, C4.1 and C6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `SMC`, with any number.
    SecureMonitorCall,
    /// `TLBI`, of any kind.
    TlbInvalidate,
    /// `MRS` or `MSR` of the system register op0, op1, CRn, CRm, op2.
    SystemRegister(u32, u32, u32, u32, u32),
}

impl Instruction {
    /// Whether `word` is such an instruction.
    fn matches(self, word: u32) -> bool {
        match self {
            Self::SecureMonitorCall => word & 0xffe0_001f == 0xd400_0003,
            // SYS with CRn 8, or 9 for those of FEAT_XS.
            Self::TlbInvalidate => matches!(word & 0xfff8_f000, 0xd508_8000 | 0xd508_9000),
            // Bit 21 is the direction, bit 20 is set because op0 is 2 or 3.
            Self::SystemRegister(op0, op1, crn, crm, op2) => {
                let register = op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5;
                word & 0xffdf_ffe0 == 0xd500_0000 | register
            }
        }
    }
}

/// The code of an image.
#[derive(Debug)]
pub struct Code {
    /// Words that are executed, by their addresses.
    words: BTreeMap<u64, u32>,
    /// Names of places in code: functions, and labels of the assembly.
    names: BTreeMap<u64, String>,
    functions: Vec<String>,
    text_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Code,
    Data,
}

impl Code {
    /// Reads the ELF file `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let file = ElfFile64::<LittleEndian>::parse(bytes).expect("an ELF file");
        let mut code = Self { words: BTreeMap::new(), names: BTreeMap::new(), functions: vec![], text_bytes: 0 };
        let mut changes = BTreeMap::new();
        let table = file.elf_symbol_table();
        for symbol in table.iter().filter(|symbol| !symbol.is_undefined(LittleEndian)) {
            let name = table.symbol_name(LittleEndian, symbol).expect("a symbol has a name");
            let name = String::from_utf8_lossy(name).into_owned();
            let address = symbol.st_value(LittleEndian);
            match name.split('.').next() {
                // Where both stand, a stretch of no length ended: better to look at data than to miss code.
                Some("$x") => _ = changes.insert(address, Content::Code),
                Some("$d") => _ = changes.entry(address).or_insert(Content::Data),
                _ if name.is_empty() => {}
                _ => {
                    if symbol.st_type() == STT_FUNC {
                        code.functions.push(name.clone());
                    }
                    code.names.insert(address, name);
                }
            }
        }
        for section in file.sections() {
            if !section.elf_section_header().sh_flags(LittleEndian).contains(SHF_EXECINSTR) {
                continue;
            }
            let data = section.data().expect("a section is in the file");
            code.text_bytes += data.len() as u64;
            for (word, address) in data.chunks_exact(4).zip((section.address()..).step_by(4)) {
                let content = changes.range(..=address).next_back().map(|(_, content)| *content);
                if content == Some(Content::Code) {
                    code.words.insert(address, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
                }
            }
        }
        code
    }

    /// Where `instruction` stands: `msr … in function+0x10 (0x200010)`.
    pub fn places(&self, instruction: Instruction) -> Vec<String> {
        let found = self.words.iter().filter(|(_, word)| instruction.matches(**word));
        found
            .map(|(address, _)| match self.names.range(..=address).next_back() {
                Some((start, name)) => format!("{address:#x} in {name}+{:#x}", address - start),
                None => format!("{address:#x}"),
            })
            .collect()
    }

    /// The functions, by the names that the linker knows them by.
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    /// How much of the text was looked at, in percent.
    pub fn coverage(&self) -> u64 {
        self.words.len() as u64 * 4 * 100 / self.text_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Instruction::{SecureMonitorCall, SystemRegister, TlbInvalidate};

    /// Words as an assembler writes them.
    #[test]
    fn instructions_are_told_apart() {
        let tcr_el2 = SystemRegister(3, 4, 2, 0, 2);
        for (word, expected) in [
            (0xd400_0003, Some(SecureMonitorCall)), // smc #0
            (0xd41f_ffe3, Some(SecureMonitorCall)), // smc #0xffff
            (0xd400_0002, None),                    // hvc #0
            (0xd45e_0000, None),                    // hlt #0xf000
            (0xd50c_871f, Some(TlbInvalidate)),     // tlbi alle2
            (0xd50c_8320, Some(TlbInvalidate)),     // tlbi vae2is, x0
            (0xd508_7620, None),                    // dc ivac, x0
            (0xd51c_2040, Some(tcr_el2)),           // msr tcr_el2, x0
            (0xd53c_2047, Some(tcr_el2)),           // mrs x7, tcr_el2
            (0xd51c_2000, None),                    // msr ttbr0_el2, x0
            (0xd518_2040, None),                    // msr tcr_el1, x0
        ] {
            for instruction in [SecureMonitorCall, TlbInvalidate, tcr_el2] {
                assert_eq!(instruction.matches(word), expected == Some(instruction), "{word:#x} as {instruction:?}");
            }
        }
    }
}
