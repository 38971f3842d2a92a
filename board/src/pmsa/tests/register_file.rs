//! The register file against DDI 0600, G1.3.

use crate::pmsa::decode::{Choice, Register};
use crate::pmsa::options::{OptionError, Options};
use crate::pmsa::registers::{RegionCount, Registers};
use crate::pmsa::stepping::Timing;

const PRBAR: Register = Register::Prbar(Choice::Selected);
const PRLAR: Register = Register::Prlar(Choice::Selected);
const COUNTS: [u64; 4] = [1, 16, 32, 255];

fn reset(count: u64) -> Registers {
    let mut registers = Registers::new();
    registers.reset(RegionCount::new(count).expect("a count from 1 to 255"));
    registers
}

impl Registers {
    fn select(&mut self, region: u64) {
        self.write(Register::Prselr, region);
        self.synchronize();
    }
}

#[test]
fn mpuir_tells_the_number_of_regions_and_cannot_be_written() {
    for count in COUNTS {
        let mut registers = reset(count);
        registers.write(Register::Mpuir, 7);
        assert_eq!(registers.read(Register::Mpuir), count);
    }
    assert_eq!((RegionCount::new(0), RegionCount::new(256)), (None, None));
}

#[test]
fn res0_bits_read_as_zero() {
    let mut registers = reset(32);
    registers.select(!0 << 8 | 3);
    registers.write(PRBAR, !0);
    registers.write(PRLAR, !0);
    assert_eq!(registers.read(Register::Prselr), 3);
    assert_eq!(registers.read(PRBAR), 0x0000_ffff_ffff_ffff);
    assert_eq!(registers.read(PRLAR), 0x0000_ffff_ffff_ffdf);
    registers.write(Register::Prenr, !0);
    assert_eq!(registers.read(Register::Prenr), 0xffff_ffff);
}

#[test]
fn prenr_is_the_enable_bits_of_the_regions_below_32_that_there_are() {
    for count in COUNTS {
        let mut registers = reset(count);
        let there = if count >= 32 { 0xffff_ffff } else { (1 << count) - 1 };
        registers.write(Register::Prenr, !0);
        assert_eq!(registers.read(Register::Prenr), there);
        for region in 0..count {
            registers.select(region);
            registers.write(PRLAR, 0x1_0000 | (region % 2));
            if region < 32 {
                assert_eq!(registers.read(Register::Prenr) >> region & 1, region % 2);
            }
        }
        registers.write(Register::Prenr, 0x5555_5555);
        assert_eq!(registers.read(Register::Prenr), 0x5555_5555 & there);
        for region in 0..count {
            registers.select(region);
            let expected = if region < 32 { 1 - region % 2 } else { region % 2 };
            assert_eq!(registers.read(PRLAR), 0x1_0000 | expected, "region {region} of {count}");
        }
    }
}

#[test]
fn the_direct_forms_reach_the_sixteen_regions_around_the_selected_one() {
    let mut registers = reset(255);
    for region in 0..255 {
        registers.select(region);
        registers.write(PRBAR, region << 6);
        registers.write(PRLAR, region << 12);
    }
    for selected in 0..=255 {
        registers.select(selected);
        for number in 1..16 {
            let region = selected & 0xf0 | u64::from(number);
            if region < 255 {
                assert_eq!(registers.read(Register::Prbar(Choice::Direct(number))), region << 6);
                assert_eq!(registers.read(Register::Prlar(Choice::Direct(number))), region << 12);
            }
        }
    }
    registers.select(0x24);
    registers.write(Register::Prlar(Choice::Direct(9)), 0x40);
    registers.select(0x29);
    assert_eq!(registers.read(PRLAR), 0x40);
}

#[test]
fn a_region_that_is_not_there_cannot_be_written_and_reads_as_garbage() {
    for count in COUNTS {
        let mut registers = reset(count);
        let before = registers.regions().to_vec();
        for region in count..=255 {
            registers.select(region);
            registers.write(PRBAR, 0x1000);
            registers.write(PRLAR, 0x1001);
            assert_ne!((registers.read(PRBAR), registers.read(PRBAR)), (0x1000, 0x1000));
        }
        assert_eq!(registers.regions(), before);
    }
}

#[test]
fn a_selection_is_known_after_synchronization_only() {
    let mut registers = reset(32);
    registers.select(4);
    registers.write(PRBAR, 0x40);
    registers.select(5);
    registers.write(PRBAR, 0x80);
    registers.write(Register::Prselr, 4);
    assert_eq!((registers.read(Register::Prselr), registers.read(PRBAR)), (4, 0x80));
    registers.synchronize();
    assert_eq!(registers.read(PRBAR), 0x40);
}

#[test]
fn reset_leaves_garbage_and_the_same_in_every_run() {
    let mut registers = reset(255);
    assert_eq!(registers.regions(), reset(255).regions());
    let enabled = registers.regions().iter().filter(|region| region.is_enabled()).count();
    assert!((64..192).contains(&enabled), "{enabled} regions are enabled");
    let low = registers.regions().iter().filter(|region| region.is_enabled() && region.span().contains(&0x4020_0000));
    assert!(low.count() > 1, "an MPU that is turned on without being programmed must not work by accident");
    assert_ne!(registers.read(Register::Prselr), 0);
}

#[test]
fn a_limit_below_the_base_matches_nothing_and_the_top_of_memory_can_be_reached() {
    let mut registers = reset(1);
    registers.select(0);
    registers.write(PRBAR, 0x2000);
    registers.write(PRLAR, 0x1fc1);
    assert!(registers.regions()[0].span().is_empty());
    registers.write(PRLAR, 0x2001);
    assert_eq!(registers.regions()[0].span(), 0x2000..0x2040);
    registers.write(PRLAR, !0);
    assert_eq!(registers.regions()[0].span(), 0x2000..1 << 48);
}

#[test]
fn options_are_read_from_the_command_line_and_bad_ones_refused() {
    let parse = |line: &str| Options::parse(line.as_bytes());
    let options = |count, timing| Ok(Options { count: RegionCount::new(count).expect("a count"), timing });
    assert_eq!(parse(""), options(32, Timing::Early));
    assert_eq!(parse("lacuna.img loglevel=debug"), options(32, Timing::Early));
    assert_eq!(parse("lacuna pmsa-regions=16 pmsa-sync=late"), options(16, Timing::Late));
    assert_eq!(parse("pmsa-regions=1 pmsa-regions=255\0"), options(255, Timing::Early));
    assert_eq!(parse("pmsa-regions=0"), Err(OptionError::OutOfRange(0)));
    assert_eq!(parse("pmsa-regions=256"), Err(OptionError::OutOfRange(256)));
    assert_eq!(parse("pmsa-regions=99999999999999999999"), Err(OptionError::OutOfRange(u64::MAX)));
    for line in ["pmsa-regions=", "pmsa-regions=all", "pmsa-regions=-1", "pmsa-regions=0x10"] {
        assert_eq!(parse(line), Err(OptionError::NotANumber));
    }
    assert_eq!(parse("pmsa-sync=never"), Err(OptionError::Timing));
}
