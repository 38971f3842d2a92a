//! The owner of the keyboard, and the key that switches to the next owner.
//!
//! A terminal's answers arrive between typed characters, as many as a guest provokes. They must not block the switch
//! key, so a sequence does not interrupt a series of presses, and at the hypervisor's prompt no byte of a sequence
//! counts as a key. The parser follows sequences whoever owns the keyboard, because a sequence that a guest provoked
//! may end after a switch.

use crate::base::id::DomainId;
use crate::console::terminal::Focus;
use crate::console::terminal::escape::Escapes;
use arrayvec::ArrayVec;
use core::mem;

/// The key that moves the keyboard on: Ctrl-A.
pub const SWITCH: u8 = 0x01;

/// How often in a row it takes.
pub const PRESSES: usize = 3;

/// What a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Nothing, or nothing yet: whose a switch key is depends on the next key.
    Held,
    /// It is for this one, behind the switch keys that turned out to be ordinary.
    To(Focus, ArrayVec<u8, PRESSES>),
    /// It was the last of those that move the keyboard on, to this one.
    Switched(Focus),
}

/// The way in.
#[derive(Debug)]
pub struct Input {
    focus: Focus,
    guests: usize,
    escapes: Escapes,
    /// Switch keys in a row, fewer than [`PRESSES`].
    pressed: usize,
    /// Those of them that nobody got yet.
    held: usize,
}

impl Input {
    /// For `guests` guests, numbered from 0; the keyboard belongs to `focus` at first.
    pub const fn new(guests: usize, focus: Focus) -> Self {
        Self { focus, guests, escapes: Escapes::new(), pressed: 0, held: 0 }
    }

    /// Whom the keyboard belongs to.
    pub const fn focus(&self) -> Focus {
        self.focus
    }

    /// Gives the keyboard to `focus`, say because it belonged to a guest that is no more.
    pub const fn give(&mut self, focus: Focus) {
        self.focus = focus;
    }

    /// Takes a key that arrives at the time `now`, in nanoseconds.
    ///
    /// [`SWITCH`] is held back, because it may be the first of three. One or two of it followed by another key are passed
    /// on before that one: to send a guest a Ctrl-A, say to its shell, press what comes after it.
    pub fn press(&mut self, key: u8, now: u64) -> Key {
        let is_text = self.escapes.text(key, now).is_some();
        if self.focus == Focus::Hypervisor && !is_text {
            return Key::Held;
        }
        if key == SWITCH {
            // Within a sequence too, so that none that a guest had begun can hide it.
            return self.press_switch();
        }
        if is_text {
            self.pressed = 0;
        }
        let held = core::iter::repeat_n(SWITCH, mem::take(&mut self.held));
        Key::To(self.focus, held.chain([key]).take(PRESSES).collect())
    }

    fn press_switch(&mut self) -> Key {
        self.pressed += 1;
        self.held += 1;
        if self.pressed < PRESSES {
            return Key::Held;
        }
        (self.pressed, self.held) = (0, 0);
        self.focus = self.next();
        Key::Switched(self.focus)
    }

    /// The hypervisor's turn comes after the last guest's.
    const fn next(&self) -> Focus {
        let number = match self.focus {
            Focus::Hypervisor => 0,
            Focus::Guest(id) => id.index() + 1,
        };
        if number < self.guests { Focus::Guest(DomainId::new(number as u16)) } else { Focus::Hypervisor }
    }
}

#[cfg(test)]
mod tests;
