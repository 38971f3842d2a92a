//! Interrupts that a vCPU sends to others, or to itself.
//!
//! In GICv3 an SGI has no source: it is pending or not, and sending it twice before it is taken sends it once.

use super::affinity::CLUSTER;
use super::{Kick, MAX_CPUS, Vgic};
use crate::arch::list_register::ListRegisters;
use crate::arch::virtual_interface::Group;
use crate::base::id::VcpuId;

/// The register that the guest wrote.
///
/// With one Security state, an SGI is sent if it is in the group that the register is for: a register for the other
/// Security state's group 1 is for group 0 (IHI 0069, 12.1 "Use of control registers for SGI forwarding").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgiRegister {
    /// ICC_SGI0R_EL1.
    Sgi0,
    /// ICC_SGI1R_EL1.
    Sgi1,
    /// ICC_ASGI1R_EL1.
    AliasedSgi1,
}

impl SgiRegister {
    const fn group(self) -> Group {
        match self {
            Self::Sgi1 => Group::One,
            Self::Sgi0 | Self::AliasedSgi1 => Group::Zero,
        }
    }
}

/// A write to one of these registers, which are laid out alike.
#[derive(Clone, Copy, Debug)]
struct SgiRequest(u64);

impl SgiRequest {
    /// The INTID, from 0 to 15.
    const fn id(self) -> u32 {
        (self.0 >> 24 & 0xf) as u32
    }

    /// The vCPUs that it names.
    fn targets(self, from: VcpuId, cpus: usize) -> Kick {
        const IRM: u64 = 1 << 40;
        let all = Kick::first(cpus);
        if self.0 & IRM != 0 {
            return all.without(from);
        }
        let list = self.0 & 0xffff;
        let aff1 = (self.0 >> 16 & 0xff) as usize;
        // Aff2, the range selector and Aff3: no vCPU has one but 0.
        let others = self.0 >> 32 & 0xff | self.0 >> 44 & 0xf | self.0 >> 48 & 0xff;
        if others != 0 || aff1 * CLUSTER >= MAX_CPUS {
            return Kick::NONE;
        }
        Kick::from_bits(list << (aff1 * CLUSTER)).and(all)
    }
}

impl Vgic {
    /// Sends the SGI that vCPU `cpu` asked for by writing `value` to `register`.
    pub fn send_sgi(&mut self, cpu: VcpuId, register: SgiRegister, value: u64, lists: &mut impl ListRegisters) -> Kick {
        let request = SgiRequest(value);
        let bit = 1 << request.id();
        let mut kick = Kick::NONE;
        for target in request.targets(cpu, self.cpus()).cpus() {
            let bank = &mut self.banks[target.index()];
            if Group::of(bank.group, bit) == register.group() {
                bank.set_pending(bit);
                kick = kick | self.settle(cpu, target.index(), request.id(), lists);
            }
        }
        kick
    }
}
