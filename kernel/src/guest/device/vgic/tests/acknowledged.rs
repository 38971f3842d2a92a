//! Acknowledged interrupts, and the guest's changes to them before it ends them.

use super::fake::EoiMode;
use super::{One, bit, guest};
use crate::arch::list_register::{InterruptState, Maintenance};
use crate::arch::virtual_interface::Group;
use crate::base::id::{Intid, VcpuId};

const TIMER: u32 = 27;
const IDS: [u32; 6] = [34, 35, 36, 37, 38, 39];

/// A guest that has acknowledged each of `ids`, each of a higher priority than the one before.
fn nested(lists: usize, ids: &[u32]) -> One {
    let mut guest = guest(lists, &IDS);
    for (id, priority) in ids.iter().zip([0xc0, 0xa0, 0x80, 0x60]) {
        guest.write("IPRIORITYR", *id, priority);
        guest.set("ISPENDR", *id);
        assert_eq!(guest.lists.acknowledge(), Some(*id));
    }
    guest
}

/// The guest ends the interrupt that runs, and a maintenance interrupt is served if there is one.
fn end(guest: &mut One) {
    guest.lists.end();
    if guest.lists.maintenance() {
        guest.maintain();
    }
    assert!(!guest.lists.maintenance(), "the maintenance interrupt stays");
}

#[test]
fn a_handler_may_change_the_priority_and_the_group_of_its_own_interrupt() {
    let mut guest = guest(4, &[TIMER]);
    let changes: [fn(&mut One, u64); 2] = [
        |guest, round| guest.write("IPRIORITYR", TIMER, 0x10 + 8 * round),
        |guest, round| {
            guest.write("IGROUPR", TIMER, if round & 1 == 0 { !bit(TIMER) & 0xffff_ffff } else { 0xffff_ffff })
        },
    ];
    for round in 0..4 {
        for change in changes {
            guest.lists.deactivated.clear();
            guest.forward(TIMER, TIMER);
            assert_eq!(guest.lists.acknowledge(), Some(TIMER));
            change(&mut guest, round);
            end(&mut guest);
            assert_eq!(guest.lists.deactivated, [TIMER], "round {round}");
        }
    }
    assert_eq!(guest.read("IPRIORITYR", TIMER), 0x28);
    guest.forward(TIMER, TIMER);
    let list = guest.lists.find(TIMER).unwrap();
    assert_eq!((list.priority(), list.group()), (0x28, Group::One));
}

#[test]
fn what_pends_again_comes_with_the_new_priority_and_group() {
    let mut guest = guest(4, &[34, 35]);
    guest.set("ISPENDR", 34);
    guest.lists.acknowledge();
    guest.set("ISPENDR", 34);
    assert_eq!(guest.listed(34), InterruptState::ActiveAndPending);
    guest.write("IPRIORITYR", 34, 0xc0);
    guest.write("IGROUPR", 34, !bit(34) & 0xffff_ffff);
    assert_eq!(guest.listed(34), InterruptState::Active, "a list register has one priority");
    assert!(guest.has("ISPENDR", 34) && guest.has("ISACTIVER", 34));
    end(&mut guest);
    let list = guest.lists.find(34).unwrap();
    assert_eq!((list.state(), list.priority(), list.group()), (InterruptState::Pending, 0xc0, Group::Zero));
    // It waits behind what is of a higher priority now.
    guest.set("ISPENDR", 35);
    assert_eq!(guest.lists.acknowledge(), Some(35));
    end(&mut guest);
    assert_eq!(guest.lists.acknowledge(), Some(34));
    end(&mut guest);
    assert!(!guest.has("ISACTIVER", 34) && !guest.has("ISPENDR", 34));
}

#[test]
fn an_end_is_not_charged_to_what_software_made_active() {
    let mut guest = nested(1, &[34, 35]);
    guest.write("IPRIORITYR", 36, 0x10);
    guest.set("ISACTIVER", 36);
    guest.set("ISPENDR", 37);
    for (left, id) in [(&[34, 36][..], 35), (&[36], 34)] {
        end(&mut guest);
        assert!(!guest.has("ISACTIVER", id), "{id} has ended");
        assert!(left.iter().all(|left| guest.has("ISACTIVER", *left)), "{left:?} are active still");
    }
    guest.set("ICACTIVER", 36);
    assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
}

#[test]
fn an_end_of_what_software_made_inactive_is_charged_to_nobody() {
    let mut guest = nested(1, &[34, 35, 36]);
    guest.set("ICACTIVER", 36);
    end(&mut guest);
    assert!(guest.has("ISACTIVER", 34) && guest.has("ISACTIVER", 35));
    end(&mut guest);
    assert!(guest.has("ISACTIVER", 34) && !guest.has("ISACTIVER", 35));
}

#[test]
fn an_end_is_charged_even_if_another_was_acknowledged_since() {
    let mut guest = nested(2, &[34, 35]);
    // 37 has the only list register for pending ones, and the level of 35.
    guest.write("IPRIORITYR", 37, 0xa0);
    guest.set("ISPENDR", 37);
    guest.set("ISACTIVER", 36);
    let mut guest = nested_under(guest);
    guest.lists.end();
    assert_eq!(guest.lists.acknowledge(), Some(37));
    assert!(guest.lists.maintenance());
    // An SGI to oneself gets here before the maintenance interrupt does.
    guest.set("ISPENDR", 38);
    assert!(!guest.has("ISACTIVER", 35));
    assert!(guest.has("ISACTIVER", 34) && guest.has("ISACTIVER", 37));
}

/// The same guest with 35, which runs, in no list register: its only one for pending interrupts is 37's.
fn nested_under(mut guest: One) -> One {
    guest.write("IPRIORITYR", 39, 0x20);
    guest.set("ISPENDR", 39);
    assert_eq!(guest.lists.acknowledge(), Some(39));
    guest.set("ISPENDR", 38);
    assert_eq!((guest.listed(39), guest.listed(35)), (InterruptState::Active, InterruptState::Invalid));
    guest.set("ICPENDR", 38);
    // Its end is seen by the hardware, and nothing is listed anew.
    guest.lists.end();
    guest
}

#[test]
fn with_split_ends_only_a_deactivation_deactivates() {
    let mut guest = guest(1, &IDS);
    guest.lists.mode = EoiMode::Split;
    for id in [34, 35] {
        guest.set("ISPENDR", id);
        assert_eq!(guest.lists.acknowledge(), Some(id));
        if id == 34 {
            guest.write("IPRIORITYR", 35, 0x20);
        }
    }
    for _ in 0..2 {
        end(&mut guest);
    }
    assert!(guest.has("ISACTIVER", 34) && guest.has("ISACTIVER", 35));
    for id in [34, 35] {
        assert!(guest.vgic.deactivate(VcpuId::new(0), Intid::new(id), &mut guest.lists).is_empty());
        assert!(!guest.has("ISACTIVER", id));
    }
}

#[test]
fn a_deactivation_is_ignored_where_the_end_deactivates() {
    let mut guest = guest(4, &IDS);
    guest.set("ISPENDR", 34);
    guest.lists.acknowledge();
    assert!(guest.vgic.deactivate(VcpuId::new(0), Intid::new(34), &mut guest.lists).is_empty());
    assert!(guest.has("ISACTIVER", 34));
}

#[test]
fn interrupts_that_the_guest_keeps_out_do_not_keep_the_others_out() {
    let mut guest = guest(4, &IDS);
    // Four of group 0 that the guest does not let through, of a higher priority than that of group 1.
    guest.write("IGROUPR", 34, u64::from(u32::MAX) & !(bit(34) | bit(35) | bit(36) | bit(37)));
    guest.write("IPRIORITYR", 38, 0xe0);
    for groups in [[false, true], [true, true]] {
        guest.lists.groups = groups;
        for id in [34, 35, 36, 37, 38] {
            guest.set("ISPENDR", id);
        }
        guest.lists.groups = [false, true];
        if guest.lists.maintenance() {
            guest.maintain();
        }
        assert!(!guest.lists.maintenance(), "maintenance without end");
        assert_eq!(guest.lists.acknowledge(), Some(38), "{groups:?} at first");
        end(&mut guest);
        assert_eq!(guest.lists.acknowledge(), None);
        guest.lists.groups = [true, true];
        if guest.lists.maintenance() {
            guest.maintain();
        }
        for id in [34, 35, 36, 37] {
            assert_eq!(guest.lists.acknowledge(), Some(id));
            end(&mut guest);
        }
        assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
    }
}

#[test]
fn a_group_that_is_let_through_again_is_listed_at_once() {
    let mut guest = guest(2, &IDS);
    guest.write("IGROUPR", 34, u64::from(u32::MAX) & !bit(34));
    guest.write("IPRIORITYR", 34, 0x20);
    guest.lists.groups = [false, true];
    for id in IDS {
        guest.set("ISPENDR", id);
    }
    assert_eq!(
        (guest.listed(34), guest.listed(35), guest.listed(36)),
        (InterruptState::Invalid, InterruptState::Pending, InterruptState::Pending)
    );
    guest.lists.groups = [true, true];
    assert!(guest.lists.maintenance(), "it has to be told");
    guest.maintain();
    assert_eq!(guest.lists.acknowledge(), Some(34));
    // With nothing of group 0 left, only what waits of group 1 matters.
    end(&mut guest);
    guest.maintain();
    assert_eq!(guest.lists.wanted, Maintenance::NO_PENDING);
}
