//! The distributor's registers (IHI 0069, 12.9).
//!
//! The guest sees a GIC with one Security state (GICD_CTLR.DS = 1), as without EL3: it has both groups for itself.
//! Affinity routing is always on, so SGIs and PPIs are the redistributors' alone. Interrupts begin in group 1, as they look
//! to a guest that was written for the Non-secure state and never sets a group.

use super::access::{Frame, GicAccess, GicAnswer, GicRejected, Sizes};
use super::affinity::Affinity;
use super::registers::{self, CtlrGroups, RegisterKind};
use super::{BANK, Kick, Vgic};
use crate::arch::list_register::ListRegisters;
use crate::base::id::{Intid, VcpuId};
use crate::guest::device::size::Size;

/// The bytes of the distributor's registers.
pub const DISTRIBUTOR_BYTES: u64 = 0x1_0000;

/// GICD_CTLR: affinity routing, and one Security state; both cannot be changed.
const CTLR_FIXED: u32 = 1 << 4 | 1 << 6;

/// GICD_TYPER apart from ITLinesNumber: 10 bits of an INTID, Aff3 is there, and an SPI has one target.
const TYPER: u32 = (10 - 1) << 19 | 1 << 24 | 1 << 25;

/// GICD_IIDR and GICR_IIDR: product `L`, revision 0, of Arm's architecture.
pub(super) const IIDR: u32 = (b'L' as u32) << 24 | 0x43b;

/// Where the identification registers are in each frame, from PIDR4 to CIDR3.
pub(super) const IDS: core::ops::Range<u64> = 0xffd0..0x1_0000;

/// The identification register at `offset`, which is in [`IDS`]; PIDR2 says GICv3. `part` is what PIDR0 says.
pub(super) const fn id_register(offset: u64, part: u32) -> u32 {
    const PIDR2_GICV3: u32 = 0x3b;
    match offset & !0b11 {
        0xffd0 => 0x44,
        0xffe0 => part,
        0xffe4 => 0xb4,
        0xffe8 => PIDR2_GICV3,
        0xfff0 => 0x0d,
        0xfff4 => 0xf0,
        0xfff8 => 0x05,
        0xfffc => 0xb1,
        _ => 0,
    }
}

/// What GICD_PIDR0 says.
const PART: u32 = 0x92;

/// A register of the distributor.
enum DistributorRegister {
    Control,
    /// GICD_TYPER or GICD_IIDR.
    Constant,
    Fields(RegisterKind, usize),
    /// GICD_IROUTER of this INTID.
    Route(u32),
    Id,
    /// GICD_TYPER2, GICD_STATUSR and registers that only do something when written.
    Zero(Sizes),
}

impl DistributorRegister {
    #[inline]
    fn at(offset: u64) -> Self {
        match offset {
            0x0000 => Self::Control,
            0x0004 | 0x0008 => Self::Constant,
            0x000c | 0x0010 => Self::Zero(Sizes::Word),
            // GICD_SGIR is for legacy operation.
            0x0f00 => Self::Zero(Sizes::Word),
            // GICD_ITARGETSR, GICD_CPENDSGIR and GICD_SPENDSGIR as well.
            0x0800..0x0c00 | 0x0f10..0x0f30 => Self::Zero(Sizes::ByteOrWord),
            0x6000..0x8000 => Self::Route(((offset - 0x6000) / 8) as u32),
            _ if IDS.contains(&offset) => Self::Id,
            _ => registers::decode(offset).map_or(Self::Zero(Sizes::Any), |(kind, bank)| Self::Fields(kind, bank)),
        }
    }

    const fn sizes(&self) -> Sizes {
        match self {
            Self::Control | Self::Constant | Self::Id => Sizes::Word,
            Self::Fields(kind, _) => kind.sizes(),
            Self::Route(_) => Sizes::WordOrDouble,
            Self::Zero(sizes) => *sizes,
        }
    }
}

impl Vgic {
    /// Does an access of vCPU `cpu` to the distributor, at `offset` from its start.
    #[inline]
    pub fn access_distributor(
        &mut self,
        cpu: VcpuId,
        offset: u64,
        access: GicAccess,
        lists: &mut impl ListRegisters,
    ) -> Result<GicAnswer, GicRejected> {
        match (access, self.overall(offset)) {
            (GicAccess::Read { size: Size::Word }, Some(value)) => Ok(GicAnswer::value(value.into())),
            _ => self.access_any(cpu, offset, access, lists),
        }
    }

    /// The registers that are about all of it, and that need nothing but a look: GICD_CTLR, GICD_TYPER and GICD_IIDR.
    #[inline]
    fn overall(&self, offset: u64) -> Option<u32> {
        match offset {
            0x0000 => Some(CTLR_FIXED | self.groups.ctlr()),
            0x0004 => Some(TYPER | (self.interrupts() / BANK - 1)),
            0x0008 => Some(IIDR),
            _ => None,
        }
    }

    fn access_any(
        &mut self,
        cpu: VcpuId,
        offset: u64,
        access: GicAccess,
        lists: &mut impl ListRegisters,
    ) -> Result<GicAnswer, GicRejected> {
        if offset >= DISTRIBUTOR_BYTES {
            return Err(GicRejected::Outside { frame: Frame::Distributor, offset, end: DISTRIBUTOR_BYTES });
        }
        let register = DistributorRegister::at(offset);
        register.sizes().check(Frame::Distributor, offset, access)?;
        if let DistributorRegister::Fields(kind, bank) = register {
            // Bank 0 is the redistributors'.
            let Some(index) = self.bank_of(cpu, bank).filter(|_| bank != 0) else { return Ok(GicAnswer::value(0)) };
            let fields = u64::from(kind.fields(bank));
            let access = match access {
                GicAccess::Write { size, value } => GicAccess::Write { size, value: value & fields },
                GicAccess::Read { .. } => access,
            };
            let answer = self.access_bank(cpu, index, kind, access, lists);
            return Ok(GicAnswer { value: answer.value & fields, ..answer });
        }
        Ok(match access {
            GicAccess::Read { size } => GicAnswer::value(self.read_distributor(cpu, &register, offset, size)),
            GicAccess::Write { size, value } => match register {
                DistributorRegister::Control => GicAnswer::kick(self.write_control(cpu, value as u32, lists)),
                DistributorRegister::Route(id) => {
                    GicAnswer::kick(self.write_route(cpu, Intid::new(id), offset, size, value, lists))
                }
                _ => GicAnswer::value(0),
            },
        })
    }

    fn read_distributor(&self, cpu: VcpuId, register: &DistributorRegister, offset: u64, size: Size) -> u64 {
        match register {
            DistributorRegister::Control | DistributorRegister::Constant => {
                self.overall(offset).unwrap_or_default().into()
            }
            DistributorRegister::Route(id) => {
                let shared = self.locate(cpu, Intid::new(*id)).filter(|_| *id >= BANK);
                half(shared.map_or(0, |(index, n)| self.banks[index].route(n).route()), offset, size)
            }
            DistributorRegister::Id => id_register(offset, PART).into(),
            DistributorRegister::Fields(..) | DistributorRegister::Zero(_) => 0,
        }
    }

    /// GICD_CTLR. RWP is never seen: what a write changes here is changed at once.
    fn write_control(&mut self, cpu: VcpuId, value: u32, lists: &mut impl ListRegisters) -> Kick {
        let groups = CtlrGroups::from_ctlr(value);
        if groups == self.groups {
            return Kick::NONE;
        }
        self.groups = groups;
        self.refill(cpu, lists) | self.others(cpu)
    }

    fn write_route(
        &mut self,
        cpu: VcpuId,
        id: Intid,
        offset: u64,
        size: Size,
        value: u64,
        lists: &mut impl ListRegisters,
    ) -> Kick {
        let Some((index, n)) = self.locate(cpu, id).filter(|_| id >= Intid::new(BANK)) else { return Kick::NONE };
        let old = self.banks[index].route(n).route();
        let value = match (size, offset % 8) {
            (Size::Double, _) => value,
            (_, 0) => old & !0xffff_ffff | value & 0xffff_ffff,
            _ => old & 0xffff_ffff | value << 32,
        };
        let cpus = self.cpus();
        self.change(cpu, index, 1 << n, lists, |bank| bank.set_route(n, Affinity::from_route(value), cpus))
    }
}

/// What an access at `offset` sees of a 64-bit register.
pub(super) const fn half(value: u64, offset: u64, size: Size) -> u64 {
    match (size, offset % 8) {
        (Size::Double, _) => value,
        (_, 0) => value & 0xffff_ffff,
        _ => value >> 32,
    }
}
