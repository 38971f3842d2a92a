//! Whom the keyboard belongs to, and the key that moves it on.

use crate::terminal::Focus;
use arrayvec::ArrayVec;
use core::mem;

/// The key that moves the keyboard on: Ctrl-A.
pub const SWITCH: u8 = 0x01;

/// How often in a row it takes.
pub const PRESSES: usize = 3;

/// What a key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Nothing yet: whose the key is depends on the next one.
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
    /// Switch keys in a row that nobody got yet, fewer than [`PRESSES`].
    held: usize,
}

impl Input {
    /// For `guests` guests, numbered from 0; the keyboard belongs to `focus` at first.
    pub const fn new(guests: usize, focus: Focus) -> Self {
        Self { focus, guests, held: 0 }
    }

    /// Whom the keyboard belongs to.
    pub const fn focus(&self) -> Focus {
        self.focus
    }

    /// Gives the keyboard to `focus`, say because it belonged to a guest that is no more.
    pub const fn give(&mut self, focus: Focus) {
        self.focus = focus;
    }

    /// Takes a key.
    ///
    /// [`SWITCH`] is held back, because it may be the first of three. One or two of it followed by another key are passed
    /// on before that one: to send a guest a Ctrl-A, say to its shell, press what comes after it.
    pub fn press(&mut self, key: u8) -> Key {
        if key != SWITCH {
            let held = core::iter::repeat_n(SWITCH, mem::take(&mut self.held));
            return Key::To(self.focus, held.chain([key]).take(PRESSES).collect());
        }
        self.held += 1;
        if self.held < PRESSES {
            return Key::Held;
        }
        self.held = 0;
        self.focus = self.next();
        Key::Switched(self.focus)
    }

    /// The hypervisor's turn comes after the last guest's.
    const fn next(&self) -> Focus {
        let number = match self.focus {
            Focus::Hypervisor => 0,
            Focus::Guest(number) => number.saturating_add(1),
        };
        if number < self.guests { Focus::Guest(number) } else { Focus::Hypervisor }
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, Key};
    use crate::terminal::Focus;
    use proptest::prelude::prop;
    use proptest::{prop_assert, proptest};
    use std::vec::Vec;

    fn to(focus: Focus, keys: &[u8]) -> Key {
        Key::To(focus, keys.iter().copied().collect())
    }

    #[test]
    fn three_switch_keys_move_the_keyboard_to_each_in_turn() {
        let mut input = Input::new(2, Focus::Guest(0));
        for focus in [Focus::Guest(1), Focus::Hypervisor, Focus::Guest(0), Focus::Guest(1)] {
            assert_eq!([1, 1, 1].map(|key| input.press(key)), [Key::Held, Key::Held, Key::Switched(focus)]);
            assert_eq!((input.focus(), input.press(b'x')), (focus, to(focus, b"x")));
        }
    }

    #[test]
    fn fewer_switch_keys_are_passed_on_with_the_next_key() {
        let mut input = Input::new(1, Focus::Hypervisor);
        assert_eq!([1, b'a'].map(|key| input.press(key)), [Key::Held, to(Focus::Hypervisor, b"\x01a")]);
        assert_eq!([1, 1, b'b'].map(|key| input.press(key))[2], to(Focus::Hypervisor, b"\x01\x01b"));
        assert_eq!(input.press(b'c'), to(Focus::Hypervisor, b"c"));
    }

    #[test]
    fn without_guests_the_keyboard_stays() {
        let mut input = Input::new(0, Focus::Hypervisor);
        assert_eq!([1, 1, 1].map(|key| input.press(key))[2], Key::Switched(Focus::Hypervisor));
    }

    #[test]
    fn the_keyboard_can_be_taken_from_a_guest() {
        let mut input = Input::new(1, Focus::Guest(usize::MAX));
        assert_eq!([1, 1, 1].map(|key| input.press(key))[2], Key::Switched(Focus::Hypervisor));
        input.give(Focus::Guest(0));
        assert_eq!(input.press(b'x'), to(Focus::Guest(0), b"x"));
    }

    proptest! {
        /// No key is lost but the ones that switch.
        #[test]
        fn keys_arrive_in_order(keys in prop::collection::vec(0u8..3, 0..60)) {
            let mut input = Input::new(3, Focus::Hypervisor);
            let mut arrived = Vec::new();
            for &key in &keys {
                match input.press(key) {
                    Key::Held => (),
                    Key::To(_, keys) => arrived.extend(keys),
                    Key::Switched(_) => arrived.extend([1; 3]),
                }
            }
            prop_assert!(keys.starts_with(&arrived) && keys.len() - arrived.len() < 3);
        }
    }
}
