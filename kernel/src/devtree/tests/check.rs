//! What the checker refuses, cause by cause, and what it must not refuse.

use super::*;
use crate::addr::PhysAddr;
use crate::devtree::{Blob, BlobError, Block, MAX_DEPTH, MAX_SIZE, total_size};
use std::string::ToString;
use std::{format, vec};

/// A chain of `depth` nodes, the root included.
fn chain(depth: usize) -> Node {
    let tail = (2..depth).rev().fold(node("leaf"), |child, _| node("branch").with(child));
    root().with(memory()).with(tail)
}

fn refusal(blob: &[u8]) -> BlobError {
    Blob::check(blob).err().expect("the blob is broken")
}

/// A word in front of each structure token.
const BEGIN: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// What a structure block of `words` is refused for; the strings block is that of `root().with(memory())`.
fn refusal_of(words: &[u32]) -> BlobError {
    let structure: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    refusal(&with_structure(&root().with(memory()).blob(), &structure))
}

#[test]
fn a_blob_is_as_large_as_its_header_says_whatever_follows() {
    let mut blob = root().with(memory()).blob();
    let size = blob.len();
    assert_eq!(total_size(blob.first_chunk().unwrap()), Ok(size));
    blob.extend_from_slice(&[0xff; 1000]);
    let checked = Blob::check(&blob).unwrap();
    assert_eq!(checked.size(), size);
    assert_eq!(checked.span(PhysAddr::new(0x1000)).unwrap().to_string(), format!("[0x1000, {:#x})", 0x1000 + size));
    assert_eq!(checked.span(PhysAddr::new(u64::MAX)), None);
}

#[test]
fn a_blob_needs_no_alignment() {
    let blob = root().with(memory()).blob();
    for shift in 0..8 {
        let shifted = [vec![0; shift], blob.clone()].concat();
        assert_eq!(Blob::check(&shifted[shift..]).unwrap().facts().unwrap().banks.len(), 1);
    }
}

#[test]
fn a_blob_cut_short_anywhere_is_refused() {
    let blob = root().with(memory()).blob_reserving(&[(0x4000_0000, 0x1000)]);
    for length in 0..blob.len() {
        let error = refusal(&blob[..length]);
        let expected = if length < 40 {
            BlobError::HeaderCut { have: length }
        } else {
            BlobError::CutShort { total: blob.len(), have: length }
        };
        assert_eq!(error, expected);
    }
}

/// The header says what the truncation left, so each cut has to be noticed by what it cuts.
#[test]
fn a_structure_cut_short_anywhere_is_refused() {
    let blob = root().with(memory()).blob();
    let (start, size) = (get(&blob, STRUCTURE) as usize, get(&blob, STRUCTURE_SIZE) as usize);
    for length in (0..size).step_by(4) {
        let mut blob = blob.clone();
        set(&mut blob, STRUCTURE_SIZE, length as u32);
        let error = refusal(&blob);
        assert!(
            matches!(error, BlobError::Cut { offset, .. } | BlobError::OpenName { offset } if offset <= start + length),
            "{error} at {length}"
        );
    }
}

#[test]
fn a_cut_is_told_with_its_place_and_numbers() {
    let error = refusal_of(&[BEGIN, 0, PROPERTY, 100, 0, 0]);
    let BlobError::Cut { what: "property", offset, needs: 100, left: 4 } = error else { panic!("{error}") };
    assert_eq!(
        error.to_string(),
        format!("device tree is cut short: property at offset {offset:#x} needs 100 bytes, 4 are left")
    );
}

#[test]
fn what_is_not_a_device_tree_is_refused_by_its_first_bytes() {
    let mut blob = root().blob();
    blob[3] ^= 1;
    assert_eq!(refusal(&blob).to_string(), "not a device tree: it starts with 0xd00dfeec instead of 0xd00dfeed");
}

#[test]
fn a_version_without_the_size_of_the_structure_is_refused() {
    let version = |version, compatible| {
        let mut blob = root().with(memory()).blob();
        set(&mut blob, VERSION, version);
        set(&mut blob, VERSION + 4, compatible);
        Blob::check(&blob).err()
    };
    assert_eq!(version(16, 16), Some(BlobError::Version { version: 16, compatible: 16 }));
    assert_eq!(version(18, 18), Some(BlobError::Version { version: 18, compatible: 18 }));
    assert_eq!(version(17, 16), None);
    assert_eq!(version(18, 17), None);
}

#[test]
fn an_implausible_size_is_refused_from_the_header_alone() {
    for total in [0, 39, MAX_SIZE as u32 + 1, u32::MAX] {
        let mut blob = root().blob();
        set(&mut blob, TOTAL, total);
        let expected = BlobError::TotalSize { total: total as usize };
        assert_eq!(total_size(blob.first_chunk().unwrap()), Err(expected.clone()));
        assert_eq!(refusal(&blob), expected);
    }
}

#[test]
fn a_block_outside_the_blob_is_refused() {
    let blob = root().with(memory()).blob();
    let end = blob.len().next_multiple_of(8) as u32;
    let fields = [(STRUCTURE, Block::Structure), (STRINGS, Block::Strings), (RESERVATIONS, Block::Reservations)];
    for (field, expected) in fields {
        for value in [0, 36, end + 8, u32::MAX - 7] {
            let mut blob = blob.clone();
            set(&mut blob, field, value);
            let error = refusal(&blob);
            let outside = matches!(error, BlobError::BlockOutside { block, .. } if block == expected);
            // The reservations have no size: one past the end there is nothing that could end them.
            assert!(outside || error == BlobError::OpenReservations { offset: value as usize }, "{error}");
        }
    }
    for (field, expected) in [(STRUCTURE_SIZE, Block::Structure), (STRINGS_SIZE, Block::Strings)] {
        for value in [end, u32::MAX - 3] {
            let mut blob = blob.clone();
            set(&mut blob, field, value);
            assert!(matches!(refusal(&blob), BlobError::BlockOutside { block, .. } if block == expected));
        }
    }
}

#[test]
fn an_unaligned_block_is_refused() {
    let blob = root().with(memory()).blob();
    let steps = [(STRUCTURE, 2), (STRUCTURE_SIZE, 1), (RESERVATIONS, 4)];
    for (field, step) in steps {
        let mut blob = blob.clone();
        let value = get(&blob, field) - step;
        // Far enough from the header that nothing else is wrong.
        set(&mut blob, field, if field == RESERVATIONS { 44 } else { value });
        assert!(matches!(refusal(&blob), BlobError::BlockUnaligned { .. }));
    }
}

#[test]
fn reservations_without_an_end_are_refused() {
    let mut blob = root().with(memory()).blob();
    blob.resize(blob.len().next_multiple_of(8), 0);
    let offset = blob.len();
    blob.extend_from_slice(&[1; 40]);
    let total = blob.len() as u32;
    set(&mut blob, RESERVATIONS, offset as u32);
    set(&mut blob, TOTAL, total);
    assert_eq!(refusal(&blob), BlobError::OpenReservations { offset });
}

#[test]
fn what_is_not_a_tree_is_refused() {
    // A node "n" in place of a name.
    const N: u32 = u32::from_be_bytes(*b"n\0\0\0");
    assert!(matches!(refusal_of(&[END]), BlobError::NoRoot));
    assert!(matches!(refusal_of(&[END_NODE]), BlobError::NotOpen { .. }));
    assert!(matches!(refusal_of(&[BEGIN, 0, END]), BlobError::StillOpen { open: 1, .. }));
    assert!(matches!(refusal_of(&[BEGIN, 0, BEGIN, N, END_NODE, END]), BlobError::StillOpen { open: 1, .. }));
    assert!(matches!(refusal_of(&[BEGIN, 0, END_NODE, END_NODE, END]), BlobError::NotOpen { .. }));
    assert!(matches!(refusal_of(&[BEGIN, 0, END_NODE, BEGIN, 0, END_NODE, END]), BlobError::SecondRoot { .. }));
    assert!(matches!(refusal_of(&[BEGIN, N, END_NODE, END]), BlobError::RootName { length: 1, .. }));
    assert!(matches!(refusal_of(&[BEGIN, 0, BEGIN, 0, END_NODE, END_NODE, END]), BlobError::NoName { .. }));
    assert!(matches!(refusal_of(&[BEGIN, 0, END_NODE]), BlobError::Cut { what: "token", left: 0, .. }));
    assert!(matches!(refusal_of(&[BEGIN, 0, 5, END_NODE, END]), BlobError::UnknownToken { token: 5, .. }));
    assert!(matches!(refusal_of(&[BEGIN, u32::MAX]), BlobError::OpenName { .. }));
}

#[test]
fn a_property_outside_the_properties_of_a_node_is_refused() {
    const N: u32 = u32::from_be_bytes(*b"n\0\0\0");
    let stray = |words: &[u32]| matches!(refusal_of(words), BlobError::StrayProperty { .. });
    assert!(stray(&[PROPERTY, 0, 0]));
    assert!(stray(&[BEGIN, 0, BEGIN, N, END_NODE, PROPERTY, 0, 0, END_NODE, END]));
    assert!(stray(&[BEGIN, 0, END_NODE, NOP, PROPERTY, 0, 0, END]));
}

#[test]
fn a_property_needs_a_name_inside_the_strings_block() {
    let names = get(&root().with(memory()).blob(), STRINGS_SIZE);
    let named = |name| refusal_of(&[BEGIN, 0, PROPERTY, 0, name, END_NODE, END]);
    for name in [names, names + 1, u32::MAX] {
        assert!(matches!(named(name), BlobError::PropertyName { name: at, .. } if at == name as usize));
    }
    // A name whose end was cut off is as good as none.
    let mut blob = root().with(memory()).blob();
    set(&mut blob, STRINGS_SIZE, names - 1);
    assert!(matches!(refusal(&blob), BlobError::PropertyName { .. }));
}

#[test]
fn names_that_could_garble_a_message_are_refused() {
    for byte in [b'/', b' ', b'\n', 0x7f, 0x80, 0xff] {
        let mut blob = root().with(memory()).blob();
        let at = blob.windows(6).position(|window| window == b"memory").unwrap();
        blob[at] = byte;
        assert!(matches!(refusal(&blob), BlobError::NodeName { byte: found, .. } if found == byte));
    }
    let mut blob = root().with(memory()).blob();
    let strings = get(&blob, STRINGS) as usize;
    blob[strings + 1] = 0xc3;
    assert_eq!(refusal(&blob), BlobError::Strings { offset: 1 });
}

#[test]
fn cell_counts_of_the_wrong_length_are_refused() {
    for name in ["#address-cells", "#size-cells"] {
        for length in [0, 3, 8] {
            let blob = root().with(node("bus").bytes(name, &vec![0; length])).blob();
            assert!(matches!(refusal(&blob), BlobError::Cells { length: found, .. } if found == length));
        }
    }
}

/// Xen once looped for ever on a tree deeper than 16 nodes (fixed by its commit 3b717f57dc).
#[test]
fn a_tree_deeper_than_sixteen_nodes_is_read() {
    for depth in [16, 17, 18, MAX_DEPTH] {
        let blob = chain(depth).blob();
        assert_eq!(Blob::check(&blob).unwrap().facts().unwrap().banks.len(), 1);
    }
}

#[test]
fn a_tree_too_deep_for_the_reader_is_refused() {
    for depth in [MAX_DEPTH + 1, 63] {
        let error = refusal(&chain(depth).blob());
        assert!(matches!(error, BlobError::TooDeep { .. }), "{error}");
    }
    let structure = [[BEGIN, u32::from_be_bytes(*b"n\0\0\0")]; 100_000].concat();
    assert!(matches!(refusal_of(&[&[BEGIN, 0], structure.as_slice()].concat()), BlobError::TooDeep { .. }));
}

/// QEMU deletes memory nodes in place before it adds its own; a boot loader may delete any property.
#[test]
fn gaps_change_nothing() {
    let tree = root()
        .with(memory())
        .with(node("chosen").text("bootargs", "loglevel=debug").text("stdout-path", "serial0:9600"))
        .with(node("aliases").text("serial0", "/bus/uart@0"))
        .with(
            node("bus")
                .cells("#address-cells", &[1])
                .cells("#size-cells", &[1])
                .cells("ranges", &[0, 0, 0x900_0000, 0x1000])
                .with(node("uart@0").text("compatible", "arm,pl011").cells("reg", &[0, 0x1000])),
        );
    let blob = tree.blob_reserving(&[(0x4000_0000, 0x1000)]);
    let expected = format!("{:?}", Blob::check(&blob).unwrap().facts().unwrap());
    let tokens = tokens(&blob);
    // One gap before each token in turn, and one before all of them.
    for gap in 0..=tokens.len() {
        let is_gap = |at| gap == at || gap == tokens.len();
        let nop = |at| {
            if is_gap(at) { NOP.to_be_bytes().to_vec() } else { Vec::new() }
        };
        let structure: Vec<u8> =
            tokens.iter().enumerate().flat_map(|(at, token)| [nop(at), token.clone()].concat()).collect();
        let gapped = with_structure(&blob, &structure);
        let checked = Blob::check(&gapped).unwrap();
        assert_eq!(format!("{:?}", checked.facts().unwrap()), expected);
        assert_eq!(checked.size(), gapped.len());
    }
}
