//! The register file of the EL2 MPU: what is read back after what was written.
//!
//! Fields and RES0 bits are those of DDI 0600, G1.3. Where the architecture leaves a value UNKNOWN, software finds
//! garbage here: whoever relies on it must fail on an emulator, not on a board.

use super::decode::{Choice, Register};
use core::ops::Range;

/// Regions that MPUIR_EL2.REGION, 8 bits, can tell of.
pub const MAX_REGIONS: usize = 255;

/// How many regions an MPU has: 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionCount(u8);

impl RegionCount {
    /// The number of the FVP Base-R, and of most cores.
    pub const DEFAULT: Self = Self(32);

    /// `count` regions, or `None` if there is no such MPU.
    pub const fn new(count: u64) -> Option<Self> {
        if count >= 1 && count <= MAX_REGIONS as u64 { Some(Self(count as u8)) } else { None }
    }

    const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Bits 47:6 of PRBAR_EL2 and PRLAR_EL2: an address in units of 64 bytes.
const ADDRESS: u64 = (1 << 48) - (1 << 6);
/// PRBAR_EL2: BASE, SH, AP and XN; bits 63:48 are RES0.
const PRBAR_BITS: u64 = ADDRESS | 0x3f;
/// PRLAR_EL2: LIMIT, NS, AttrIndx and EN; bits 63:48 and bit 5 are RES0.
const PRLAR_BITS: u64 = ADDRESS | 0x1f;
/// PRBAR_EL2.AP\[1\], in bit 3: no writes.
const AP_READ_ONLY: u64 = 1 << 3;
/// PRBAR_EL2.XN, in bits 1:0.
const XN: u64 = 0b11;
/// PRLAR_EL2.EN.
const EN: u64 = 1 << 0;
/// Regions that have a bit in PRENR_EL2.
const PRENR_REGIONS: usize = 32;

/// Where the garbage begins.
const SEED: u64 = 0x6a09_e667_f3bc_c908;

/// The two registers of one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    prbar: u64,
    prlar: u64,
}

impl Region {
    /// The region with these register values; RES0 bits are dropped.
    pub const fn new(prbar: u64, prlar: u64) -> Self {
        Self { prbar: prbar & PRBAR_BITS, prlar: prlar & PRLAR_BITS }
    }

    /// PRLAR_EL2.EN.
    pub const fn is_enabled(self) -> bool {
        self.prlar & EN != 0
    }

    /// Whether any address has other attributes with this region than with `before` in its place.
    pub fn is_change_of(self, before: Self) -> bool {
        self != before && (self.is_enabled() || before.is_enabled())
    }

    /// The addresses that the region matches if it is enabled, in multiples of 64 bytes; empty if its limit is below
    /// its base.
    pub const fn span(self) -> Range<u64> {
        let (start, end) = (self.prbar & ADDRESS, (self.prlar & ADDRESS) + (1 << 6));
        start..(if end < start { start } else { end })
    }

    /// Whether EL2 may write: AP is 0b00 or 0b01.
    pub const fn is_writable(self) -> bool {
        self.prbar & AP_READ_ONLY == 0
    }

    /// Whether EL2 may execute. XN\[1\] decides at EL2, XN\[0\] at EL1 and EL0, by one reading of the field; 0b01
    /// forbids it everywhere, by another. So only 0b00 allows it.
    pub const fn is_executable(self) -> bool {
        self.prbar & XN == 0
    }

    /// PRBAR_EL2.SH.
    pub const fn shareability(self) -> u64 {
        self.prbar >> 4 & 0b11
    }

    /// PRLAR_EL2.AttrIndx: which byte of MAIR_EL2 is the memory's type.
    pub const fn attr_index(self) -> u64 {
        self.prlar >> 1 & 0b111
    }
}

/// The register file.
#[derive(Debug)]
pub struct Registers {
    count: RegionCount,
    /// PRSELR_EL2.REGION.
    selected: u8,
    /// The selection that accesses to other registers know of.
    effective: u8,
    regions: [Region; MAX_REGIONS],
    unknown: Unknown,
}

impl Registers {
    /// The file of no MPU at all, before [`Self::reset`].
    pub const fn new() -> Self {
        let regions = [Region { prbar: 0, prlar: 0 }; MAX_REGIONS];
        Self { count: RegionCount(0), selected: 0, effective: 0, regions, unknown: Unknown(0) }
    }

    /// Makes it what reset leaves: PRSELR_EL2 and all of every region, its enable bit included, are UNKNOWN.
    pub fn reset(&mut self, count: RegionCount) {
        self.count = count;
        self.unknown = Unknown(SEED);
        for region in &mut self.regions[..count.get()] {
            *region = self.unknown.region();
        }
        self.selected = self.unknown.next() as u8;
        self.effective = self.selected;
    }

    /// All regions that there are.
    pub fn regions(&self) -> &[Region] {
        self.regions.get(..self.count.get()).unwrap_or_default()
    }

    /// A context synchronization event: accesses to other registers know of the last write of PRSELR_EL2 from here on.
    /// They read it indirectly, so the architecture promises that no earlier (DDI 0487, "Synchronization requirements
    /// for AArch64 System registers").
    pub fn synchronize(&mut self) {
        self.effective = self.selected;
    }

    /// Whether [`Self::synchronize`] would change anything.
    pub const fn is_synchronized(&self) -> bool {
        self.effective == self.selected
    }

    /// What an MRS of `register` yields.
    pub fn read(&mut self, register: Register) -> u64 {
        match register {
            Register::Mpuir => self.count.0.into(),
            Register::Prselr => self.selected.into(),
            Register::Prenr => {
                let bits = self.regions().iter().take(PRENR_REGIONS).enumerate();
                bits.fold(0, |value, (index, region)| value | (region.prlar & EN) << index)
            }
            Register::Prbar(choice) => match self.chosen(choice) {
                Some(region) => region.prbar,
                None => self.unknown.next(),
            },
            Register::Prlar(choice) => match self.chosen(choice) {
                Some(region) => region.prlar,
                None => self.unknown.next(),
            },
        }
    }

    /// What an MSR of `register` does. The registers of regions that are not there ignore it, and so does MPUIR_EL2.
    pub fn write(&mut self, register: Register, value: u64) {
        match register {
            Register::Mpuir => {}
            Register::Prselr => self.selected = value as u8,
            Register::Prenr => {
                for (index, region) in self.regions[..self.count.get()].iter_mut().take(PRENR_REGIONS).enumerate() {
                    region.prlar = region.prlar & !EN | value >> index & EN;
                }
            }
            Register::Prbar(choice) => {
                if let Some(region) = self.chosen(choice) {
                    region.prbar = value & PRBAR_BITS;
                }
            }
            Register::Prlar(choice) => {
                if let Some(region) = self.chosen(choice) {
                    region.prlar = value & PRLAR_BITS;
                }
            }
        }
    }

    /// The region that an instruction means, if this MPU has it.
    fn chosen(&mut self, choice: Choice) -> Option<&mut Region> {
        let index = match choice {
            Choice::Selected => self.effective,
            Choice::Direct(low) => self.effective & 0xf0 | low & 0x0f,
        };
        self.regions[..self.count.get()].get_mut(usize::from(index))
    }
}

/// A source of values that nobody may rely on: the same in every run (SplitMix64), so that a failure can be repeated.
#[derive(Debug)]
struct Unknown(u64);

impl Unknown {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A region of any size: sizes that differ by powers of two are equally likely, so that some cover low memory.
    fn region(&mut self) -> Region {
        let mut address = || (self.next() & ADDRESS) >> (self.next() % 42);
        let (base, limit) = (address(), address());
        Region::new(base & ADDRESS | self.next() & !ADDRESS, limit & ADDRESS | self.next() & !ADDRESS)
    }
}
