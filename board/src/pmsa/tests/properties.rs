//! The emulation against a list of regions that is searched byte by byte.

use super::machine::{CODE, Machine, Op, Outcome, region};
use crate::pmsa::options::Options;
use crate::pmsa::stepping::Timing;
use proptest::prelude::*;
use std::vec;

/// Where regions begin: around the edges of pages, of blocks, of the image, and of the address space.
const PLACES: [u64; 5] = [0, 0x5000_0000, 0x501f_c000, 0x3fff_c000, 0xffff_ffff_8000];
/// How far from there.
const WINDOW: u64 = 0x8000;
const IMAGE: std::ops::Range<u64> = 0x5000_2000..0x5000_6000;
const REGIONS: u64 = 5;

/// What was programmed last, as the architecture names the fields.
#[derive(Clone, Copy, Debug)]
struct Programmed {
    base: u64,
    limit: u64,
    access: u64,
    type_and_enable: u64,
}

#[derive(Clone, Debug)]
enum Action {
    Program(u64, Programmed),
    Access(Op),
}

fn programmed() -> impl Strategy<Value = Programmed> {
    let place = prop::sample::select(PLACES.to_vec());
    let start = prop_oneof![(0..WINDOW / 0x1000).prop_map(|page| page * 0x1000), (0..WINDOW / 64).prop_map(|n| n * 64)];
    let sizes = vec![0x1000, 0x3000, 0x4000, 0x20_0000, 0x40_4000, 1 << 30];
    let size = prop_oneof![(0..300_u64).prop_map(|granules| granules * 64), prop::sample::select(sizes)];
    (place, start, size, 0..64_u64, 0..32_u64).prop_map(|(place, start, size, access, type_and_enable)| {
        let base = place + start;
        // A size of 0 gives a limit below the base.
        let limit = (base + size).min(1 << 48).saturating_sub(64) & !63;
        Programmed { base, limit, access, type_and_enable }
    })
}

fn action() -> impl Strategy<Value = Action> {
    let address = (prop::sample::select(PLACES.to_vec()), 0..WINDOW).prop_map(|(place, offset)| place + offset);
    let op = (address, 0..3).prop_map(|(address, kind)| match kind {
        0 => Op::Load(address),
        1 => Op::Store(address),
        _ => Op::Call(address),
    });
    prop_oneof![
        1 => (1..=REGIONS, programmed()).prop_map(|(index, programmed)| Action::Program(index, programmed)),
        1 => op.prop_map(Action::Access),
    ]
}

/// The one enabled region that has `address`.
fn owner(regions: &[Option<Programmed>], address: u64) -> Option<Programmed> {
    let has =
        |region: &Programmed| region.type_and_enable & 1 == 1 && region.base <= address && address <= region.limit | 63;
    let mut owners = regions.iter().flatten().copied().filter(has);
    let first = owners.next();
    if owners.next().is_some() { None } else { first }
}

fn expected(regions: &[Option<Programmed>], op: Op) -> Outcome {
    let (far, esr, forbidden): (u64, u64, fn(u64) -> bool) = match op {
        Op::Load(address) => (address, 0x9600_0000, |_| false),
        Op::Store(address) => (address, 0x9600_0040, |access| access & 0b1000 != 0),
        Op::Call(address) => (address, 0x8600_0000, |access| access & 0b0011 != 0),
        _ => return Outcome::Done,
    };
    match owner(regions, far) {
        None => Outcome::Taken { esr: esr | 0b00_0100, far },
        Some(region) if forbidden(region.access) => Outcome::Taken { esr: esr | 0b00_1100, far },
        Some(_) => Outcome::Done,
    }
}

/// Whatever the tables translate at rest, page by page, belongs to one region to its last byte, and says so.
fn check_tables(machine: &Machine, regions: &[Option<Programmed>]) {
    for page in PLACES.into_iter().flat_map(|place| (place..place + WINDOW).step_by(0x1000)) {
        let Some((entry, _)) = machine.mpu.mirror().walk(page) else { continue };
        for granule in (page..page + 0x1000).step_by(64) {
            let region = owner(regions, granule).expect("a translated granule belongs to one region");
            let access = (entry >> 7 & 1, entry >> 54 & 1, entry >> 8 & 3, entry >> 2 & 7);
            let executable = region.access & 3 == 0;
            let wanted =
                (region.access >> 3 & 1, u64::from(!executable), region.access >> 4, region.type_and_enable >> 1 & 7);
            assert_eq!(access, wanted, "{granule:#x}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Random regions, overlapping and not, in random order; each access ends as the list of regions says.
    #[test]
    fn every_access_ends_as_the_regions_say(
        actions in prop::collection::vec(action(), 1..60),
        timing in prop_oneof![Just(Timing::Early), Just(Timing::Late)],
    ) {
        // Barriers are seen in code that is in the tables, so the code is the image there.
        let image = if timing == Timing::Early { IMAGE } else { CODE };
        let mut machine = Machine::new(Options { timing, ..Options::default() }, image);
        let mut regions = [None; REGIONS as usize + 1];
        for action in actions {
            match action {
                Action::Program(index, new) => {
                    regions[index as usize] = Some(new);
                    // The helper takes an end; this is its inverse for every limit.
                    let span = new.base..new.limit + 64;
                    machine.run(&region(index, span, new.access, new.type_and_enable));
                    check_tables(&machine, &regions);
                }
                Action::Access(op) => {
                    let covers_code = owner(&regions, CODE.start).is_some();
                    prop_assert!(!covers_code, "no place is near the program");
                    prop_assert_eq!(machine.one(op), expected(&regions, op), "{:?}", op);
                }
            }
        }
        check_tables(&machine, &regions);
    }
}
