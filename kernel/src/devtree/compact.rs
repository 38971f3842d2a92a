//! A copy of a blob without the constructs that the reader cannot handle: gaps in its structure, and other oddities.
//!
//! Tools that delete a node or property in place overwrite it with NOP tokens, which may then stand anywhere. The `fdt`
//! crate accepts them between some tokens, panics on them between others, and between the properties of a node takes
//! them for the end of its children. The copy therefore has none. It also has no names that are not ASCII, and no
//! truncated `#address-cells` or `#size-cells`: those become 0, with which nothing can be read.

use super::error::{BlobError, HEADER_SIZE, RESERVATION_SIZE};
use super::tokens::{BEGIN_NODE, PROPERTY, Token, Tokens, WORD};
use alloc::vec::Vec;

/// Offsets of the header's fields that change, in bytes.
const TOTAL_SIZE: usize = 4;
const STRUCTURE: usize = 8;
const STRINGS: usize = 12;
const RESERVATIONS: usize = 16;
const STRUCTURE_SIZE: usize = 36;

// The reservations follow the header at once and must be aligned to 8 bytes; the structure follows them.
const _: () = assert!(HEADER_SIZE.is_multiple_of(8) && RESERVATION_SIZE.is_multiple_of(8));

/// The bytes of a node's name as they are read: what cannot be printed, and `/`, as `?`; and so is nothing.
pub(super) fn readable(name: &[u8]) -> impl Iterator<Item = u8> {
    let readable = |byte: u8| if matches!(byte, b' '..=b'~') && byte != b'/' { byte } else { b'?' };
    let nothing: &[u8] = if name.is_empty() { b"?" } else { b"" };
    name.iter().chain(nothing).map(move |&byte| readable(byte))
}

/// Which property with a number of cells it is that `names` starts with, if it is one.
pub(super) fn cells_property(names: &[u8]) -> Option<&'static str> {
    let is = |name: &str| names.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
    ["#address-cells", "#size-cells"].into_iter().find(|name| is(name))
}

/// A blob of the given blocks, which were checked, without their oddities; its structure is at most `longer` bytes longer.
pub(super) fn without_oddities(
    header: &[u8; HEADER_SIZE],
    reservations: &[u8],
    structure: &[u8],
    strings: &[u8],
    longer: usize,
) -> Result<Vec<u8>, BlobError> {
    let bytes = HEADER_SIZE + reservations.len() + structure.len() + longer + strings.len();
    let mut blob = Vec::new();
    blob.try_reserve_exact(bytes).map_err(|_| BlobError::OutOfMemory { bytes })?;
    blob.extend_from_slice(header);
    set_to_end(&mut blob, RESERVATIONS);
    blob.extend_from_slice(reservations);

    let start = blob.len();
    set_to_end(&mut blob, STRUCTURE);
    let mut tokens = Tokens::new(structure, start);
    loop {
        let from = tokens.position();
        let is_root = blob.len() == start;
        match tokens.read()? {
            Token::Nop => {}
            Token::BeginNode(name) => {
                blob.extend(BEGIN_NODE.to_be_bytes());
                blob.extend(readable(name).take_while(|_| !is_root));
                // The zero that ends it, and padding.
                blob.extend([0; WORD].into_iter().take(WORD - blob.len() % WORD));
            }
            Token::Property { name, value }
                if value.len() < WORD && strings.get(name as usize..).and_then(cells_property).is_some() =>
            {
                blob.extend([PROPERTY, WORD as u32, name, 0].into_iter().flat_map(u32::to_be_bytes));
            }
            token => {
                blob.extend_from_slice(structure.get(from..tokens.position()).unwrap_or_default());
                if token == Token::End {
                    break;
                }
            }
        }
    }
    let structure_size = blob.len() - start;
    set(&mut blob, STRUCTURE_SIZE, structure_size);
    set_to_end(&mut blob, STRINGS);
    blob.extend(strings.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }));
    set_to_end(&mut blob, TOTAL_SIZE);
    Ok(blob)
}

/// Writes a header field. The values are at most the sum of three lengths inside a blob of at most 2 MiB.
fn set(blob: &mut [u8], field: usize, value: usize) {
    if let Some(bytes) = blob.get_mut(field..field + 4) {
        bytes.copy_from_slice(&(value as u32).to_be_bytes());
    }
}

/// Writes into a header field where the blob ends at present.
fn set_to_end(blob: &mut [u8], field: usize) {
    set(blob, field, blob.len());
}
