//! The rules for one interrupt of one vCPU, apart from physical ones.

use super::super::{Frame, GicAccess, LineLevel, SgiRegister, Vgic, VgicShape};
use super::fake::{EoiMode, Fake};
use super::{One, all, bit, guest};
use crate::arch::list_register::{InterruptState, Maintenance, OnEnd};
use crate::arch::virtual_interface::Group;
use crate::base::id::{Intid, VcpuId};
use crate::base::interrupt::MAX_SPIS;
use crate::guest::device::size::Size;

/// An SPI, and another.
const SPI: u32 = 33;
const OTHER: u32 = 70;

#[test]
fn an_interrupt_is_delivered_when_it_is_pending_and_enabled() {
    let mut guest = guest(4, &[]);
    guest.set("ISPENDR", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::Invalid);
    guest.set("ISENABLER", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::Pending);
    assert_eq!(guest.lists.acknowledge(), Some(SPI));
    assert!(!guest.has("ISPENDR", SPI) && guest.has("ISACTIVER", SPI));
    guest.lists.end();
    assert!(!guest.has("ISPENDR", SPI) && !guest.has("ISACTIVER", SPI));
    assert_eq!(guest.lists.acknowledge(), None);
}

#[test]
fn a_pending_interrupt_that_is_disabled_waits() {
    let mut guest = guest(4, &[SPI]);
    guest.set("ISPENDR", SPI);
    guest.set("ICENABLER", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::Invalid);
    assert!(guest.has("ISPENDR", SPI));
    guest.set("ISENABLER", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::Pending);
}

#[test]
fn an_active_interrupt_that_is_disabled_stays_active() {
    let mut guest = guest(4, &[SPI]);
    guest.set("ISPENDR", SPI);
    guest.lists.acknowledge();
    guest.set("ICENABLER", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::Active);
    assert!(guest.has("ICACTIVER", SPI));
}

#[test]
fn a_group_that_is_disabled_is_not_delivered() {
    let mut guest = guest(4, &[SPI, OTHER]);
    guest.set("ISPENDR", SPI);
    guest.set("ISPENDR", OTHER);
    guest.write("IGROUPR", OTHER, !bit(OTHER) & 0xffff_ffff);
    assert_eq!(guest.lists.find(OTHER).unwrap().group(), Group::Zero);
    guest.write("CTLR", 0, 1);
    assert_eq!((guest.listed(SPI), guest.listed(OTHER)), (InterruptState::Invalid, InterruptState::Pending));
    guest.write("CTLR", 0, 2);
    assert_eq!((guest.listed(SPI), guest.listed(OTHER)), (InterruptState::Pending, InterruptState::Invalid));
}

#[test]
fn a_pending_interrupt_can_be_cleared() {
    let mut guest = guest(4, &[SPI]);
    guest.set("ISPENDR", SPI);
    guest.set("ICPENDR", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::Invalid);
    assert!(!guest.has("ISPENDR", SPI));
}

#[test]
fn a_high_line_cannot_be_cleared() {
    let mut guest = guest(4, &[SPI]);
    guest.line(SPI, LineLevel::High);
    guest.set("ICPENDR", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::Pending);
}

#[test]
fn a_line_that_drops_takes_its_interrupt_back() {
    let mut guest = guest(4, &[SPI]);
    guest.line(SPI, LineLevel::High);
    guest.line(SPI, LineLevel::Low);
    assert_eq!(guest.listed(SPI), InterruptState::Invalid);
    assert!(!guest.has("ISPENDR", SPI));
}

#[test]
fn a_level_interrupt_that_software_made_pending_survives_its_line() {
    let mut guest = guest(4, &[SPI]);
    guest.line(SPI, LineLevel::High);
    guest.set("ISPENDR", SPI);
    guest.line(SPI, LineLevel::Low);
    assert_eq!(guest.listed(SPI), InterruptState::Pending);
}

#[test]
fn a_line_that_is_still_high_at_the_end_interrupts_again() {
    let mut guest = guest(4, &[SPI]);
    guest.line(SPI, LineLevel::High);
    assert_eq!(guest.lists.acknowledge(), Some(SPI));
    guest.lists.end();
    assert_ne!(guest.lists.ended(), 0);
    assert!(guest.lists.maintenance());
    guest.maintain();
    assert!(!guest.lists.maintenance());
    assert_eq!(guest.lists.acknowledge(), Some(SPI));
}

#[test]
fn a_line_that_drops_in_the_handler_needs_no_maintenance() {
    let mut guest = guest(4, &[SPI]);
    guest.line(SPI, LineLevel::High);
    guest.lists.acknowledge();
    guest.line(SPI, LineLevel::Low);
    assert_eq!(guest.lists.find(SPI).unwrap().end(), OnEnd::Silent);
    guest.lists.end();
    assert!(!guest.lists.maintenance());
    assert_eq!(guest.lists.acknowledge(), None);
}

#[test]
fn an_edge_while_active_is_delivered_afterwards() {
    let mut guest = guest(4, &[SPI]);
    guest.write("ICFGR", SPI, 2 << (SPI % 16 * 2));
    guest.line(SPI, LineLevel::High);
    guest.lists.acknowledge();
    guest.line(SPI, LineLevel::Low);
    guest.line(SPI, LineLevel::High);
    assert_eq!(guest.listed(SPI), InterruptState::ActiveAndPending);
    guest.lists.end();
    assert_eq!(guest.lists.acknowledge(), Some(SPI));
    guest.lists.end();
    assert_eq!(guest.lists.acknowledge(), None);
    assert!(!guest.lists.maintenance());
}

#[test]
fn an_edge_survives_the_fall_of_its_line() {
    let mut guest = guest(4, &[SPI]);
    guest.write("ICFGR", SPI, 2 << (SPI % 16 * 2));
    guest.line(SPI, LineLevel::High);
    guest.line(SPI, LineLevel::Low);
    assert_eq!(guest.lists.acknowledge(), Some(SPI));
}

#[test]
fn software_can_make_an_interrupt_active_and_end_it() {
    let mut guest = guest(4, &[SPI]);
    guest.set("ISACTIVER", SPI);
    guest.set("ISPENDR", SPI);
    assert_eq!(guest.listed(SPI), InterruptState::ActiveAndPending);
    assert_eq!(guest.lists.acknowledge(), None);
    guest.set("ICACTIVER", SPI);
    assert_eq!(guest.lists.acknowledge(), Some(SPI));
    guest.set("ICACTIVER", SPI);
    assert!(!guest.has("ISACTIVER", SPI));
}

#[test]
fn a_priority_has_the_bits_of_the_interface() {
    let mut guest = guest(4, &[SPI]);
    guest.write("IPRIORITYR", SPI, 0xff);
    assert_eq!(guest.read("IPRIORITYR", SPI), 0xf8);
    guest.set("ISPENDR", SPI);
    assert_eq!(guest.lists.find(SPI).unwrap().priority(), 0xf8);
    guest.write("IPRIORITYR", SPI, 0x57);
    assert_eq!(guest.lists.find(SPI).unwrap().priority(), 0x50);
}

#[test]
fn an_sgi_to_itself_is_delivered_once() {
    let mut guest = guest(4, &[5]);
    for _ in 0..2 {
        assert!(all(guest.vgic.send_sgi(VcpuId::new(0), SgiRegister::Sgi1, 5 << 24 | 1, &mut guest.lists)).is_empty());
    }
    assert_eq!(guest.lists.acknowledge(), Some(5));
    guest.lists.end();
    assert_eq!(guest.lists.acknowledge(), None);
}

#[test]
fn an_sgi_register_sends_to_its_group_only() {
    for (register, group, sent) in [
        (SgiRegister::Sgi1, u64::from(u32::MAX), InterruptState::Pending),
        (SgiRegister::Sgi0, u64::from(u32::MAX), InterruptState::Invalid),
        (SgiRegister::AliasedSgi1, u64::from(u32::MAX), InterruptState::Invalid),
        (SgiRegister::Sgi1, 0, InterruptState::Invalid),
        (SgiRegister::Sgi0, 0, InterruptState::Pending),
        (SgiRegister::AliasedSgi1, 0, InterruptState::Pending),
    ] {
        let mut guest = guest(4, &[5]);
        guest.write("IGROUPR", 5, group);
        assert!(all(guest.vgic.send_sgi(VcpuId::new(0), register, 5 << 24 | 1, &mut guest.lists)).is_empty());
        assert_eq!(guest.listed(5), sent, "{register:?}, groups {group:#x}");
    }
}

#[test]
fn an_sgi_to_nobody_is_sent_to_nobody() {
    let mut guest = guest(4, &[5]);
    let before = guest.lists.accesses.get();
    // No target; other Aff1, Aff2, Aff3; another range of Aff0; and all but oneself.
    for value in [0, 1 << 16 | 1, 0xff << 16 | 1, 1 << 32 | 1, 1 << 48 | 1, 1 << 44 | 1, 1 << 40 | 1, 0xfffe] {
        assert!(
            all(guest.vgic.send_sgi(VcpuId::new(0), SgiRegister::Sgi1, 5 << 24 | value, &mut guest.lists)).is_empty()
        );
    }
    assert_eq!(guest.listed(5), InterruptState::Invalid);
    assert_eq!(guest.lists.accesses.get(), before);
}

#[test]
fn what_does_not_exist_does_nothing() {
    let mut guest = guest(4, &[]);
    for id in [96, 1020, 1023, 8192, u32::MAX] {
        guest.line(id, LineLevel::High);
        guest.forward(id, 500);
        assert!(guest.vgic.withdraw(VcpuId::new(0), Intid::new(id), &mut guest.lists).is_empty());
        assert!(guest.vgic.deactivate(VcpuId::new(0), Intid::new(id), &mut guest.lists).is_empty());
        assert_eq!(guest.vgic.snapshot(VcpuId::new(0), Intid::new(id), &guest.lists), None);
    }
    assert_eq!(guest.lists.deactivated, [500; 5]);
    assert_eq!(guest.lists.listed().count(), 0);
}

/// The last bank has 28 interrupts: INTIDs 1020 to 1023 mean something else (IHI 0069, 2.2.1), and must not be listed.
#[test]
fn the_last_interrupt_is_1019() {
    let vgic = Vgic::new(VgicShape { cpus: 1, spis: MAX_SPIS, priority_bits: 5 }).unwrap();
    let mut guest = One { vgic, lists: Fake::new(16, EoiMode::Together) };
    guest.write("CTLR", 0, 3);
    let mut access = |offset, access| {
        super::access(&mut guest.vgic, &mut guest.lists, VcpuId::new(0), Frame::Distributor, offset, access)
            .unwrap()
            .value
    };
    let size = Size::Word;
    assert_eq!(access(0x4, GicAccess::Read { size }) & 0x1f, 31);
    for (last, sees) in [
        (0x0fc, 0x0fff_ffff),
        (0x17c, 0x0fff_ffff),
        (0x7f8, 0xf8f8_f8f8),
        (0x7fc, 0),
        (0xcfc, 0x00aa_aaaa),
        (0x27c, 0x0fff_ffff),
    ] {
        access(last, GicAccess::Write { size, value: u64::MAX });
        assert_eq!(access(last, GicAccess::Read { size }), sees, "{last:#x}");
    }
    let size = Size::Double;
    for (last, sees) in [(0x7fd8, 0x101), (0x7fe0, 0), (0x7ff8, 0)] {
        access(last, GicAccess::Write { size, value: 0x101 });
        assert_eq!(access(last, GicAccess::Read { size }), sees, "{last:#x}");
    }
    let listed: std::vec::Vec<_> = guest.lists.listed().collect();
    assert_eq!(listed.len(), 16);
    assert!(guest.vgic.in_use(VcpuId::new(0), &guest.lists).all(|is| (992..1020).contains(&is.id.get())));
    for id in 1020..1024 {
        guest.line(id, LineLevel::High);
        assert_eq!(guest.vgic.snapshot(VcpuId::new(0), Intid::new(id), &guest.lists), None);
    }
}

#[test]
fn a_report_says_what_is_listed() {
    let mut guest = guest(4, &[SPI, 27]);
    guest.forward(27, 27);
    guest.lists.acknowledge();
    let lines: std::vec::Vec<_> =
        guest.vgic.in_use(VcpuId::new(0), &guest.lists).map(|is| std::format!("{is}")).collect();
    assert_eq!(
        lines,
        [
            "interrupt 27: active, enabled, group 1, priority 0xa0, physical 27",
            "interrupt 33: idle, enabled, group 1, priority 0xa0",
        ]
    );
}

#[test]
fn nothing_is_left_after_a_reset() {
    let mut guest = guest(2, &[SPI, OTHER, 27, 5]);
    guest.set("ISPENDR", SPI);
    guest.lists.acknowledge();
    guest.set("ISPENDR", OTHER);
    guest.set("ISPENDR", 5);
    guest.forward(27, 27);
    assert_ne!(guest.lists.wanted, Maintenance::NOTHING);
    assert!(guest.vgic.reset(VcpuId::new(0), &mut guest.lists).is_empty());
    assert_eq!(guest.lists.listed().count(), 0);
    assert_eq!(guest.lists.wanted, Maintenance::NOTHING);
    assert_eq!(guest.lists.deactivated, [27]);
    assert_eq!(guest.vgic.in_use(VcpuId::new(0), &guest.lists).count(), 0);
    assert_eq!(guest.read("IPRIORITYR", SPI), 0);
}
