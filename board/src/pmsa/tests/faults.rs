//! What programs see of the MPU.

use super::machine::{CODE, Machine, Op, Outcome, prenr, prlar, region, select};
use crate::pmsa::cpu::{SCTLR_BR, SCTLR_WXN, Use};
use crate::pmsa::options::Options;
use crate::pmsa::stepping::Timing;
use Op::{Call, Dsb, Exclusive, Isb, Load, Nop, Store};
use Outcome::{Done, Stuck, Taken};

/// AP, SH and XN of PRBAR_EL2.
const CODE_ACCESS: u64 = 0b11_1000;
const CONSTANTS: u64 = 0b11_1010;
const DATA: u64 = 0b11_0010;
const WRITABLE_CODE: u64 = 0b11_0000;
/// PRLAR_EL2: enabled, attributes 0.
const ON: u64 = 1;
const A: u64 = 0x5000_0000;

fn machine(timing: Timing) -> Machine {
    Machine::new(Options { timing, ..Options::default() }, CODE)
}

fn read(far: u64) -> Outcome {
    Taken { esr: 0x9600_0004, far }
}

fn write(far: u64) -> Outcome {
    Taken { esr: 0x9600_0044, far }
}

fn fetch(far: u64) -> Outcome {
    Taken { esr: 0x8600_0004, far }
}

#[test]
fn an_address_in_no_region_takes_a_translation_fault_of_level_0() {
    for timing in [Timing::Early, Timing::Late] {
        let mut machine = machine(timing);
        assert_eq!(machine.run(&[Load(A), Store(A + 4), Call(A + 8)]), [read(A), write(A + 4), fetch(A + 8)]);
        assert_eq!(machine.one(Load(0)), read(0));
        assert_eq!(machine.one(Load(1 << 48)), read(1 << 48));
        assert_eq!(machine.one(Load(!0)), read(!0));
    }
}

#[test]
fn a_region_allows_what_its_permissions_say_and_the_rest_takes_a_permission_fault_of_level_0() {
    let no_write = Taken { esr: 0x9600_004c, far: A };
    let no_fetch = Taken { esr: 0x8600_000c, far: A };
    let cases = [
        (DATA, [Done, Done, no_fetch]),
        (CONSTANTS, [Done, no_write, no_fetch]),
        (CODE_ACCESS, [Done, no_write, Done]),
        (WRITABLE_CODE, [Done, Done, Done]),
    ];
    for (access, outcomes) in cases {
        let mut machine = machine(Timing::Early);
        machine.run(&region(1, A..A + 0x20_0000, access, ON));
        assert_eq!(machine.run(&[Load(A), Store(A), Call(A)]), outcomes, "{access:#b}");
    }
}

#[test]
fn an_address_in_two_regions_takes_a_translation_fault_until_one_is_disabled() {
    let mut machine = machine(Timing::Early);
    machine.run(&region(1, A..A + 0x20_0000, DATA, ON));
    assert_eq!(machine.one(Load(A + 0x1000)), Done);
    machine.run(&region(2, A + 0x1000..A + 0x2000, DATA, ON));
    assert_eq!(machine.run(&[Load(A), Load(A + 0x1000), Load(A + 0x2000)]), [Done, read(A + 0x1000), Done]);
    machine.run(&[prenr(0b011), Dsb, Isb]);
    assert_eq!(machine.one(Load(A + 0x1000)), Done);
}

#[test]
fn a_region_ends_where_its_granule_of_64_bytes_does() {
    for timing in [Timing::Early, Timing::Late] {
        let mut machine = machine(timing);
        machine.run(&region(1, A + 0x100..A + 0x140, DATA, ON));
        assert_eq!(machine.run(&[Load(A + 0x100), Store(A + 0x13f)]), [Done, Done]);
        assert_eq!(machine.run(&[Load(A + 0xff), Store(A + 0x140)]), [read(A + 0xff), write(A + 0x140)]);
        machine.run(&region(2, A + 0x140..A + 0x1000, CODE_ACCESS, ON));
        let outcomes = machine.run(&[Store(A + 0x13c), Call(A + 0x140), Store(A + 0x140), Call(A + 0x13c)]);
        let (no_write, no_fetch) = (0x9600_004c, 0x8600_000c);
        let expected = [Done, Done, Taken { esr: no_write, far: A + 0x140 }, Taken { esr: no_fetch, far: A + 0x13c }];
        assert_eq!(outcomes, expected);
    }
}

#[test]
fn an_exclusive_access_in_a_partly_covered_page_is_refused_because_it_could_never_succeed() {
    let mut machine = machine(Timing::Early);
    machine.run(&region(1, A..A + 0x1040, DATA, ON));
    assert_eq!(machine.run(&[Exclusive(A), Exclusive(A + 0x1000)]), [Done, read(A + 0x1000)]);
}

#[test]
fn an_early_change_takes_effect_at_once_and_a_late_one_after_dsb_and_isb() {
    let mut early = machine(Timing::Early);
    let [choose, isb, base, limit, ..] = region(1, A..A + 0x1000, DATA, ON);
    assert_eq!(early.run(&[choose, base, limit, Load(A), prlar(0), Load(A)])[3..], [Done, Done, read(A)]);

    let mut late = machine(Timing::Late);
    let program = [choose, isb, base, limit, Load(A), Isb, Load(A), Dsb, Load(A), Isb, Load(A)];
    let expected = [Done, Done, Done, Done, read(A), Done, read(A), Done, read(A), Done, Done];
    assert_eq!(late.run(&program), expected);
    assert_eq!(late.run(&[prlar(0), Load(A), Nop, Dsb, Load(A), Isb, Load(A)])[4..], [Done, Done, read(A)]);
    late.run(&region(1, A..A + 0x1000, DATA, ON)[..5]);
    assert_eq!(late.run(&[Nop, Op::Return, Load(A)])[2], Done, "ERET synchronizes too");
    let before = late.exceptions;
    late.run(&[Nop; 100]);
    assert_eq!(late.exceptions, before, "nothing is stepped over when nothing is due");
}

#[test]
fn late_means_that_a_selection_needs_an_isb_and_no_dsb() {
    let mut machine = machine(Timing::Late);
    machine.run(&region(1, A..A + 0x1000, DATA, ON));
    machine.run(&region(2, A + 0x1000..A + 0x2000, DATA, ON));
    machine.run(&[select(1), Dsb, prlar(0), Dsb, Isb]);
    assert_eq!(machine.run(&[Load(A), Load(A + 0x1000)]), [Done, read(A + 0x1000)], "2 was disabled, not 1");
    machine.run(&[select(1), Isb, prlar(0), Dsb, select(2), Isb]);
    assert_eq!(machine.one(Load(A)), read(A));
}

#[test]
fn cutting_the_branch_one_sits_on_is_told_and_not_done() {
    let mut machine = machine(Timing::Early);
    let [.., last, _, _] = region(0, CODE, DATA, ON);
    assert_eq!(machine.run(&[select(0), last])[1], Done);
    assert_eq!(machine.run(&region(0, CODE, DATA, ON))[2], Stuck(CODE.start));
    assert_eq!(machine.one(Call(CODE.start)), Done);

    let mut machine = self::machine(Timing::Early);
    assert_eq!(machine.one(prenr(0)), Stuck(CODE.start));
    let mut machine = self::machine(Timing::Early);
    assert_eq!(machine.run(&region(1, CODE.start..CODE.start + 0x40, CODE_ACCESS, ON))[3], Stuck(CODE.start));
    let mut machine = self::machine(Timing::Early);
    machine.run(&region(1, A..A + 0x1000, DATA, ON));
    machine.cpu.data = (A + 0x800, Use::Write);
    assert_eq!(machine.one(prlar(0)), Stuck(A + 0x800));
    let mut machine = self::machine(Timing::Early);
    machine.run(&region(1, A..A + 0x1000, DATA, ON));
    machine.cpu.data = (A + 0x800, Use::Write);
    assert_eq!(machine.run(&region(1, A..A + 0x1000, CONSTANTS, ON))[2], Stuck(A + 0x800));
    let mut machine = self::machine(Timing::Late);
    let outcomes = machine.run(&[select(0), Isb, prlar(0), Dsb, Isb]);
    assert_eq!(outcomes[2..], [Done, Done, Stuck(CODE.start)]);
    let before = machine.exceptions;
    assert_eq!(machine.run(&[Call(CODE.start), Nop]), [Done, Done]);
    assert_eq!(machine.exceptions, before, "nothing is due any more");
    let mut machine = self::machine(Timing::Early);
    machine.cpu.sctlr |= SCTLR_WXN;
    assert_eq!(machine.run(&region(0, CODE, WRITABLE_CODE, ON))[2], Stuck(CODE.start));
}

#[test]
fn the_background_region_is_device_memory_that_is_not_executed_where_mair_has_it() {
    let mut machine = machine(Timing::Early);
    machine.run(&region(1, A..A + 0x1000, CONSTANTS, ON));
    machine.cpu.sctlr |= SCTLR_BR;
    assert_eq!(machine.run(&[Load(0x900_0000), Store(0x900_0000)]), [Done, Done]);
    let no_fetch = Taken { esr: 0x8600_000c, far: 0x900_0000 };
    let no_write = Taken { esr: 0x9600_004c, far: A };
    assert_eq!(machine.run(&[Call(0x900_0000), Store(A), Store(A + 0x1000)]), [no_fetch, no_write, Done]);
    let (entry, _) = machine.mpu.mirror().walk(0x900_0000).expect("mapped by the load");
    assert_eq!(entry >> 2 & 7, 3, "the first byte of MAIR_EL2 that is 0");

    let mut machine = self::machine(Timing::Early);
    (machine.cpu.sctlr, machine.cpu.mair) = (machine.cpu.sctlr | SCTLR_BR, !0);
    assert_eq!(machine.one(Load(0x900_0000)), read(0x900_0000));
}

#[test]
fn what_is_no_access_to_an_mpu_register_stays_undefined() {
    let mut machine = machine(Timing::Early);
    let undefined = Taken { esr: 0x0200_0000, far: 0 };
    assert_eq!(machine.one(Op::Msr((0, 0, 4), 1)), undefined);
    assert_eq!(machine.one(Op::Msr((6, 3, 0), 1)), undefined);
}

#[test]
fn a_leaf_says_of_the_memory_what_the_region_does() {
    for shareability in 0..4 {
        for index in 0..8 {
            let mut machine = machine(Timing::Early);
            machine.run(&region(1, A..A + 0x1000, shareability << 4 | 0b0010, index << 1 | 1 << 4 | ON));
            assert_eq!(machine.one(Store(A)), Done);
            let (entry, _) = machine.mpu.mirror().walk(A).expect("mapped by the store");
            // Valid page, AttrIndx, AP[1], SH, AF, XN.
            let expected = A | 0b11 | index << 2 | 1 << 6 | shareability << 8 | 1 << 10 | 1 << 54;
            assert_eq!(entry, expected);
        }
    }
}

#[test]
fn large_regions_are_mirrored_by_blocks_and_tables_that_run_out_are_used_again() {
    let mut machine = machine(Timing::Early);
    machine.run(&region(1, 1 << 40..1 << 47, DATA, ON));
    for gib in 0..100 {
        let address = (1 << 40) + (gib << 33) + 0x1234_5678;
        assert_eq!(machine.one(Store(address)), Done);
        assert_eq!(machine.mpu.mirror().walk(address).expect("mapped").1.around(address).end % (1 << 30), 0);
    }
    machine.run(&region(2, 0x1_0000_0040..1 << 40, DATA, ON));
    let before = machine.exceptions;
    for place in 0..100 {
        assert_eq!(machine.one(Load(0x1_0000_1000 + (place << 32))), Done);
    }
    assert_eq!(machine.exceptions - before, 100);
    assert_eq!(machine.one(Load(0x1_0000_003f)), read(0x1_0000_003f));
}

#[test]
fn an_image_needs_no_fault_to_be_there() {
    let image = A..A + 0x20_3000;
    let mut machine = Machine::new(Options::default(), image.clone());
    machine.run(&region(1, image.start..image.end - 0x40, CODE_ACCESS, ON));
    for page in image.clone().step_by(0x1000) {
        let is_whole = page + 0x1000 < image.end;
        assert_eq!(machine.mpu.mirror().walk(page).is_some(), is_whole);
    }
    machine.run(&[prenr(0b01), Dsb, Isb]);
    assert!(image.clone().step_by(0x1000).all(|page| machine.mpu.mirror().walk(page).is_none()));
}

#[test]
fn before_reset_nothing_is_handled() {
    use crate::pmsa::emulator::Emulator;
    use crate::pmsa::exception::{Exception, Handled};
    let mut cpu = machine(Timing::Early).cpu;
    let (mut x, mut elr, mut esr, mut spsr) = ([0; 31], CODE.start, 0x9600_0006, 0x3c9);
    let exception = Exception { x: &mut x, elr: &mut elr, esr: &mut esr, spsr: &mut spsr, far: A };
    assert_eq!(Emulator::<8>::new().handle(&mut cpu, exception), Handled::No);
}
