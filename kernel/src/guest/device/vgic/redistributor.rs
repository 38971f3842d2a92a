//! The redistributors' registers (IHI 0069, 12.11): for each vCPU a frame RD_base, and a frame SGI_base with its SGIs
//! and PPIs.
//!
//! Without LPIs, the remaining state of a redistributor is the identity of its vCPU. GICR_WAKER follows the handshake
//! (IHI 0069, 11.1), but a sleeping vCPU gets its interrupts all the same, because they wake it.

use super::Vgic;
use super::access::{Frame, GicAccess, GicAnswer, GicRejected, Sizes};
use super::affinity::Affinity;
use super::distributor::{IDS, IIDR, half, id_register};
use super::registers::{self, RegisterKind};
use crate::arch::list_register::ListRegisters;
use crate::base::id::VcpuId;

/// The bytes of one of the two frames.
const FRAME: u64 = 0x1_0000;
/// The bytes of one redistributor's registers.
pub const REDISTRIBUTOR_BYTES: u64 = 2 * FRAME;

/// GICR_WAKER.ProcessorSleep, and ChildrenAsleep, which follows it at once.
pub(super) const SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;

/// GICR_TYPER.Last.
const LAST: u64 = 1 << 4;

/// What GICR_PIDR0 says.
const PART: u32 = 0x93;

/// A register of a redistributor.
enum RedistributorRegister {
    Implementer,
    Type,
    Waker,
    Fields(RegisterKind),
    Id,
    /// GICR_CTLR, GICR_STATUSR, and those of LPIs.
    Zero(Sizes),
}

impl RedistributorRegister {
    /// The register at `offset` from the start of a redistributor.
    #[inline]
    fn at(offset: u64) -> Self {
        match offset {
            0x0004 => Self::Implementer,
            0x0008..0x0010 => Self::Type,
            0x0014 => Self::Waker,
            0x0000 | 0x0010 | 0x00c0 => Self::Zero(Sizes::Word),
            // GICR_SETLPIR, GICR_CLRLPIR; GICR_PROPBASER, GICR_PENDBASER; GICR_INVLPIR; GICR_INVALLR.
            0x0040..0x0050 | 0x0070..0x0080 | 0x00a0..0x00a8 | 0x00b0..0x00b8 => Self::Zero(Sizes::WordOrDouble),
            FRAME..REDISTRIBUTOR_BYTES => match registers::decode(offset - FRAME) {
                Some((kind, 0)) => Self::Fields(kind),
                // PPIs of the extended range.
                _ => Self::Zero(Sizes::Any),
            },
            _ if IDS.contains(&offset) => Self::Id,
            _ => Self::Zero(Sizes::Any),
        }
    }

    const fn sizes(&self) -> Sizes {
        match self {
            Self::Implementer | Self::Waker | Self::Id => Sizes::Word,
            Self::Type => Sizes::WordOrDouble,
            Self::Fields(kind) => kind.sizes(),
            Self::Zero(sizes) => *sizes,
        }
    }
}

impl Vgic {
    /// The bytes of all redistributors, [`REDISTRIBUTOR_BYTES`] for each vCPU.
    pub fn redistributor_bytes(&self) -> u64 {
        self.cpus() as u64 * REDISTRIBUTOR_BYTES
    }

    /// Does an access of vCPU `cpu` to a redistributor, not necessarily its own, at `offset` from the start of the first.
    pub fn access_redistributor(
        &mut self,
        cpu: VcpuId,
        offset: u64,
        access: GicAccess,
        lists: &mut impl ListRegisters,
    ) -> Result<GicAnswer, GicRejected> {
        let end = self.redistributor_bytes();
        if offset >= end {
            return Err(GicRejected::Outside { frame: Frame::Redistributors, offset, end });
        }
        let (whose, within) = ((offset / REDISTRIBUTOR_BYTES) as usize, offset % REDISTRIBUTOR_BYTES);
        let register = RedistributorRegister::at(within);
        register.sizes().check(Frame::Redistributors, offset, access)?;
        if let RedistributorRegister::Fields(kind) = register {
            return Ok(self.access_bank(cpu, whose, kind, access, lists));
        }
        Ok(GicAnswer::value(match access {
            GicAccess::Read { size } => match register {
                RedistributorRegister::Implementer => IIDR.into(),
                RedistributorRegister::Type => half(self.redistributor_type(whose), offset, size),
                RedistributorRegister::Waker => self.waker(whose).into(),
                RedistributorRegister::Id => id_register(within, PART).into(),
                RedistributorRegister::Fields(_) | RedistributorRegister::Zero(_) => 0,
            },
            GicAccess::Write { value, .. } => {
                if let RedistributorRegister::Waker = register {
                    self.cpus[whose].sleep = value as u32 & SLEEP;
                }
                0
            }
        }))
    }

    /// GICR_TYPER: whose it is, by affinity and by number, and whether it is the last.
    fn redistributor_type(&self, whose: usize) -> u64 {
        let last = if whose + 1 == self.cpus() { LAST } else { 0 };
        u64::from(Affinity::of(VcpuId::new(whose as u16)).packed()) << 32 | (whose as u64) << 8 | last
    }

    fn waker(&self, whose: usize) -> u32 {
        match self.cpus[whose].sleep {
            0 => 0,
            sleep => sleep | CHILDREN_ASLEEP,
        }
    }
}
