use super::{AT_START, Control, Feature, IdRegisters};
use proptest::prelude::any;
use proptest::{prop_assert, prop_assert_eq, prop_compose, proptest};
use std::vec::Vec;

/// A CPU of Armv8.0 with nothing that was optional.
pub(crate) const OLD: IdRegisters = IdRegisters {
    pfr0: 0x0100_0011,
    pfr1: 0,
    dfr0: 0x1030_5106,
    isar1: 0,
    isar2: 0,
    mmfr0: 0x1124,
    mmfr1: 0,
    mpam: 0,
    monitors: 0x4101_3000,
};

/// A register, to be changed.
type Register = fn(&mut IdRegisters) -> &mut u64;

/// The field of each feature: its register and lowest bit, and the value from which the feature is there.
const FIELDS: [(Feature, Register, u32, u64); 15] = [
    (Feature::PointerAuthentication, |id| &mut id.isar1, 4, 1),
    (Feature::Ras, |id| &mut id.pfr0, 28, 1),
    (Feature::Amu, |id| &mut id.pfr0, 44, 1),
    (Feature::Mpam, |id| &mut id.pfr0, 40, 1),
    (Feature::Mte2, |id| &mut id.pfr1, 8, 2),
    (Feature::Sme, |id| &mut id.pfr1, 24, 1),
    (Feature::Nmi, |id| &mut id.pfr1, 36, 1),
    (Feature::Monitors, |id| &mut id.dfr0, 8, 1),
    (Feature::Profiling, |id| &mut id.dfr0, 32, 1),
    (Feature::TraceFilter, |id| &mut id.dfr0, 40, 1),
    (Feature::TraceBuffer, |id| &mut id.dfr0, 44, 1),
    (Feature::FineGrained, |id| &mut id.mmfr0, 56, 1),
    (Feature::FineGrained2, |id| &mut id.mmfr0, 56, 2),
    (Feature::LimitedOrdering, |id| &mut id.mmfr1, 16, 1),
    (Feature::ExtendedHcr, |id| &mut id.mmfr1, 40, 1),
];

/// What an old CPU has, and `features`.
pub(crate) fn with(features: &[Feature]) -> IdRegisters {
    let mut id = OLD;
    for (_, register, shift, value) in FIELDS.iter().filter(|(feature, ..)| features.contains(feature)) {
        *register(&mut id) |= value << shift;
    }
    id
}

/// The bits of `control` that `feature` alone sets.
fn adds(feature: Feature, control: Control) -> u64 {
    let [without, with] = [OLD, with(&[feature])].map(|id| control.value(&id).unwrap());
    assert_eq!(with & without, without, "{feature:?} takes a bit of {control:?} away");
    with & !without
}

fn existing(id: &IdRegisters) -> Vec<Control> {
    AT_START.into_iter().filter(|control| control.value(id).is_some()).collect()
}

/// Each bit by hand, from the descriptions of the registers in DDI 0487.
#[test]
fn on_an_old_cpu_what_armv8_0_has_is_trapped() {
    assert_eq!(Control::Hcr.value(&OLD), Some(0x803c_063f));
    assert_eq!(Control::Cptr.value(&OLD), Some(0x10_33ff));
    assert_eq!(Control::Mdcr.value(&OLD), Some(0xe66), "6 counters");
    assert_eq!(Control::Cnthctl.value(&OLD), Some(3));
    assert_eq!(Control::Hstr.value(&OLD), Some(0));
    assert_eq!(existing(&OLD), [Control::Cptr, Control::Mdcr, Control::Hstr, Control::Cnthctl]);
}

#[test]
fn each_feature_has_its_bits_in_the_controls_that_always_exist() {
    assert_eq!(adds(Feature::PointerAuthentication, Control::Hcr), 1 << 41 | 1 << 40);
    assert_eq!(adds(Feature::LimitedOrdering, Control::Hcr), 1 << 35, "TLOR");
    assert_eq!(adds(Feature::Ras, Control::Hcr), 1 << 36, "TERR");
    assert_eq!(adds(Feature::Mte2, Control::Hcr), 1 << 58, "TID5");
    assert_eq!(adds(Feature::Sme, Control::Hcr), 1 << 16, "TID1");
    assert_eq!(adds(Feature::Amu, Control::Cptr), 1 << 30, "TAM");
    assert_eq!(adds(Feature::TraceFilter, Control::Mdcr), 1 << 19, "TTRF");
    assert_eq!(adds(Feature::Profiling, Control::Mdcr), 1 << 14, "TPMS");
    for (feature, ..) in FIELDS {
        let all = [Control::Hcr, Control::Cptr, Control::Mdcr].map(|control| adds(feature, control));
        let expected = match feature {
            Feature::PointerAuthentication | Feature::LimitedOrdering | Feature::Ras => 1,
            Feature::Mte2 | Feature::Sme | Feature::Amu | Feature::TraceFilter | Feature::Profiling => 1,
            _ => 0,
        };
        assert_eq!(all.iter().filter(|bits| **bits != 0).count(), expected, "{feature:?}");
    }
}

#[test]
fn controls_that_are_traps_of_one_feature_for_another_need_both() {
    let hcrx = |features: &[Feature]| Control::Hcrx.value(&with(features));
    assert_eq!(hcrx(&[Feature::Nmi]), None);
    assert_eq!(hcrx(&[Feature::ExtendedHcr]), Some(0));
    assert_eq!(hcrx(&[Feature::ExtendedHcr, Feature::Nmi]), Some(1 << 6), "TALLINT");
    let hdfgrtr = |features: &[Feature]| Control::Hdfgrtr.value(&with(features));
    assert_eq!(hdfgrtr(&[Feature::Profiling, Feature::TraceBuffer]), None);
    assert_eq!(hdfgrtr(&[Feature::FineGrained]), Some(0));
    assert_eq!(hdfgrtr(&[Feature::FineGrained, Feature::Profiling]), Some(1 << 63), "PMBIDR_EL1");
    assert_eq!(hdfgrtr(&[Feature::FineGrained, Feature::TraceBuffer]), Some(1 << 51), "TRBIDR_EL1");
    let hafgrtr = |features: &[Feature]| Control::Hafgrtr.value(&with(features));
    assert_eq!([hafgrtr(&[Feature::Amu]), hafgrtr(&[Feature::FineGrained])], [None; 2]);
    assert_eq!(hafgrtr(&[Feature::Amu, Feature::FineGrained]), Some(0));
}

#[test]
fn fine_grained_traps_are_written_where_they_exist_and_nowhere_else() {
    use Control::{
        Cnthctl, Cptr, Hdfgrtr, Hdfgrtr2, Hdfgwtr, Hdfgwtr2, Hfgitr, Hfgitr2, Hfgrtr, Hfgrtr2, Hfgwtr, Hfgwtr2, Hstr,
        Mdcr,
    };
    let first = [Cptr, Mdcr, Hstr, Cnthctl, Hfgrtr, Hfgwtr, Hfgitr, Hdfgrtr, Hdfgwtr];
    assert_eq!(existing(&with(&[Feature::FineGrained])), first);
    let second = [Hfgrtr2, Hfgwtr2, Hfgitr2, Hdfgrtr2, Hdfgwtr2];
    assert_eq!(existing(&with(&[Feature::FineGrained2])), [&first[..], &second].concat());
}

#[test]
fn partitions_are_trapped_in_the_way_that_the_cpu_has() {
    let id = |mpam| IdRegisters { mpam, ..with(&[Feature::Mpam]) };
    let both = |id| (Control::Mpam2.value(&id), Control::Mpamhcr.value(&id));
    assert_eq!(both(OLD), (None, None));
    assert_eq!(both(id(0)), (Some(3 << 48), None));
    assert_eq!(both(id(1 << 17)), (Some(3 << 48), Some(1 << 31)), "HAS_HCR");
    assert_eq!(both(id(1 << 58)), (Some(1 << 58 | 3 << 48), None), "HAS_TIDR");
    let fraction = IdRegisters { pfr1: 1 << 16, ..OLD };
    assert!(fraction.has(Feature::Mpam), "version 0.1");
}

#[test]
fn a_guest_may_have_as_many_counters_as_there_are() {
    let counters = |dfr0, n: u64| {
        let id = IdRegisters { dfr0, monitors: n << 11, ..OLD };
        Control::Mdcr.value(&id).map(|value| value & 0x1f)
    };
    assert_eq!([0, 1, 31].map(|n| counters(1 << 8, n)), [Some(0), Some(1), Some(31)]);
    assert_eq!([0, 0xf].map(|version| counters(version << 8, 6)), [Some(0); 2], "none of Arm's");
}

prop_compose! {
    fn any_registers()(registers in any::<[u64; 9]>()) -> IdRegisters {
        let [pfr0, pfr1, dfr0, isar1, isar2, mmfr0, mmfr1, mpam, monitors] = registers;
        IdRegisters { pfr0, pfr1, dfr0, isar1, isar2, mmfr0, mmfr1, mpam, monitors }
    }
}

proptest! {
    /// A feature is there exactly if the field that DDI 0487 names says so, or one that stands for the same.
    #[test]
    fn features_are_what_the_fields_say(id in any_registers()) {
        for (feature, register, shift, least) in FIELDS {
            let mut copy = id;
            let mut field = *register(&mut copy) >> shift & 0xf;
            let other = |register: u64, shift: u32| register >> shift & 0xf;
            field |= match feature {
                Feature::PointerAuthentication => {
                    let keys = [other(id.isar1, 8), other(id.isar1, 24), other(id.isar1, 28)];
                    keys[0] | keys[1] | keys[2] | other(id.isar2, 8) | other(id.isar2, 12)
                }
                Feature::Mpam => other(id.pfr1, 16),
                Feature::TraceBuffer => other(id.dfr0, 56),
                _ => 0,
            };
            let is_foreign = feature == Feature::Monitors && field == 0xf;
            prop_assert_eq!(id.has(feature), field >= least && !is_foreign, "{:?}", feature);
        }
    }

    /// Whatever a CPU says, what is trapped everywhere stays trapped, and nothing that would open EL2 is set.
    #[test]
    fn no_id_register_takes_a_trap_away(id in any_registers()) {
        for control in [Control::Hcr, Control::Cptr] {
            let (always, value) = (control.value(&OLD).unwrap(), control.value(&id).unwrap());
            prop_assert_eq!(value & always, always, "{:?}", control);
        }
        // TGE, E2H, ATA, EnSCXT, FIEN and NV stay 0.
        let open = 1 << 27 | 1 << 34 | 1 << 56 | 1 << 53 | 1 << 47 | 1 << 42;
        prop_assert_eq!(Control::Hcr.value(&id).unwrap() & open, 0);
        // E2PB, E2TB, EnSPM and EnSTEPOP stay 0.
        let open = 3 << 12 | 3 << 24 | 1 << 15 | 1 << 50;
        let debug = Control::Mdcr.value(&id).unwrap();
        prop_assert!(debug & open == 0 && debug & 0xe60 == 0xe60, "{:#x}", debug);
    }
}
