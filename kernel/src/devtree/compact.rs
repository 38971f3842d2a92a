//! A copy of a blob without the gaps in its structure.
//!
//! Whoever deletes a node or property in place overwrites it with NOP tokens, which may then stand anywhere. The `fdt` crate
//! takes them between some tokens, panics on them between others, and between the properties of a node takes them for the
//! end of its children. So it gets to see none.

use super::error::{BlobError, HEADER_SIZE, RESERVATION_SIZE};
use super::tokens::{Token, Tokens};
use alloc::vec::Vec;

/// Offsets of the header's fields that change, in bytes.
const TOTAL_SIZE: usize = 4;
const STRUCTURE: usize = 8;
const STRINGS: usize = 12;
const RESERVATIONS: usize = 16;
const STRUCTURE_SIZE: usize = 36;

// The reservations follow the header at once and must be aligned to 8 bytes; the structure follows them.
const _: () = assert!(HEADER_SIZE.is_multiple_of(8) && RESERVATION_SIZE.is_multiple_of(8));

/// A blob of the given blocks, which were checked, without the NOP tokens.
pub(super) fn without_gaps(
    header: &[u8; HEADER_SIZE],
    reservations: &[u8],
    structure: &[u8],
    strings: &[u8],
) -> Result<Vec<u8>, BlobError> {
    let bytes = HEADER_SIZE + reservations.len() + structure.len() + strings.len();
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
        let token = tokens.read()?;
        if token != Token::Nop {
            blob.extend_from_slice(structure.get(from..tokens.position()).unwrap_or_default());
        }
        if token == Token::End {
            break;
        }
    }
    let structure_size = blob.len() - start;
    set(&mut blob, STRUCTURE_SIZE, structure_size);
    set_to_end(&mut blob, STRINGS);
    blob.extend_from_slice(strings);
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
