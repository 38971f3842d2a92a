//! What is done for one instruction at a time.
//!
//! Two things cannot be told by tables alone. A page of which a region has only a part, as regions come in 64 bytes,
//! cannot be in them: it is lent for one instruction that accesses the region's part, and taken back after it. And if
//! changes are to take effect as late as they may, the emulation must see the barriers that make them, which trap
//! nobody. Software step (DDI 0487, "Software Step exceptions") serves both: an exception after the next instruction.

use super::decode::Effect;
use core::mem;

/// When a change of the registers takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// At once: the first moment that the architecture allows.
    Early,
    /// With the context synchronization event after a DSB after the write: the last moment (DDI 0600, C1.7.1).
    Late,
}

/// What a change of the registers is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing has changed.
    Nothing,
    /// A DSB, and what follows.
    Completion,
    /// A context synchronization event.
    Synchronization,
}

/// An instruction that is being stepped over.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Where it is.
    pub at: u64,
    /// What it does, if that is known.
    pub effect: Option<Effect>,
    /// SPSR_EL2.D of the interrupted code.
    pub masked: u64,
}

/// Most pages that one instruction can be lent: an access may cross from one into another, in code that is in a third.
const MOST_LENT: usize = 3;

/// The pages that are lent to an instruction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lent([Option<u64>; MOST_LENT]);

impl Lent {
    /// No pages.
    pub const NONE: Self = Self([None; MOST_LENT]);

    /// Notes one more page; whether there is room to.
    pub fn add(&mut self, page: u64) -> bool {
        if self.0.contains(&Some(page)) {
            return true;
        }
        match self.0.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(page);
                true
            }
            None => false,
        }
    }

    /// Whether no page is lent.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The pages, which are not lent any more.
    pub fn take(&mut self) -> impl Iterator<Item = u64> {
        mem::take(&mut self.0).into_iter().flatten()
    }
}
