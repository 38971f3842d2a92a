//! Typed characters on their way to a guest.
//!
//! Characters typed ahead wait here until the guest reads them. A guest that never reads must not stop the keyboard,
//! because the keyboard is the way to leave that guest: characters that do not fit are dropped and counted, and one
//! message reports them.

use alloc::collections::VecDeque;

/// Keys that can wait: more than somebody types, or a script, before the guest listens.
pub const ROOM: usize = 4096;

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum KeyFate {
    /// It waits.
    Kept,
    /// It is dropped, the first since the last count was told.
    FirstDropped,
    /// It is dropped, one more.
    Dropped,
}

/// The keys that wait for a guest.
#[derive(Debug)]
pub struct Held {
    keys: VecDeque<u8>,
    dropped: u64,
}

impl Default for Held {
    fn default() -> Self {
        Self::new()
    }
}

impl Held {
    /// No keys.
    pub const fn new() -> Self {
        Self { keys: VecDeque::new(), dropped: 0 }
    }

    /// Takes the memory that keys need, so that none is taken for one that is typed.
    pub fn reserve(&mut self) {
        self.keys.reserve_exact(ROOM - self.keys.len());
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.dropped = 0;
    }

    /// Takes a key.
    pub fn push(&mut self, key: u8) -> KeyFate {
        if self.keys.len() == ROOM {
            return self.drop_one();
        }
        self.keys.push_back(key);
        KeyFate::Kept
    }

    /// Counts a key that nobody can ever take.
    pub fn drop_one(&mut self) -> KeyFate {
        self.dropped += 1;
        if self.dropped == 1 { KeyFate::FirstDropped } else { KeyFate::Dropped }
    }

    /// Hands the keys over in order, until `give` refuses one or none is left. Returns whether none is.
    pub fn hand_over<E>(&mut self, mut give: impl FnMut(u8) -> Result<(), E>) -> bool {
        while let Some(&key) = self.keys.front() {
            if give(key).is_err() {
                return false;
            }
            self.keys.pop_front();
        }
        true
    }

    /// How many keys were dropped and not told yet, to be told now.
    pub fn tell_dropped(&mut self) -> Option<u64> {
        let dropped = core::mem::take(&mut self.dropped);
        (dropped > 0).then_some(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, KeyFate, ROOM};
    use proptest::prelude::{any, prop};
    use proptest::{prop_assert_eq, proptest};
    use std::vec::Vec;

    #[test]
    fn what_finds_no_room_is_dropped_counted_and_told_once() {
        let mut held = Held::new();
        held.reserve();
        assert!((0..ROOM).all(|_| held.push(b'x') == KeyFate::Kept));
        assert_eq!(held.tell_dropped(), None);
        assert_eq!(
            [held.push(b'y'), held.push(b'y'), held.drop_one()],
            [KeyFate::FirstDropped, KeyFate::Dropped, KeyFate::Dropped]
        );
        assert_eq!((held.tell_dropped(), held.tell_dropped()), (Some(3), None));
        assert!(held.hand_over(|key| if key == b'x' { Ok(()) } else { Err(()) }));
        assert_eq!(held.push(b'z'), KeyFate::Kept);
    }

    proptest! {
        /// What a guest gets is what was kept, in order, however much it takes at a time.
        #[test]
        fn keys_arrive_in_order(steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 0usize..300), 0..40)) {
            let mut held = Held::new();
            let (mut kept, mut got) = (Vec::new(), Vec::new());
            for (keys, takes) in steps {
                kept.extend(keys.into_iter().filter(|key| held.push(*key) == KeyFate::Kept));
                let mut left = takes;
                held.hand_over(|key| {
                    left = left.checked_sub(1).ok_or(())?;
                    got.push(key);
                    Ok::<_, ()>(())
                });
            }
            held.hand_over(|key| {
                got.push(key);
                Ok::<_, ()>(())
            });
            prop_assert_eq!(kept, got);
        }
    }
}
