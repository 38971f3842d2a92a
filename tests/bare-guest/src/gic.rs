//! The GICv3 as the guest sees it: one distributor, one redistributor, group 1 only (IHI 0069, 12.9, 12.11).

use crate::registers::{barrier, read, read32, write, write32};

/// Software-generated interrupts have the numbers below this.
pub const SGIS: u32 = 16;

/// Number that acknowledges nothing.
pub const SPURIOUS: u32 = 1020;

const GICD_CTLR: u64 = 0x0;
/// The distributor's type register.
pub const GICD_TYPER: u64 = 0x4;
const GICR_WAKER: u64 = 0x14;
/// From the redistributor to its frame of private interrupts.
const SGI_FRAME: u64 = 0x1_0000;

/// Offsets of registers with one bit for each interrupt, the same in the distributor and the frame of private interrupts.
const IGROUPR: u64 = 0x80;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
/// Set-pending registers.
pub const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const GICD_IROUTER: u64 = 0x6000;

/// From one redistributor to the next.
const REDISTRIBUTOR_BYTES: u64 = 0x2_0000;

/// GICD_CTLR with one security state, or as non-secure software sees two: ARE, group 1 enabled; in both places it may be.
const ENABLE: u32 = 1 << 4 | 1 << 1 | 1;
const RWP: u32 = 1 << 31;

/// How often a bit is asked for that the hardware will set or clear.
const PATIENCE: u32 = 10_000;

/// Where the interrupt controller is.
#[derive(Clone, Copy, Debug)]
pub struct Gic {
    /// Address of the distributor.
    pub distributor: u64,
    /// Address of the redistributor.
    pub redistributor: u64,
}

impl Gic {
    /// Brings all of it into a known state, whatever was done to it before: nothing pending, active or enabled.
    pub fn start(&self) {
        write32(self.distributor + GICD_CTLR, 0);
        self.wait_for_distributor();
        let lines = (read32(self.distributor + GICD_TYPER) & 0x1f) + 1;
        for bank in 1..u64::from(lines) {
            self.clear(self.distributor, bank);
        }
        write32(self.distributor + GICD_CTLR, ENABLE);
        self.wait_for_distributor();
        self.start_private();
    }

    /// Brings the redistributor and the CPU interface into a known state.
    pub fn start_private(&self) {
        write32(self.redistributor + GICR_WAKER, 0);
        for _ in 0..PATIENCE {
            if read32(self.redistributor + GICR_WAKER) & 1 << 2 == 0 {
                break;
            }
        }
        self.clear(self.redistributor + SGI_FRAME, 0);
        start_cpu_interface();
    }

    /// The same GIC as CPU `number` sees it, if redistributors are packed.
    pub fn of_cpu(&self, number: usize) -> Self {
        Self { redistributor: self.redistributor + number as u64 * REDISTRIBUTOR_BYTES, ..*self }
    }

    /// Makes an interrupt pending.
    pub fn make_pending(&self, interrupt: u32) {
        let (frame, word, bit) = self.bit(interrupt);
        write32(frame + ISPENDR + word, bit);
        barrier();
    }

    /// Sends a shared interrupt to the CPU with this affinity, by two writes.
    pub fn route(&self, interrupt: u32, affinity: u64) {
        let register = self.distributor + GICD_IROUTER + 8 * u64::from(interrupt);
        write32(register, affinity as u32);
        write32(register + 4, (affinity >> 32) as u32);
        barrier();
    }

    /// 32 interrupts: group 1, middle priority, level-triggered, disabled.
    fn clear(&self, frame: u64, bank: u64) {
        for (register, value) in
            [(ICENABLER, u32::MAX), (ICPENDR, u32::MAX), (ICACTIVER, u32::MAX), (IGROUPR, u32::MAX)]
        {
            write32(frame + register + 4 * bank, value);
        }
        for word in 0..8 {
            write32(frame + IPRIORITYR + 32 * bank + 4 * word, 0xa0a0_a0a0);
        }
        for word in 0..2 {
            write32(frame + ICFGR + 8 * bank + 4 * word, 0);
        }
    }

    fn wait_for_distributor(&self) {
        for _ in 0..PATIENCE {
            if read32(self.distributor + GICD_CTLR) & RWP == 0 {
                return;
            }
        }
    }

    /// The frame with the bits of `interrupt`, their word's offset and the bit in it.
    fn bit(&self, interrupt: u32) -> (u64, u64, u32) {
        let frame = if interrupt < 32 { self.redistributor + SGI_FRAME } else { self.distributor };
        (frame, u64::from(interrupt / 32 * 4), 1 << (interrupt % 32))
    }

    /// Lets an interrupt through.
    pub fn enable(&self, interrupt: u32) {
        let (frame, word, bit) = self.bit(interrupt);
        write32(frame + ISENABLER + word, bit);
        barrier();
    }

    /// Keeps an interrupt back.
    pub fn disable(&self, interrupt: u32) {
        let (frame, word, bit) = self.bit(interrupt);
        write32(frame + ICENABLER + word, bit);
        barrier();
    }

    /// Makes an interrupt active, without an acknowledgement.
    pub fn activate(&self, interrupt: u32) {
        let (frame, word, bit) = self.bit(interrupt);
        write32(frame + ISACTIVER + word, bit);
        barrier();
    }

    /// Makes an interrupt inactive, without an end.
    pub fn make_inactive(&self, interrupt: u32) {
        let (frame, word, bit) = self.bit(interrupt);
        write32(frame + ICACTIVER + word, bit);
        barrier();
    }

    /// Whether an interrupt is active, by the distributor's account.
    pub fn is_active(&self, interrupt: u32) -> bool {
        let (frame, word, bit) = self.bit(interrupt);
        read32(frame + ISACTIVER + word) & bit != 0
    }

    /// Sets the priority of an interrupt.
    pub fn set_priority(&self, interrupt: u32, priority: u8) {
        let (frame, ..) = self.bit(interrupt);
        let (word, shift) = (frame + IPRIORITYR + u64::from(interrupt & !3), 8 * (interrupt & 3));
        write32(word, read32(word) & !(0xff << shift) | u32::from(priority) << shift);
        barrier();
    }

    /// Puts an interrupt into a group.
    pub fn set_group(&self, interrupt: u32, group: Group) {
        let (frame, word, bit) = self.bit(interrupt);
        let others = read32(frame + IGROUPR + word) & !bit;
        write32(frame + IGROUPR + word, others | if group == Group::One { bit } else { 0 });
        barrier();
    }

    /// Whether an interrupt is pending, by the distributor's account.
    pub fn is_pending(&self, interrupt: u32) -> bool {
        let (frame, word, bit) = self.bit(interrupt);
        read32(frame + ISPENDR + word) & bit != 0
    }
}

/// The group of an interrupt: each has its registers of the CPU interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A FIQ.
    Zero,
    /// An IRQ.
    One,
}

impl Group {
    /// Lets interrupts of the group through, or keeps them out.
    pub fn let_through(self, let_through: bool) {
        match self {
            Self::Zero => write!("S3_0_C12_C12_6", let_through.into()), // ICC_IGRPEN0_EL1
            Self::One => write!("S3_0_C12_C12_7", let_through.into()),  // ICC_IGRPEN1_EL1
        }
    }

    /// Takes the most urgent interrupt of the group.
    pub fn acknowledge(self) -> u32 {
        match self {
            Self::Zero => {
                let interrupt = read!("S3_0_C12_C8_0"); // ICC_IAR0_EL1
                barrier();
                interrupt as u32 & 0xff_ffff
            }
            Self::One => acknowledge(),
        }
    }

    /// Is done with an interrupt that was taken of the group.
    pub fn end(self, interrupt: u32) {
        match self {
            Self::Zero => write!("S3_0_C12_C8_1", interrupt.into()), // ICC_EOIR0_EL1
            Self::One => end(interrupt),
        }
    }

    /// Sends software-generated interrupts of the group, as ICC_SGI1R_EL1 has it.
    pub fn send(self, value: u64) {
        match self {
            Self::Zero => write!("S3_0_C12_C11_7", value), // ICC_SGI0R_EL1
            Self::One => send(value),
        }
    }
}

/// Whether the end of an interrupt drops its priority only, and [`deactivate`] does the rest: ICC_CTLR_EL1.EOImode.
pub fn split_ends(split: bool) {
    write!("S3_0_C12_C12_4", u64::from(split) << 1);
}

/// Deactivates an interrupt, where ends are split.
pub fn deactivate(interrupt: u32) {
    write!("S3_0_C12_C11_1", interrupt.into()); // ICC_DIR_EL1
}

/// Interrupts of every priority, and one end for each.
fn start_cpu_interface() {
    write!("S3_0_C12_C12_5", read!("S3_0_C12_C12_5") | 1); // ICC_SRE_EL1.SRE
    write!("S3_0_C12_C12_4", 0); // ICC_CTLR_EL1.EOImode
    write!("S3_0_C4_C6_0", 0xff); // ICC_PMR_EL1
    write!("S3_0_C12_C12_3", 0); // ICC_BPR1_EL1
    write!("S3_0_C12_C12_7", 1); // ICC_IGRPEN1_EL1
}

/// Takes the most urgent interrupt.
pub fn acknowledge() -> u32 {
    let interrupt = read!("S3_0_C12_C12_0"); // ICC_IAR1_EL1
    barrier();
    interrupt as u32 & 0xff_ffff
}

/// Is done with an interrupt.
pub fn end(interrupt: u32) {
    write!("S3_0_C12_C12_1", interrupt.into()); // ICC_EOIR1_EL1
}

/// Sends software-generated interrupts as ICC_SGI1R_EL1 has it.
pub fn send(value: u64) {
    write!("S3_0_C12_C11_5", value);
}

/// The value that sends `interrupt` to this CPU, the only one, with affinity 0.
pub const fn to_self(interrupt: u64) -> u64 {
    interrupt << 24 | 1
}

/// The value that sends `interrupt` to the CPU with this affinity.
pub const fn to(affinity: u64, interrupt: u64) -> u64 {
    let (aff0, aff1, aff2, aff3) =
        (affinity & 0xff, affinity >> 8 & 0xff, affinity >> 16 & 0xff, affinity >> 32 & 0xff);
    aff3 << 48 | aff0 >> 4 << 44 | aff2 << 32 | interrupt << 24 | aff1 << 16 | 1 << (aff0 & 0xf)
}

/// The value that sends `interrupt` to all other CPUs.
pub const fn to_others(interrupt: u64) -> u64 {
    interrupt << 24 | 1 << 40
}
