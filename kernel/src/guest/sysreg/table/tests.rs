use super::{Fate, Row, TrapBit, number, row, rows};
use crate::arch::controls::{Control, Feature, IdRegisters};
use crate::arch::syndrome::Direction;
use crate::guest::sysreg::{Handling, SystemRegister, handling, names};
use crate::testing::unless_interpreted;
use std::vec::Vec;

/// A CPU that has all that any CPU could have.
const EVERYTHING: IdRegisters = IdRegisters {
    pfr0: 0x1111_1111_1111_1111,
    pfr1: 0x1111_1111_1111_1311,
    dfr0: 0x1111_1111_1111_1111,
    isar1: 0x1111_1111_1111_1111,
    isar2: 0x1111_1111_1111_1111,
    mmfr0: 0x1211_1111_1111_1111,
    mmfr1: 0x1111_1111_1111_1111,
    mpam: 1 << 58 | 1 << 17,
    monitors: 31 << 11,
};

fn every() -> impl Iterator<Item = SystemRegister> {
    (0..1_u32 << 15).map(|n| {
        let [op0, op1, crn, crm, op2] = [2 + (n >> 14), n >> 11 & 7, n >> 7 & 0xf, n >> 3 & 0xf, n & 7];
        SystemRegister::new(op0 as u8, op1 as u8, crn as u8, crm as u8, op2 as u8)
    })
}

fn named(name: &str) -> &'static Row {
    rows().find(|row| row.name == name).unwrap_or_else(|| panic!("no row for {name}"))
}

#[test]
fn no_register_has_two_rows() {
    for register in every().step_by(unless_interpreted(1, 97)) {
        let (op0, op1, crn, crm, op2) = register.fields();
        let number = number([op0, op1, crn, crm, op2]);
        let found: Vec<_> = rows().filter(|row| row.has(number)).map(|row| row.name).collect();
        // A register of EL1 that has one of EL2's names is reset, and else out of reach.
        let most =
            if (op0, op1) == (3, 4) && matches!(row(register), Some(Row { fate: Fate::Reset(_), .. })) { 2 } else { 1 };
        assert!(found.len() <= most, "{register}: {found:?}");
    }
}

/// On a CPU with everything, each bit that a row names is as it says.
#[test]
fn what_a_row_says_is_trapped_is_trapped() {
    let holds = |control: Control, bit: u32| control.value(&EVERYTHING).unwrap() >> bit & 1;
    for row in rows() {
        match row.fate {
            Fate::Trapped(TrapBit::Set(control, bit)) => assert_eq!(holds(control, bit), 1, "{}", row.name),
            Fate::Trapped(TrapBit::Clear(control, bit)) => assert_eq!(holds(control, bit), 0, "{}", row.name),
            _ => {}
        }
    }
}

#[test]
fn a_cpu_with_everything_has_every_feature() {
    use Feature::{
        Amu, ExtendedHcr, FineGrained2, LimitedOrdering, Monitors, Mpam, Mte2, Nmi, PointerAuthentication, Profiling,
        Ras, Sme, TraceBuffer, TraceFilter,
    };
    let features = [Amu, ExtendedHcr, FineGrained2, LimitedOrdering, Monitors, Mpam, Mte2, Nmi, PointerAuthentication];
    for feature in features.into_iter().chain([Profiling, Ras, Sme, TraceBuffer, TraceFilter]) {
        assert!(EVERYTHING.has(feature), "{feature:?}");
    }
}

/// What EL2 emulates has a row that says how it comes to be asked.
#[test]
fn what_is_emulated_is_trapped_or_taken_along_by_a_trap() {
    for register in every().filter(|register| handling(*register, Direction::Read) != Handling::Undefined) {
        let row = row(register).unwrap_or_else(|| panic!("{register} has no row"));
        // TID1 takes the first two along, TC the others, and MDSCR_EL1 is reset beside.
        let others = [names::REVIDR_EL1, names::AIDR_EL1, names::ICC_CTLR_EL1, names::ICC_PMR_EL1, names::ICC_RPR_EL1];
        let is_other = others.contains(&register) || register == names::MDSCR_EL1;
        assert!(is_other || matches!(row.fate, Fate::Trapped(_)), "{register}: {row:?}");
    }
}

#[test]
fn registers_with_a_name_have_it_in_their_row() {
    for (register, name) in names::all() {
        let found = row(register).unwrap_or_else(|| panic!("{name} has no row"));
        let is_alone = !found.name.contains(['*', '<', ',', ' ']);
        assert!(!is_alone || found.name == name, "{name} is {}", found.name);
    }
}

#[test]
fn what_leaked_once_is_reset() {
    for (name, feature) in [("DISR_EL1", Feature::Ras), ("VDISR_EL2", Feature::Ras), ("VSESR_EL2", Feature::Ras)] {
        assert_eq!(named(name).fate, Fate::Reset(Some(feature)), "{name}");
    }
    assert_eq!(named("TPIDR2_EL0").fate, Fate::Reset(Some(Feature::Sme)));
}
