//! Trees for tests, written by `vm-fdt`, which is independent of both the checker and the reader.

mod check;
mod chosen;
mod console;
mod cpus;
mod facts;
mod guests;
mod interrupts;
mod mutation;

use super::tokens::{Token, Tokens};
use std::borrow::ToOwned;
use std::string::String;
use std::vec::Vec;
use vm_fdt::{FdtReserveEntry, FdtWriter};

/// A node to be written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    name: String,
    properties: Vec<(String, Vec<u8>)>,
    children: Vec<Node>,
}

pub(crate) fn node(name: &str) -> Node {
    Node { name: name.to_owned(), properties: Vec::new(), children: Vec::new() }
}

/// A root with two address and two size cells.
pub(crate) fn root() -> Node {
    node("").cells("#address-cells", &[2]).cells("#size-cells", &[2])
}

/// 1 GiB of RAM at 1 GiB, for a root with two address and two size cells.
pub(crate) fn memory() -> Node {
    node("memory@40000000").text("device_type", "memory").cells("reg", &[0, 0x4000_0000, 0, 0x4000_0000])
}

impl Node {
    pub fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.properties.push((name.to_owned(), value.to_vec()));
        self
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.bytes(name, &[value.as_bytes(), b"\0"].concat())
    }

    pub fn cells(self, name: &str, cells: &[u32]) -> Self {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.bytes(name, &bytes)
    }

    pub fn with(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    pub fn blob(&self) -> Vec<u8> {
        self.blob_reserving(&[])
    }

    /// The blob with a memory reservation block of (address, size).
    pub fn blob_reserving(&self, reservations: &[(u64, u64)]) -> Vec<u8> {
        let entry = |(address, size): &(u64, u64)| FdtReserveEntry::new(*address, *size).unwrap();
        let entries: Vec<FdtReserveEntry> = reservations.iter().map(entry).collect();
        let mut writer = FdtWriter::new_with_mem_reserv(&entries).unwrap();
        self.write(&mut writer);
        writer.finish().unwrap()
    }

    fn write(&self, writer: &mut FdtWriter) {
        let open = writer.begin_node(&self.name).unwrap();
        for (name, value) in &self.properties {
            writer.property(name, value).unwrap();
        }
        for child in &self.children {
            child.write(writer);
        }
        writer.end_node(open).unwrap();
    }
}

/// Offsets of header fields.
pub(super) const TOTAL: usize = 4;
pub(super) const STRUCTURE: usize = 8;
pub(super) const STRINGS: usize = 12;
pub(super) const RESERVATIONS: usize = 16;
pub(super) const VERSION: usize = 20;
pub(super) const STRINGS_SIZE: usize = 32;
pub(super) const STRUCTURE_SIZE: usize = 36;

pub(super) fn get(blob: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(blob[at..at + 4].try_into().unwrap())
}

pub(super) fn set(blob: &mut [u8], at: usize, value: u32) {
    blob[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// `blob` with another structure block, which goes to its end.
pub(super) fn with_structure(blob: &[u8], structure: &[u8]) -> Vec<u8> {
    let mut blob = blob.to_vec();
    blob.resize(blob.len().next_multiple_of(4), 0);
    let start = blob.len() as u32;
    set(&mut blob, STRUCTURE, start);
    set(&mut blob, STRUCTURE_SIZE, structure.len() as u32);
    blob.extend_from_slice(structure);
    let total = blob.len() as u32;
    set(&mut blob, TOTAL, total);
    blob
}

/// The tokens of `blob`, each in its bytes.
pub(super) fn tokens(blob: &[u8]) -> Vec<Vec<u8>> {
    let (start, size) = (get(blob, STRUCTURE) as usize, get(blob, STRUCTURE_SIZE) as usize);
    let block = &blob[start..start + size];
    let mut tokens = Tokens::new(block, start);
    let mut found = Vec::new();
    loop {
        let from = tokens.position();
        let token = tokens.read().unwrap();
        found.push(block[from..tokens.position()].to_vec());
        if token == Token::End {
            return found;
        }
    }
}
