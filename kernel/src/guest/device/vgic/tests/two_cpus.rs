//! A guest with more than one vCPU, and the notes and kicks between its CPUs.

use super::super::{Affinity, Kick, MAX_CPUS, SgiRegister, Vgic, VgicShape, VgicShapeError};
use super::fake::{EoiMode, Fake};
use super::{all, bit, read, write};
use crate::base::id::{Intid, PhysIntid, VcpuId};
use crate::base::interrupt::MAX_SPIS;
use std::vec::Vec;

const SPI: u32 = 40;

fn two() -> (Vgic, Fake, Fake) {
    let mut vgic = Vgic::new(VgicShape { cpus: 2, spis: 32, priority_bits: 5 }).unwrap();
    let mut first = Fake::new(4, EoiMode::Together);
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "CTLR", 0, 3), Kick::one(VcpuId::new(1)));
    for id in [5, 27, 1005, 1027, SPI] {
        assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "ISENABLER", id, bit(id % 1000)), Kick::NONE);
    }
    (vgic, first, Fake::new(4, EoiMode::Together))
}

#[test]
fn an_sgi_to_another_kicks_it() {
    let (mut vgic, mut first, mut second) = two();
    assert_eq!(
        all(vgic.send_sgi(VcpuId::new(0), SgiRegister::Sgi1, 5 << 24 | 0b11, &mut first)),
        Kick::one(VcpuId::new(1))
    );
    assert_eq!(first.acknowledge(), Some(5));
    assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::NONE);
    assert_eq!(second.acknowledge(), Some(5));
    let to_others = 5 << 24 | 1 << 40;
    assert_eq!(
        all(vgic.send_sgi(VcpuId::new(1), SgiRegister::Sgi1, to_others, &mut second)),
        Kick::one(VcpuId::new(0))
    );
}

#[test]
fn an_spi_goes_where_its_route_says() {
    let (mut vgic, mut first, mut second) = two();
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "ISPENDR", SPI, bit(SPI)), Kick::NONE);
    assert!(first.find(SPI).is_some());
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "IROUTER", SPI, 1), Kick::one(VcpuId::new(1)));
    assert!(first.find(SPI).is_none());
    assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::NONE);
    assert_eq!(second.acknowledge(), Some(SPI));
    // It is active there, wherever the next goes.
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "IROUTER", SPI, 0), Kick::one(VcpuId::new(1)));
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "ISPENDR", SPI, bit(SPI)), Kick::one(VcpuId::new(1)));
    assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::NONE);
    second.end();
    assert!(second.maintenance());
    assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::one(VcpuId::new(0)));
    assert_eq!(vgic.maintain(VcpuId::new(0), &mut first), Kick::NONE);
    assert_eq!(first.acknowledge(), Some(SPI));
}

#[test]
fn an_spi_for_nobody_waits_for_a_target() {
    let (mut vgic, mut first, _) = two();
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "IROUTER", SPI, 0x0200), Kick::NONE);
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "ISPENDR", SPI, bit(SPI)), Kick::NONE);
    assert_eq!(first.acknowledge(), None);
    assert_eq!(read(&mut vgic, &mut first, VcpuId::new(0), "IROUTER", SPI), 0x0200);
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "IROUTER", SPI, 0), Kick::NONE);
    assert_eq!(first.acknowledge(), Some(SPI));
}

#[test]
fn what_another_has_listed_changes_when_it_is_kicked() {
    let (mut vgic, mut first, mut second) = two();
    assert_eq!(all(vgic.send_sgi(VcpuId::new(1), SgiRegister::Sgi1, 5 << 24 | 0b10, &mut second)), Kick::NONE);
    assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "ICENABLER", 1005, bit(5)), Kick::one(VcpuId::new(1)));
    assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::NONE);
    assert_eq!(second.acknowledge(), None);
    assert_eq!(read(&mut vgic, &mut first, VcpuId::new(0), "ISPENDR", 1005), bit(5));
}

#[test]
fn an_edge_is_not_lost_to_an_acknowledgement_that_was_not_seen() {
    let (mut vgic, mut first, mut second) = two();
    assert_eq!(all(vgic.send_sgi(VcpuId::new(1), SgiRegister::Sgi1, 5 << 24 | 0b10, &mut second)), Kick::NONE);
    assert_eq!(second.acknowledge(), Some(5));
    assert_eq!(
        all(vgic.send_sgi(VcpuId::new(0), SgiRegister::Sgi1, 5 << 24 | 0b10, &mut first)),
        Kick::one(VcpuId::new(1))
    );
    assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::NONE);
    second.end();
    assert_eq!(second.acknowledge(), Some(5));
}

#[test]
fn a_ppi_that_another_clears_is_deactivated_on_its_own_cpu() {
    let (mut vgic, mut first, mut second) = two();
    // Once while it is listed, and once while it is not.
    for enable in ["ISENABLER", "ICENABLER"] {
        assert_eq!(write(&mut vgic, &mut second, VcpuId::new(1), enable, 1027, bit(27)), Kick::NONE);
        assert_eq!(vgic.forward(VcpuId::new(1), Intid::new(27), PhysIntid::new(27), &mut second), Kick::NONE);
        assert_eq!(write(&mut vgic, &mut first, VcpuId::new(0), "ICPENDR", 1027, bit(27)), Kick::one(VcpuId::new(1)));
        assert_eq!((first.deactivated.len(), second.deactivated.len()), (0, 0));
        assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::NONE);
        assert_eq!(core::mem::take(&mut second.deactivated), [27]);
    }
}

#[test]
fn an_spi_can_be_forwarded_on_a_cpu_other_than_the_last() {
    let (mut vgic, mut first, mut second) = two();
    assert_eq!(vgic.forward(VcpuId::new(0), Intid::new(SPI), PhysIntid::new(100), &mut first), Kick::NONE);
    first.acknowledge();
    first.end();
    assert_eq!(first.deactivated, [100]);
    assert_eq!(
        vgic.forward(VcpuId::new(1), Intid::new(SPI), PhysIntid::new(100), &mut second),
        Kick::one(VcpuId::new(0))
    );
    assert_eq!(vgic.maintain(VcpuId::new(0), &mut first), Kick::NONE);
    assert_eq!(first.acknowledge(), Some(SPI));
    first.end();
    assert_eq!(first.deactivated, [100, 100]);
}

#[test]
fn a_reset_reaches_all() {
    let (mut vgic, mut first, mut second) = two();
    assert_eq!(vgic.forward(VcpuId::new(1), Intid::new(27), PhysIntid::new(27), &mut second), Kick::NONE);
    assert_eq!(vgic.reset(VcpuId::new(0), &mut first), Kick::one(VcpuId::new(1)));
    assert_eq!(vgic.maintain(VcpuId::new(1), &mut second), Kick::NONE);
    assert_eq!(second.listed().count(), 0);
    assert_eq!(second.deactivated, [27]);
}

#[test]
fn each_vcpu_has_an_affinity_that_a_target_list_can_name() {
    for cpu in 0..MAX_CPUS {
        assert_eq!(Affinity::of(VcpuId::new(cpu as u16)).cpu(), Some(VcpuId::new(cpu as u16)));
    }
    assert_eq!(Affinity::of(VcpuId::new(18)).mpidr(), 0x8000_0102);
    let mut vgic = Vgic::new(VgicShape { cpus: MAX_CPUS, spis: 0, priority_bits: 5 }).unwrap();
    let mut lists = Fake::new(4, EoiMode::Together);
    let _all = write(&mut vgic, &mut lists, VcpuId::new(0), "CTLR", 0, 3);
    let _others = write(&mut vgic, &mut lists, VcpuId::new(0), "ISENABLER", 18_003, bit(3));
    let kick = all(vgic.send_sgi(VcpuId::new(0), SgiRegister::Sgi1, 3 << 24 | 1 << 16 | 1 << 2, &mut lists));
    assert_eq!(kick.cpus().collect::<Vec<_>>(), [VcpuId::new(18)]);
}

#[test]
fn a_shape_has_limits() {
    let new = |cpus, spis| Vgic::new(VgicShape { cpus, spis, priority_bits: 5 }).map(|vgic| vgic.interrupts());
    assert_eq!(new(0, 32), Err(VgicShapeError::Cpus { cpus: 0 }));
    assert_eq!(new(MAX_CPUS + 1, 32), Err(VgicShapeError::Cpus { cpus: MAX_CPUS + 1 }));
    assert_eq!(new(1, MAX_SPIS + 1), Err(VgicShapeError::Spis { spis: MAX_SPIS + 1 }));
    assert_eq!((new(1, 0), new(1, 1), new(1, MAX_SPIS)), (Ok(32), Ok(64), Ok(1024)));
}
