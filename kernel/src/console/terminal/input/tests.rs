use super::{Input, Key};
use crate::base::id::DomainId;
use crate::console::terminal::Focus;
use proptest::prelude::{any, prop};
use proptest::{prop_assert, proptest};
use std::vec::Vec;

const GUEST: Focus = Focus::Guest(DomainId::new(0));

fn to(focus: Focus, keys: &[u8]) -> Key {
    Key::To(focus, keys.iter().copied().collect())
}

/// What each key did, all at one time.
fn press(input: &mut Input, keys: &[u8]) -> Vec<Key> {
    keys.iter().map(|key| input.press(*key, 0)).collect()
}

/// The keys that somebody got, in order.
fn passed_on(done: &[Key]) -> Vec<u8> {
    let keys = done.iter().filter_map(|key| if let Key::To(_, keys) = key { Some(keys) } else { None });
    keys.flatten().copied().collect()
}

#[test]
fn three_switch_keys_move_the_keyboard_to_each_in_turn() {
    let mut input = Input::new(2, GUEST);
    for focus in [Focus::Guest(DomainId::new(1)), Focus::Hypervisor, GUEST, Focus::Guest(DomainId::new(1))] {
        assert_eq!(press(&mut input, &[1, 1, 1]), [Key::Held, Key::Held, Key::Switched(focus)]);
        assert_eq!((input.focus(), input.press(b'x', 0)), (focus, to(focus, b"x")));
    }
}

#[test]
fn fewer_switch_keys_are_passed_on_with_the_next_key() {
    let mut input = Input::new(1, Focus::Hypervisor);
    assert_eq!(press(&mut input, b"\x01a"), [Key::Held, to(Focus::Hypervisor, b"\x01a")]);
    assert_eq!(press(&mut input, b"\x01\x01b")[2], to(Focus::Hypervisor, b"\x01\x01b"));
    assert_eq!(input.press(b'c', 0), to(Focus::Hypervisor, b"c"));
}

#[test]
fn answers_of_a_terminal_in_between_do_not_keep_the_keyboard_at_a_guest() {
    let mut input = Input::new(1, GUEST);
    let done = press(&mut input, b"\x01\x1b[24;80R\x01\x1b[24;80R\x01");
    assert_eq!(done.last(), Some(&Key::Switched(Focus::Hypervisor)));
    assert_eq!(passed_on(&done), b"\x01\x1b[24;80R\x01\x1b[24;80R");
}

#[test]
fn a_string_that_does_not_end_does_not_keep_the_keyboard_at_a_guest() {
    let mut input = Input::new(1, GUEST);
    assert_eq!(press(&mut input, b"\x1b]\x01\x01\x01").last(), Some(&Key::Switched(Focus::Hypervisor)));
    assert_eq!(passed_on(&press(&mut input, b"quit\r")), b"", "what follows is in the string that the guest caused");
    assert_eq!(passed_on(&press(&mut input, b"\x1b\\help\r")), b"help\r");
}

#[test]
fn at_the_hypervisor_an_answer_is_neither_a_key_nor_a_switch() {
    let mut input = Input::new(1, Focus::Hypervisor);
    let done = press(&mut input, b"a\x1b]l\x01\x01\x01quit\r\x1b\\\x1b[24;80Rb");
    assert_eq!((passed_on(&done), input.focus()), (b"ab".to_vec(), Focus::Hypervisor));
}

#[test]
fn without_guests_the_keyboard_stays() {
    let mut input = Input::new(0, Focus::Hypervisor);
    assert_eq!(press(&mut input, &[1, 1, 1])[2], Key::Switched(Focus::Hypervisor));
}

#[test]
fn the_keyboard_can_be_taken_from_a_guest() {
    let mut input = Input::new(1, Focus::Guest(DomainId::new(usize::MAX as u16)));
    assert_eq!(press(&mut input, &[1, 1, 1])[2], Key::Switched(Focus::Hypervisor));
    input.give(GUEST);
    assert_eq!(input.press(b'x', 0), to(GUEST, b"x"));
}

proptest! {
    /// No key is lost but the ones that switch.
    #[test]
    fn keys_arrive_in_order(keys in prop::collection::vec(0u8..3, 0..60)) {
        let mut input = Input::new(3, Focus::Hypervisor);
        let mut arrived = Vec::new();
        for &key in &keys {
            match input.press(key, 0) {
                Key::Held => (),
                Key::To(_, keys) => arrived.extend(keys),
                Key::Switched(_) => arrived.extend([1; 3]),
            }
        }
        prop_assert!(keys.starts_with(&arrived) && keys.len() - arrived.len() < 3);
    }

    /// Whatever came before, three switch keys in a row take the keyboard from a guest.
    #[test]
    fn nothing_that_came_before_keeps_the_keyboard_at_a_guest(keys in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut input = Input::new(1, GUEST);
        press(&mut input, &keys);
        input.give(GUEST);
        prop_assert!(press(&mut input, &[1, 1, 1]).contains(&Key::Switched(Focus::Hypervisor)));
    }
}
