//! A model of table walks and TLBs that assumes the worst: it remembers everything that hardware may remember.
//!
//! It sees every descriptor store, barrier and invalidation through [`TlbOps`], and every table through
//! [`TableSource`], and panics at the first operation that breaks a rule of DDI 0487, D8: a valid entry replaced by
//! another without a break, a break not followed by a barrier and an invalidation, a table linked before its contents
//! are visible, or given back while a walk may still enter it.

use super::TableSource;
use super::descriptor::{Descriptor, ENTRIES, Level, RUN};
use crate::arch::tlb::{Scope, TlbOps};
use crate::base::addr::{PhysAddr, VirtAddr};
use std::boxed::Box;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

#[repr(align(4096))]
struct ModelPage([AtomicU64; ENTRIES as usize]);

impl ModelPage {
    fn is_zero(&self) -> bool {
        self.0.iter().all(|entry| entry.load(Ordering::Relaxed) == 0)
    }
}

/// A table as the model knows it.
struct ModelTable {
    page: &'static ModelPage,
    entries: [Descriptor; ENTRIES as usize],
    /// Level and first virtual address, from when the root leads to it until it is given back.
    live: Option<(Level, u64)>,
}

/// A translation that is no longer in the tables, but maybe in a TLB.
struct Stale {
    slot: u64,
    level: Level,
    va: u64,
    descriptor: Descriptor,
    invalidated: bool,
}

#[derive(Default)]
struct State {
    tables: HashMap<u64, ModelTable>,
    free: Vec<&'static ModelPage>,
    /// How many more tables can be taken.
    available: usize,
    root: u64,
    stale: Vec<Stale>,
    /// Slots, and new tables, stored to since the last barrier.
    undrained: HashSet<u64>,
    /// A live store since the last context synchronisation.
    unsynchronised: bool,
    invalidations: usize,
}

/// The machine: tables and TLBs. Clones are the same machine.
#[derive(Clone, Default)]
pub(super) struct ModelMachine(Rc<RefCell<State>>);

impl ModelMachine {
    /// A machine with memory for `tables` tables.
    pub(super) fn new(tables: usize) -> Self {
        let machine = Self::default();
        machine.0.borrow_mut().available = tables;
        machine
    }

    /// Changes how many more tables can be taken, and says how many it was.
    pub(super) fn set_available(&self, tables: usize) -> usize {
        std::mem::replace(&mut self.0.borrow_mut().available, tables)
    }

    /// How many tables are taken.
    pub(super) fn taken(&self) -> usize {
        self.0.borrow().tables.len()
    }

    /// How many invalidations there have been.
    pub(super) fn invalidations(&self) -> usize {
        self.0.borrow().invalidations
    }

    /// Says which table is the root.
    pub(super) fn set_root(&self, root: PhysAddr) {
        let mut state = self.0.borrow_mut();
        state.root = root.get();
        state.undrained.clear();
        state.tables.get_mut(&root.get()).unwrap().live = Some((Level::L0, 0));
    }

    /// Checks that an operation has left nothing undone, and that the tables are sound.
    pub(super) fn audit(&self) {
        let state = self.0.borrow();
        assert!(state.stale.is_empty(), "TLBs may still hold {} old translations", state.stale.len());
        assert!(state.undrained.is_empty() && !state.unsynchronised, "the last stores are not published");
        let mut reached = 0;
        state.audit_table(state.root, Level::L0, None, &mut reached);
        assert_eq!(reached, state.tables.len(), "every table that is taken is linked");
    }
}

impl State {
    fn audit_table(&self, address: u64, level: Level, link: Option<Descriptor>, reached: &mut usize) {
        *reached += 1;
        let table = &self.tables[&address];
        let valid = table.entries.iter().filter(|entry| entry.is_valid()).count() as u64;
        if let Some(link) = link {
            assert!(valid > 0, "an empty table stays linked at {level:?}");
            assert_eq!(link.count(), valid, "the link counts the entries of a table of {level:?}");
        }
        for run in table.entries.chunks(RUN as usize) {
            let hinted = run.iter().filter(|entry| !entry.is_table(level) && entry.is_contiguous()).count();
            assert!(hinted == 0 || hinted as u64 == RUN, "{hinted} of 16 entries have the contiguous hint");
            if hinted > 0 {
                assert!(level.takes_hint());
                assert!(run[0].address().is_aligned(RUN * level.size()), "the run is aligned");
                for (offset, leaf) in run.iter().enumerate() {
                    assert_eq!(*leaf, run[0].advanced(offset as u64 * level.size()), "the run is in order");
                }
            }
        }
        for entry in table.entries {
            if entry.is_table(level) {
                self.audit_table(entry.address().get(), level.next().unwrap(), Some(entry), reached);
            }
        }
    }

    /// From now on walks can reach the table.
    fn enliven(&mut self, address: u64, level: Level, va: u64) {
        let linked = self.undrained.iter().find(|slot| **slot & !0xfff == address);
        assert_eq!(linked, None, "a table is linked before its contents are visible");
        let table = self.tables.get_mut(&address).expect("a link leads to a table that is taken");
        table.live = Some((level, va));
        for (index, entry) in table.entries.into_iter().enumerate() {
            let at = va + index as u64 * level.size();
            if entry.is_table(level) {
                self.enliven(entry.address().get(), level.next().unwrap(), at);
            } else if entry.is_valid() {
                check_leaf(entry, level);
            }
        }
    }

    fn live_store(&mut self, slot: u64, (level, base): (Level, u64), old: Descriptor, new: Descriptor) {
        self.unsynchronised = true;
        let index = slot % 4096 / 8;
        let va = base + index * level.size();
        let same_table = old.is_table(level) && new.is_table(level) && old.address() == new.address();
        if old.is_valid() && old != new && !same_table {
            if new.is_valid() {
                let permissions = (1 << 7) | (1 << 54);
                assert!(
                    !old.is_table(level) && !old.is_contiguous() && (old.bits() ^ new.bits()) & !permissions == 0,
                    "no break between {old:?} and {new:?} at {va:#x}"
                );
            }
            self.stale.push(Stale { slot, level, va, descriptor: old, invalidated: false });
        }
        if !new.is_valid() || same_table {
            return;
        }
        if !old.is_valid() {
            let (start, size) = extent(new, level, va);
            let clash = self.stale.iter().find(|stale| {
                let (other, other_size) = extent(stale.descriptor, stale.level, stale.va);
                start < other + other_size && other < start + size
            });
            if let Some(stale) = clash {
                panic!("{new:?} is stored at {va:#x} while a TLB may hold {:?} of {:#x}", stale.descriptor, stale.va);
            }
        }
        if new.is_table(level) {
            self.enliven(new.address().get(), level.next().unwrap(), va);
            return;
        }
        check_leaf(new, level);
        let first = (index / RUN * RUN) as usize;
        for neighbour in &self.tables[&(slot & !0xfff)].entries[first..first + RUN as usize] {
            if neighbour.is_valid() && !neighbour.is_table(level) {
                assert_eq!(neighbour.is_contiguous(), new.is_contiguous(), "a run is all hinted or not at all");
                let own = |leaf: Descriptor| leaf.attributes();
                assert!(!new.is_contiguous() || own(*neighbour) == own(new), "leaves of a run differ");
            }
        }
    }
}

fn check_leaf(leaf: Descriptor, level: Level) {
    assert!(level != Level::L0, "no blocks at level 0");
    assert!(leaf.attributes().is_some(), "{leaf:?} is writable and executable, or executable device memory");
    assert!(leaf.address().is_aligned(level.size()), "{leaf:?} is aligned to {level:?}");
}

/// What one TLB entry may cover.
fn extent(descriptor: Descriptor, level: Level, va: u64) -> (u64, u64) {
    let hinted = !descriptor.is_table(level) && descriptor.is_contiguous();
    let size = if hinted { RUN * level.size() } else { level.size() };
    (va / size * size, size)
}

impl TlbOps for ModelMachine {
    fn drain(&mut self) {
        self.0.borrow_mut().undrained.clear();
    }

    fn publish(&mut self) {
        let mut state = self.0.borrow_mut();
        state.undrained.clear();
        state.unsynchronised = false;
    }

    fn invalidate(&mut self, va: VirtAddr, scope: Scope) {
        let mut state = self.0.borrow_mut();
        let State { stale, undrained, invalidations, .. } = &mut *state;
        *invalidations += 1;
        for stale in stale {
            let covers = va.get() >> stale.level.shift() == stale.va >> stale.level.shift();
            let in_scope = scope == Scope::Walk || !stale.descriptor.is_table(stale.level);
            // A walk that does not see the store yet may fetch the old entry again.
            if covers && in_scope && !undrained.contains(&stale.slot) {
                stale.invalidated = true;
            }
        }
    }

    fn complete(&mut self) {
        let mut state = self.0.borrow_mut();
        state.stale.retain(|stale| !stale.invalidated);
        state.undrained.clear();
        state.unsynchronised = false;
    }

    fn stored(&mut self, slot: PhysAddr, bits: u64) {
        let new = Descriptor::from_bits(bits);
        let mut state = self.0.borrow_mut();
        let slot = slot.get();
        let table = state.tables.get_mut(&(slot & !0xfff)).expect("stores go to tables that are taken");
        let index = (slot % 4096 / 8) as usize;
        assert_eq!(table.page.0[index].load(Ordering::Relaxed), bits);
        let old = std::mem::replace(&mut table.entries[index], new);
        if let Some(place) = table.live {
            state.live_store(slot, place, old, new);
        }
        state.undrained.insert(slot);
    }
}

// SAFETY: pages are leaked with their provenance exposed, and handed out once until they come back.
unsafe impl TableSource for ModelMachine {
    fn take(&mut self) -> Option<PhysAddr> {
        let mut state = self.0.borrow_mut();
        state.available = state.available.checked_sub(1)?;
        let page =
            state.free.pop().unwrap_or_else(|| Box::leak(Box::new(ModelPage([const { AtomicU64::new(0) }; 512]))));
        let address = std::ptr::from_ref(page).expose_provenance() as u64;
        let entries = [Descriptor::INVALID; ENTRIES as usize];
        state.tables.insert(address, ModelTable { page, entries, live: None });
        // The zeros of a new page are stores like any other.
        state.undrained.insert(address);
        Some(PhysAddr::new(address))
    }

    fn give_back(&mut self, table: PhysAddr) {
        let mut state = self.0.borrow_mut();
        let address = table.get();
        let gone = state.tables.remove(&address).expect("only a table that is taken is given back");
        assert!(gone.page.is_zero(), "a table is given back with entries");
        for stale in &state.stale {
            let inside = stale.slot & !0xfff == address;
            let leads_here = stale.descriptor.is_table(stale.level) && stale.descriptor.address() == table;
            assert!(!inside && !leads_here, "a table is given back while a TLB may lead to {:#x}", stale.va);
        }
        state.undrained.retain(|slot| slot & !0xfff != address);
        state.available += 1;
        state.free.push(gone.page);
    }
}
