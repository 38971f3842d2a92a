//! The machine's RAM and the owner of each part of it, without contradictions.
//!
//! All later code may rely on these properties: banks are whole pages, in ascending order, disjoint and not adjacent to
//! each other; everything that must be RAM is RAM; and memory given to a guest, for use or for reading, has no other
//! owner. Reservations that only keep memory out of use contradict each other in trees of real boards in many ways: all
//! of their memory is kept out of use, with a warning.

use crate::base::addr::{Frames, Mfn, PAGE_SHIFT, PAGE_SIZE, PhysAddr, Span};
use crate::base::sort;
use crate::devtree::{Bank, Owned, Owner};
use absent::Absent;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use owners::OwnerKind;
use thiserror::Error;

pub mod absent;
mod owners;
#[cfg(test)]
mod tests;

/// One past the highest physical address that the CPU can put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysLimit(PhysAddr);

impl PhysLimit {
    /// 48 bits: the widest physical address that 4 KiB pages can map without FEAT_LPA2.
    pub const WIDEST: Self = Self::from_bits(48);

    /// 52 bits: the widest physical address of the architecture (FEAT_LPA). For plans on paper; the image stays below
    /// [`WIDEST`](Self::WIDEST).
    pub const ARCHITECTURE: Self = Self(PhysAddr::new(1 << 52));

    /// The address.
    pub const fn address(self) -> PhysAddr {
        self.0
    }

    /// The limit of a CPU with `bits` physical address bits (ID_AA64MMFR0_EL1.PARange); more than 48 count as 48.
    pub const fn from_bits(bits: u32) -> Self {
        Self(PhysAddr::new(1 << if bits < 48 { bits } else { 48 }))
    }
}

/// Why a set of banks and reservations is not a memory map.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum MemoryMapError {
    #[error("none of {banks} memory banks has a page of usable RAM")]
    NoRam { banks: usize },
    #[error("{what} lies outside RAM")]
    NotRam { what: Owned },
    #[error("{what} lies where no memory answers")]
    Silent { what: Owned },
    #[error("{what} is not made of whole pages of {PAGE_SIZE} bytes")]
    Unaligned { what: Owned },
    #[error("{second} overlaps {first}")]
    Overlap { first: Owned, second: Owned },
}

/// What is odd in a tree, and what becomes of it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MemoryWarning {
    /// A bank is not taken as it stands in the tree.
    #[error("memory of {} at {}, {:#x} bytes, {}", bank.node, bank.start, bank.size, FaultOf(bank, *fault))]
    Bank {
        /// The bank.
        bank: Bank,
        /// What is wrong with it.
        fault: BankFault,
    },
    /// Some RAM is in two banks.
    #[error("memory of {second} {second_span} overlaps memory of {first} {first_span}: merged")]
    Banks {
        /// The node of the lower bank.
        first: String,
        /// Its memory.
        first_span: Span,
        /// The node of the other.
        second: String,
        /// Its memory.
        second_span: Span,
    },
    /// Two who keep the same memory away from everybody.
    #[error("{second} overlaps {first}: both are reserved")]
    Overlap {
        /// The lower one.
        first: Owned,
        /// The other.
        second: Owned,
    },
    /// Something that need not be RAM is not, or not all of it.
    #[error("{what} does not lie in RAM")]
    NotRam {
        /// It.
        what: Owned,
    },
    /// What would be too many lines of the kinds above.
    #[error("{count} more reservations overlap others or do not lie in RAM")]
    More {
        /// How many lines are left out.
        count: usize,
    },
}

/// What can be wrong with a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankFault {
    /// It has no bytes.
    Empty,
    /// It has no whole page.
    SubPage,
    /// Its end lies past 2^64.
    Wraps,
    /// All of it lies above what the CPU can address.
    Above(PhysLimit),
    /// A part of it lies above what the CPU can address; the rest is used.
    Cut(PhysLimit),
    /// From this address on there is nothing.
    Silent(PhysAddr),
    /// From the first address on, what is found at the second appears again.
    Mirror(PhysAddr, PhysAddr),
}

/// What is wrong with a bank, in words.
struct FaultOf<'b>(&'b Bank, BankFault);

impl fmt::Display for FaultOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.start;
        match self.1 {
            BankFault::Empty => f.write_str("is empty: ignored"),
            BankFault::SubPage => write!(f, "has no whole page of {PAGE_SIZE} bytes: ignored"),
            BankFault::Wraps => f.write_str("reaches past the end of the address space: ignored"),
            BankFault::Above(PhysLimit(limit)) => {
                write!(f, "lies above the CPU's physical addresses, which end at {limit}: ignored")
            }
            BankFault::Silent(from) if from <= start => f.write_str("does not answer: ignored"),
            BankFault::Silent(from) => write!(f, "does not answer from {from} on: cut there"),
            BankFault::Mirror(from, of) if from <= start => write!(f, "is the same as that at {of}: ignored"),
            BankFault::Mirror(from, of) => write!(f, "is from {from} on the same as that at {of}: cut there"),
            BankFault::Cut(PhysLimit(limit)) => write!(f, "reaches above the CPU's physical addresses: cut at {limit}"),
        }
    }
}

/// RAM and its owners.
#[derive(Debug)]
pub struct MemoryMap {
    /// Ascending, disjoint, not adjacent, none empty; at least one.
    banks: Vec<Range<Mfn>>,
    /// In ascending order of their start.
    reserved: Vec<Owned>,
    /// Ascending, disjoint, none empty.
    free: Vec<Range<Mfn>>,
    warnings: Vec<MemoryWarning>,
}

impl MemoryMap {
    /// Puts `banks` and `owned`, each in any order, on one map. Nothing at or above `limit` counts as RAM, and who owns no byte
    /// is left out.
    pub fn new(banks: &[Bank], mut owned: Vec<Owned>, limit: PhysLimit) -> Result<Self, MemoryMapError> {
        let mut warnings = Vec::new();
        let ram = ram(banks, limit, &mut warnings)?;
        if holds(&ram, &FRAME_ZERO) {
            owned.push(Owned { owner: Owner::FrameZero, span: FRAME_ZERO });
        }
        owned.retain(|owned| owned.span.bytes() > 0);
        sort::by_key(&mut owned, |owned| (owned.span, OwnerKind::of(&owned.owner)));
        owners::check(&owned, &ram, &mut warnings)?;
        let free = without(&ram, &mut owned.iter().map(|owned| owned.span));
        Ok(Self { banks: ram, reserved: owned, free, warnings })
    }

    /// The same map without RAM that is not there, and with warnings of it behind the others; `banks` are those that it was
    /// made of.
    ///
    /// # Errors
    ///
    /// [`MemoryMapError::NoRam`] if there is no other, [`MemoryMapError::NotRam`] if somebody was to have it.
    pub fn without(mut self, absent: &[Absent], banks: &[Bank]) -> Result<Self, MemoryMapError> {
        if absent.is_empty() {
            return Ok(self);
        }
        self.banks = without(&self.banks, &mut absent.iter().map(|absent| absent.frames.span()));
        if self.banks.is_empty() {
            return Err(MemoryMapError::NoRam { banks: banks.len() });
        }
        // Oddities were told of the larger map.
        owners::check(&self.reserved, &self.banks, &mut Vec::new())?;
        self.free = without(&self.banks, &mut self.reserved.iter().map(|owned| owned.span));
        for Absent { frames, mirror_of } in absent {
            let from = frames.start.address();
            let fault = mirror_of.map_or(BankFault::Silent(from), |of| BankFault::Mirror(from, of.address()));
            // All that begin there, or have a part there.
            let is_there =
                |bank: &&Bank| Span::sized(bank.start, bank.size).is_some_and(|span| span.overlaps(&frames.span()));
            self.warnings
                .extend(banks.iter().filter(is_there).map(|bank| MemoryWarning::Bank { bank: bank.clone(), fault }));
        }
        Ok(self)
    }

    /// All RAM: ascending, disjoint, no two adjacent, none empty; at least one.
    pub fn banks(&self) -> &[Range<Mfn>] {
        &self.banks
    }

    /// Whether `mfn` is RAM, owned or free.
    pub fn is_ram(&self, mfn: Mfn) -> bool {
        let next = self.banks.partition_point(|bank| bank.end <= mfn);
        self.banks.get(next).is_some_and(|bank| bank.contains(&mfn))
    }

    /// All that is owned, in ascending order of the first byte. Some of it may not be RAM.
    pub fn reserved(&self) -> &[Owned] {
        &self.reserved
    }

    /// RAM that nobody owns: ascending, disjoint, none empty. A page of which one byte is owned is not free.
    pub fn free(&self) -> impl Iterator<Item = Range<Mfn>> {
        self.free.iter().cloned()
    }

    /// Bytes of RAM.
    pub fn ram_bytes(&self) -> u64 {
        self.banks.iter().map(Frames::bytes).sum()
    }

    /// Bytes from the first of RAM to the last, holes included.
    pub fn span_bytes(&self) -> u64 {
        match (self.banks.first(), self.banks.last()) {
            (Some(first), Some(last)) => (first.start..last.end).bytes(),
            _ => 0,
        }
    }

    /// Bytes of RAM that nobody owns.
    pub fn free_bytes(&self) -> u64 {
        self.free.iter().map(Frames::bytes).sum()
    }

    /// What is odd in the tree, and does not end the boot.
    pub fn warnings(&self) -> &[MemoryWarning] {
        &self.warnings
    }
}

/// Address 0 stays unmapped, so that a null pointer faults: whoever got frame 0 could not map it there.
const FRAME_ZERO: Span = Span { start: PhysAddr::new(0), end: PhysAddr::new(PAGE_SIZE) };

/// The whole pages of `banks` below `limit`, in order and merged.
fn ram(banks: &[Bank], limit: PhysLimit, warnings: &mut Vec<MemoryWarning>) -> Result<Vec<Range<Mfn>>, MemoryMapError> {
    let mut kept = Vec::with_capacity(banks.len());
    for bank in banks {
        let (span, fault) = below(bank, limit);
        kept.extend(span.map(|span| (span, bank)));
        warnings.extend(fault.map(|fault| MemoryWarning::Bank { bank: bank.clone(), fault }));
    }
    sort::by_key(&mut kept, |(span, _)| *span);
    // Of those before, the one that reaches furthest.
    let mut furthest: Option<&(Span, &Bank)> = None;
    for this in &kept {
        if let Some((first_span, first)) = furthest
            && first_span.overlaps(&this.0)
        {
            let (first, second) = (first.node.clone(), this.1.node.clone());
            warnings.push(MemoryWarning::Banks { first, first_span: *first_span, second, second_span: this.0 });
        }
        if furthest.is_none_or(|(span, _)| span.end < this.0.end) {
            furthest = Some(this);
        }
    }

    let mut ram: Vec<Range<Mfn>> = Vec::with_capacity(kept.len());
    for pages in kept.iter().filter_map(|(span, _)| whole_pages(span)) {
        match ram.last_mut() {
            Some(last) if last.end >= pages.start => last.end = last.end.max(pages.end),
            _ => ram.push(pages),
        }
    }
    if ram.is_empty() { Err(MemoryMapError::NoRam { banks: banks.len() }) } else { Ok(ram) }
}

/// What of `bank` can be used, to the byte, and what is wrong with it.
fn below(bank: &Bank, PhysLimit(limit): PhysLimit) -> (Option<Span>, Option<BankFault>) {
    if bank.size == 0 {
        return (None, Some(BankFault::Empty));
    }
    let Some(span) = Span::sized(bank.start, bank.size) else {
        return (None, Some(BankFault::Wraps));
    };
    if span.start >= limit {
        return (None, Some(BankFault::Above(PhysLimit(limit))));
    }
    let cut = Span { start: span.start, end: span.end.min(limit) };
    match whole_pages(&cut) {
        None => (None, Some(BankFault::SubPage)),
        Some(_) if cut == span => (Some(span), None),
        Some(_) => (Some(cut), Some(BankFault::Cut(PhysLimit(limit)))),
    }
}

/// The pages that lie wholly in `span`, if there are any.
fn whole_pages(span: &Span) -> Option<Range<Mfn>> {
    let start = Mfn::containing(span.start.align_up(PAGE_SIZE)?)?;
    let end = Mfn::containing(span.end)?;
    (start < end).then_some(start..end)
}

/// Whether every byte of `span` lies in `ram`.
fn holds(ram: &[Range<Mfn>], span: &Span) -> bool {
    let next = ram.partition_point(|bank| bank.end.address() <= span.start);
    ram.get(next).is_some_and(|bank| bank.span().contains(span))
}

/// `ram` without the pages of `owned`, which are in ascending order.
fn without(ram: &[Range<Mfn>], owned: &mut dyn ExactSizeIterator<Item = Span>) -> Vec<Range<Mfn>> {
    // Page numbers, merged: a reservation outside RAM may lie beyond the last frame.
    let mut taken: Vec<Range<u64>> = Vec::with_capacity(owned.len());
    for span in owned {
        let pages = span.start.get() >> PAGE_SHIFT..span.end.get().div_ceil(PAGE_SIZE);
        match taken.last_mut() {
            Some(last) if pages.start <= last.end => last.end = last.end.max(pages.end),
            _ => taken.push(pages),
        }
    }

    let mut free = Vec::with_capacity(ram.len() + taken.len());
    for bank in ram {
        let mut from = bank.start;
        let first = taken.partition_point(|pages| pages.end <= bank.start.get());
        for pages in taken.iter().skip(first).take_while(|pages| pages.start < bank.end.get()) {
            // Frame numbers inside the bank, so both exist.
            let start = Mfn::new(pages.start.max(bank.start.get())).unwrap_or(bank.end);
            let end = Mfn::new(pages.end.min(bank.end.get())).unwrap_or(bank.end);
            free.push(from..start);
            from = end;
        }
        free.push(from..bank.end);
    }
    free.retain(|range| !range.is_empty());
    free
}
