//! The checker in front of the reader: one pass, no recursion, every number distrusted.
//!
//! What it establishes is what the `fdt` crate takes for granted: blocks inside the blob; reservations with an end; names
//! that are terminated and ASCII; values inside the block; properties before child nodes; every node closed; one root, with
//! an empty name; `#address-cells` and `#size-cells` of at least four bytes; and a depth that its recursion can take.
//! The padding behind the blocks, most of the blob on QEMU, is never touched.

use super::compact;
use super::error::{BlobError, Block, HEADER_SIZE, MAGIC, MAX_DEPTH, MAX_SIZE, RESERVATION_SIZE, VERSION};
use super::tokens::{Token, Tokens};
use crate::addr::{PhysAddr, Span};
use alloc::borrow::Cow;
use core::ops::Range;
use fdt::Fdt;

/// How large the blob is that starts with `header`, in bytes: at least [`HEADER_SIZE`], at most [`MAX_SIZE`].
///
/// Whoever has to map the blob before it can be read maps the header, asks this, and maps the whole.
pub fn total_size(header: &[u8; HEADER_SIZE]) -> Result<usize, BlobError> {
    Header::read(header).map(|header| header.total)
}

/// The header's fields that matter here.
pub(super) struct Header {
    pub total: usize,
    pub structure: Range<usize>,
    pub strings: Range<usize>,
    pub reservations: usize,
}

impl Header {
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
        if version < VERSION || compatible > VERSION {
            return Err(BlobError::Version { version, compatible });
        }
        if !(HEADER_SIZE..=MAX_SIZE).contains(&total) {
            return Err(BlobError::TotalSize { total });
        }
        // The blob's lengths and offsets are 32-bit numbers, so their sums fit a 64-bit `usize`.
        const { assert!(usize::BITS > u32::BITS) };
        Ok(Self {
            total,
            structure: structure..structure + structure_size,
            strings: strings..strings + strings_size,
            reservations,
        })
    }
}

/// A device tree blob of which every later read is known to succeed.
pub struct Blob<'a> {
    /// Exactly as many bytes as the header says; a copy if the blob had gaps.
    bytes: Cow<'a, [u8]>,
    size: usize,
}

impl<'a> Blob<'a> {
    /// Checks `bytes`, which may be longer than the blob and need no alignment.
    ///
    /// The reader stumbles over the gaps (NOP tokens) that deleted nodes and properties leave, as QEMU, U-Boot and Xen do
    /// delete them: a blob with gaps is copied to the heap without them.
    pub fn check(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let Some(start) = bytes.first_chunk::<HEADER_SIZE>() else {
            return Err(BlobError::HeaderCut { have: bytes.len() });
        };
        let header = Header::read(start)?;
        let total = header.total;
        let bytes = bytes.get(..total).ok_or(BlobError::CutShort { total, have: bytes.len() })?;

        let reservations = reservations(bytes, header.reservations)?;
        let structure = block(bytes, Block::Structure, header.structure.clone(), 4)?;
        let strings = block(bytes, Block::Strings, header.strings, 1)?;
        let names = names(strings)?;
        let bytes = match check_structure(structure, header.structure.start, names)? {
            Gaps::None => Cow::Borrowed(bytes),
            Gaps::Some => Cow::Owned(compact::without_gaps(start, reservations, structure, strings)?),
        };
        Ok(Self { bytes, size: total })
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

/// Whether a structure block has NOP tokens.
enum Gaps {
    None,
    Some,
}

/// The part of `bytes` that is `block`.
pub(super) fn block(bytes: &[u8], block: Block, range: Range<usize>, align: usize) -> Result<&[u8], BlobError> {
    let (offset, size) = (range.start, range.len());
    if offset < HEADER_SIZE {
        return Err(BlobError::BlockOutside { block, offset, size, total: bytes.len() });
    }
    if !offset.is_multiple_of(align) || !size.is_multiple_of(align) {
        return Err(BlobError::BlockUnaligned { block, offset, size, align });
    }
    bytes.get(range).ok_or(BlobError::BlockOutside { block, offset, size, total: bytes.len() })
}

/// The memory reservation block, up to and including the entry of zeros that ends it.
pub(super) fn reservations(bytes: &[u8], offset: usize) -> Result<&[u8], BlobError> {
    let rest = block(bytes, Block::Reservations, offset..bytes.len().max(offset), 1)?;
    if !offset.is_multiple_of(8) {
        return Err(BlobError::BlockUnaligned { block: Block::Reservations, offset, size: 0, align: 8 });
    }
    let (entries, _) = rest.as_chunks::<RESERVATION_SIZE>();
    let end = entries.iter().position(|entry| *entry == [0; RESERVATION_SIZE]);
    let size = (end.ok_or(BlobError::OpenReservations { offset })? + 1) * RESERVATION_SIZE;
    Ok(rest.get(..size).unwrap_or_default())
}

/// The strings block up to the last zero: a name that starts in there also ends in there.
fn names(strings: &[u8]) -> Result<&[u8], BlobError> {
    let length = strings.iter().rposition(|&byte| byte == 0).map_or(0, |last| last + 1);
    let (names, _) = strings.split_at(length);
    // By whole words first: only a blob that is refused anyway is searched byte by byte.
    if names.is_ascii() {
        return Ok(names);
    }
    Err(BlobError::Strings { offset: names.iter().position(|byte| !byte.is_ascii()).unwrap_or_default() })
}

/// Checks the grammar of the structure block, which starts at `base` in the blob.
fn check_structure(block: &[u8], base: usize, names: &[u8]) -> Result<Gaps, BlobError> {
    let mut tokens = Tokens::new(block, base);
    let mut gaps = Gaps::None;
    let mut open = 0;
    let mut had_root = false;
    // Whether the innermost open node has had nothing but properties so far.
    let mut in_properties = false;
    loop {
        let offset = tokens.offset();
        match tokens.read()? {
            Token::BeginNode(name) => {
                match open {
                    0 if had_root => return Err(BlobError::SecondRoot { offset }),
                    0 if !name.is_empty() => {
                        return Err(BlobError::RootName { offset, length: name.len() });
                    }
                    0 => had_root = true,
                    MAX_DEPTH.. => return Err(BlobError::TooDeep { offset }),
                    _ => check_node_name(name, offset)?,
                }
                open += 1;
                in_properties = true;
            }
            Token::EndNode => {
                open = open.checked_sub(1).ok_or(BlobError::NotOpen { offset })?;
                in_properties = false;
            }
            Token::Property { .. } if !in_properties => return Err(BlobError::StrayProperty { offset }),
            Token::Property { name, value } => check_property(name as usize, value, names, offset)?,
            Token::Nop => gaps = Gaps::Some,
            Token::End if open > 0 => return Err(BlobError::StillOpen { offset, open }),
            Token::End if !had_root => return Err(BlobError::NoRoot),
            Token::End => return Ok(gaps),
        }
    }
}

/// Printable and without `/`, so that a path is unambiguous and can stand in a message.
fn check_node_name(name: &[u8], offset: usize) -> Result<(), BlobError> {
    if name.is_empty() {
        return Err(BlobError::NoName { offset });
    }
    match name.iter().find(|byte| !byte.is_ascii_graphic() || **byte == b'/') {
        Some(&byte) => Err(BlobError::NodeName { offset, byte }),
        None => Ok(()),
    }
}

fn check_property(name: usize, value: &[u8], names: &[u8], offset: usize) -> Result<(), BlobError> {
    let Some(rest) = names.get(name..).filter(|rest| !rest.is_empty()) else {
        return Err(BlobError::PropertyName { offset, name, names: names.len() });
    };
    let is_cells = || rest.starts_with(b"#address-cells\0") || rest.starts_with(b"#size-cells\0");
    if value.len() != 4 && is_cells() {
        return Err(BlobError::Cells { offset, length: value.len() });
    }
    Ok(())
}
