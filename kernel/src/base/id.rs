//! The numbers of CPUs, domains, virtual CPUs and interrupts: one type each, so that the compiler refuses one in place
//! of another.

use core::fmt;

/// A CPU of the machine, counted from 0 in the order of their start; the one that boots is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(u16);

/// A domain, counted from 0 in the order of the device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(u16);

/// A virtual CPU of a domain, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuId(u16);

/// The affinity of a CPU: MPIDR_EL1 with Aff3 (bits 39:32), Aff2, Aff1 and Aff0 (bits 23:0) alone (DDI 0487, D24.2.111).
///
/// Firmware, the interrupt controller and the device tree know a CPU by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Mpidr(u64);

impl Mpidr {
    /// The bits of an affinity.
    const MASK: u64 = 0xff_00ff_ffff;

    /// The affinity in `register`, a value of MPIDR_EL1.
    pub const fn of_register(register: u64) -> Self {
        Self(register & Self::MASK)
    }

    /// The affinity `value`; `None` if it has bits that belong to no affinity level.
    pub const fn new(value: u64) -> Option<Self> {
        if value & !Self::MASK == 0 { Some(Self(value)) } else { None }
    }

    /// The affinity, each level in its place.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Mpidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The most virtual CPUs of a domain: as many as a word has bits.
pub const MAX_VCPUS: u32 = u64::BITS;

impl CpuId {
    /// The CPU that boots.
    pub const BOOT: Self = Self(0);
}

macro_rules! number {
    ($($id:ident)*) => {$(
        impl $id {
            /// The one with this number.
            pub const fn new(number: u16) -> Self {
                Self(number)
            }

            /// The number, as an index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
number!(CpuId DomainId VcpuId);

/// INTID of an interrupt that a guest sees: below 16 an SGI, below 32 a PPI, then SPIs (Arm IHI 0069, section 2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Intid(u32);

/// INTID of an interrupt of the machine, in the same ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PhysIntid(u32);

macro_rules! intid {
    ($($id:ident)*) => {$(
        impl $id {
            /// The one with this number.
            pub const fn new(number: u32) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
intid!(Intid PhysIntid);
