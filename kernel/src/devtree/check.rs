//! The checker in front of the reader: one pass, no recursion, every number distrusted.
//!
//! The checker establishes everything that the `fdt` crate takes for granted: blocks inside the blob; reservations with
//! an end; names that are terminated and ASCII; values inside the block; properties before child nodes; every node
//! closed; one root, with an empty name; `#address-cells` and `#size-cells` of at least four bytes; and a depth that
//! its recursion can take. A damaged blob is refused. A blob that is merely odd, in names and cells that Linux boots
//! with, is copied without its oddities. The padding behind the blocks, most of the blob on QEMU, is never touched.

use super::compact;
use super::error::{
    BlobBlock, BlobError, HEADER_SIZE, MAGIC, MAX_DEPTH, MAX_SIZE, OLD_HEADER_SIZE, OLD_VERSION, Oddity,
    RESERVATION_SIZE, VERSION,
};
use super::tokens::{Token, Tokens};
use crate::base::addr::{PhysAddr, Span};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use fdt::Fdt;

/// How large the blob is that starts with `header`, in bytes: at least [`HEADER_SIZE`], at most [`MAX_SIZE`].
///
/// Whoever has to map the blob before it can be read maps the header, asks this, and maps the whole.
pub fn total_size(header: &[u8; HEADER_SIZE]) -> Result<usize, BlobError> {
    BlobHeader::read(header).map(|header| header.total)
}

/// The header's fields that matter here.
pub(super) struct BlobHeader {
    pub total: usize,
    pub structure: Range<usize>,
    pub strings: Range<usize>,
    pub reservations: usize,
    /// Its own size: no block starts before its end.
    pub size: usize,
}

impl BlobHeader {
    pub(super) fn read(header: &[u8; HEADER_SIZE]) -> Result<Self, BlobError> {
        let (words, _) = header.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        // In the order in which they stand there; `word` gives ten of them.
        let (found, total) = (word(), word() as usize);
        let (structure, strings, reservations) = (word() as usize, word() as usize, word() as usize);
        let (version, compatible, _boot_cpu) = (word(), word(), word());
        let (strings_size, structure_size) = (word() as usize, word() as usize);

        if found != MAGIC {
            return Err(BlobError::Magic { found });
        }
        if version < OLD_VERSION || compatible > VERSION {
            return Err(BlobError::Version { version, compatible });
        }
        if !(HEADER_SIZE..=MAX_SIZE).contains(&total) {
            return Err(BlobError::TotalSize { total });
        }
        // The blob's lengths and offsets are 32-bit numbers, so their sums fit a 64-bit `usize`.
        const { assert!(usize::BITS > u32::BITS) };
        let (size, structure_end) = match version {
            // Nothing says where it ends but its last token.
            OLD_VERSION => (OLD_HEADER_SIZE, structure.max(total & !0b11)),
            _ => (HEADER_SIZE, structure + structure_size),
        };
        Ok(Self {
            total,
            structure: structure..structure_end,
            strings: strings..strings + strings_size,
            reservations,
            size,
        })
    }
}

/// A device tree blob of which every later read is known to succeed.
pub struct Blob<'a> {
    /// Exactly as many bytes as the header says; a copy if the reader would stumble over some.
    bytes: Cow<'a, [u8]>,
    size: usize,
    oddities: Vec<Oddity>,
}

impl<'a> Blob<'a> {
    /// Checks `bytes`, which may be longer than the blob and need no alignment.
    ///
    /// The reader stumbles over the gaps (NOP tokens) that deleted nodes and properties leave, as QEMU, U-Boot and Xen do
    /// delete them: a blob with gaps is copied to the heap without them. So is one with other oddities.
    pub fn check(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let Some(start) = bytes.first_chunk::<HEADER_SIZE>() else {
            return Err(BlobError::HeaderCut { have: bytes.len() });
        };
        let header = BlobHeader::read(start)?;
        let total = header.total;
        let bytes = bytes.get(..total).ok_or(BlobError::CutShort { total, have: bytes.len() })?;

        let reservations = reservations(bytes, header.reservations, header.size)?;
        let structure = block(bytes, BlobBlock::Structure, header.structure.clone(), 4, header.size)?;
        let strings = block(bytes, BlobBlock::Strings, header.strings, 1, header.size)?;
        let mut findings = Findings::default();
        if header.size == OLD_HEADER_SIZE {
            findings.note_in_copy(Oddity::OldVersion);
        }
        let names = names(strings, &mut findings);
        check_structure(structure, header.structure.start, names, &mut findings)?;
        let Findings { oddities, copy, longer } = findings;
        let bytes = match copy {
            Copy::Needless => Cow::Borrowed(bytes),
            Copy::Needed => Cow::Owned(compact::without_oddities(start, reservations, structure, strings, longer)?),
        };
        Ok(Self { bytes, size: total, oddities })
    }

    /// What is odd about the blob, though it can be read.
    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }

    /// How many bytes the blob takes in memory, padding included.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The range of memory that the blob takes if it starts at `start`; `None` past the end of the address space.
    pub fn span(&self, start: PhysAddr) -> Option<Span> {
        Span::sized(start, self.size as u64)
    }

    /// The reader on this blob.
    pub(crate) fn reader(&self) -> Fdt<'_> {
        // It looks at the magic and the total size only, and both were checked.
        Fdt::new(&self.bytes).expect("a checked blob has a header")
    }
}

/// What is found in a blob that is not damaged.
#[derive(Default)]
struct Findings {
    oddities: Vec<Oddity>,
    copy: Copy,
    /// How many bytes longer than its structure that of a copy may be.
    longer: usize,
}

/// Whether the reader needs a copy.
#[derive(Default)]
enum Copy {
    #[default]
    Needless,
    Needed,
}

impl Findings {
    /// Adds an oddity, unless there is one of its kind.
    fn note(&mut self, oddity: Oddity) {
        let kind = core::mem::discriminant(&oddity);
        if self.oddities.iter().all(|noted| core::mem::discriminant(noted) != kind) {
            self.oddities.push(oddity);
        }
    }

    /// As [`note`](Self::note), of an oddity that a copy lacks.
    fn note_in_copy(&mut self, oddity: Oddity) {
        self.copy = Copy::Needed;
        self.note(oddity);
    }
}

/// The part of `bytes` that is `block`.
pub(super) fn block(
    bytes: &[u8],
    block: BlobBlock,
    range: Range<usize>,
    align: usize,
    header: usize,
) -> Result<&[u8], BlobError> {
    let (offset, size) = (range.start, range.len());
    if offset < header {
        return Err(BlobError::BlockOutside { block, offset, size, total: bytes.len() });
    }
    if !offset.is_multiple_of(align) || !size.is_multiple_of(align) {
        return Err(BlobError::BlockUnaligned { block, offset, size, align });
    }
    bytes.get(range).ok_or(BlobError::BlockOutside { block, offset, size, total: bytes.len() })
}

/// The memory reservation block, up to and including the entry of zeros that ends it.
pub(super) fn reservations(bytes: &[u8], offset: usize, header: usize) -> Result<&[u8], BlobError> {
    let rest = block(bytes, BlobBlock::Reservations, offset..bytes.len().max(offset), 1, header)?;
    if !offset.is_multiple_of(8) {
        return Err(BlobError::BlockUnaligned { block: BlobBlock::Reservations, offset, size: 0, align: 8 });
    }
    let (entries, _) = rest.as_chunks::<RESERVATION_SIZE>();
    let end = entries.iter().position(|entry| *entry == [0; RESERVATION_SIZE]);
    let size = (end.ok_or(BlobError::OpenReservations { offset })? + 1) * RESERVATION_SIZE;
    Ok(rest.get(..size).unwrap_or_default())
}

/// The strings block up to the last zero: a name that starts in there also ends in there.
fn names<'a>(strings: &'a [u8], findings: &mut Findings) -> &'a [u8] {
    let length = strings.iter().rposition(|&byte| byte == 0).map_or(0, |last| last + 1);
    let (names, _) = strings.split_at(length);
    // By whole words first: only a blob that is odd is searched byte by byte.
    if !names.is_ascii()
        && let Some((at, &byte)) = names.iter().enumerate().find(|(_, byte)| !byte.is_ascii())
    {
        findings.note_in_copy(Oddity::Strings { at, byte });
    }
    names
}

/// Checks the grammar of the structure block, which starts at `base` in the blob.
fn check_structure(block: &[u8], base: usize, names: &[u8], findings: &mut Findings) -> Result<(), BlobError> {
    let mut tokens = Tokens::new(block, base);
    let mut open = 0;
    let mut had_root = false;
    // The name of the innermost open node, if it has had nothing but properties so far.
    let mut in_properties = None;
    loop {
        let offset = tokens.offset();
        match tokens.read()? {
            Token::BeginNode(name) => {
                match open {
                    0 if had_root => return Err(BlobError::SecondRoot { offset }),
                    0 if !name.is_empty() => findings.note_in_copy(Oddity::RootName { offset, length: name.len() }),
                    0 => {}
                    MAX_DEPTH.. => return Err(BlobError::TooDeep { offset }),
                    _ => check_node_name(name, offset, findings),
                }
                had_root = true;
                open += 1;
                in_properties = Some(name);
            }
            Token::EndNode => {
                open = open.checked_sub(1).ok_or(BlobError::NotOpen { offset })?;
                in_properties = None;
            }
            Token::Property { name, value } => {
                let node = in_properties.ok_or(BlobError::StrayProperty { offset })?;
                check_property(name as usize, value, names, (node, offset), findings)?;
            }
            Token::Nop => findings.copy = Copy::Needed,
            Token::End if open > 0 => return Err(BlobError::StillOpen { offset, open }),
            Token::End if !had_root => return Err(BlobError::NoRoot),
            Token::End => return Ok(()),
        }
    }
}

/// A name should be printable and without `/`, so that a path is unambiguous and can stand in a message. A space does no
/// harm; what does is read as `?`.
fn check_node_name(name: &[u8], offset: usize, findings: &mut Findings) {
    if name.is_empty() {
        findings.note_in_copy(Oddity::NoName { offset });
    }
    let Some(&byte) = name.iter().find(|byte| !byte.is_ascii_graphic() || **byte == b'/') else { return };
    let oddity = Oddity::NodeName { offset, byte, name: compact::readable(name).map(char::from).collect() };
    if compact::readable(name).eq(name.iter().copied()) {
        findings.note(oddity);
    } else {
        findings.note_in_copy(oddity);
    }
}

/// The property with its name at `name` among the `names`, in the node and at the offset that `place` says.
fn check_property(
    name: usize,
    value: &[u8],
    names: &[u8],
    (node, offset): (&[u8], usize),
    findings: &mut Findings,
) -> Result<(), BlobError> {
    let Some(rest) = names.get(name..).filter(|rest| !rest.is_empty()) else {
        return Err(BlobError::PropertyName { offset, name, names: names.len() });
    };
    let Some(property) = compact::cells_property(rest).filter(|_| value.len() != 4) else { return Ok(()) };
    let node: String = compact::readable(node).map(char::from).collect();
    match value.first_chunk() {
        // As Linux reads it.
        Some(cells) => {
            let read_as = u32::from_be_bytes(*cells);
            findings.note(Oddity::Cells { offset, property, length: value.len(), node, read_as });
        }
        None => {
            findings.longer += 4;
            findings.note_in_copy(Oddity::Cells { offset, property, length: value.len(), node, read_as: 0 });
        }
    }
    Ok(())
}
