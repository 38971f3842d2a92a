//! Interrupts that a vCPU sends to others, or to itself.
//!
//! In GICv3 an SGI has no source: it is pending or not, and sending it twice before it is taken sends it once.

use super::affinity::CLUSTER;
use super::bank::ones;
use super::{Kick, MAX_CPUS, Vgic};
use crate::arch::list_register::{InterruptState, ListRegisters, Maintenance, OnEnd};
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

/// What an SGI asks of other vCPUs.
#[must_use = "a vCPU that is not kicked does not see its interrupt"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SgiKick {
    /// Those that have an SGI more, for [`Vgic::deliver_sgis`].
    pub sgis: Kick,
    /// Those that have to look at all, because the sender's own list registers were filled anew.
    pub others: Kick,
}

impl Vgic {
    /// Sends the SGI that vCPU `cpu` asked for by writing `value` to `register`.
    pub fn send_sgi(
        &mut self,
        cpu: VcpuId,
        register: SgiRegister,
        value: u64,
        lists: &mut impl ListRegisters,
    ) -> SgiKick {
        let request = SgiRequest(value);
        let (n, bit) = (request.id(), 1 << request.id());
        let targets = request.targets(cpu, self.cpus());
        let mut kick = SgiKick::default();
        if targets.is_empty() {
            return kick;
        }
        if targets.contains(cpu) && self.make_pending(cpu, bit, register) {
            kick.others = self.deliver_sgi(cpu, n, lists);
        }
        let others = targets.without(cpu);
        if others.is_empty() {
            return kick;
        }
        for target in others.cpus() {
            if self.make_pending(target, bit, register) && self.listable(target.index()) & bit != 0 {
                kick.sgis = kick.sgis | Kick::one(target);
            }
        }
        kick
    }

    /// Makes the SGI `bit` of `target` pending, if it is in the group that `register` is for.
    #[inline]
    fn make_pending(&mut self, target: VcpuId, bit: u32, register: SgiRegister) -> bool {
        let bank = &mut self.banks[target.index()];
        let is_of_group = Group::of(bank.group, bit) == register.group();
        if is_of_group {
            bank.set_pending(bit);
        }
        is_of_group
    }

    /// Lists the SGIs of `cpu` that others have sent: on a kick for that.
    pub fn deliver_sgis(&mut self, cpu: VcpuId, lists: &mut impl ListRegisters) -> Kick {
        let sent = self.banks[cpu.index()].latched_sgis();
        ones(sent).fold(Kick::NONE, |kick, n| kick | self.deliver_sgi(cpu, n, lists))
    }

    /// Lists SGI `n` of `cpu`, which is pending in its bank.
    #[inline]
    fn deliver_sgi(&mut self, cpu: VcpuId, n: u32, lists: &mut impl ListRegisters) -> Kick {
        if self.send_again(cpu, n, lists) { Kick::NONE } else { self.settle(cpu, cpu.index(), n, lists) }
    }

    /// Makes SGI `n` of `cpu` pending again where it is listed, if that is all that has to be done: it was listed before, has
    /// come to its end or is still pending there, and nothing about it has changed since. So it mostly is.
    #[inline]
    fn send_again(&mut self, cpu: VcpuId, n: u32, lists: &mut impl ListRegisters) -> bool {
        let index = cpu.index();
        // While others wait, the slot may be due to a more urgent one; and what was lent with more than its pending latch
        // must go through the bank, where notes of what happened meanwhile are merged.
        if self.cpus[index].asked != Maintenance::NOTHING || !self.banks[index].was_lent_latch_alone(n) {
            return false;
        }
        let slot = self.banks[index].slot(n);
        let listed = lists.read(slot);
        match listed.state() {
            InterruptState::Invalid if listed.end() == OnEnd::Silent => {
                lists.write(slot, listed.with_state(InterruptState::Pending));
            }
            // It was sent twice before it is taken: that is once.
            InterruptState::Pending => (),
            _ => return false,
        }
        // The latch has moved into the list register, or was there already.
        self.banks[index].take_latch(n);
        true
    }
}
