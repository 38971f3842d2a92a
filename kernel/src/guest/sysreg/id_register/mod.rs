//! The values of the machine's ID registers that a guest sees.
//!
//! A field stays if its feature works at EL1 and EL0 with nothing done for it at EL2, and at most with the highest
//! value for which that is known. All else reads as 0, which in nearly every field means "not implemented": features
//! that need EL2's help, those of EL2 itself, reserved fields and registers, and future ones.
//!
//! Relies on: HCR_EL2.API and APK are set, so pointer authentication is not trapped, and its keys are the guest's;
//! HCR_EL2.TID3 is set, or this filter is not used. HCRX_EL2, where it exists, is 0, and CPTR_EL2 traps SVE and SME.
//!
//! Fields are those of DDI 0487, D24.2, by their lowest bit; each has 4 bits.

mod fields;

pub(super) use fields::{BREAKPOINTS, WATCHPOINTS};

use super::{SystemRegister, names};
use crate::arch::id_register::IdRegister;

impl IdRegister {
    /// The register with this encoding, or `None` if nothing of it stays.
    pub const fn of(register: SystemRegister) -> Option<Self> {
        match register {
            names::REVIDR_EL1 => Some(Self::Revision),
            names::AIDR_EL1 => Some(Self::Auxiliary),
            names::ID_AA64PFR0_EL1 => Some(Self::Pfr0),
            names::ID_AA64PFR1_EL1 => Some(Self::Pfr1),
            names::ID_AA64DFR0_EL1 => Some(Self::Dfr0),
            names::ID_AA64ISAR0_EL1 => Some(Self::Isar0),
            names::ID_AA64ISAR1_EL1 => Some(Self::Isar1),
            names::ID_AA64ISAR2_EL1 => Some(Self::Isar2),
            names::ID_AA64MMFR0_EL1 => Some(Self::Mmfr0),
            names::ID_AA64MMFR1_EL1 => Some(Self::Mmfr1),
            names::ID_AA64MMFR2_EL1 => Some(Self::Mmfr2),
            _ => None,
        }
    }

    const fn fields(self) -> &'static [(u32, Rule)] {
        match self {
            Self::Revision | Self::Auxiliary => fields::WHOLE,
            Self::Pfr0 => fields::PFR0,
            Self::Pfr1 => fields::PFR1,
            Self::Dfr0 => fields::DFR0,
            Self::Isar0 => fields::ISAR0,
            Self::Isar1 => fields::ISAR1,
            Self::Isar2 => fields::ISAR2,
            Self::Mmfr0 => fields::MMFR0,
            Self::Mmfr1 => fields::MMFR1,
            Self::Mmfr2 => fields::MMFR2,
        }
    }
}

/// Whether the register belongs to ID group 3, whose reads HCR_EL2.TID3 traps, whether there is such a register or not.
pub(super) const fn in_group(register: SystemRegister) -> bool {
    matches!(register.fields(), (3, 0, 0, 1..=7, _))
}

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Rule {
    /// It stays, up to this value. (DDI 0487, D24.1.3, "Principles of the ID scheme": higher values include lower
    /// ones.)
    UpTo(u64),
    /// The same for a signed field: 0b1111 means "not implemented", and stays.
    SignedUpTo(u64),
    /// It says this, whatever the hardware says.
    Says(u64),
    /// The width of physical addresses: it stays, up to what covers the guest's.
    AddressWidth,
}

const FIELD_MASK: u64 = 0xf;
const NOT_IMPLEMENTED: u64 = 0b1111;

/// What the guest sees of `hardware`, the value of `id` on the CPU that it runs on.
///
/// Its physical addresses have `address_bits`: what stage 2 translates.
pub fn filtered(id: IdRegister, hardware: u64, address_bits: u32) -> u64 {
    id.fields().iter().fold(0, |value, &(shift, rule)| {
        let field = hardware >> shift & FIELD_MASK;
        let field = match rule {
            Rule::UpTo(highest) => field.min(highest),
            Rule::SignedUpTo(_) if field == NOT_IMPLEMENTED => NOT_IMPLEMENTED,
            Rule::SignedUpTo(highest) => field.min(highest),
            Rule::Says(value) => value,
            Rule::AddressWidth => field.min(address_width(address_bits)),
        };
        value | field << shift
    })
}

/// The least PARange that covers `bits`: one too low would put RAM out of the guest's reach, while beyond what stage 2
/// translates there is only nothing.
fn address_width(bits: u32) -> u64 {
    /// What PARange stands for, from 0 on, without the widths that need another format of tables.
    const WIDTHS: [u32; 6] = [32, 36, 40, 42, 44, 48];
    let covering = WIDTHS.iter().position(|&width| width >= bits);
    covering.unwrap_or(WIDTHS.len() - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::{SystemRegister, filtered, names};
    use crate::arch::id_register::IdRegister;
    use proptest::prelude::any;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    fn every() -> impl Iterator<Item = IdRegister> {
        let encodings = (1..8).flat_map(|crm| (0..8).map(move |op2| SystemRegister::new(3, 0, 0, crm, op2)));
        encodings.chain([names::REVIDR_EL1, names::AIDR_EL1]).filter_map(IdRegister::of)
    }

    fn field(value: u64, shift: u32) -> u64 {
        value >> shift & 0xf
    }

    /// The values of a Cortex-A72 in its technical reference manual, 100095, 4.3.
    #[test]
    fn of_an_old_core_all_stays_but_its_exception_levels_and_debug() {
        assert_eq!(filtered(IdRegister::Pfr0, 0x0000_2222, 40), 0x0000_0011);
        assert_eq!(filtered(IdRegister::Isar0, 0x0001_1120, 40), 0x0001_1120);
        assert_eq!(filtered(IdRegister::Mmfr0, 0x0000_1124, 44), 0x0000_0124);
        assert_eq!(filtered(IdRegister::Dfr0, 0x1030_5106, 40), 0x00f0_0010_1006);
    }

    #[test]
    fn features_that_need_el2_are_hidden() {
        let all = |id| filtered(id, u64::MAX, 48);
        let pfr0 = all(IdRegister::Pfr0);
        assert_eq!(pfr0, 0x1101_0000_01ff_0011);
        assert_eq!(all(IdRegister::Pfr1), 0x1_0000_0021);
        assert_eq!(all(IdRegister::Dfr0), 0x00f0_0010_1006);
        assert_eq!(field(all(IdRegister::Isar1), 60), 0, "LS64");
        assert_eq!(field(all(IdRegister::Isar2), 16), 0, "MOPS");
        assert_eq!(all(IdRegister::Mmfr0) >> 48, 0, "FGT and ECV");
        assert_eq!([8, 16, 28, 40].map(|shift| field(all(IdRegister::Mmfr1), shift)), [0; 4], "VH, LO, XNX and HCX");
        assert_eq!([24, 40, 56].map(|shift| field(all(IdRegister::Mmfr2), shift)), [0; 3], "NV, FWB and EVT");
    }

    #[test]
    fn a_core_without_floating_point_or_a_granule_says_so() {
        assert_eq!(filtered(IdRegister::Pfr0, 0x00ff_0022, 40), 0x00ff_0011);
        assert_eq!(filtered(IdRegister::Mmfr0, 0xff00_0000, 40), 0xff00_0000);
    }

    #[test]
    fn pointer_authentication_stays() {
        assert_eq!(filtered(IdRegister::Isar1, 0x0100_0050, 40), 0x0100_0050);
        assert_eq!(filtered(IdRegister::Isar2, 0x0100_5100, 40), 0x0100_5100);
    }

    #[test]
    fn addresses_are_as_wide_as_stage_2_translates() {
        let range = |hardware, bits| filtered(IdRegister::Mmfr0, hardware, bits) & 0xf;
        assert_eq!([0, 32, 33, 36, 39, 40, 44, 48, 52].map(|bits| range(6, bits)), [0, 0, 1, 1, 2, 2, 4, 5, 5]);
        assert_eq!(range(2, 48), 2, "nor wider than the CPU's");
    }

    #[test]
    fn the_revision_goes_with_the_cpu_s_identity() {
        for id in [IdRegister::Revision, IdRegister::Auxiliary] {
            assert_eq!(filtered(id, 0xfedc_ba98_7654_3210, 48), 0xfedc_ba98_7654_3210, "{id:?}");
        }
    }

    #[test]
    fn all_registers_are_found() {
        assert_eq!(every().count(), 11);
    }

    proptest! {
        /// A filter takes away and never adds, but for the fields that it sets; and a guest's guest would see the same.
        #[test]
        fn a_filter_only_takes_away(hardware in any::<u64>(), bits in 32u32..49) {
            for id in every() {
                let once = filtered(id, hardware, bits);
                prop_assert_eq!(filtered(id, once, bits), once);
                for shift in (0..64).step_by(4) {
                    let set = matches!((id, shift), (IdRegister::Dfr0, 0 | 12 | 20 | 36) | (IdRegister::Pfr0, 0 | 4));
                    prop_assert!(set || field(once, shift) <= field(hardware, shift), "{id:?} at {shift}");
                }
            }
        }
    }
}
