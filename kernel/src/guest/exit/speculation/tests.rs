use super::{AtExit, Speculation};
use crate::arch::id_register::IdRegister;
use crate::arch::workarounds::{Firmware, WORKAROUND_1, WORKAROUND_2, WORKAROUND_3, Workaround};
use crate::options::Mitigations;
use core::num::NonZeroU32;
use proptest::prelude::any;
use proptest::{prop_assert, prop_assert_eq, proptest};
use std::string::ToString;

const A57: u64 = 0x411f_d070;
const A53: u64 = 0x410f_d034;
const A73: u64 = 0x410f_d091;
const N1: u64 = 0x413f_d0c1;
/// Nobody's.
const UNKNOWN: u64 = 0x000f_0510;

const ALL: Firmware =
    Firmware { targets: Workaround::Required, stores: Workaround::Required, history: Workaround::Required };
const OLD: Firmware = Firmware { history: Workaround::Absent, ..ALL };
const NONE: Firmware =
    Firmware { targets: Workaround::Absent, stores: Workaround::Absent, history: Workaround::Absent };

/// An ID register's field.
type Field = (IdRegister, u32, u64);

fn csv2(value: u64) -> Field {
    (IdRegister::Pfr0, 56, value)
}

const CLRBHB: Field = (IdRegister::Isar2, 28, 1);
const ECBHB: Field = (IdRegister::Mmfr1, 60, 1);
const SSBS: Field = (IdRegister::Pfr1, 4, 2);

fn chosen(midr: u64, fields: &[Field], firmware: Firmware) -> Speculation {
    let register = |id| fields.iter().filter(|field| field.0 == id).fold(0, |value, field| value | field.2 << field.1);
    Speculation::new(midr, register, firmware, Mitigations::Auto)
}

fn at_exit(midr: u64, fields: &[Field], firmware: Firmware) -> Option<(Option<u32>, u32)> {
    chosen(midr, fields, firmware).at_exit().map(|AtExit { function, rounds }| (function, rounds.get()))
}

#[test]
fn a_cpu_older_than_csv2_needs_the_firmware_for_targets_and_branches_for_history() {
    assert_eq!(at_exit(A57, &[], OLD), Some((Some(WORKAROUND_1), 8)));
    assert_eq!(at_exit(A57, &[], NONE), Some((None, 8)));
    assert_eq!(at_exit(A57, &[], ALL), Some((Some(WORKAROUND_3), 1)), "which does both");
    assert_eq!(at_exit(A57, &[], Firmware { targets: Workaround::NotRequired, ..OLD }), Some((None, 8)));
}

#[test]
fn csv2_separates_targets_and_from_3_on_history() {
    assert_eq!(at_exit(N1, &[csv2(1)], ALL), Some((None, 24)), "no SMC where branches do");
    assert_eq!(at_exit(N1, &[csv2(2)], NONE), Some((None, 24)));
    assert_eq!(at_exit(N1, &[csv2(3)], ALL), None);
    assert_eq!(at_exit(UNKNOWN, &[csv2(3)], NONE), None);
}

#[test]
fn what_the_cpu_has_against_history_is_used() {
    assert_eq!(at_exit(N1, &[csv2(2), ECBHB], ALL), None);
    assert_eq!(at_exit(N1, &[csv2(2), CLRBHB], ALL), Some((None, 1)));
    assert_eq!(at_exit(N1, &[csv2(2), CLRBHB, ECBHB], ALL), None);
    assert_eq!(at_exit(UNKNOWN, &[csv2(1), CLRBHB], NONE), Some((None, 1)));
    assert_eq!(at_exit(UNKNOWN, &[CLRBHB], OLD), Some((Some(WORKAROUND_1), 1)));
}

#[test]
fn a_cpu_without_known_rounds_needs_the_firmware_for_history() {
    assert_eq!(at_exit(A73, &[csv2(1)], ALL), Some((Some(WORKAROUND_3), 1)));
    assert_eq!(at_exit(A73, &[], OLD), Some((Some(WORKAROUND_1), 1)));
    assert_eq!(at_exit(A73, &[csv2(1)], Firmware { history: Workaround::NotRequired, ..ALL }), None);
    assert_eq!(at_exit(UNKNOWN, &[csv2(1)], OLD), None);
}

#[test]
fn cores_that_hardly_speculate_need_nothing() {
    for part in [0xd04, 0xd03, 0xd05, 0xd46, 0xd80] {
        assert_eq!(at_exit(0x410f_0000 | part << 4, &[], ALL), None);
    }
    assert_eq!(at_exit(A53, &[], NONE), None);
    assert_eq!(at_exit(0x420f_1000, &[], ALL), None, "Brahma-B53");
    assert_eq!(at_exit(0x510f_8030, &[], ALL), None, "Kryo 3xx silver");
    // The same part number of another maker's.
    assert_eq!(at_exit(0x480f_d030, &[csv2(1)], ALL), Some((Some(WORKAROUND_3), 1)));
}

#[test]
fn nothing_is_done_if_so_chosen() {
    let off = Speculation::new(A57, |_| 0, ALL, Mitigations::Off);
    assert_eq!(off.at_exit(), None);
    assert!(off.holds_loads_back(), "that costs no exit");
    assert!([WORKAROUND_1, WORKAROUND_3].iter().all(|&function| off.offers(function) && off.is_forwarded(function)));
}

#[test]
fn a_guest_is_told_what_the_firmware_says() {
    let features =
        |speculation: Speculation| [WORKAROUND_1, WORKAROUND_2, WORKAROUND_3].map(|id| speculation.feature(id));
    assert_eq!(features(chosen(A57, &[], ALL)), [Some(0), Some(-2), Some(0)]);
    assert_eq!(features(chosen(A57, &[], NONE)), [None; 3]);
    assert_eq!(features(chosen(N1, &[csv2(2), SSBS], ALL)), [Some(1), None, Some(0)], "CSV2 and SSBS");
    assert_eq!(features(chosen(UNKNOWN, &[csv2(3)], NONE)), [Some(1), None, Some(1)], "though it sees CSV2 of 1");
    let not_required = Firmware {
        targets: Workaround::NotRequired,
        stores: Workaround::NotRequired,
        history: Workaround::NotRequired,
    };
    assert_eq!(features(chosen(A57, &[], not_required)), [Some(1), Some(-2), Some(1)]);
    assert_eq!(chosen(A57, &[], ALL).feature(0x8000_0002), None);
}

#[test]
fn a_call_is_forwarded_unless_the_exit_called_as_much() {
    let both = chosen(A57, &[], ALL);
    assert!(!both.is_forwarded(WORKAROUND_1) && !both.is_forwarded(WORKAROUND_3));
    let targets = chosen(A57, &[], OLD);
    assert!(!targets.is_forwarded(WORKAROUND_1) && !targets.offers(WORKAROUND_3));
    let branches = chosen(N1, &[csv2(1)], ALL);
    assert!(!branches.is_forwarded(WORKAROUND_1), "CSV2 says that there is nothing to do");
    assert!(branches.is_forwarded(WORKAROUND_3), "the exit did without the firmware");
}

#[test]
fn answers_of_the_firmware_are_understood() {
    let answers = [0, 1, -1, -2, -3, i32::MIN, 2].map(Workaround::from_answer);
    let (absent, none, some) = (Workaround::Absent, Workaround::NotRequired, Workaround::Required);
    assert_eq!(answers, [some, none, absent, none, absent, absent, absent]);
}

#[test]
fn the_report_says_what_is_done_and_what_is_not() {
    for (speculation, words) in [
        (chosen(A53, &[], NONE), "leave the branch predictor as it is"),
        (
            chosen(A57, &[], NONE),
            "clear the branch history by 8 rounds of branches; branch targets stay, as the firmware has no \
             SMCCC_ARCH_WORKAROUND_1",
        ),
        (chosen(A57, &[], OLD), "call SMCCC_ARCH_WORKAROUND_1 and clear the branch history by 8 rounds of branches"),
        (chosen(A57, &[], ALL), "call SMCCC_ARCH_WORKAROUND_3"),
        (chosen(N1, &[csv2(2), CLRBHB], ALL), "clear the branch history by CLRBHB"),
        (
            chosen(A73, &[], OLD),
            "call SMCCC_ARCH_WORKAROUND_1; branch history stays, as the firmware has no SMCCC_ARCH_WORKAROUND_3",
        ),
    ] {
        assert_eq!(speculation.to_string(), words);
    }
}

proptest! {
    /// Only a function that the firmware has is called, and a CPU that says it is safe pays nothing.
    #[test]
    fn no_call_leads_nowhere(midr in any::<u64>(), registers in any::<[u64; 4]>(), answers in any::<[u8; 3]>()) {
        let register = |id| match id {
            IdRegister::Pfr0 => registers[0],
            IdRegister::Pfr1 => registers[1],
            IdRegister::Isar2 => registers[2],
            _ => registers[3],
        };
        let [targets, stores, history] = answers.map(|answer| Workaround::from_answer(i32::from(answer % 4) - 2));
        let firmware = Firmware { targets, stores, history };
        for midr in [midr, A57, A73, N1] {
            let speculation = Speculation::new(midr, register, firmware, Mitigations::Auto);
            let at_exit = speculation.at_exit();
            match at_exit.and_then(|at_exit| at_exit.function) {
                Some(WORKAROUND_1) => prop_assert_eq!(targets, Workaround::Required),
                Some(function) => prop_assert_eq!((function, history), (WORKAROUND_3, Workaround::Required)),
                None => {}
            }
            prop_assert!(registers[0] >> 56 & 0xf < 3 || at_exit.is_none());
            prop_assert!(at_exit.is_none_or(|at_exit| at_exit.rounds >= NonZeroU32::MIN));
        }
    }
}
