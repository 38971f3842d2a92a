//! Interrupts with a physical one: each is deactivated once, by whoever ends it.

use super::{bit, guest};
use crate::arch::list_register::{InterruptState, OnEnd};
use crate::base::id::{Intid, PhysIntid, VcpuId};

/// The PPI of the virtual timer, and the one it is for the guest.
const PHYSICAL: u32 = 27;
const TIMER: u32 = 27;

#[test]
fn the_hardware_deactivates_what_the_guest_ends() {
    let mut guest = guest(4, &[TIMER]);
    for round in 0..3 {
        let before = guest.lists.accesses.get();
        guest.forward(TIMER, PHYSICAL);
        assert!(guest.lists.accesses.get() - before <= 2, "a list register is read, and written");
        assert_eq!(guest.lists.find(TIMER).unwrap().end(), OnEnd::Physical(PhysIntid::new(PHYSICAL)));
        assert_eq!(guest.lists.acknowledge(), Some(TIMER));
        guest.lists.end();
        assert_eq!(guest.lists.deactivated.len(), round + 1);
        assert!(!guest.lists.maintenance());
    }
    guest.maintain();
    assert_eq!(guest.lists.deactivated, [PHYSICAL; 3]);
}

#[test]
fn a_forwarded_interrupt_that_is_disabled_waits_and_stays_active_physically() {
    let mut guest = guest(4, &[]);
    guest.forward(TIMER, PHYSICAL);
    assert_eq!(guest.listed(TIMER), InterruptState::Invalid);
    assert!(guest.has("ISPENDR", TIMER));
    guest.set("ISENABLER", TIMER);
    guest.set("ICENABLER", TIMER);
    assert_eq!(guest.listed(TIMER), InterruptState::Invalid);
    assert!(guest.lists.deactivated.is_empty());
    guest.set("ISENABLER", TIMER);
    guest.lists.acknowledge();
    guest.lists.end();
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
}

#[test]
fn a_forwarded_interrupt_that_the_guest_clears_is_deactivated() {
    let mut guest = guest(4, &[TIMER]);
    guest.forward(TIMER, PHYSICAL);
    guest.set("ICPENDR", TIMER);
    assert_eq!(guest.listed(TIMER), InterruptState::Invalid);
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
}

#[test]
fn a_forwarded_interrupt_that_the_guest_makes_inactive_is_deactivated() {
    let mut guest = guest(4, &[TIMER]);
    guest.forward(TIMER, PHYSICAL);
    guest.lists.acknowledge();
    guest.set("ICACTIVER", TIMER);
    assert_eq!(guest.listed(TIMER), InterruptState::Invalid);
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
}

#[test]
fn what_is_withdrawn_before_it_is_taken_never_comes() {
    let mut guest = guest(4, &[TIMER]);
    guest.forward(TIMER, PHYSICAL);
    assert!(guest.vgic.withdraw(VcpuId::new(0), Intid::new(TIMER), &mut guest.lists).is_empty());
    assert_eq!(guest.lists.acknowledge(), None);
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
    assert!(guest.vgic.withdraw(VcpuId::new(0), Intid::new(TIMER), &mut guest.lists).is_empty());
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
}

#[test]
fn what_is_withdrawn_after_it_was_taken_ends_as_usual() {
    let mut guest = guest(4, &[TIMER]);
    guest.forward(TIMER, PHYSICAL);
    guest.lists.acknowledge();
    assert!(guest.vgic.withdraw(VcpuId::new(0), Intid::new(TIMER), &mut guest.lists).is_empty());
    assert_eq!(guest.listed(TIMER), InterruptState::Active);
    assert!(guest.lists.deactivated.is_empty());
    guest.lists.end();
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
}

#[test]
fn pending_again_while_active_is_deactivated_by_software_at_the_last_end() {
    let mut guest = guest(4, &[TIMER]);
    guest.forward(TIMER, PHYSICAL);
    guest.lists.acknowledge();
    guest.set("ISPENDR", TIMER);
    let list = guest.lists.find(TIMER).unwrap();
    assert_eq!((list.state(), list.end()), (InterruptState::ActiveAndPending, OnEnd::Maintenance));
    guest.lists.end();
    assert_eq!(guest.lists.acknowledge(), Some(TIMER));
    guest.lists.end();
    assert!(guest.lists.maintenance());
    guest.maintain();
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
}

#[test]
fn active_before_it_is_forwarded_is_deactivated_once() {
    let mut guest = guest(4, &[TIMER]);
    guest.set("ISACTIVER", TIMER);
    guest.forward(TIMER, PHYSICAL);
    guest.write("ICACTIVER", TIMER, bit(TIMER));
    assert_eq!(guest.lists.acknowledge(), Some(TIMER));
    guest.lists.end();
    guest.maintain();
    assert_eq!(guest.lists.deactivated, [PHYSICAL]);
}

#[test]
fn another_physical_interrupt_takes_the_place_of_the_first() {
    let mut guest = guest(4, &[40]);
    guest.forward(40, 100);
    guest.forward(40, 101);
    assert_eq!(guest.lists.deactivated, [100]);
    guest.lists.acknowledge();
    guest.lists.end();
    assert_eq!(guest.lists.deactivated, [100, 101]);
}
