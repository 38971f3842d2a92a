//! An MPU model that assumes the worst: it does everything that hardware may do with a write.
//!
//! Until a synchronisation, each register may have any value written since the last one, or the value from before, in
//! any combination with the others. The model panics at the first write after which one of these combinations would be
//! wrong: two enabled slots over one address, or code and stack not covered. Registers start with arbitrary values, as
//! after reset.

use crate::arch::pmsa::{GRANULE, Prbar, Prlar, RegionIdx, RegionRegisters};
use crate::arch::region_trace::Cost;
use crate::base::addr::{PhysAddr, Span};
use crate::base::attributes::{Attributes, MemoryType};
use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

/// All that a slot's registers may be, the newest values last.
#[derive(Clone)]
struct Slot {
    bases: Vec<Prbar>,
    limits: Vec<Prlar>,
}

impl Slot {
    fn now(&self) -> (Prbar, Prlar) {
        (*self.bases.last().unwrap(), *self.limits.last().unwrap())
    }

    /// All that it may cover. A region whose limit is below its base has no address.
    fn spans(&self) -> impl Iterator<Item = Span> {
        let enabled = self.limits.iter().filter(|limit| limit.is_enabled());
        let span = |base: &Prbar, limit: &Prlar| Span { start: base.base(), end: limit.end() };
        enabled.flat_map(move |limit| self.bases.iter().map(move |base| span(base, limit))).filter(|s| s.bytes() > 0)
    }
}

struct State {
    on: bool,
    slots: Vec<Slot>,
    /// Code and stack: what no write may concern, and what is always covered.
    in_use: Vec<Span>,
    /// Memory that must always be covered, by a slot that may grow.
    locked: Vec<Span>,
    synchronised: bool,
    cost: Cost,
}

/// A handle on the MPU: clones are the same one.
#[derive(Clone)]
pub(crate) struct Fake(Rc<RefCell<State>>);

impl Fake {
    /// An MPU of `count` slots after reset: off, with garbage in its registers.
    pub(crate) fn new(count: u8) -> Self {
        let garbage = |slot: u8| Slot {
            bases: vec![Prbar::new(PhysAddr::new(0x123 * GRANULE * u64::from(slot)), Attributes::CODE)],
            limits: vec![Prlar::new(PhysAddr::new(1 << 47), MemoryType::Device)],
        };
        let state = State {
            on: false,
            slots: (0..count).map(garbage).collect(),
            in_use: Vec::new(),
            locked: Vec::new(),
            synchronised: false,
            cost: Cost::default(),
        };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Turns the MPU on. From now on `in_use` are the running code and its stack, and `locked` what else it needs.
    pub(crate) fn turn_on(&self, in_use: &[Span], locked: &[Span]) {
        let mut state = self.0.borrow_mut();
        assert!(state.synchronised, "the MPU is turned on while writes of its registers are under way");
        state.on = true;
        state.in_use = in_use.to_vec();
        state.locked = locked.to_vec();
        state.check_all();
    }

    /// Accesses `at`: what it may be used for, or `None` for a fault.
    pub(crate) fn access(&self, at: PhysAddr) -> Option<Attributes> {
        let state = self.0.borrow();
        assert!(state.synchronised, "{at} is accessed while writes of the MPU's registers are under way");
        let byte = Span { start: at, end: at.checked_add(1).unwrap() };
        let mut hits = state.slots.iter().filter(|slot| slot.spans().any(|span| span.contains(&byte)));
        let (base, limit) = hits.next()?.now();
        assert!(hits.next().is_none(), "{at} is in two enabled slots");
        crate::arch::pmsa::decode(base, limit).map(|(_, attributes)| attributes)
    }

    /// The enabled slots, by number.
    pub(crate) fn enabled(&self) -> Vec<(RegionIdx, Span, Attributes)> {
        let state = self.0.borrow();
        let slot = |(number, slot): (u8, &Slot)| {
            let (base, limit) = slot.now();
            crate::arch::pmsa::decode(base, limit).map(|(span, attributes)| (RegionIdx::new(number), span, attributes))
        };
        (0..=u8::MAX).zip(&state.slots).filter_map(slot).collect()
    }

    /// All register writes and synchronisations so far.
    pub(crate) fn cost(&self) -> Cost {
        self.0.borrow().cost
    }
}

impl State {
    /// Checks that no slot overlaps another, and that what is needed is covered.
    fn check_all(&self) {
        for slot in 0..self.slots.len() {
            self.check_alone(slot);
        }
        self.check_covered();
    }

    /// Checks that slot `number` overlaps no other.
    fn check_alone(&self, number: usize) {
        for span in self.slots[number].spans() {
            for (other, slot) in self.slots.iter().enumerate().filter(|(other, _)| *other != number) {
                let with = slot.spans().find(|with| with.overlaps(&span));
                assert!(with.is_none(), "slots {number} and {other} overlap: {span} and {}", with.unwrap());
            }
        }
    }

    /// Checks that all that is needed is in a slot, whatever of its possible values that has.
    fn check_covered(&self) {
        for span in self.in_use.iter().chain(&self.locked) {
            let covers = |slot: &Slot| {
                slot.limits.iter().all(|limit| limit.is_enabled())
                    && slot.spans().count() == slot.bases.len() * slot.limits.len()
                    && slot.spans().all(|covered| covered.contains(span))
            };
            assert!(self.slots.iter().any(covers), "{span} is needed, and no slot covers it for certain");
        }
    }

    fn write(&mut self, slot: RegionIdx, change: impl FnOnce(&mut Slot)) {
        let number = usize::from(slot.get());
        let slot = self.slots.get_mut(number).expect("a slot that this MPU has");
        let spans: Vec<Span> = slot.spans().collect();
        change(slot);
        self.synchronised = false;
        self.cost.writes += 1;
        if self.on {
            let hit = self.in_use.iter().find(|used| spans.iter().any(|span| span.overlaps(used)));
            assert!(hit.is_none(), "a write to the slot that covers {}, the running code or its stack", hit.unwrap());
            self.check_alone(number);
            self.check_covered();
        }
    }
}

impl RegionRegisters for Fake {
    fn count(&self) -> u8 {
        self.0.borrow().slots.len() as u8
    }

    fn write_base(&mut self, slot: RegionIdx, base: Prbar) {
        let on = self.0.borrow().on;
        self.0.borrow_mut().write(slot, |slot| {
            // A slot that is, or may still be, enabled may change what it allows, but not where it begins; out of the way is
            // no place.
            let moves = slot.bases.iter().any(|old| old.base() != base.base());
            let lands = slot.limits.iter().any(|limit| limit.is_enabled() && limit.end() > base.base());
            assert!(!on || !moves || !lands, "the enabled slot at {} is moved", slot.now().0.base());
            slot.bases.push(base);
        });
    }

    fn write_limit(&mut self, slot: RegionIdx, limit: Prlar) {
        self.0.borrow_mut().write(slot, |slot| slot.limits.push(limit));
    }

    fn synchronise(&mut self) {
        let mut state = self.0.borrow_mut();
        assert!(!state.synchronised, "a synchronisation of nothing");
        for slot in &mut state.slots {
            let (base, limit) = slot.now();
            (slot.bases, slot.limits) = (vec![base], vec![limit]);
        }
        state.synchronised = true;
        state.cost.synchronisations += 1;
    }
}
