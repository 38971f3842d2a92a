//! The ranges that are mapped.
//!
//! Only a mapped range can be unmapped, so every mapping is recorded by its range: in a list for each region, the
//! newest first. Mappings mostly end in the reverse of the order in which they began, and then this takes no search. A
//! region is held as long as its list is not empty: there is no counter that could overflow, or be off by one.

use crate::base::addr::{PhysAddr, Span};
use alloc::vec::Vec;
use core::mem::{replace, swap};

/// Mappings that can be remembered from the start.
const FIRST_ROOM: usize = 512;

/// The mappings of one region: the place of the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List(u32);

impl List {
    /// No mappings.
    pub(super) const EMPTY: Self = Self(u32::MAX);

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

/// A mapping, or room for one.
#[derive(Clone, Copy, Debug)]
struct Record {
    span: Span,
    next: List,
}

/// Room to remember mappings in. It is made outside of whatever lock the table is in, because making it may take more
/// memory than the heap has at that moment.
#[derive(Debug)]
pub struct HandleRecords(Vec<Record>);

impl HandleRecords {
    /// Bytes that records for `count` mappings take.
    pub const fn bytes(count: usize) -> usize {
        count * size_of::<Record>()
    }

    /// Room for `count` mappings.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }
}

/// The mappings of all regions.
#[derive(Debug)]
pub(super) struct Handles {
    records: Vec<Record>,
    /// HandleRecords that are not in use.
    free: List,
}

impl Handles {
    pub(super) fn new() -> Self {
        let mut handles = Self { records: Vec::new(), free: List::EMPTY };
        drop(handles.move_to(HandleRecords::with_capacity(FIRST_ROOM)));
        handles
    }

    /// How many mappings can be remembered in all.
    pub(super) fn capacity(&self) -> usize {
        self.records.len()
    }

    /// Whether no more mappings can be remembered.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Moves what is remembered to `records`, if they are more, and gives back the old ones.
    pub(super) fn move_to(&mut self, mut records: HandleRecords) -> HandleRecords {
        if records.0.capacity() > self.records.len() {
            records.0.append(&mut self.records);
            swap(&mut records.0, &mut self.records);
            while self.records.len() < self.records.capacity() {
                let nowhere = Span { start: PhysAddr::new(0), end: PhysAddr::new(0) };
                let index = List(self.records.len() as u32);
                self.records.push(Record { span: nowhere, next: self.free });
                self.free = index;
            }
        }
        records
    }

    /// Remembers a mapping of `span` at the head of `list`, or returns `None` if there is no room to.
    #[inline]
    pub(super) fn add(&mut self, list: &mut List, span: Span) -> Option<()> {
        let record = self.records.get_mut(self.free.0 as usize)?;
        let index = replace(&mut self.free, record.next);
        *record = Record { span, next: *list };
        *list = index;
        Some(())
    }

    /// The newest mapping in `list`, and those before it.
    #[inline]
    pub(super) fn newest(&self, list: List) -> Option<(Span, List)> {
        self.records.get(list.0 as usize).map(|record| (record.span, record.next))
    }

    /// Forgets the newest mapping in `list`.
    #[inline]
    pub(super) fn pop(&mut self, list: &mut List) {
        if let Some(newest) = self.records.get_mut(list.0 as usize) {
            let index = replace(list, newest.next);
            newest.next = replace(&mut self.free, index);
        }
    }

    /// Forgets the newest mapping in `list` that is `wanted`, and returns it, or `None` if there is none.
    pub(super) fn remove(&mut self, list: &mut List, wanted: impl Fn(&Span) -> bool) -> Option<Span> {
        let (mut span, mut next) = self.newest(*list)?;
        if wanted(&span) {
            self.pop(list);
            return Some(span);
        }
        let mut before = *list;
        loop {
            let index = next;
            (span, next) = self.newest(index)?;
            if wanted(&span) {
                self.records.get_mut(before.0 as usize)?.next = next;
                self.records.get_mut(index.0 as usize)?.next = replace(&mut self.free, index);
                return Some(span);
            }
            before = index;
        }
    }

    /// The mappings in `list`, the newest first.
    pub(super) fn of(&self, list: List) -> impl Iterator<Item = Span> {
        let at = |list: List| self.records.get(list.0 as usize);
        core::iter::successors(at(list), move |record| at(record.next)).map(|record| record.span)
    }

    /// How many more mappings can be remembered.
    pub(super) fn room(&self) -> usize {
        self.of(self.free).count()
    }
}
