//! The vGIC over a virtual CPU interface that is a model.

#![cfg_attr(fuzzing, allow(dead_code, unused_imports, reason = "the fuzz target runs what is against the model alone"))]

#[cfg(test)]
mod acknowledged;
pub(super) mod against_model;
mod fake;
#[cfg(test)]
mod interface;
mod model;
#[cfg(test)]
mod overflow;
#[cfg(test)]
mod physical;
#[cfg(test)]
mod registers;
#[cfg(test)]
mod rules;
mod steps;
#[cfg(test)]
mod two_cpus;

use super::{Frame, GicAccess, GicAnswer, GicRejected, Kick, SgiKick, Vgic, VgicShape};
use crate::arch::list_register::{InterruptState, ListRegister};
use crate::base::id::{Intid, PhysIntid, VcpuId};
use crate::guest::device::size::Size;
use fake::{EoiMode, Fake};

/// The bit of `id` in a register with a bit for each interrupt.
fn bit(id: u32) -> u64 {
    1 << (id % 32)
}

/// The offset of register `name` with the field of interrupt `id`, and its frame. The SGIs and PPIs of vCPU `n` are those
/// from 1000 `n` on.
fn register(name: &str, id: u32) -> (u64, Frame) {
    let (cpu, id) = (u64::from(id / 1000), u64::from(id % 1000));
    let word = |base: u64| base + id / 32 * 4;
    let offset = match name {
        "CTLR" => 0,
        "IGROUPR" => word(0x80),
        "ISENABLER" => word(0x100),
        "ICENABLER" => word(0x180),
        "ISPENDR" => word(0x200),
        "ICPENDR" => word(0x280),
        "ISACTIVER" => word(0x300),
        "ICACTIVER" => word(0x380),
        "IPRIORITYR" => 0x400 + id,
        "ICFGR" => 0xc00 + id / 16 * 4,
        "IROUTER" => 0x6000 + 8 * id,
        _ => panic!("{name}"),
    };
    if id >= 32 || name == "CTLR" {
        (offset, Frame::Distributor)
    } else {
        (0x2_0000 * cpu + 0x1_0000 + offset, Frame::Redistributors)
    }
}

/// The size of register `name`.
fn size(name: &str) -> Size {
    match name {
        "IPRIORITYR" => Size::Byte,
        "IROUTER" => Size::Double,
        _ => Size::Word,
    }
}

fn access(
    vgic: &mut Vgic,
    lists: &mut Fake,
    cpu: VcpuId,
    frame: Frame,
    offset: u64,
    access: GicAccess,
) -> Result<GicAnswer, GicRejected> {
    match frame {
        Frame::Distributor => vgic.access_distributor(cpu, offset, access, lists),
        Frame::Redistributors => vgic.access_redistributor(cpu, offset, access, lists),
    }
}

fn write(vgic: &mut Vgic, lists: &mut Fake, cpu: VcpuId, name: &str, id: u32, value: u64) -> Kick {
    let (offset, frame) = register(name, id);
    access(vgic, lists, cpu, frame, offset, GicAccess::Write { size: size(name), value }).unwrap().kick
}

fn read(vgic: &mut Vgic, lists: &mut Fake, cpu: VcpuId, name: &str, id: u32) -> u64 {
    let (offset, frame) = register(name, id);
    access(vgic, lists, cpu, frame, offset, GicAccess::Read { size: size(name) }).unwrap().value
}

/// A guest with one vCPU that has enabled both groups and `ids`, each with the same priority; and its CPU with `lists` list
/// registers.
fn guest(lists: usize, ids: &[u32]) -> One {
    let mut one = One {
        vgic: Vgic::new(VgicShape { cpus: 1, spis: 64, priority_bits: 5 }).unwrap(),
        lists: Fake::new(lists, EoiMode::Together),
    };
    one.write("CTLR", 0, 3);
    for id in ids {
        one.write("IPRIORITYR", *id, 0xa0);
        one.write("ISENABLER", *id, bit(*id));
    }
    one
}

/// A guest with one vCPU. Nobody has to be kicked.
struct One {
    vgic: Vgic,
    lists: Fake,
}

impl One {
    fn write(&mut self, name: &str, id: u32, value: u64) {
        assert!(write(&mut self.vgic, &mut self.lists, VcpuId::new(0), name, id, value).is_empty());
    }

    fn read(&mut self, name: &str, id: u32) -> u64 {
        read(&mut self.vgic, &mut self.lists, VcpuId::new(0), name, id)
    }

    /// Whether the bit of `id` is set in register `name`.
    fn has(&mut self, name: &str, id: u32) -> bool {
        self.read(name, id) & bit(id) != 0
    }

    /// Sets the bit of `id` in register `name`, where zeros do nothing.
    fn set(&mut self, name: &str, id: u32) {
        self.write(name, id, bit(id));
    }

    fn line(&mut self, id: u32, line: super::LineLevel) {
        assert!(self.vgic.set_line(VcpuId::new(0), Intid::new(id), line, &mut self.lists).is_empty());
    }

    fn forward(&mut self, id: u32, physical: u32) {
        assert!(
            self.vgic.forward(VcpuId::new(0), Intid::new(id), PhysIntid::new(physical), &mut self.lists).is_empty()
        );
    }

    fn maintain(&mut self) {
        assert!(self.vgic.maintain(VcpuId::new(0), &mut self.lists).is_empty());
    }

    /// The state in which `id` is listed.
    fn listed(&self, id: u32) -> InterruptState {
        self.lists.find(id).map_or(InterruptState::Invalid, ListRegister::state)
    }
}

/// Everybody whom an SGI kicks, for one reason or the other.
fn all(SgiKick { sgis, others }: SgiKick) -> Kick {
    sgis | others
}
