//! A blob's memory, found before there is a heap to read the blob with.
//!
//! A tree may hold 2 MiB of nothing but reservations, and their list would not fit into the heap that the image brings
//! along. EL2's first memory is therefore found by one walk over the tokens, which allocates nothing, skips gaps and
//! trusts no number. The walk need not be exact, only careful: it treats every range that might be occupied as
//! occupied, and the memory map, built later from the same blob, has the last word.
//!
//! The search covers the bank that the image runs in, beside the image: that bank certainly exists.

use super::check::{BlobHeader, block, reservations};
use super::error::{BlobBlock, BlobError, HEADER_SIZE, MAX_DEPTH};
use super::node::{cell_bytes, is_okay, number, text};
use super::tokens::{Token, Tokens};
use crate::base::addr::{PhysAddr, Span};

/// Blocks that are looked at, each free or not.
const BLOCKS: usize = 1024;

/// Size of each, in bytes: what EL2 maps by one descriptor.
const BLOCK_BYTES: u64 = 2 << 20;

/// How far below the image the first of them may be, in bytes.
const BELOW: u64 = BLOCKS as u64 / 2 * BLOCK_BYTES;

/// Bytes of heap for each byte of a blob. A reservation of 16 bytes becomes an owner, its place on the map, free ranges around
/// it and their blocks, or a bank and a warning, each with a name, in lists that grow by doubling.
const HEAP_FACTOR: u64 = 32;

/// The most heap for a blob, in bytes, so that 128 MiB of RAM are enough for it.
const HEAP_MAX: u64 = 32 << 20;

/// A blob of which nothing but the header was checked.
pub struct Survey<'a> {
    reservations: &'a [u8],
    structure: &'a [u8],
    names: &'a [u8],
}

/// What a range of memory is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// RAM.
    Ram,
    /// Somebody's, perhaps.
    Taken,
}

/// How many cells an address and a size take.
#[derive(Clone, Copy)]
struct Cells {
    address: usize,
    size: usize,
}

/// Where in the tree the walk is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Chosen,
    ReservedMemory,
    Other,
}

/// What of a node matters, once all of its properties were seen.
#[derive(Default)]
struct Node<'a> {
    device_type: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    reg: Option<&'a [u8]>,
    usable: Option<&'a [u8]>,
    usable_range: Option<&'a [u8]>,
    static_memory: Option<&'a [u8]>,
    shared_memory: Option<&'a [u8]>,
    static_cells: [Option<&'a [u8]>; 2],
    initrd: [Option<&'a [u8]>; 2],
}

impl<'a> Survey<'a> {
    /// The survey of the blob in `bytes`.
    ///
    /// # Errors
    ///
    /// [`BlobError`], as [`Blob::check`](super::Blob::check) has it.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let start = bytes.first_chunk::<HEADER_SIZE>().ok_or(BlobError::HeaderCut { have: bytes.len() })?;
        let header = BlobHeader::read(start)?;
        let total = header.total;
        let bytes = bytes.get(..total).ok_or(BlobError::CutShort { total, have: bytes.len() })?;
        Ok(Self {
            reservations: reservations(bytes, header.reservations, header.size)?,
            structure: block(bytes, BlobBlock::Structure, header.structure, 4, header.size)?,
            names: block(bytes, BlobBlock::Strings, header.strings, 1, header.size)?,
        })
    }

    /// How much heap it takes to read the blob, in bytes: whole blocks of 2 MiB, at least one.
    pub fn heap_bytes(&self) -> u64 {
        let bytes = (self.reservations.len() + self.structure.len() + self.names.len()) as u64;
        (bytes * HEAP_FACTOR).next_multiple_of(BLOCK_BYTES).min(HEAP_MAX)
    }

    /// Free RAM beside the image: `bytes` bytes, rounded up to blocks of 2 MiB, or half of it, or a quarter, and so on. It is
    /// aligned to 2 MiB, below `limit`, and none of `owned`, whose first is the image. `None` if there is not even one block.
    pub fn free_beside(&self, owned: &[Span], limit: PhysAddr, bytes: u64) -> Option<Span> {
        let image = owned.first()?;
        let mut bank = None;
        self.each(&mut |kind, span| {
            if kind == Use::Ram && span.contains(image) {
                bank = Some(span);
            }
        })?;
        let Span { start, end } = bank?;
        let lowest = start.get().max(image.start.get().saturating_sub(BELOW)).next_multiple_of(BLOCK_BYTES);
        let mut blocks = Blocks::new(lowest, end.get().min(limit.get()));
        // Address 0 stays unmapped.
        blocks.take(&Span { start: PhysAddr::new(0), end: PhysAddr::new(1) });
        owned.iter().for_each(|span| blocks.take(span));
        self.each(&mut |kind, span| {
            if kind == Use::Taken {
                blocks.take(&span);
            }
        })?;
        let most = bytes.div_ceil(BLOCK_BYTES).max(1);
        core::iter::successors(Some(most), |count| (*count > 1).then_some(count / 2))
            .find_map(|count| blocks.find(count))
    }

    /// Calls `visit` for every range that the blob names. `None` if the blob makes no sense.
    fn each(&self, visit: &mut dyn FnMut(Use, Span)) -> Option<()> {
        for entry in self.reservations.chunks_exact(16) {
            let (start, size) = entry.split_at(8);
            emit(visit, Use::Taken, number(start), number(size));
        }
        let mut tokens = Tokens::new(self.structure, 0);
        // For each open node, the cells of its children.
        let mut cells = [Cells { address: 2, size: 1 }; MAX_DEPTH];
        let (mut depth, mut part) = (0, Part::Other);
        // The innermost open node, as long as it has had nothing but properties.
        let mut node: Option<Node<'a>> = None;
        loop {
            let token = tokens.read().ok()?;
            if !matches!(token, Token::Property { .. } | Token::Nop)
                && let Some(node) = node.take()
            {
                node.emit(depth, part, cells.get(depth.checked_sub(2)?), visit);
            }
            match token {
                Token::BeginNode(name) => {
                    *cells.get_mut(depth)? = Cells { address: 2, size: 1 };
                    depth += 1;
                    if depth == 2 {
                        part = match name.split(|&byte| byte == b'@').next() {
                            Some(b"chosen") => Part::Chosen,
                            Some(b"reserved-memory") => Part::ReservedMemory,
                            _ => Part::Other,
                        };
                    }
                    // The root has nothing to emit.
                    node = (depth > 1).then(Node::default);
                }
                Token::EndNode => depth = depth.checked_sub(1)?,
                Token::Property { name, value } => {
                    let name = text(self.names.get(name as usize..)?)?;
                    let own = cells.get_mut(depth.checked_sub(1)?)?;
                    match name {
                        "#address-cells" => own.address = first_cell(value),
                        "#size-cells" => own.size = first_cell(value),
                        _ => {}
                    }
                    if let Some(node) = &mut node {
                        node.note(name, value);
                    }
                }
                Token::Nop => {}
                Token::End => return Some(()),
            }
        }
    }
}

impl<'a> Node<'a> {
    fn note(&mut self, name: &str, value: &'a [u8]) {
        let place = match name {
            "device_type" => &mut self.device_type,
            "status" => &mut self.status,
            "reg" => &mut self.reg,
            "linux,usable-memory" => &mut self.usable,
            "linux,usable-memory-range" => &mut self.usable_range,
            "xen,static-mem" => &mut self.static_memory,
            "xen,shared-mem" => &mut self.shared_memory,
            "#xen,static-mem-address-cells" => &mut self.static_cells[0],
            "#xen,static-mem-size-cells" => &mut self.static_cells[1],
            "linux,initrd-start" => &mut self.initrd[0],
            "linux,initrd-end" => &mut self.initrd[1],
            _ => return,
        };
        *place = Some(value);
    }

    /// Visits the ranges of a node at this depth, the root's being 1, whose parent has `cells` for it.
    fn emit(&self, depth: usize, part: Part, cells: Option<&Cells>, visit: &mut dyn FnMut(Use, Span)) {
        let Some(&cells) = cells else { return };
        match part {
            Part::Other if depth == 2 => {
                if self.device_type.and_then(text) == Some("memory") && is_okay(self.status) {
                    each_range(self.usable.or(self.reg), cells, 1, &mut |start, size| {
                        emit(visit, Use::Ram, start, size);
                    });
                }
            }
            Part::Other => {}
            Part::ReservedMemory | Part::Chosen => {
                let mut take = |start, size| emit(visit, Use::Taken, start, size);
                each_range(self.reg, cells, 1, &mut take);
                if depth == 2 {
                    // RAM outside the range is a crashed kernel's. Of several ranges, any one is a part of what may be used.
                    let mut usable = None;
                    each_range(self.usable_range, cells, 1, &mut |start, size| {
                        usable = (size > 0).then_some((start, size)).or(usable)
                    });
                    if let Some((start, size)) = usable {
                        take(0, start);
                        take(start.saturating_add(size), u64::MAX);
                    }
                }
                let cell = |value: Option<&[u8]>, other| value.map_or(other, |value| number(value) as usize);
                let [address, size] = self.static_cells;
                let own = Cells { address: cell(address, cells.address), size: cell(size, cells.size) };
                each_range(self.static_memory, own, 1, &mut take);
                // Where the guest finds it stands between the host's address and the size.
                each_range(self.shared_memory, cells, 2, &mut take);
                if let [Some(start), Some(end)] = self.initrd {
                    take(number(start), number(end).saturating_sub(number(start)));
                }
            }
        }
    }
}

/// The first cell of a property that should have one; 0 if it has none.
fn first_cell(value: &[u8]) -> usize {
    value.first_chunk().map_or(0, |cell| u32::from_be_bytes(*cell)) as usize
}

/// Calls `each` with the first address and the size of every entry of `value`, which have as many addresses.
fn each_range(value: Option<&[u8]>, cells: Cells, addresses: usize, each: &mut dyn FnMut(u64, u64)) {
    let (Some(value), Some(address), Some(size)) = (value, cell_bytes(cells.address), cell_bytes(cells.size)) else {
        return;
    };
    for entry in value.chunks_exact(addresses * address + size) {
        each(number(&entry[..address]), number(&entry[addresses * address..]));
    }
}

fn emit(visit: &mut dyn FnMut(Use, Span), kind: Use, start: u64, size: u64) {
    let end = match kind {
        Use::Ram => start.checked_add(size),
        Use::Taken => Some(start.saturating_add(size)),
    };
    if let Some(end) = end.filter(|end| *end > start) {
        visit(kind, Span { start: PhysAddr::new(start), end: PhysAddr::new(end) });
    }
}

/// Blocks of 2 MiB from an address on, of which each is free or not.
struct Blocks {
    start: u64,
    count: usize,
    taken: [u64; BLOCKS / 64],
}

impl Blocks {
    /// Free blocks from `start`, a multiple of their size, up to `end` at most.
    fn new(start: u64, end: u64) -> Self {
        let count = (end.saturating_sub(start) / BLOCK_BYTES).min(BLOCKS as u64) as usize;
        Self { start, count, taken: [0; BLOCKS / 64] }
    }

    /// Takes the blocks that `span` touches.
    fn take(&mut self, span: &Span) {
        let first = (span.start.get().saturating_sub(self.start) / BLOCK_BYTES).min(BLOCKS as u64) as usize;
        let end = span.end.get().saturating_sub(self.start).div_ceil(BLOCK_BYTES).min(BLOCKS as u64) as usize;
        for (index, word) in self.taken.iter_mut().enumerate().take(end.div_ceil(64)).skip(first / 64) {
            // The bits of this word for the blocks below `block`; none if they are 64 bits further up.
            let below = |block: usize| match block.saturating_sub(index * 64) {
                count @ 0..64 => (1 << count) - 1,
                _ => u64::MAX,
            };
            *word |= below(end) & !below(first);
        }
    }

    /// The lowest `count` blocks in a row that are free.
    fn find(&self, count: u64) -> Option<Span> {
        let mut run = 0;
        for block in 0..self.count {
            run = if self.taken[block / 64] >> (block % 64) & 1 == 0 { run + 1 } else { 0 };
            if run == count {
                let end = self.start + (block as u64 + 1) * BLOCK_BYTES;
                return Some(Span { start: PhysAddr::new(end - count * BLOCK_BYTES), end: PhysAddr::new(end) });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
