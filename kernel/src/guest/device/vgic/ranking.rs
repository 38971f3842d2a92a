//! The few best of many interrupts.

use crate::arch::list_register::MAX_LIST_REGISTERS;
use crate::base::id::Intid;
use arrayvec::ArrayVec;

/// Whether an interrupt competes with the others of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Readiness {
    /// It is for the guest to acknowledge, or to end.
    Due,
    /// Pending in a group that the guest's CPU interface keeps out, or made active by software and not acknowledged, so
    /// that no end of an interrupt names it. It is listed if there is room.
    Idle,
}

/// An interrupt among others: the lower, the sooner. By class, by priority, then by INTID, so that there are no ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) class: Readiness,
    pub(super) priority: u8,
    pub(super) id: Intid,
}

/// As many of the best as there are list registers, and how many there were.
#[derive(Debug)]
pub(super) struct Best {
    sorted: ArrayVec<Rank, MAX_LIST_REGISTERS>,
    seen: usize,
}

impl Best {
    pub(super) const fn new() -> Self {
        Self { sorted: ArrayVec::new_const(), seen: 0 }
    }

    /// Considers one more.
    pub(super) fn offer(&mut self, rank: Rank) {
        self.seen += 1;
        let at = self.sorted.partition_point(|other| *other < rank);
        if self.sorted.is_full() {
            if at == self.sorted.len() {
                return;
            }
            self.sorted.pop();
        }
        self.sorted.insert(at, rank);
    }

    /// How many were offered.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// The best `count`, or as many as there are.
    pub(super) fn first(&self, count: usize) -> &[Rank] {
        &self.sorted[..count.min(self.sorted.len())]
    }
}
