//! Memory layouts of real machines, with the numbers that compression must give for them.
//!
//! The rows T are those of Xen's own test of its compression (tools/tests/pdx at c447b7308b), the rows L come from boards and
//! from reviews of Xen's frametable. The expected numbers are from an independent model of the published rules. They are
//! data, not tests, so that the host's tests and the booted image's self-tests judge by the same numbers.

use super::{PdxKind, PdxMap, PdxRefusal};
use crate::base::addr::{Mfn, Pdx};
use alloc::vec::Vec;
use core::ops::Range;

/// What one compression makes of a layout.
#[derive(Debug)]
pub struct Golden {
    /// The figures of the compression.
    pub kind: PdxKind,
    /// The page index of each bank's first frame, in the order of the banks.
    pub starts: &'static [u64],
    /// One past the highest page index of RAM.
    pub max_pdx: u64,
}

/// A memory layout and what is expected of it.
#[derive(Debug)]
pub struct Layout {
    /// Short name and machine.
    pub name: &'static str,
    /// RAM, in the order in which it is reported.
    pub banks: &'static [Range<Mfn>],
    /// Mask compression, or `None` if it must not apply.
    pub mask: Option<Golden>,
    /// Offset compression, or `None` if it must not apply.
    pub offset: Option<Golden>,
}

/// A layout for which a compression gives something else than expected.
#[derive(Debug, thiserror::Error)]
#[error("{layout}: wanted {wanted:x?}, got {got:?} and {starts:x?}")]
pub struct LayoutMismatch {
    layout: &'static str,
    wanted: Option<&'static Golden>,
    got: Result<PdxKind, PdxRefusal>,
    starts: Vec<Pdx>,
}

impl Layout {
    /// Whether both compressions give the expected numbers, there and back.
    pub fn check(&'static self) -> Result<(), LayoutMismatch> {
        self.check_one(PdxMap::mask(self.banks), self.mask.as_ref())?;
        self.check_one(PdxMap::offset(self.banks), self.offset.as_ref())
    }

    fn check_one(
        &'static self,
        got: Result<PdxMap, PdxRefusal>,
        wanted: Option<&'static Golden>,
    ) -> Result<(), LayoutMismatch> {
        let agrees = match (&got, wanted) {
            (Err(_), None) => true,
            (Ok(map), Some(golden)) => golden.agrees(map, self.banks),
            _ => false,
        };
        if agrees {
            return Ok(());
        }
        let starts = match &got {
            Ok(map) => self.banks.iter().map(|bank| map.pdx(bank.start)).collect(),
            Err(_) => Vec::new(),
        };
        Err(LayoutMismatch { layout: self.name, wanted, got: got.map(|map| map.kind()), starts })
    }
}

impl Golden {
    fn agrees(&self, map: &PdxMap, banks: &[Range<Mfn>]) -> bool {
        let Ok(span) = map.span(banks) else {
            return false;
        };
        let starts_agree = banks.len() == self.starts.len()
            && banks.iter().zip(self.starts).all(|(bank, &start)| {
                let pdx = map.pdx(bank.start);
                pdx.get() == start && map.mfn(pdx) == Some(bank.start)
            });
        map.kind() == self.kind && span.end.get() == self.max_pdx && starts_agree
    }
}

const fn bank(start: u64, end: u64) -> Range<Mfn> {
    match (Mfn::new(start), Mfn::new(end)) {
        (Some(start), Some(end)) => start..end,
        _ => panic!("a frame number above 2^40"),
    }
}

const fn mask(first_bit: u32, bits: u32, starts: &'static [u64], max_pdx: u64) -> Option<Golden> {
    Some(Golden { kind: PdxKind::Mask { first_bit, bits }, starts, max_pdx })
}

const fn offset(ranges: usize, shift: u32, region: u64, starts: &'static [u64], max_pdx: u64) -> Option<Golden> {
    Some(Golden { kind: PdxKind::Offset { ranges, region, shift }, starts, max_pdx })
}

/// Four-socket Intel Granite Rapids.
pub const T1: Layout = Layout {
    name: "T1, four sockets",
    banks: &[
        bank(0, 0x80000),
        bank(0x100000, 0x8080000),
        bank(0x63e80000, 0x6be80000),
        bank(0xc7e80000, 0xcfe80000),
        bank(0x1_2be8_0000, 0x1_33e8_0000),
    ],
    mask: None,
    offset: offset(4, 29, 0x10000000, &[0, 0x100000, 0x10000000, 0x20000000, 0x30000000], 0x38000000),
};

/// Two single groups, far apart.
pub const T2: Layout = Layout {
    name: "T2, one large hole",
    banks: &[bank(0, 0x40000), bank(0x10_0000_0000, 0x10_0004_0000)],
    mask: mask(18, 18, &[0, 0x40000], 0x80000),
    offset: offset(2, 36, 0x40000, &[0, 0x40000], 0x80000),
};

/// [`T2`], reported from the top down.
pub const T3: Layout = Layout {
    name: "T3, unsorted",
    banks: &[bank(0x10_0000_0000, 0x10_0004_0000), bank(0, 0x40000)],
    mask: mask(18, 18, &[0x40000, 0], 0x80000),
    offset: offset(2, 36, 0x40000, &[0x40000, 0], 0x80000),
};

/// Two groups with a high bit in common.
pub const T4: Layout = Layout {
    name: "T4, same high bit",
    banks: &[bank(0x80_0000_0000, 0x80_0004_0000), bank(0x80_000c_0000, 0x80_0010_0000)],
    mask: mask(20, 19, &[0x100000, 0x1c0000], 0x200000),
    offset: offset(2, 18, 0x40000, &[0, 0x40000], 0x80000),
};

/// One group, not at address 0.
pub const T6: Layout = Layout {
    name: "T6, single bank above 0",
    banks: &[bank(0x280000, 0x2c0000)],
    mask: mask(18, 1, &[0x140000], 0x180000),
    offset: offset(1, 18, 0x40000, &[0], 0x40000),
};

/// Holes that no compression removes at a profit.
pub const T7: Layout = Layout {
    name: "T7, no gain",
    banks: &[bank(0, 0x40000), bank(0x80000, 0xc0000), bank(0x100000, 0x1c0000), bank(0x200000, 0x300000)],
    mask: None,
    offset: None,
};

/// AMD Versal Gen 2, also row L1: five banks of 2 GiB up to 7 TiB.
pub const T8: Layout = Layout {
    name: "T8, Versal Gen 2",
    banks: &[
        bank(0, 0x80000),
        bank(0x800000, 0x880000),
        bank(0x50000000, 0x50080000),
        bank(0x60000000, 0x60080000),
        bank(0x70000000, 0x70080000),
    ],
    mask: mask(19, 4, &[0, 0x80000, 0x5000000, 0x6000000, 0x7000000], 0x7080000),
    offset: offset(4, 25, 0x1000000, &[0, 0x800000, 0x1000000, 0x2000000, 0x3000000], 0x3080000),
};

/// QEMU with two NUMA nodes of 2 GiB.
pub const T11: Layout = Layout {
    name: "T11, two nodes",
    banks: &[bank(0, 0x80000), bank(0x100000, 0x180000)],
    mask: mask(19, 1, &[0, 0x80000], 0x100000),
    offset: offset(2, 20, 0x80000, &[0, 0x80000], 0x100000),
};

/// A hole inside one group.
pub const T12: Layout =
    Layout { name: "T12, inside a group", banks: &[bank(0, 0x1), bank(0x100, 0x101)], mask: None, offset: None };

/// QEMU `xlnx-versal-virt` with 4 GiB.
pub const L2: Layout = Layout {
    name: "L2, Versal 4 GiB",
    banks: &[bank(0, 0x80000), bank(0x800000, 0x880000)],
    mask: mask(19, 4, &[0, 0x80000], 0x100000),
    offset: offset(2, 23, 0x80000, &[0, 0x80000], 0x100000),
};

/// QEMU `xlnx-versal-virt` with 40 GiB.
pub const L3: Layout = Layout {
    name: "L3, Versal 40 GiB",
    banks: &[bank(0, 0x80000), bank(0x800000, 0x1000000), bank(0xc000000, 0xc180000)],
    mask: mask(24, 2, &[0, 0x800000, 0x3000000], 0x3180000),
    offset: offset(3, 23, 0x800000, &[0, 0x800000, 0x1000000], 0x1180000),
};

/// 3 GiB, a hole of 1 GiB, 1 GiB: rounding a frametable chunk up to blocks made it run into the next.
pub const L4: Layout = Layout {
    name: "L4, small hole",
    banks: &[bank(0x40000, 0x100000), bank(0x140000, 0x180000)],
    mask: None,
    offset: offset(2, 20, 0x100000, &[0, 0x100000], 0x140000),
};

/// QEMU `virt` with 128 MiB.
pub const L6: Layout = Layout {
    name: "L6, virt 128 MiB",
    banks: &[bank(0x40000, 0x48000)],
    mask: None,
    offset: offset(1, 18, 0x40000, &[0], 0x8000),
};

/// All of them.
pub const ALL: [&Layout; 13] = [&T1, &T2, &T3, &T4, &T6, &T7, &T8, &T11, &T12, &L2, &L3, &L4, &L6];
