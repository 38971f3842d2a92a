//! The address map of one guest, for checks of its memory and for names in messages.
//!
//! A guest whose addresses are the host's (`direct-map`) brings banks that were not laid out with the devices in mind,
//! so the map refuses a bank that covers a device. A report of an access to an unmapped address names the nearest
//! device or bank.

use super::layout::{self, DISTRIBUTOR, HalfOpen, MAX_VCPUS, UART};
use crate::base::addr::GuestAddr;
use crate::base::sort;
use crate::devtree::GuestUart;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use thiserror::Error;

/// What a guest can find at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The GIC's distributor.
    Distributor,
    /// The GIC's redistributors, one for each CPU.
    Redistributors,
    /// The PL011.
    Uart,
    /// A bank of RAM, counted from 0.
    Bank(usize),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Distributor => f.write_str("the GIC distributor"),
            Self::Redistributors => f.write_str("the GIC redistributors"),
            Self::Uart => f.write_str("the PL011"),
            Self::Bank(index) => write!(f, "RAM bank {index}"),
        }
    }
}

/// A part of a guest's address space. Prints as `the PL011 [0x22000000, 0x22001000)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestRegion {
    /// What is there.
    pub what: What,
    /// Where it is.
    pub range: Range<GuestAddr>,
}

impl fmt::Display for GuestRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, HalfOpen(&self.range))
    }
}

/// Why banks and devices do not make a guest.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum GuestMapError {
    #[error("{vcpus} CPUs are not from 1 to {MAX_VCPUS}")]
    Vcpus { vcpus: u32 },
    #[error("{bank} is empty")]
    Empty { bank: GuestRegion },
    #[error("{second} overlaps {first}")]
    Overlap { first: GuestRegion, second: GuestRegion },
}

/// What is where for one guest.
#[derive(Clone, Debug)]
pub struct GuestMap {
    /// Ascending, disjoint, none empty; at least the GIC.
    regions: Vec<GuestRegion>,
}

impl GuestMap {
    /// The map of a guest with the given `banks`, in any order, and the devices that `vcpus` and `uart` ask for.
    pub fn new(banks: &[Range<GuestAddr>], vcpus: u32, uart: GuestUart) -> Result<Self, GuestMapError> {
        let frames = layout::redistributors(vcpus).filter(|_| vcpus > 0).ok_or(GuestMapError::Vcpus { vcpus })?;
        let mut regions = Vec::from([
            GuestRegion { what: What::Distributor, range: DISTRIBUTOR },
            GuestRegion { what: What::Redistributors, range: frames },
        ]);
        if uart == GuestUart::Pl011 {
            regions.push(GuestRegion { what: What::Uart, range: UART });
        }
        for (index, bank) in banks.iter().enumerate() {
            let bank = GuestRegion { what: What::Bank(index), range: bank.clone() };
            if bank.range.is_empty() {
                return Err(GuestMapError::Empty { bank });
            }
            regions.push(bank);
        }
        sort::by_key(&mut regions, |region| region.range.start);
        for pair in regions.windows(2) {
            if let [first, second] = pair
                && second.range.start < first.range.end
            {
                return Err(GuestMapError::Overlap { first: first.clone(), second: second.clone() });
            }
        }
        Ok(Self { regions })
    }

    /// All regions, in ascending order.
    pub fn regions(&self) -> &[GuestRegion] {
        &self.regions
    }

    /// What is at `ipa`, if anything is.
    pub fn region_of(&self, ipa: GuestAddr) -> Option<&GuestRegion> {
        let next = self.regions.partition_point(|region| region.range.end <= ipa);
        self.regions.get(next).filter(|region| region.range.contains(&ipa))
    }

    /// The region that `ipa` is in or, if it is in none, has the fewest bytes to. Of two that are equally far the lower.
    pub fn nearest(&self, ipa: GuestAddr) -> Nearest<'_> {
        let distance = |region: &GuestRegion| Distance::between(ipa, region);
        let nearest = self.regions.iter().min_by_key(|region| distance(region).bytes());
        let region = nearest.expect("a map has a GIC");
        Nearest { ipa, region, distance: distance(region) }
    }
}

/// How an address lies to a region, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// That far below the first byte.
    Below(u64),
    /// That far from the first byte, inside.
    Into(u64),
    /// That far from the first byte behind the region.
    Past(u64),
}

impl Distance {
    fn between(ipa: GuestAddr, GuestRegion { range, .. }: &GuestRegion) -> Self {
        let (ipa, start, end) = (ipa.get(), range.start.get(), range.end.get());
        if ipa < start {
            Self::Below(start - ipa)
        } else if ipa < end {
            Self::Into(ipa - start)
        } else {
            Self::Past(ipa - end)
        }
    }

    /// From the address to the closest byte of the region; 0 inside.
    fn bytes(self) -> u64 {
        match self {
            Self::Below(bytes) => bytes,
            Self::Into(_) => 0,
            Self::Past(bytes) => bytes.saturating_add(1),
        }
    }
}

/// An address and what is closest to it. Prints as `0x22001000 is 0x0 bytes past the PL011 [0x22000000, 0x22001000)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest<'a> {
    /// The address.
    pub ipa: GuestAddr,
    /// What is closest.
    pub region: &'a GuestRegion,
    /// How far away it is.
    pub distance: Distance,
}

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ipa, region, .. } = self;
        match self.distance {
            Distance::Below(bytes) => write!(f, "{ipa} is {bytes:#x} bytes below {region}"),
            Distance::Into(bytes) => write!(f, "{ipa} is {bytes:#x} bytes into {region}"),
            Distance::Past(bytes) => write!(f, "{ipa} is {bytes:#x} bytes past {region}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GuestMap, GuestUart, What};
    use crate::base::addr::GuestAddr;
    use crate::guest::layout::banks;
    use core::ops::Range;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};
    use std::string::{String, ToString};

    fn range(start: u64, end: u64) -> Range<GuestAddr> {
        GuestAddr::new(start)..GuestAddr::new(end)
    }

    fn usual() -> GuestMap {
        GuestMap::new(&banks(0x1000_0000, 40).unwrap(), 1, GuestUart::Pl011).unwrap()
    }

    fn refusal(banks: &[Range<GuestAddr>], uart: GuestUart) -> String {
        GuestMap::new(banks, 1, uart).unwrap_err().to_string()
    }

    #[test]
    fn a_bank_over_a_device_is_refused_by_both_names() {
        assert_eq!(
            refusal(&[range(0x4000_0000, 0x5000_0000), range(0x2000_0000, 0x3000_0000)], GuestUart::Pl011),
            "the PL011 [0x22000000, 0x22001000) overlaps RAM bank 1 [0x20000000, 0x30000000)"
        );
        assert_eq!(
            refusal(&[range(0, 0x300_2000)], GuestUart::None),
            "the GIC distributor [0x3001000, 0x3011000) overlaps RAM bank 0 [0x0, 0x3002000)"
        );
        // Without a UART, its addresses are as good as any.
        assert!(GuestMap::new(&[range(0x2000_0000, 0x3000_0000)], 1, GuestUart::None).is_ok());
    }

    #[test]
    fn banks_over_each_other_and_empty_ones_are_refused() {
        assert_eq!(
            refusal(&[range(0x5000_0000, 0x6000_0000), range(0x4000_0000, 0x5000_1000)], GuestUart::None),
            "RAM bank 0 [0x50000000, 0x60000000) overlaps RAM bank 1 [0x40000000, 0x50001000)"
        );
        assert_eq!(
            refusal(&[range(0x4000_0000, 0x4000_0000)], GuestUart::None),
            "RAM bank 0 [0x40000000, 0x40000000) is empty"
        );
    }

    #[test]
    fn a_guest_has_a_cpu_and_no_more_than_have_redistributors() {
        for vcpus in [0, 65] {
            let error = GuestMap::new(&[], vcpus, GuestUart::None).unwrap_err();
            assert_eq!(error.to_string(), std::format!("{vcpus} CPUs are not from 1 to 64"));
        }
    }

    #[test]
    fn an_address_is_looked_up_to_the_byte() {
        let map = usual();
        let what = |ipa| map.region_of(GuestAddr::new(ipa)).map(|region| region.what);
        assert_eq!(what(0x2200_0000), Some(What::Uart));
        assert_eq!(what(0x2200_0fff), Some(What::Uart));
        assert_eq!((what(0x21ff_ffff), what(0x2200_1000), what(0), what(u64::MAX)), (None, None, None, None));
        assert_eq!(what(0x0302_0000), Some(What::Redistributors));
        // The second redistributor is not there.
        assert_eq!(what(0x0304_0000), None);
        assert_eq!(what(0x4fff_ffff), Some(What::Bank(0)));
    }

    #[test]
    fn a_miss_is_told_by_what_it_missed_and_by_how_much() {
        let map = usual();
        let told = |ipa| map.nearest(GuestAddr::new(ipa)).to_string();
        assert_eq!(told(0x2200_1000), "0x22001000 is 0x0 bytes past the PL011 [0x22000000, 0x22001000)");
        assert_eq!(told(0x2200_0018), "0x22000018 is 0x18 bytes into the PL011 [0x22000000, 0x22001000)");
        assert_eq!(told(0x21ff_fffc), "0x21fffffc is 0x4 bytes below the PL011 [0x22000000, 0x22001000)");
        assert_eq!(told(0), "0x0 is 0x3001000 bytes below the GIC distributor [0x3001000, 0x3011000)");
        assert_eq!(told(0x5000_1000), "0x50001000 is 0x1000 bytes past RAM bank 0 [0x40000000, 0x50000000)");
        assert_eq!(told(0x0304_0000), "0x3040000 is 0x0 bytes past the GIC redistributors [0x3020000, 0x3040000)");
    }

    proptest! {
        /// Against every region in turn.
        #[test]
        fn nothing_is_nearer_than_the_nearest(ipa in prop_oneof![any::<u64>(), (0..0x6000_0000u64).prop_map(|ipa| ipa)]) {
            let map = usual();
            let ipa = GuestAddr::new(ipa);
            let nearest = map.nearest(ipa);
            let bytes = |range: &Range<GuestAddr>| {
                range.start.get().saturating_sub(ipa.get()).max(ipa.get().saturating_sub(range.end.get() - 1))
            };
            assert!(map.regions().iter().all(|region| bytes(&nearest.region.range) <= bytes(&region.range)));
            assert_eq!(map.region_of(ipa).is_some(), bytes(&nearest.region.range) == 0);
        }
    }
}
