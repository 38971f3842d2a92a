//! The values that the guest reads, and the accesses that it may not make.

use super::super::{Frame, GicAccess, GicAnswer, GicRejected, Vgic, VgicShape};
use super::fake::{EoiMode, Fake};
use super::{access, bit, guest};
use crate::base::id::VcpuId;
use crate::guest::device::size::Size;
use proptest::prelude::*;

/// What an aligned load of `size` at `offset` of `frame` reads in a vGIC for two vCPUs and 64 SPIs after reset.
fn fresh(frame: Frame, offset: u64, size: Size) -> Result<GicAnswer, GicRejected> {
    let mut vgic = Vgic::new(VgicShape { cpus: 2, spis: 64, priority_bits: 5 }).unwrap();
    let mut lists = Fake::new(4, EoiMode::Together);
    access(&mut vgic, &mut lists, VcpuId::new(0), frame, offset, GicAccess::Read { size })
}

fn word(frame: Frame, offset: u64) -> u64 {
    fresh(frame, offset, Size::Word).unwrap().value
}

#[test]
fn a_driver_finds_a_gicv3_with_one_security_state_and_no_lpis() {
    use Frame::{Distributor, Redistributors};
    // GICD_PIDR2 and GICR_PIDR2: GICv3.
    assert_eq!(word(Distributor, 0xffe8), 0x3b);
    assert_eq!(word(Redistributors, 0xffe8), 0x3b);
    assert_eq!(word(Redistributors, 0x2_ffe8), 0x3b);
    // GICD_TYPER: 96 interrupts, one Security state, no LPIs, 10 bits of INTID, Aff3, one target for an SPI.
    assert_eq!(word(Distributor, 0x4), 0x0348_0002);
    // GICD_CTLR: ARE and DS, nothing enabled, no write in progress.
    assert_eq!(word(Distributor, 0x0), 0x50);
    // GICD_TYPER2.
    assert_eq!(word(Distributor, 0xc), 0);
    // GICD_IIDR, GICR_IIDR.
    assert_eq!(word(Distributor, 0x8), 0x4c00_043b);
    assert_eq!(word(Redistributors, 0x4), 0x4c00_043b);
    // CIDR: a component of the generic class.
    let class: [u64; 4] = core::array::from_fn(|n| word(Distributor, 0xfff0 + 4 * n as u64));
    assert_eq!(class, [0x0d, 0xf0, 0x05, 0xb1]);
    // GICR_TYPER as a whole and in halves: the affinity, the number, and whether it is the last; nothing for LPIs.
    assert_eq!(fresh(Redistributors, 0x8, Size::Double).unwrap().value, 0);
    assert_eq!(fresh(Redistributors, 0x2_0008, Size::Double).unwrap().value, 0x1_0000_0110);
    assert_eq!((word(Redistributors, 0x2_0008), word(Redistributors, 0x2_000c)), (0x110, 1));
    // GICR_CTLR, and SGIs as edges.
    assert_eq!(word(Redistributors, 0), 0);
    assert_eq!(word(Redistributors, 0x1_0c00), 0xaaaa_aaaa);
}

#[test]
fn a_redistributor_wakes_when_it_is_told() {
    let mut guest = guest(4, &[]);
    let frame = Frame::Redistributors;
    for (write, reads) in [(0, 0), (u64::MAX, 0b110), (0b100, 0)] {
        let write = GicAccess::Write { size: Size::Word, value: write };
        assert!(access(&mut guest.vgic, &mut guest.lists, VcpuId::new(0), frame, 0x14, write).unwrap().kick.is_empty());
        let waker = access(
            &mut guest.vgic,
            &mut guest.lists,
            VcpuId::new(0),
            frame,
            0x14,
            GicAccess::Read { size: Size::Word },
        );
        assert_eq!(waker.unwrap().value, reads);
    }
    assert_eq!(word(frame, 0x14), 0b110);
}

#[test]
fn affinity_routing_cannot_be_switched_off() {
    let mut guest = guest(4, &[]);
    guest.write("CTLR", 0, 0);
    assert_eq!(guest.read("CTLR", 0), 0x50);
    guest.write("CTLR", 0, u64::MAX);
    assert_eq!(guest.read("CTLR", 0), 0x53);
}

#[test]
fn a_route_is_written_as_a_whole_or_in_halves() {
    let mut guest = guest(4, &[]);
    guest.write("IROUTER", 40, u64::MAX);
    // Aff3, and Aff2 to Aff0; an SPI has one target, so no routing mode.
    assert_eq!(guest.read("IROUTER", 40), 0xff_00ff_ffff);
    let offset = 0x6000 + 8 * 40;
    for (offset, value) in [(offset, 0x03_0201), (offset + 4, 0x04)] {
        let write = GicAccess::Write { size: Size::Word, value };
        assert!(
            access(&mut guest.vgic, &mut guest.lists, VcpuId::new(0), Frame::Distributor, offset, write)
                .unwrap()
                .kick
                .is_empty()
        );
        let half = access(
            &mut guest.vgic,
            &mut guest.lists,
            VcpuId::new(0),
            Frame::Distributor,
            offset,
            GicAccess::Read { size: Size::Word },
        );
        assert_eq!(half.unwrap().value, value);
    }
    assert_eq!(guest.read("IROUTER", 40), 0x04_0003_0201);
}

#[test]
fn priorities_are_bytes_and_words() {
    let mut guest = guest(4, &[]);
    let write = GicAccess::Write { size: Size::Word, value: 0x4030_2010 };
    assert!(
        access(&mut guest.vgic, &mut guest.lists, VcpuId::new(0), Frame::Distributor, 0x400 + 36, write)
            .unwrap()
            .kick
            .is_empty()
    );
    guest.write("IPRIORITYR", 37, 0x88);
    let word = access(
        &mut guest.vgic,
        &mut guest.lists,
        VcpuId::new(0),
        Frame::Distributor,
        0x400 + 36,
        GicAccess::Read { size: Size::Word },
    );
    assert_eq!(word.unwrap().value, 0x4030_8810);
}

#[test]
fn the_configuration_of_sgis_is_fixed_and_that_of_others_is_not() {
    let mut guest = guest(4, &[]);
    for (id, reads) in [(0, 0xaaaa_aaaa), (16, 0), (48, 0)] {
        guest.write("ICFGR", id, 0);
        assert_eq!(guest.read("ICFGR", id), reads);
    }
    guest.write("ICFGR", 16, u64::MAX);
    guest.write("ICFGR", 48, 0x8000_0002);
    assert_eq!((guest.read("ICFGR", 16), guest.read("ICFGR", 48)), (0xaaaa_aaaa, 0x8000_0002));
}

#[test]
fn the_distributor_has_nothing_of_sgis_and_ppis() {
    let mut guest = guest(4, &[27]);
    for offset in [0x80, 0x100, 0x200, 0x300, 0x400, 0x41c, 0xc00, 0xc04, 0x6000, 0x60fc] {
        let frame = Frame::Distributor;
        let write = GicAccess::Write { size: Size::Word, value: u64::MAX };
        assert!(
            access(&mut guest.vgic, &mut guest.lists, VcpuId::new(0), frame, offset, write).unwrap().kick.is_empty()
        );
        let read = access(
            &mut guest.vgic,
            &mut guest.lists,
            VcpuId::new(0),
            frame,
            offset,
            GicAccess::Read { size: Size::Word },
        );
        assert_eq!(read.unwrap().value, 0);
    }
    assert!(guest.has("ISENABLER", 27));
}

#[test]
fn the_first_bank_that_is_not_there_reads_as_zero() {
    let mut guest = guest(4, &[]);
    for name in ["ISENABLER", "ISPENDR", "ISACTIVER", "IPRIORITYR", "ICFGR", "IROUTER", "IGROUPR"] {
        guest.write(name, 96, bit(0));
        assert_eq!(guest.read(name, 96), 0, "{name}");
    }
}

#[test]
fn reserved_registers_read_as_zero_and_ignore_writes() {
    // GICD_STATUSR, SETSPI, ITARGETSR, IGRPMODR, NSACR, SGIR, and nothing at all.
    for offset in [0x10, 0x40, 0x820, 0xd04, 0xe08, 0xf00, 0xf10, 0x20, 0x1000, 0x5ffc, 0x8000, 0xfffc - 0x100] {
        assert_eq!(word(Frame::Distributor, offset), 0, "{offset:#x}");
    }
    // GICR_STATUSR, PROPBASER, PENDBASER, SYNCR; IGRPMODR0, NSACR, ISENABLER1E, and nothing at all.
    for offset in [0x10, 0x70, 0x78, 0xc0, 0x1_0d00, 0x1_0e00, 0x1_0104, 0x1_0420, 0x100, 0x1_0000, 0x1_ffe8] {
        assert_eq!(word(Frame::Redistributors, offset), 0, "{offset:#x}");
    }
    let base = fresh(Frame::Redistributors, 0x70, Size::Double).unwrap();
    assert_eq!(base, GicAnswer::value(0));
}

#[test]
fn an_access_that_the_architecture_does_not_know_is_refused() {
    let (gicd, gicr) = (Frame::Distributor, Frame::Redistributors);
    for (frame, offset, size) in [
        (gicd, 0x0, Size::Byte),
        (gicd, 0x0, Size::Double),
        (gicd, 0x104, Size::Half),
        (gicd, 0x108, Size::Double),
        (gicd, 0x420, Size::Half),
        (gicd, 0x420, Size::Double),
        (gicd, 0xc04, Size::Byte),
        (gicd, 0x6100, Size::Half),
        (gicr, 0x8, Size::Byte),
        (gicr, 0x14, Size::Half),
        (gicr, 0x1_0100, Size::Double),
    ] {
        let refused = fresh(frame, offset, size);
        assert!(matches!(refused, Err(GicRejected::Size { .. })), "{size:?} at {frame} {offset:#x}");
    }
    for (offset, size) in [(0x2, Size::Word), (0x421, Size::Word), (0x6104, Size::Double), (0x1001, Size::Half)] {
        assert_eq!(fresh(gicd, offset, size), Err(GicRejected::Misaligned { frame: gicd, offset, size }));
    }
    assert!(matches!(fresh(gicd, 0x1_0000, Size::Word), Err(GicRejected::Outside { .. })));
    assert!(matches!(fresh(gicr, 0x4_0000, Size::Word), Err(GicRejected::Outside { .. })));
    let message = std::format!("{}", fresh(gicd, 0x104, Size::Half).unwrap_err());
    assert_eq!(message, "2 bytes at GICD offset 0x104, a register that takes 4 bytes");
}

#[test]
fn what_is_configured_while_idle_does_not_touch_list_registers() {
    let mut guest = guest(4, &[]);
    let before = guest.lists.accesses.get();
    guest.write("ISENABLER", 33, u64::MAX);
    guest.write("IPRIORITYR", 33, 0xa0);
    guest.write("ICFGR", 33, u64::MAX);
    guest.write("IROUTER", 33, 0);
    assert_eq!(guest.read("ISENABLER", 33), 0xffff_ffff);
    assert_eq!(guest.lists.accesses.get(), before);
}

fn any_access() -> impl Strategy<Value = (u64, GicAccess)> {
    let size = prop::sample::select(std::vec![Size::Byte, Size::Half, Size::Word, Size::Double]);
    // Most of what matters is in the first 4 KiB of a frame.
    let offset = prop_oneof![0..0x1000_u64, 0x1_0000..0x1_1000_u64, any::<u64>().prop_map(|offset| offset % 0x5_0000)];
    (offset, size, any::<u64>(), any::<bool>(), any::<bool>()).prop_map(|(offset, size, value, aligned, write)| {
        let offset = if aligned { offset & !(size.bytes() - 1) } else { offset };
        (offset, if write { GicAccess::Write { size, value } } else { GicAccess::Read { size } })
    })
}

proptest! {
    /// Whatever a guest reads and writes, nothing panics, and what is read has the size that was asked for.
    #[test]
    fn no_access_panics(accesses in prop::collection::vec((any_access(), 0..2_usize, 0..4_usize), 1..200)) {
        let mut vgic = Vgic::new(VgicShape { cpus: 2, spis: 64, priority_bits: 5 }).unwrap();
        let mut lists = [Fake::new(4, EoiMode::Together), Fake::new(1, EoiMode::Together)];
        for ((offset, wanted), cpu, what) in accesses {
            let frame = if what & 1 == 0 { Frame::Distributor } else { Frame::Redistributors };
            if let Ok(answer) = access(&mut vgic, &mut lists[cpu], VcpuId::new(cpu as u16), frame, offset, wanted) {
                let bits = 8 * wanted.size().bytes();
                prop_assert!(bits == 64 || answer.value >> bits == 0);
            }
            if what & 2 != 0 {
                lists[cpu].acknowledge();
                lists[cpu].end();
                let _others = vgic.maintain(VcpuId::new(cpu as u16), &mut lists[cpu]);
            }
        }
    }
}
