//! The checker's refusals, cause by cause, and blobs that it must not refuse.

use super::*;
use crate::base::addr::PhysAddr;
use crate::devtree::{Blob, BlobBlock, BlobError, MAX_DEPTH, MAX_SIZE, Oddity, TreeWarning, total_size};
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
fn a_version_that_cannot_be_read_is_refused() {
    let version = |version, compatible| {
        let mut blob = root().with(memory()).blob();
        set(&mut blob, VERSION, version);
        set(&mut blob, VERSION + 4, compatible);
        Blob::check(&blob).err()
    };
    assert_eq!(version(15, 15), Some(BlobError::Version { version: 15, compatible: 15 }));
    assert_eq!(version(18, 18), Some(BlobError::Version { version: 18, compatible: 18 }));
    for (version_, compatible) in [(16, 2), (16, 16), (17, 2), (17, 16), (18, 17)] {
        assert_eq!(version(version_, compatible), None);
    }
}

/// What `dtc -V 16` writes: the same without the size of the structure, in whose place anything may stand.
#[test]
fn a_blob_of_version_16_is_read_like_one_of_17() {
    let tree = root().with(memory()).with(node("chosen").text("bootargs", "loglevel=debug"));
    let reserved = [(0x4000_0000, 0x1000)];
    let new = tree.blob_reserving(&reserved);
    let read = |blob: &[u8]| {
        let checked = Blob::check(blob).unwrap();
        let facts = checked.facts().unwrap();
        (facts.banks, facts.reservations, facts.bootargs.map(str::to_owned), checked.oddities().to_vec())
    };
    let (banks, reservations, bootargs, none) = read(&new);
    assert_eq!(none, []);
    for size in [0, 3, u32::MAX] {
        let mut old = new.clone();
        set(&mut old, VERSION, 16);
        set(&mut old, STRUCTURE_SIZE, size);
        assert_eq!(read(&old), (banks.clone(), reservations.clone(), bootargs.clone(), vec![Oddity::OldVersion]));
    }
    // Without its last token, it has no end.
    let mut old = new.clone();
    set(&mut old, VERSION, 16);
    let end = (get(&new, STRUCTURE) + get(&new, STRUCTURE_SIZE)) as usize;
    old[end - 4..].fill(0);
    assert!(matches!(refusal(&old), BlobError::UnknownToken { .. }));
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
    let fields =
        [(STRUCTURE, BlobBlock::Structure), (STRINGS, BlobBlock::Strings), (RESERVATIONS, BlobBlock::Reservations)];
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
    for (field, expected) in [(STRUCTURE_SIZE, BlobBlock::Structure), (STRINGS_SIZE, BlobBlock::Strings)] {
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

/// The only oddity of a tree that can be read all the same, in words, and the path of its bank.
fn oddity(blob: &[u8]) -> (String, String) {
    let checked = Blob::check(blob).unwrap();
    let facts = checked.facts().unwrap();
    let [TreeWarning::Blob(oddity), TreeWarning::NoStdout] = facts.warnings.as_slice() else {
        panic!("{:?}", facts.warnings)
    };
    assert_eq!(checked.oddities(), std::slice::from_ref(oddity));
    (oddity.to_string(), facts.banks[0].node.clone())
}

#[test]
fn names_that_could_garble_a_message_are_read_without_what_could() {
    for (byte, path) in [
        (b' ', "/ emory@40000000"),
        (b'/', "/?emory@40000000"),
        (b'\n', "/?emory@40000000"),
        (0x1b, "/?emory@40000000"),
        (0x7f, "/?emory@40000000"),
        (0x80, "/?emory@40000000"),
        (0xff, "/?emory@40000000"),
    ] {
        let mut blob = root().with(memory()).blob();
        let at = blob.windows(7).position(|window| window == b"memory@").unwrap();
        blob[at] = byte;
        let told = format!(
            "device tree has byte {byte:#04x} in the name '{}' of the node at offset {:#x}: read as here",
            &path[1..],
            at - 4
        );
        assert_eq!(oddity(&blob), (told, path.into()));
    }
    let mut blob = root().with(memory()).text("name", "x").blob();
    let strings = get(&blob, STRINGS) as usize;
    let name = strings + blob[strings..].windows(5).position(|window| window == b"name\0").unwrap();
    blob[name + 1] = 0xc3;
    let told =
        format!("device tree has byte 0xc3 in the names of its properties, at {:#x}: read as '?'", name + 1 - strings);
    assert_eq!(oddity(&blob), (told, "/memory@40000000".into()));
}

#[test]
fn a_root_with_a_name_and_a_node_without_one_are_read() {
    let nameless = root().with(memory()).with(node("x").with(node("leaf"))).blob();
    let mut tokens = tokens(&nameless);
    let of = |blob: &[u8], tokens: &[Vec<u8>]| with_structure(blob, &tokens.concat());
    let at = tokens.iter().position(|token| token[4..] == *b"x\0\0\0").unwrap();
    tokens[at][4] = 0;
    let (told, path) = oddity(&of(&nameless, &tokens));
    assert!(told.ends_with(": read as '?'") && path == "/memory@40000000", "{told}");
    tokens[at][4] = b'x';
    tokens[0] = [1, u32::from_be_bytes(*b"name"), 0].into_iter().flat_map(u32::to_be_bytes).collect();
    let (told, path) = oddity(&of(&nameless, &tokens));
    assert!(told.ends_with(" has a name of 4 bytes: ignored") && path == "/memory@40000000", "{told}");
}

/// Linux reads the first cell, if there is one. Where there is none nothing below can be read, which ends the boot if it is
/// memory.
#[test]
fn cell_counts_of_the_wrong_length_are_told() {
    for name in ["#address-cells", "#size-cells"] {
        for length in [0, 3, 8] {
            let blob = root().with(node("bus").bytes(name, &vec![1; length])).with(memory()).blob();
            let at = get(&blob, STRUCTURE) as usize + tokens(&blob)[..4].concat().len();
            let read_as = if length < 4 { 0 } else { 0x0101_0101 };
            let told = format!(
                "device tree has {name} of {length} bytes instead of 4 in node 'bus', at offset {at:#x}: read as {read_as}"
            );
            assert_eq!(oddity(&blob), (told, "/memory@40000000".into()));
        }
    }
    let tree = node("").bytes("#address-cells", &[]).cells("#size-cells", &[2]).with(memory()).blob();
    assert_eq!(
        Blob::check(&tree).unwrap().facts().unwrap_err().to_string(),
        "/memory@40000000 is addressed by 0 address and 2 size cells, only 1 and 2 can be read"
    );
}

#[test]
fn of_each_kind_of_oddity_the_first_is_told() {
    let many = (0..100).fold(root().with(memory()), |tree, n| {
        tree.with(node(&format!("a_bus@{n}")).bytes("#address-cells", &[]).bytes("#size-cells", &[]))
    });
    let mut blob = many.blob();
    for at in 0..blob.len() - 5 {
        if blob[at..].starts_with(b"a_bus") {
            blob[at + 1] = b' ';
        }
    }
    let checked = Blob::check(&blob).unwrap();
    let [Oddity::NodeName { name, .. }, Oddity::Cells { node, .. }] = checked.oddities() else { panic!() };
    assert_eq!((name.as_str(), node.as_str()), ("a bus@0", "a bus@0"));
    assert_eq!(checked.facts().unwrap().banks.len(), 1);
}

/// Xen once looped for ever on a tree deeper than 16 nodes (fixed by its commit 3b717f57dc).
#[test]
fn a_tree_deeper_than_sixteen_nodes_is_read() {
    for depth in [16, 17, 18, 40, MAX_DEPTH] {
        let blob = chain(depth).blob();
        assert_eq!(Blob::check(&blob).unwrap().facts().unwrap().banks.len(), 1);
    }
}

#[test]
fn a_tree_too_deep_for_the_reader_is_refused() {
    // The writer has the same limit as the reader.
    const N: [u32; 2] = [BEGIN, u32::from_be_bytes(*b"n\0\0\0")];
    for depth in [MAX_DEPTH + 1, 100] {
        let words = [&[BEGIN, 0], N.repeat(depth - 1).as_slice(), &[END_NODE].repeat(depth), &[END]].concat();
        assert!(matches!(refusal_of(&words), BlobError::TooDeep { .. }), "{depth}");
    }
    let structure =
        [[BEGIN, u32::from_be_bytes(*b"n\0\0\0")]; crate::testing::unless_interpreted(100_000, 100)].concat();
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
