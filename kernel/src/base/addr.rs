//! Addresses and frame numbers, each a type of its own.
//!
//! A physical address, a virtual address, a frame number and a page index are all 64-bit numbers, and every mix-up of
//! two of them compiles in C. Here each number has a type that says which kind it is; arithmetic is checked and returns
//! `Option`. Ranges are half-open [`Range`]s everywhere outside the MPU's registers, and address 0 is an address like
//! any other.

use arrayvec::ArrayString;
use core::fmt::{self, Write};
use core::ops::Range;

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// Size of a page and of a machine frame, in bytes: the 4 KiB translation granule.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// One past the highest frame number that a 52-bit physical address (FEAT_LPA, the architecture's widest) can have.
const MFN_LIMIT: u64 = 1 << (52 - PAGE_SHIFT);

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The address `raw`, in bytes.
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// The address as a number of bytes.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The address `bytes` further up, or `None` past 2^64 - 1.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// Bytes from `base` up to this address, or `None` if this address is below `base`.
            pub const fn offset_from(self, base: Self) -> Option<u64> {
                self.0.checked_sub(base.0)
            }

            /// Whether the address is a multiple of `align`, a power of two in bytes.
            pub const fn is_aligned(self, align: u64) -> bool {
                self.0 & (align - 1) == 0
            }

            /// The highest multiple of `align`, a power of two in bytes, that is not above this address.
            pub const fn align_down(self, align: u64) -> Self {
                Self(self.0 & !(align - 1))
            }

            /// The lowest multiple of `align`, a power of two in bytes, that is not below this address; `None` past 2^64 - 1.
            pub const fn align_up(self, align: u64) -> Option<Self> {
                match self.0.checked_add(align - 1) {
                    Some(raw) => Some(Self(raw & !(align - 1))),
                    None => None,
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address! {
    /// A machine's physical address, in bytes.
    PhysAddr
}

address! {
    /// A virtual address of EL2, in bytes.
    VirtAddr
}

address! {
    /// A guest's physical address, in bytes: what stage 2 translates. The architecture calls it an intermediate physical
    /// address.
    GuestAddr
}

/// A machine frame number: a physical address divided by [`PAGE_SIZE`], at most 2^40.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Mfn(u64);

impl Mfn {
    /// Frame number `raw`, or `None` above 2^40. 2^40 itself, one past the last frame of a 52-bit address space, is allowed
    /// so that it can end a range.
    pub const fn new(raw: u64) -> Option<Self> {
        if raw <= MFN_LIMIT { Some(Self(raw)) } else { None }
    }

    /// The frame that contains `addr`, or `None` if `addr` has more than 52 bits.
    pub const fn containing(addr: PhysAddr) -> Option<Self> {
        Self::new(addr.get() >> PAGE_SHIFT)
    }

    /// The frame number as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Physical address of the frame's first byte.
    pub const fn address(self) -> PhysAddr {
        PhysAddr::new(self.0 << PAGE_SHIFT)
    }

    /// The frame `count` frames further up, or `None` past the end of the physical address space.
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(raw) => Self::new(raw),
            None => None,
        }
    }

    /// The frame `count` frames further down, or `None` below frame 0.
    pub const fn checked_sub(self, count: u64) -> Option<Self> {
        match self.0.checked_sub(count) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// Frames from `base` up to this one, or `None` if this one is below `base`.
    pub const fn offset_from(self, base: Self) -> Option<u64> {
        self.0.checked_sub(base.0)
    }
}

impl fmt::Debug for Mfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mfn {:#x}", self.0)
    }
}

/// A page index: the number of a frame after the holes common to all RAM have been squeezed out ([`crate::pdx`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Pdx(u64);

impl Pdx {
    /// Page index `raw`.
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The page index as a number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Pdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pdx {:#x}", self.0)
    }
}

/// What a half-open range of frames can be asked.
pub trait Frames {
    /// How many frames the range holds; 0 if its end is not above its start.
    fn count(&self) -> u64;

    /// How many bytes the range holds.
    fn bytes(&self) -> u64 {
        self.count() << PAGE_SHIFT
    }

    /// The range in bytes, for printing as `[0x…, 0x…)`.
    fn span(&self) -> Span;
}

impl Frames for Range<Mfn> {
    fn count(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    fn span(&self) -> Span {
        Span { start: self.start.address(), end: self.end.address() }
    }
}

/// A half-open range of physical addresses that prints as `[0x40000000, 0xc0000000)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: PhysAddr,
    /// First byte that is no longer part of the range.
    pub end: PhysAddr,
}

impl Span {
    /// The `size` bytes from `start`, or `None` if they reach past 2^64 - 1.
    pub const fn sized(start: PhysAddr, size: u64) -> Option<Self> {
        match start.checked_add(size) {
            Some(end) => Some(Self { start, end }),
            None => None,
        }
    }

    /// Length in bytes; 0 if the end is not above the start.
    pub const fn bytes(&self) -> u64 {
        self.end.get().saturating_sub(self.start.get())
    }

    /// Whether the two ranges share at least one byte.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end && self.bytes() > 0 && other.bytes() > 0
    }

    /// Whether every byte of `other` lies in this range.
    pub fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:#x}, {:#x})", self.start.get(), self.end.get())
    }
}

/// A number of bytes, printed in the largest binary unit that keeps it readable: `80.0 MiB`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(
    /// The number of bytes.
    pub u64,
);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let unit = (63 - (self.0 | 1).leading_zeros()) / 10;
        let unit = unit.min(UNITS.len() as u32 - 1);
        // Tenths in integers: there is no floating point at EL2. The shift before the product keeps it in 64 bits.
        let tenths = ((self.0 >> (10 * unit.saturating_sub(1))) * 10) >> 10;
        let mut text = ArrayString::<16>::new();
        match unit {
            0 => write!(text, "{} {}", self.0, UNITS[0])?,
            _ => write!(text, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit as usize])?,
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Frames, Mfn, PhysAddr, Span};
    use std::string::ToString;

    #[test]
    fn a_frame_number_cannot_leave_the_address_space() {
        assert_eq!(Mfn::new(1 << 40).unwrap().checked_add(1), None);
        assert_eq!(Mfn::containing(PhysAddr::new(1 << 52)), Mfn::new(1 << 40));
        assert_eq!(Mfn::containing(PhysAddr::new((1 << 52) + 4096)), None);
        assert_eq!(Mfn::new(0).unwrap().checked_sub(1), None);
    }

    #[test]
    fn bytes_print_in_readable_units() {
        let shown = |n| Bytes(n).to_string();
        assert_eq!(shown(0), "0 bytes");
        assert_eq!(shown(1023), "1023 bytes");
        assert_eq!(shown(80 << 20), "80.0 MiB");
        assert_eq!(shown((1 << 40) + (1 << 39)), "1.5 TiB");
        assert_eq!(shown(u64::MAX), "16383.9 PiB");
        assert_eq!(std::format!("{:>9}|", Bytes(2 << 30)), "  2.0 GiB|");
    }

    #[test]
    fn spans_print_half_open_and_know_overlap() {
        let span = |start, size| Span::sized(PhysAddr::new(start), size).unwrap();
        assert_eq!(span(0x4000_0000, 0x1000).to_string(), "[0x40000000, 0x40001000)");
        assert!(!span(0, 0x1000).overlaps(&span(0x1000, 0x1000)));
        assert!(span(0, 0x1001).overlaps(&span(0x1000, 0x1000)));
        assert!(!span(0x800, 0).overlaps(&span(0, 0x1000)));
    }

    #[test]
    fn a_range_of_frames_counts_frames_and_bytes() {
        let range = Mfn::new(1).unwrap()..Mfn::new(4).unwrap();
        assert_eq!((range.count(), range.bytes()), (3, 0x3000));
    }
}
