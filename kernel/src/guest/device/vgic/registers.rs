//! The registers that distributor and redistributors have alike: those with a field for each interrupt.

use super::access::{GicAccess, GicAnswer, Sizes};
use super::bank::{InterruptBank, SGIS, ones};
use super::{BANK, Kick, SPECIAL, Vgic};
use crate::arch::list_register::ListRegisters;
use crate::base::id::VcpuId;
use crate::guest::device::size::Size;
use core::ops::Range;

/// The groups that GICD_CTLR enables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CtlrGroups(u32);

impl CtlrGroups {
    const ZERO: u32 = 1 << 0;
    const ONE: u32 = 1 << 1;

    pub(super) const fn from_ctlr(value: u32) -> Self {
        Self(value & (Self::ZERO | Self::ONE))
    }

    pub(super) const fn ctlr(self) -> u32 {
        self.0
    }

    /// The interrupts of a bank, of which those in `group_1` are in group 1, whose group is enabled.
    #[inline]
    pub(super) const fn of(self, group_1: u32) -> u32 {
        let zero = if self.0 & Self::ZERO != 0 { !group_1 } else { 0 };
        let one = if self.0 & Self::ONE != 0 { group_1 } else { 0 };
        zero | one
    }
}

/// A register with fields of interrupts. Its offset is the same in GICD and in the SGI_base frame of a GICR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegisterKind {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
    /// From this number of the bank on.
    Priority(u32),
    /// Of the 16 from this number on.
    Config(u32),
    /// GICD_IGRPMODR and GICD_NSACR: of a second Security state.
    Security,
}

/// The register at `offset` and the number of its bank.
#[inline]
pub(super) fn decode(offset: u64) -> Option<(RegisterKind, usize)> {
    const PRIORITIES: Range<u64> = 0x400..0x800;
    const CONFIGS: Range<u64> = 0xc00..0xd00;
    let kind = match offset {
        0x080..0x100 => RegisterKind::Group,
        0x100..0x180 => RegisterKind::SetEnable,
        0x180..0x200 => RegisterKind::ClearEnable,
        0x200..0x280 => RegisterKind::SetPending,
        0x280..0x300 => RegisterKind::ClearPending,
        0x300..0x380 => RegisterKind::SetActive,
        0x380..0x400 => RegisterKind::ClearActive,
        0x400..0x800 => {
            let id = offset - PRIORITIES.start;
            return Some((RegisterKind::Priority((id % 32) as u32), (id / 32) as usize));
        }
        0xc00..0xd00 => {
            let id = (offset - CONFIGS.start) * 4;
            return Some((RegisterKind::Config((id % 32) as u32), (id / 32) as usize));
        }
        0xd00..0xd80 | 0xe00..0xf00 => return Some((RegisterKind::Security, 0)),
        _ => return None,
    };
    Some((kind, (offset % 0x80 / 4) as usize))
}

impl RegisterKind {
    pub(super) const fn sizes(self) -> Sizes {
        if matches!(self, Self::Priority(_)) { Sizes::ByteOrWord } else { Sizes::Word }
    }

    /// The bits that are fields of interrupts in the register of the bank with number `bank`. A field of a special INTID reads
    /// as zero and ignores writes.
    pub(super) const fn fields(self, bank: usize) -> u32 {
        const LAST: usize = (SPECIAL / BANK) as usize;
        const INTERRUPTS: u32 = SPECIAL % BANK;
        match self {
            _ if bank != LAST => u32::MAX,
            Self::Priority(INTERRUPTS..) => 0,
            // Two bits each, in two registers.
            Self::Config(16..) => (1 << (2 * (INTERRUPTS - 16))) - 1,
            Self::Priority(_) | Self::Config(_) => u32::MAX,
            _ => (1 << INTERRUPTS) - 1,
        }
    }
}

impl Vgic {
    /// Does an access of vCPU `cpu`, of a size that is allowed, to a register of the bank at `index`.
    pub(super) fn access_bank(
        &mut self,
        cpu: VcpuId,
        index: usize,
        kind: RegisterKind,
        access: GicAccess,
        lists: &mut impl ListRegisters,
    ) -> GicAnswer {
        match access {
            GicAccess::Read { size } => self.read_bank(cpu, index, kind, size, lists),
            GicAccess::Write { size, value } => {
                GicAnswer::kick(self.write_bank(cpu, index, kind, size, value as u32, lists))
            }
        }
    }

    fn read_bank(
        &mut self,
        cpu: VcpuId,
        index: usize,
        kind: RegisterKind,
        size: Size,
        lists: &mut impl ListRegisters,
    ) -> GicAnswer {
        let bank = &self.banks[index];
        let value = match kind {
            RegisterKind::Group => bank.group,
            RegisterKind::SetEnable | RegisterKind::ClearEnable => bank.enabled,
            RegisterKind::Priority(first) => {
                numbers(first, size).rev().fold(0, |word, n| (word << 8) | u32::from(bank.priority[n as usize]))
            }
            RegisterKind::Config(first) => {
                (0..16).filter(|n| bank.edge & 1 << (first + n) != 0).fold(0, |word, n| word | 0b10 << (2 * n))
            }
            RegisterKind::Security => 0,
            RegisterKind::SetPending | RegisterKind::ClearPending => {
                let (pending, _, kick) = self.fresh_sample(cpu, index, lists);
                return GicAnswer { value: pending.into(), kick };
            }
            RegisterKind::SetActive | RegisterKind::ClearActive => {
                let (_, active, kick) = self.fresh_sample(cpu, index, lists);
                return GicAnswer { value: active.into(), kick };
            }
        };
        GicAnswer::value(value.into())
    }

    fn write_bank(
        &mut self,
        cpu: VcpuId,
        index: usize,
        kind: RegisterKind,
        size: Size,
        value: u32,
        lists: &mut impl ListRegisters,
    ) -> Kick {
        let InterruptBank { enabled, group, edge, .. } = self.banks[index];
        // SGIs are edge-triggered for good.
        let fixed = if index < self.cpus.len() { SGIS } else { 0 };
        let mask = self.priority_mask;
        let mut change = |bits: u32, act: &dyn Fn(&mut InterruptBank)| match bits {
            0 => Kick::NONE,
            _ => self.change(cpu, index, bits, lists, |bank| act(bank)),
        };
        match kind {
            RegisterKind::Group => change(value ^ group, &|bank| bank.group = value),
            RegisterKind::SetEnable => change(value & !enabled, &|bank| bank.enabled |= value),
            RegisterKind::ClearEnable => change(value & enabled, &|bank| bank.enabled &= !value),
            RegisterKind::SetPending => change(value, &|bank| bank.set_pending(value)),
            RegisterKind::ClearPending => change(value, &|bank| bank.clear_pending(value)),
            RegisterKind::SetActive => change(value, &|bank| bank.set_active(value, cpu)),
            RegisterKind::ClearActive => change(value, &|bank| bank.clear_active(value)),
            RegisterKind::Priority(first) => change(numbers(first, size).fold(0, |bits, n| bits | 1 << n), &|bank| {
                for (n, priority) in numbers(first, size).zip(value.to_le_bytes()) {
                    bank.priority[n as usize] = priority & mask;
                }
            }),
            RegisterKind::Config(first) => {
                let edges = ones(value & 0xaaaa_aaaa).fold(0, |edges, bit| edges | 1 << (first + bit / 2));
                let bits = (edges ^ edge) & (0xffff << first) & !fixed;
                change(bits, &|bank| bank.edge ^= bits)
            }
            RegisterKind::Security => Kick::NONE,
        }
    }

    /// What [`sample`](Self::sample) says once interrupts that are active and not listed have ended.
    fn fresh_sample(&mut self, cpu: VcpuId, index: usize, lists: &mut impl ListRegisters) -> (u32, u32, Kick) {
        let before = match self.cpus[cpu.index()].asked {
            super::Maintenance::NOTHING => Kick::NONE,
            _ => self.refill(cpu, lists),
        };
        let (pending, active, kick) = self.sample(cpu, index, lists);
        (pending, active, before | kick)
    }
}

/// The interrupts, by number in their bank, whose bytes an access has.
fn numbers(first: u32, size: Size) -> Range<u32> {
    first..first + if size == Size::Byte { 1 } else { 4 }
}
