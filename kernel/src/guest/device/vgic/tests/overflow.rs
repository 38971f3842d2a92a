//! More interrupts than list registers.

use super::fake::EoiMode;
use super::guest;
use crate::arch::list_register::{InterruptState, Maintenance};
use crate::base::id::{Intid, VcpuId};

const IDS: [u32; 6] = [34, 35, 36, 37, 38, 39];

#[test]
fn the_highest_priorities_are_listed_and_ties_go_to_the_lowest_number() {
    let mut guest = guest(2, &IDS);
    for id in IDS.into_iter().rev() {
        guest.set("ISPENDR", id);
    }
    assert_eq!((guest.listed(34), guest.listed(35)), (InterruptState::Pending, InterruptState::Pending));
    guest.write("IPRIORITYR", 39, 0x10);
    assert_eq!((guest.listed(39), guest.listed(34)), (InterruptState::Pending, InterruptState::Pending));
    assert_eq!(guest.listed(35), InterruptState::Invalid);
}

#[test]
fn maintenance_is_asked_for_only_while_something_waits() {
    let mut guest = guest(2, &IDS);
    guest.set("ISPENDR", 34);
    guest.set("ISPENDR", 35);
    assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
    guest.set("ISPENDR", 36);
    assert_eq!(guest.lists.wanted, Maintenance::NO_PENDING);
    for id in [34, 35] {
        assert!(!guest.lists.maintenance());
        assert_eq!(guest.lists.acknowledge(), Some(id));
        guest.lists.end();
    }
    assert!(guest.lists.maintenance());
    guest.maintain();
    assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
    assert_eq!(guest.lists.acknowledge(), Some(36));
}

#[test]
fn a_newcomer_does_not_overtake_what_waits() {
    let mut guest = guest(2, &IDS);
    for id in [34, 35, 36] {
        guest.set("ISPENDR", id);
    }
    guest.lists.acknowledge();
    guest.lists.end();
    // There is room now, but 36 has waited for it.
    guest.write("IPRIORITYR", 37, 0xf0);
    guest.forward(37, 100);
    assert_eq!((guest.listed(36), guest.listed(37)), (InterruptState::Pending, InterruptState::Invalid));
}

#[test]
fn a_list_register_whose_interrupt_has_ended_is_used_again() {
    let mut guest = guest(1, &IDS);
    for id in IDS {
        guest.forward(id, 100 + id);
        assert_eq!(guest.lists.acknowledge(), Some(id));
        guest.lists.end();
        assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
    }
    guest.maintain();
    assert_eq!(guest.lists.deactivated, IDS.map(|id| 100 + id));
}

#[test]
fn nested_interrupts_end_even_if_there_is_one_list_register() {
    let mut guest = guest(1, &IDS);
    for (id, priority) in [(34, 0xa0), (35, 0x80), (36, 0x60)] {
        guest.write("IPRIORITYR", id, priority);
        guest.forward(id, 100 + id);
        assert_eq!(guest.lists.acknowledge(), Some(id));
    }
    assert_eq!(guest.lists.wanted, Maintenance::UNLISTED);
    for id in [36, 35, 34] {
        assert!(guest.has("ISACTIVER", id));
        guest.lists.end();
        if guest.lists.maintenance() {
            guest.maintain();
        }
        assert!(!guest.has("ISACTIVER", id));
    }
    assert_eq!(guest.lists.deactivated, [136, 135, 134]);
    assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
}

#[test]
fn what_is_active_does_not_keep_the_pending_out() {
    let mut guest = guest(2, &IDS);
    guest.lists.mode = EoiMode::Split;
    for id in [34, 35, 36] {
        guest.set("ISPENDR", id);
        assert_eq!(guest.lists.acknowledge(), Some(id));
        guest.lists.end();
    }
    assert_eq!(guest.lists.wanted, Maintenance::UNLISTED);
    guest.set("ISPENDR", 37);
    assert_eq!(guest.lists.acknowledge(), Some(37));
    guest.lists.end();
    // ICC_DIR_EL1 is trapped, so the order does not matter.
    for id in [35, 37, 34, 36] {
        assert!(guest.vgic.deactivate(VcpuId::new(0), Intid::new(id), &mut guest.lists).is_empty());
        assert!(!guest.has("ISACTIVER", id));
    }
    assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
}

#[test]
fn an_end_of_nothing_ends_nothing_later() {
    let mut guest = guest(1, &IDS);
    guest.set("ISPENDR", 34);
    guest.lists.acknowledge();
    guest.set("ICACTIVER", 34);
    guest.lists.end();
    for (id, priority) in [(35, 0x80), (36, 0x60)] {
        guest.write("IPRIORITYR", id, priority);
        guest.set("ISPENDR", id);
        assert_eq!(guest.lists.acknowledge(), Some(id));
    }
    guest.maintain();
    assert!(guest.has("ISACTIVER", 35) && guest.has("ISACTIVER", 36));
}

#[test]
fn an_interrupt_that_is_to_be_taken_again_does_not_overtake_what_waits() {
    let mut guest = guest(2, &IDS);
    guest.write("IPRIORITYR", 39, 0x20);
    guest.set("ISPENDR", 39);
    assert_eq!(guest.lists.acknowledge(), Some(39));
    guest.set("ISPENDR", 39);
    assert_eq!(guest.listed(39), InterruptState::ActiveAndPending);
    for id in [36, 35] {
        guest.write("IPRIORITYR", id, 0x10);
        guest.set("ISPENDR", id);
    }
    assert_eq!(
        (guest.listed(39), guest.listed(35), guest.listed(36)),
        (InterruptState::Active, InterruptState::Pending, InterruptState::Invalid)
    );
    assert!(guest.has("ISPENDR", 39));
    guest.lists.end();
    assert!(guest.lists.maintenance());
    guest.maintain();
    for id in [35, 36, 39] {
        assert_eq!(guest.lists.acknowledge(), Some(id));
        guest.lists.end();
        guest.maintain();
    }
}
