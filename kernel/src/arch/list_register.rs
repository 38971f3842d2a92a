//! List registers, and the other state of the virtual CPU interface that the vGIC reads and writes.
//!
//! The interface is a trait, so that host tests can put a model of the hardware behind it.

use super::virtual_interface::{Group, InterfaceControl, Running};
use crate::base::id::{Intid, PhysIntid};
use core::ops::BitOr;

/// The most list registers that a CPU can have (IHI 0069, 12.4 "ICH_LR_EL2").
pub const MAX_LIST_REGISTERS: usize = 16;

/// The state of a listed interrupt: the values of ICH_LR_EL2.InterruptState.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptState {
    /// Nothing is listed, or its interrupt has ended.
    Invalid = 0b00,
    /// Waits to be acknowledged.
    Pending = 0b01,
    /// Was acknowledged.
    Active = 0b10,
    /// Was acknowledged, and is to be taken once more.
    ActiveAndPending = 0b11,
}

impl InterruptState {
    /// The state of an interrupt that is pending, and active, if these are not 0.
    pub const fn of(pending: u32, active: u32) -> Self {
        match (pending, active) {
            (0, 0) => Self::Invalid,
            (_, 0) => Self::Pending,
            (0, _) => Self::Active,
            _ => Self::ActiveAndPending,
        }
    }

    /// Whether the interrupt waits to be acknowledged, now or after it has ended.
    pub const fn is_pending(self) -> bool {
        self as u64 & 0b01 != 0
    }

    /// Whether the interrupt was acknowledged and not deactivated since.
    pub const fn is_active(self) -> bool {
        self as u64 & 0b10 != 0
    }
}

/// What happens when the guest deactivates a listed interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// Nothing besides.
    Silent,
    /// A maintenance interrupt, for the interrupt may have to be listed again.
    Maintenance,
    /// The hardware deactivates this physical interrupt.
    Physical(PhysIntid),
}

/// The value of a list register, ICH_LR_EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct ListRegister(u64);

impl ListRegister {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    const STATE: u32 = 62;
    const HW: u64 = 1 << 61;
    const GROUP: u64 = 1 << 60;
    const PRIORITY: u32 = 48;
    /// Without HW, the EOI bit is in pINTID's place.
    const EOI: u64 = 1 << 41;
    const PHYSICAL: u32 = 32;
    const PHYSICAL_MASK: u64 = 0x1fff;

    /// Interrupt `id` of `priority` and `group` in `state`.
    pub const fn new(id: Intid, priority: u8, group: Group, state: InterruptState, end: OnEnd) -> Self {
        let group = match group {
            Group::Zero => 0,
            Group::One => Self::GROUP,
        };
        let end = match end {
            OnEnd::Silent => 0,
            OnEnd::Maintenance => Self::EOI,
            OnEnd::Physical(physical) => Self::HW | (physical.get() as u64 & Self::PHYSICAL_MASK) << Self::PHYSICAL,
        };
        Self((state as u64) << Self::STATE | group | end | (priority as u64) << Self::PRIORITY | id.get() as u64)
    }

    /// The value of the register.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The value for the register.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The virtual INTID.
    pub const fn id(self) -> Intid {
        Intid::new(self.0 as u32)
    }

    /// The priority.
    pub const fn priority(self) -> u8 {
        (self.0 >> Self::PRIORITY) as u8
    }

    /// The group.
    pub const fn group(self) -> Group {
        if self.0 & Self::GROUP == 0 { Group::Zero } else { Group::One }
    }

    /// The state.
    pub const fn state(self) -> InterruptState {
        match self.0 >> Self::STATE {
            0 => InterruptState::Invalid,
            1 => InterruptState::Pending,
            2 => InterruptState::Active,
            _ => InterruptState::ActiveAndPending,
        }
    }

    /// What its deactivation does.
    pub const fn end(self) -> OnEnd {
        if self.0 & Self::HW != 0 {
            OnEnd::Physical(PhysIntid::new((self.0 >> Self::PHYSICAL & Self::PHYSICAL_MASK) as u32))
        } else if self.0 & Self::EOI != 0 {
            OnEnd::Maintenance
        } else {
            OnEnd::Silent
        }
    }

    /// The same interrupt in another state: what hardware makes of it.
    pub const fn with_state(self, state: InterruptState) -> Self {
        Self(self.0 & !(0b11 << Self::STATE) | (state as u64) << Self::STATE)
    }
}

/// What makes the virtual CPU interface ask for maintenance, besides the ends that list registers ask for: bits of
/// ICH_HCR_EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Maintenance(u8);

impl Maintenance {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// That the guest ended an interrupt that is active and not listed: LRENPIE. ICC_DIR_EL1 must be trapped as well (TDIR,
    /// or TC where ICH_VTR_EL2 has no TDS), and goes to the vGIC's `deactivate`: it can name any interrupt.
    pub const UNLISTED: Self = Self(1 << 2);
    /// That no listed interrupt is pending, since others wait: NPIE.
    pub const NO_PENDING: Self = Self(1 << 3);

    /// That the guest's CPU interface lets interrupts of `group` through: VGrp0EIE or VGrp1EIE. It asks as long as it does.
    pub const fn enabled(group: Group) -> Self {
        match group {
            Group::Zero => Self(1 << 4),
            Group::One => Self(1 << 6),
        }
    }

    /// That the guest's CPU interface keeps interrupts of `group` out: VGrp0DIE or VGrp1DIE. It asks as long as it does.
    pub const fn disabled(group: Group) -> Self {
        match group {
            Group::Zero => Self(1 << 5),
            Group::One => Self(1 << 7),
        }
    }

    /// Whether it has all of `other`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of ICH_HCR_EL2.
    pub const fn raw(self) -> u64 {
        self.0 as u64
    }
}

impl BitOr for Maintenance {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The list registers of a vCPU, or their values while another vCPU has its CPU.
pub trait ReadLists {
    /// Reads a list register. `index` is below [`count`](ListRegisters::count).
    fn read(&self, index: usize) -> ListRegister;
}

/// The hypervisor's side of the virtual CPU interface, on the physical CPU that runs the vCPU: empty list registers at
/// first, and ICH_HCR_EL2.En set.
pub trait ListRegisters: ReadLists {
    /// How many list registers there are, from 1 to 16: ICH_VTR_EL2.ListRegs + 1.
    fn count(&self) -> usize;

    /// Writes a list register. `index` is below [`count`](Self::count).
    fn write(&mut self, index: usize, value: ListRegister);

    /// The list registers whose interrupts have ended without a word, as a bitmap: ICH_ELRSR_EL2.
    fn empty(&self) -> u32;

    /// Reads how often the guest ended an interrupt that is not listed, and sets it to 0: ICH_HCR_EL2.EOIcount.
    fn take_unlisted_ends(&mut self) -> u32;

    /// What the guest has set up at its interface: ICH_VMCR_EL2.
    fn control(&self) -> InterfaceControl;

    /// What the guest runs: the registers ICH_AP0R and ICH_AP1R.
    fn running(&self) -> Running;

    /// Says what maintenance is asked for from now on; nothing, until this is called.
    fn want_maintenance(&mut self, when: Maintenance);

    /// Deactivates a physical interrupt: ICC_DIR_EL1.
    fn deactivate(&mut self, physical: PhysIntid);
}
