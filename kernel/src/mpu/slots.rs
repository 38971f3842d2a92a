//! The slots of the MPU: which are free, and the few ways in which one may change while the MPU is on.
//!
//! Each way ends with a synchronisation, because the next step may rely on it: an address must have left one slot for
//! certain before another slot may cover it.
//!
//! Within one way, the two registers of a slot may change in either order. When a slot opens, its new limit could meet
//! its previous base, and cover everything between, running code for example. So a closed slot is left with the highest
//! base there is ([`Prbar::PARKED`]), which makes it empty with any limit.

use crate::arch::pmsa::{Prbar, Prlar, RegionIdx, RegionRegisters};
use crate::base::addr::Span;
use crate::base::attributes::Attributes;
use alloc::vec::Vec;

/// The slots, and the registers behind them.
#[derive(Debug)]
pub(super) struct Slots<R> {
    registers: R,
    /// Disabled slots, used from the end.
    free: Vec<RegionIdx>,
}

impl<R: RegionRegisters> Slots<R> {
    /// The slots of `registers`, of which the first `used` are enabled and the others disabled.
    pub(super) fn new(registers: R, used: u8) -> Self {
        // The lowest first: slots of one group of 16 need no change of PRSELR_EL2 between them.
        let mut free = Vec::with_capacity(registers.count().into());
        free.extend((used..registers.count()).rev().map(RegionIdx::new));
        Self { registers, free }
    }

    /// How many slots there are.
    pub(super) fn count(&self) -> usize {
        self.registers.count().into()
    }

    /// How many slots are free.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// The registers.
    pub(super) fn registers(&self) -> &R {
        &self.registers
    }

    /// A free slot, if there is one.
    pub(super) fn take(&mut self) -> Option<RegionIdx> {
        self.free.pop()
    }

    /// Takes back a slot that is closed.
    pub(super) fn give_back(&mut self, slot: RegionIdx) {
        self.free.push(slot);
    }

    /// Enables `slot`, which is disabled, for `span`.
    pub(super) fn open(&mut self, slot: RegionIdx, span: Span, attributes: Attributes) {
        self.registers.write_base(slot, Prbar::new(span.start, attributes));
        self.registers.write_limit(slot, Prlar::new(span.end, attributes.memory()));
        self.registers.synchronise();
    }

    /// Disables `slot`.
    pub(super) fn close(&mut self, slot: RegionIdx) {
        self.registers.write_limit(slot, Prlar::DISABLED);
        self.registers.write_base(slot, Prbar::PARKED);
        self.registers.synchronise();
    }

    /// Moves the end of `slot`, which is enabled and begins where `span` does: one write, so that what it covers before
    /// and after stays covered.
    pub(super) fn resize(&mut self, slot: RegionIdx, span: Span, attributes: Attributes) {
        self.registers.write_limit(slot, Prlar::new(span.end, attributes.memory()));
        self.registers.synchronise();
    }

    /// Moves the start of `slot`, which is enabled: it is disabled meanwhile.
    pub(super) fn relocate(&mut self, slot: RegionIdx, span: Span, attributes: Attributes) {
        self.close(slot);
        self.open(slot, span, attributes);
    }

    /// Changes the accesses that `slot`, enabled for `span`, allows: one write, for they are in PRBAR, as is the start.
    pub(super) fn protect(&mut self, slot: RegionIdx, span: Span, attributes: Attributes) {
        self.registers.write_base(slot, Prbar::new(span.start, attributes));
        self.registers.synchronise();
    }
}
