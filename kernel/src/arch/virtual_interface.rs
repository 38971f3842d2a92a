//! The guest's settings and running priorities at its virtual CPU interface: ICH_VMCR_EL2 and the active priorities, as
//! values.
//!
//! The guest accesses its interface without an exit, so EL2 reads these registers only when it needs them: when
//! interrupts wait for a list register, and to find an ended interrupt that no list register held. Where software
//! emulates the interface's registers (ICH_HCR_EL2.TC), this module also decides the value that a read returns and the
//! effect of a write on ICH_VMCR_EL2.

/// The group of an interrupt: what enables it, and which exception it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A virtual FIQ.
    Zero,
    /// A virtual IRQ.
    One,
}

impl Group {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Zero, Self::One];

    /// The group of the interrupt of `bit` in a bank with those of `group_1` in group 1.
    pub const fn of(group_1: u32, bit: u32) -> Self {
        if group_1 & bit == 0 { Self::Zero } else { Self::One }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Zero => Self::One,
            Self::One => Self::Zero,
        }
    }
}

/// What a guest configures of its CPU interface: the value of ICH_VMCR_EL2 (IHI 0069, 12.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct InterfaceControl(u64);

impl InterfaceControl {
    /// VENG0; VENG1 is the next bit.
    const ENABLE_0: u64 = 1 << 0;
    const ENABLE_1: u64 = 1 << 1;
    /// VCBPR: group 1 is preempted by ICC_BPR0_EL1 too.
    const COMMON_BINARY_POINT: u64 = 1 << 4;
    /// VEOIM: ICC_EOIR drops the priority, ICC_DIR deactivates.
    const SPLIT_END: u64 = 1 << 9;
    const BINARY_POINT_1: u32 = 18;
    const BINARY_POINT_0: u32 = 21;
    const PRIORITY_MASK: u32 = 24;

    /// The value of the register.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The value for the register.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether interrupts of `group` reach the guest: ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1.
    pub const fn enables(self, group: Group) -> bool {
        let bit = match group {
            Group::Zero => Self::ENABLE_0,
            Group::One => Self::ENABLE_1,
        };
        self.0 & bit != 0
    }

    /// Whether the end of an interrupt only drops its priority: ICC_CTLR_EL1.EOImode.
    pub const fn splits_ends(self) -> bool {
        self.0 & Self::SPLIT_END != 0
    }

    /// The bits of a priority that decide on preemption in `group`: those above the binary point, of which that of group 1
    /// is one more for the same bits (IHI 0069, 4.8.6).
    const fn preemption_mask(self, group: Group) -> u8 {
        let zero = (self.0 >> Self::BINARY_POINT_0 & 0b111) as u32 + 1;
        let one = (self.0 >> Self::BINARY_POINT_1 & 0b111) as u32;
        let subpriority_bits = match group {
            Group::One if self.0 & Self::COMMON_BINARY_POINT == 0 => one,
            _ => zero,
        };
        (0xff_u32 << subpriority_bits) as u8
    }

    const fn with(self, bits: u64, from: u64) -> Self {
        Self(self.0 & !bits | from & bits)
    }
}

/// What the virtual CPU interface can do: the value of ICH_VTR_EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Features(u64);

impl Features {
    /// The value of the register.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// ListRegs: how many list registers there are.
    pub const fn list_registers(self) -> usize {
        (self.0 & 0x1f) as usize + 1
    }

    /// PRIbits: the bits of a priority.
    pub const fn priority_bits(self) -> u32 {
        (self.0 >> 29 & 0b111) as u32 + 1
    }

    /// PREbits: the bits of a priority that can decide on preemption. From 6 bits on there is more than one active
    /// priorities register of each group.
    pub const fn preemption_bits(self) -> u32 {
        (self.0 >> 26 & 0b111) as u32 + 1
    }

    /// TDS: ICC_DIR_EL1 can be trapped alone, by ICH_HCR_EL2.TDIR.
    pub const fn traps_deactivation_alone(self) -> bool {
        self.0 & 1 << 19 != 0
    }

    /// The bits of ICC_CTLR_EL1 that say what there is: PRIbits, IDbits, SEIS and A3V.
    const fn control(self) -> u64 {
        (self.0 >> 29 & 0b111) << 8 | (self.0 >> 23 & 0b111) << 11 | (self.0 >> 22 & 1) << 14 | (self.0 >> 21 & 1) << 15
    }
}

/// The priorities that the guest runs at: those of acknowledged interrupts whose priority has not been dropped
/// since. No two are of one preemption level, for the second could not have preempted the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// A bit for each preemption level of group 0 and of group 1: the registers ICH_AP0R and ICH_AP1R.
    levels: [u128; 2],
    control: InterfaceControl,
    /// How much further up the bits of a level are in a priority.
    shift: u32,
}

impl Running {
    /// What runs, by the active priorities of both groups, under `control`, where a priority has `preemption_bits`.
    pub const fn new(levels: [u128; 2], control: InterfaceControl, preemption_bits: u32) -> Self {
        Self { levels, control, shift: 8 - preemption_bits }
    }

    /// The preemption level of an interrupt.
    pub const fn level(&self, priority: u8, group: Group) -> u32 {
        ((priority & self.control.preemption_mask(group)) >> self.shift) as u32
    }

    /// Whether an interrupt of this priority and group may be one that runs.
    pub const fn has(&self, priority: u8, group: Group) -> bool {
        self.levels[group as usize] >> self.level(priority, group) & 1 != 0
    }

    /// ICC_RPR_EL1: the highest priority that runs, or 0xff if none does.
    pub const fn priority(&self) -> u8 {
        match (self.levels[0] | self.levels[1]).trailing_zeros() {
            u128::BITS => 0xff,
            level => (level << self.shift) as u8,
        }
    }
}

/// The registers that ICH_HCR_EL2.TC traps and that are the interface's own: the others that it traps are ICC_DIR_EL1 and
/// those that send SGIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonRegister {
    /// ICC_CTLR_EL1.
    Control,
    /// ICC_PMR_EL1.
    PriorityMask,
    /// ICC_RPR_EL1, which is read-only.
    RunningPriority,
}

impl CommonRegister {
    const CONTROL_COMMON_BINARY_POINT: u64 = 1 << 0;
    const CONTROL_SPLIT_END: u64 = 1 << 1;

    /// What it reads as.
    pub const fn read(self, features: Features, running: &Running) -> u64 {
        let InterfaceControl(control) = running.control;
        match self {
            Self::Control => {
                let common = if control & InterfaceControl::COMMON_BINARY_POINT != 0 { 1 } else { 0 };
                let split = if running.control.splits_ends() { Self::CONTROL_SPLIT_END } else { 0 };
                features.control() | split | common
            }
            Self::PriorityMask => control >> InterfaceControl::PRIORITY_MASK & 0xff,
            Self::RunningPriority => running.priority() as u64,
        }
    }

    /// What a write of `value` makes of `control`.
    pub const fn write(self, features: Features, control: InterfaceControl, value: u64) -> InterfaceControl {
        match self {
            Self::Control => {
                let common = value & Self::CONTROL_COMMON_BINARY_POINT;
                let split = value & Self::CONTROL_SPLIT_END;
                let bits = InterfaceControl::COMMON_BINARY_POINT | InterfaceControl::SPLIT_END;
                control.with(bits, common << 4 | split << 8)
            }
            Self::PriorityMask => {
                let mask = value & 0xff & 0xff << (8 - features.priority_bits());
                control.with(0xff << InterfaceControl::PRIORITY_MASK, mask << InterfaceControl::PRIORITY_MASK)
            }
            Self::RunningPriority => control,
        }
    }
}
