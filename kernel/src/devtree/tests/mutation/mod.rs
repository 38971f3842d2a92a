//! Whatever the bytes: either the checker refuses them, or every read succeeds and ends.

mod words;

use super::*;
use crate::base::addr::{PhysAddr, Span};
use crate::devtree::{Blob, Survey};
use fdt::node::FdtNode;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::{Index, select};
use std::{format, vec};
use words::{KEYS, NAMES, TEXTS, WORDS, sound};

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(select(&WORDS[..]), 0..9)
            .prop_map(|words| words.iter().flat_map(|word| word.to_be_bytes()).collect()),
        3 => select(&TEXTS[..]).prop_map(|text| [text.as_bytes(), b"\0"].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn any_node(name: &'static str) -> impl Strategy<Value = Node> {
    let properties = prop::collection::btree_map(select(&KEYS[..]), any_value(), 0..6);
    let cells = prop::option::weighted(0.7, (0..4u32, 0..4u32));
    (properties, cells).prop_map(move |(properties, cells)| {
        let properties = properties.into_iter().filter(|(key, _)| *key != "phandle");
        let node = properties.fold(node(name), |node, (key, value)| node.bytes(key, &value));
        match cells {
            Some((address, size)) => node.cells("#address-cells", &[address]).cells("#size-cells", &[size]),
            None => node,
        }
    })
}

fn any_tree() -> impl Strategy<Value = Node> {
    let leaf = select(&NAMES[..]).prop_flat_map(any_node);
    let child = leaf.prop_recursive(6, 24, 4, |inner| {
        let parent = select(&NAMES[..]).prop_flat_map(any_node);
        (parent, prop::collection::vec(inner, 0..4)).prop_map(|(mut parent, children)| {
            parent.children = children;
            parent
        })
    });
    let first = prop_oneof![Just(vec![]), Just(sound())];
    (first, prop::collection::vec(child, 0..6))
        .prop_map(|(first, children)| first.into_iter().chain(children).fold(root().with(memory()), Node::with))
}

/// One way to spoil a blob.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Byte(Index, u8),
    Word(Index, u32),
    Header(usize, u32),
    /// A header field moved by a little.
    Nudge(usize, i8),
    Truncate(Index),
    Splice {
        from: Index,
        to: Index,
        length: Index,
    },
    Insert(Index, u32),
    Remove(Index),
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    let word = || select(&WORDS[..]);
    // Most into the blocks: what spoils the header is mostly refused for it.
    prop_oneof![
        4 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, 1 << bit)),
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        4 => (any::<Index>(), word()).prop_map(|(at, word)| Mutation::Word(at, word)),
        1 => (0..10usize, word()).prop_map(|(field, word)| Mutation::Header(field, word)),
        1 => (0..10usize, any::<i8>()).prop_map(|(field, by)| Mutation::Nudge(field, by)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
        4 => (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(from, to, length)| Mutation::Splice {
            from,
            to,
            length
        }),
        4 => (any::<Index>(), word()).prop_map(|(at, word)| Mutation::Insert(at, word)),
        4 => any::<Index>().prop_map(Mutation::Remove),
    ]
}

/// A place for a word; words inside a blob are aligned, and a misaligned one would only ever be refused.
fn word_at(at: Index, blob: &[u8]) -> usize {
    at.index(blob.len() / 4) * 4
}

fn mutate(blob: &mut Vec<u8>, mutation: Mutation) {
    if blob.len() < 44 {
        return;
    }
    let length = blob.len();
    match mutation {
        Mutation::Flip(at, bits) => blob[at.index(length)] ^= bits,
        Mutation::Byte(at, byte) => blob[at.index(length)] = byte,
        Mutation::Word(at, word) => {
            let at = word_at(at, blob);
            set(blob, at, word);
        }
        Mutation::Header(field, word) => set(blob, field * 4, word),
        Mutation::Nudge(field, by) => {
            let value = get(blob, field * 4).wrapping_add_signed(i32::from(by) * 4);
            set(blob, field * 4, value);
        }
        Mutation::Truncate(at) => blob.truncate(at.index(length)),
        Mutation::Splice { from, to, length } => {
            let (from, to) = (word_at(from, blob), word_at(to, blob));
            let words = length.index((blob.len() - from.max(to)) / 4 + 1);
            blob.copy_within(from..from + words * 4, to);
        }
        Mutation::Insert(at, word) => {
            let at = word_at(at, blob).max(40);
            blob.splice(at..at, word.to_be_bytes());
            grow(blob, at, 4);
        }
        Mutation::Remove(at) => {
            let at = word_at(at, blob).clamp(40, length - 4);
            blob.drain(at..at + 4);
            grow(blob, at, -4);
        }
    }
}

/// Makes the header say that `by` bytes went into the blob at `at`, so that the mutation reaches beyond the header's check.
fn grow(blob: &mut [u8], at: usize, by: i32) {
    let add = |blob: &mut [u8], field| set(blob, field, get(blob, field).wrapping_add_signed(by));
    let (structure, strings) = (get(blob, STRUCTURE) as usize, get(blob, STRINGS) as usize);
    add(blob, TOTAL);
    for field in [STRUCTURE, STRINGS, RESERVATIONS] {
        if get(blob, field) as usize > at {
            add(blob, field);
        }
    }
    if at < structure {
        return;
    }
    add(blob, if strings <= structure || at < strings { STRUCTURE_SIZE } else { STRINGS_SIZE });
}

/// Calls everything that the reader offers and that needs no particular node, on every node.
fn read_everything(blob: &Blob<'_>) -> usize {
    let fdt = blob.reader();
    let mut nodes = 0;
    let mut pending: Vec<FdtNode<'_, '_>> = fdt.find_node("/").into_iter().collect();
    assert_eq!(pending.len(), 1, "a checked tree has a root");
    while let Some(node) = pending.pop() {
        nodes += 1;
        node.cell_sizes();
        node.property("none");
        node.properties().for_each(|property| _ = (property.as_str(), property.as_usize()));
        node.reg().into_iter().flatten().for_each(drop);
        node.compatible().into_iter().flat_map(|compatible| compatible.all()).for_each(drop);
        node.interrupt_cells();
        pending.extend(node.children());
    }
    fdt.memory_reservations().for_each(drop);
    fdt.all_nodes().for_each(drop);
    fdt.strings().for_each(drop);
    fdt.find_compatible(&["none"]);
    fdt.find_phandle(1);
    nodes
}

/// Looks for memory in a blob that was not checked.
fn survey(blob: &[u8]) {
    let Ok(survey) = Survey::new(blob) else { return };
    let image = Span { start: PhysAddr::new(0x4020_0000), end: PhysAddr::new(0x4030_0000) };
    if let Some(found) = survey.free_beside(&[image], PhysAddr::new(1 << 48), survey.heap_bytes()) {
        assert!(!found.overlaps(&image) && found.bytes() > 0);
    }
}

fn count(node: &Node) -> usize {
    1 + node.children.iter().map(count).sum::<usize>()
}

/// Twice as many cases as usual; `PROPTEST_CASES` scales them.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * 2, ..usual }
}

#[test]
fn the_tree_to_be_spoilt_is_sound() {
    let blob = sound().into_iter().fold(root().with(memory()), Node::with).blob();
    let checked = Blob::check(&blob).unwrap();
    let facts = checked.facts().unwrap();
    assert!(facts.guests.len() == 1 && facts.gic.is_some() && facts.virtual_timer.is_some());
}

proptest! {
    #![proptest_config(config())]

    /// A whole tree is accepted and read to its last node.
    #[test]
    fn a_whole_tree_is_accepted(tree in any_tree()) {
        let blob = tree.blob();
        let checked = Blob::check(&blob).map_err(|error| format!("{error}")).unwrap();
        assert_eq!(read_everything(&checked), count(&tree));
        let _ = checked.facts();
    }

    #[test]
    fn a_spoilt_tree_is_refused_or_can_be_read(
        tree in any_tree(),
        mutations in prop::collection::vec(any_mutation(), 1..5),
        tail in prop_oneof![Just(0usize), 0..64usize],
    ) {
        let mut blob = tree.blob_reserving(&[(0x4000_0000, 0x1000)]);
        mutations.into_iter().for_each(|mutation| mutate(&mut blob, mutation));
        // Bytes behind the blob belong to somebody else.
        blob.extend_from_slice(&[0xff; 64][..tail]);
        survey(&blob);
        if let Ok(checked) = Blob::check(&blob) {
            read_everything(&checked);
            let _ = checked.facts();
        }
    }
}
