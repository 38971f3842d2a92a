//! How a driver reaches its device.

use core::ptr::NonNull;

/// The registers of one device, numbered as its manual numbers them.
pub trait Registers: Send + Sync {
    /// Reads a register. Some change by it.
    fn read(&self, register: usize) -> u32;

    /// Writes a register.
    fn write(&self, register: usize, value: u32);

    /// Clears and sets bits of a register that reading does not change.
    fn change(&self, register: usize, clear: u32, set: u32) {
        self.write(register, self.read(register) & !clear | set);
    }
}

/// The size of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterWidth {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

impl RegisterWidth {
    /// In bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// Which byte of a register comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest.
    Little,
    /// The highest.
    Big,
}

/// Where each register is, and how it is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterAccess {
    /// Size of each access.
    pub width: RegisterWidth,
    /// Byte order of each access.
    pub order: Order,
    /// Bytes in front of the first register.
    pub offset: u32,
    /// Base 2 logarithm of the distance between registers whose numbers differ by one.
    pub shift: u8,
}

impl RegisterAccess {
    /// Where a register begins, counted from the start of the device.
    pub const fn position(self, register: usize) -> usize {
        self.offset as usize + (register << self.shift)
    }
}

/// Registers in memory.
#[derive(Debug)]
pub struct Mmio {
    base: NonNull<u8>,
    access: RegisterAccess,
}

// SAFETY: the registers are mapped for all CPUs alike, and `Mmio::new` demands that they stay it.
unsafe impl Send for Mmio {}
// SAFETY: each access is one load or store, which the device orders; nothing else is shared.
unsafe impl Sync for Mmio {}

impl Mmio {
    /// The registers of the device at `base`.
    ///
    /// # Safety
    ///
    /// - Every register that the driver uses is mapped, as device memory, for as long as the value lives, and aligned to
    ///   the width of `access`.
    /// - Nothing but the driver relies on what reading or writing them changes.
    pub const unsafe fn new(base: NonNull<u8>, access: RegisterAccess) -> Self {
        Self { base, access }
    }

    fn at(&self, register: usize) -> NonNull<u8> {
        // SAFETY: `new` was promised that the register is part of what is mapped at `base`.
        unsafe { self.base.add(self.access.position(register)) }
    }
}

impl Registers for Mmio {
    // Not inlined: eight drivers with the three widths in each of their accesses would take several KiB of the image.
    #[inline(never)]
    fn read(&self, register: usize) -> u32 {
        let at = self.at(register);
        let value = match self.access.width {
            // SAFETY: `new` was promised a mapped register.
            RegisterWidth::Byte => return unsafe { at.read_volatile() }.into(),
            // SAFETY: `new` was promised a mapped register, aligned for this width.
            RegisterWidth::Half => u32::from(unsafe { at.cast::<u16>().read_volatile() }),
            // SAFETY: `new` was promised a mapped register, aligned for this width.
            RegisterWidth::Word => unsafe { at.cast::<u32>().read_volatile() },
        };
        self.access.ordered(value)
    }

    #[inline(never)]
    fn write(&self, register: usize, value: u32) {
        let at = self.at(register);
        let ordered = self.access.ordered(value);
        match self.access.width {
            // SAFETY: `new` was promised a mapped register.
            RegisterWidth::Byte => unsafe { at.write_volatile(value as u8) },
            // SAFETY: `new` was promised a mapped register, aligned for this width.
            RegisterWidth::Half => unsafe { at.cast::<u16>().write_volatile(ordered as u16) },
            // SAFETY: `new` was promised a mapped register, aligned for this width.
            RegisterWidth::Word => unsafe { at.cast::<u32>().write_volatile(ordered) },
        }
    }
}

impl RegisterAccess {
    /// `value` as a little-endian access must carry it.
    fn ordered(self, value: u32) -> u32 {
        match (self.order, self.width) {
            (Order::Little, _) | (_, RegisterWidth::Byte) => value,
            (Order::Big, RegisterWidth::Half) => (value as u16).swap_bytes().into(),
            (Order::Big, RegisterWidth::Word) => value.swap_bytes(),
        }
    }
}
