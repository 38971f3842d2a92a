//! A guest's firmware calls: PSCI 1.1, and the part of SMCCC 1.1 that it requires.
//!
//! A guest's HVC or SMC is decoded here. [`call`] answers it, or names the operation that only the caller can perform;
//! it changes nothing itself. PSCI_VERSION is answered before anything is decoded, since benchmarks measure the round
//! trip to the hypervisor with it.
//!
//! Implemented are the mandatory functions of PSCI 1.1, and CPU_SUSPEND down to standby: a waiting vCPU needs no lower
//! state. The workarounds of SMCCC are implemented where the machine's firmware has them ([`Speculation`]): a guest on
//! a CPU that is older than ID_AA64PFR0_EL1.CSV2 cannot find out otherwise whether it needs one.
//!
//! Function IDs and arguments are decoded by the crate `arm-psci` (DEN0022, 5.1; SMCCC's own: DEN0028, 7).

use crate::base::addr::GuestAddr;
use crate::guest::exit::speculation::Speculation;
use arm_psci::{
    AffinityInfo, EntryPoint, ErrorCode, FeatureFlagsCpuSuspend, Function, FunctionId, MigrateInfoType, Mpidr,
    PowerState, PsciFeature, ResetType,
};

/// PSCI_VERSION, on the shortest way.
const PSCI_VERSION: u32 = FunctionId::PsciVersion as u32;
/// SMCCC_VERSION (DEN0028, 7.2).
const SMCCC_VERSION: u32 = 0x8000_0000;
/// SMCCC_ARCH_FEATURES (DEN0028, 7.3).
const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;

/// The version of PSCI: major from bit 16 on, minor below.
const PSCI_1_1: u64 = 1 << 16 | 1;
/// The version of SMCCC, laid out alike: the one that PSCI 1.1 lets a guest find out.
const SMCCC_1_1: u64 = 1 << 16 | 1;
/// Success, and that a function exists that has no flags.
const SUCCESS: u64 = 0;

/// Instructions have 4 bytes, and an entry point is one.
const INSTRUCTION_ALIGN: u64 = 4;

/// What is to be done about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallAnswer {
    /// Return this in X0.
    Return(u64),
    /// Start the vCPU that has these affinity fields, which is off, and return 0 in X0.
    CpuOn {
        /// Aff3 to Aff0, where MPIDR_EL1 has them.
        affinity: u64,
        /// Its first instruction, at a multiple of 4.
        entry: GuestAddr,
        /// What it finds in X0.
        context: u64,
    },
    /// Stop this vCPU until another one starts it. Nothing is returned.
    CpuOff,
    /// Let this vCPU wait for an interrupt, as WFI does, and return 0 in X0.
    Suspend,
    /// Carry out this workaround of the firmware's, and return 0 in X0.
    Workaround {
        /// The function ID.
        function: u32,
    },
    /// Stop the guest.
    Off,
    /// Start the guest anew.
    Reset,
    /// There is no such function: return [`NOT_SUPPORTED`] in X0. That is how a guest finds out, and no reason for
    /// alarm.
    NotSupported {
        /// The function ID.
        id: u32,
    },
}

/// NOT_SUPPORTED, -1, of PSCI and SMCCC alike. A function with the 32-bit convention returns it in W0.
pub const NOT_SUPPORTED: u64 = u64::MAX;

/// What to do about a call with X0 to X3 in `arguments`, on a CPU with the workarounds of `speculation`.
///
/// `state` tells the state of the guest's vCPUs that share certain affinity fields, which stand where MPIDR_EL1 has them and
/// have 0 around them, from a level on, 0 to 3; `None` if there is no such vCPU. It is asked by CPU_ON, for level 0, and by
/// AFFINITY_INFO, once.
#[inline]
pub fn call(
    arguments: &[u64; 4],
    speculation: &Speculation,
    state: impl FnOnce(u64, u32) -> Option<AffinityInfo>,
) -> CallAnswer {
    // The function ID is W0 (DEN0028, 2.5).
    let id = arguments[0] as u32;
    if id == PSCI_VERSION {
        return CallAnswer::Return(PSCI_1_1);
    }
    general(id, arguments, speculation, state)
}

/// All but the function that has to be fast.
#[cold]
fn general(
    id: u32,
    arguments: &[u64; 4],
    speculation: &Speculation,
    state: impl FnOnce(u64, u32) -> Option<AffinityInfo>,
) -> CallAnswer {
    match id {
        SMCCC_VERSION => CallAnswer::Return(SMCCC_1_1),
        SMCCC_ARCH_FEATURES => CallAnswer::Return(architecture_feature(arguments[1] as u32, speculation)),
        function if speculation.offers(function) => CallAnswer::Workaround { function },
        // Before its arguments are looked at: those of a function that is not there cannot be wrong.
        _ if !FunctionId::try_from(id).is_ok_and(is_offered) => CallAnswer::NotSupported { id },
        _ => match Function::try_from(arguments) {
            Ok(function) => perform(id, function, state),
            Err(error) => failure(error.into()),
        },
    }
}

/// Whether the guest may call the function. PSCI_FEATURES says so too.
const fn is_offered(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::PsciVersion
            | FunctionId::PsciFeatures
            | FunctionId::CpuSuspend32
            | FunctionId::CpuSuspend64
            | FunctionId::CpuOff
            | FunctionId::CpuOn32
            | FunctionId::CpuOn64
            | FunctionId::AffinityInfo32
            | FunctionId::AffinityInfo64
            | FunctionId::MigrateInfoType
            | FunctionId::SystemOff
            | FunctionId::SystemReset
            | FunctionId::SystemReset232
            | FunctionId::SystemReset264
    )
}

/// The function `id`, which [`is_offered`].
fn perform(id: u32, function: Function, state: impl FnOnce(u64, u32) -> Option<AffinityInfo>) -> CallAnswer {
    match function {
        Function::Version => CallAnswer::Return(PSCI_1_1),
        Function::Features { psci_func_id } => CallAnswer::Return(feature(psci_func_id)),
        Function::CpuOn { target_cpu, entry } => cpu_on(target_cpu, entry, state),
        Function::CpuOff => CallAnswer::CpuOff,
        Function::CpuSuspend { state: PowerState::StandbyOrRetention(_), .. } => CallAnswer::Suspend,
        Function::CpuSuspend { state: PowerState::PowerDown(_), .. } => failure(ErrorCode::InvalidParameters),
        Function::AffinityInfo { lowest_affinity_level: 4.., .. } => failure(ErrorCode::InvalidParameters),
        Function::AffinityInfo { mpidr, lowest_affinity_level } => match state(mpidr.into(), lowest_affinity_level) {
            Some(info) => CallAnswer::Return(u32::from(info).into()),
            None => failure(ErrorCode::InvalidParameters),
        },
        // There is no Trusted OS that would have to move.
        Function::MigrateInfoType => CallAnswer::Return(u32::from(MigrateInfoType::MigrationNotRequired).into()),
        Function::SystemOff => CallAnswer::Off,
        Function::SystemReset => CallAnswer::Reset,
        // A vendor's types of reset are not supported (DEN0022, 5.1.12).
        Function::SystemReset2 { reset_type: ResetType::Architectural(_), .. } => CallAnswer::Reset,
        Function::SystemReset2 { reset_type: ResetType::VendorSpecific(_), .. } => {
            failure(ErrorCode::InvalidParameters)
        }
        _ => CallAnswer::NotSupported { id },
    }
}

fn cpu_on(target: Mpidr, entry: EntryPoint, state: impl FnOnce(u64, u32) -> Option<AffinityInfo>) -> CallAnswer {
    let affinity = u64::from(target);
    let address = GuestAddr::new(entry.entry_point_address());
    match state(affinity, 0) {
        None => failure(ErrorCode::InvalidParameters),
        Some(AffinityInfo::On) => failure(ErrorCode::AlreadyOn),
        Some(AffinityInfo::OnPending) => failure(ErrorCode::OnPending),
        Some(AffinityInfo::Off) if !address.is_aligned(INSTRUCTION_ALIGN) => failure(ErrorCode::InvalidAddress),
        Some(AffinityInfo::Off) => CallAnswer::CpuOn { affinity, entry: address, context: entry.context_id() },
    }
}

/// What PSCI_FEATURES says of a function.
fn feature(id: PsciFeature) -> u64 {
    match id {
        // Power states are in the extended format, and the platform coordinates them.
        PsciFeature::PsciFunction(FunctionId::CpuSuspend32 | FunctionId::CpuSuspend64) => {
            u32::from(FeatureFlagsCpuSuspend::EXTENDED_POWER_STATE).into()
        }
        PsciFeature::PsciFunction(id) if is_offered(id) => SUCCESS,
        PsciFeature::PsciFunction(_) => NOT_SUPPORTED,
        PsciFeature::SmcccVersion => SUCCESS,
    }
}

/// What SMCCC_ARCH_FEATURES says of a function.
fn architecture_feature(id: u32, speculation: &Speculation) -> u64 {
    match id {
        SMCCC_VERSION | SMCCC_ARCH_FEATURES => SUCCESS,
        _ => speculation.feature(id).map_or(NOT_SUPPORTED, |answer| i64::from(answer) as u64),
    }
}

fn failure(code: ErrorCode) -> CallAnswer {
    CallAnswer::Return(code.into())
}

#[cfg(test)]
mod tests {
    use super::{CallAnswer, NOT_SUPPORTED, call};
    use crate::arch::workarounds::{Firmware, Workaround};
    use crate::base::addr::GuestAddr;
    use crate::guest::exit::speculation::Speculation;
    use crate::options::Mitigations;
    use arm_psci::AffinityInfo;
    use proptest::prelude::any;
    use proptest::proptest;

    const INVALID_PARAMETERS: CallAnswer = CallAnswer::Return(-2i64 as u64);
    const ALREADY_ON: CallAnswer = CallAnswer::Return(-4i64 as u64);
    const ON_PENDING: CallAnswer = CallAnswer::Return(-5i64 as u64);
    const INVALID_ADDRESS: CallAnswer = CallAnswer::Return(-9i64 as u64);

    /// A guest of three vCPUs: 0 is on, 1 is off, 2 is on its way; and one at 1.0.0.0.
    fn state(affinity: u64, level: u32) -> Option<AffinityInfo> {
        if level > 0 {
            // 0 is on, in the same cluster as the others at Aff3 0.
            return (affinity >> (8 * level) == 0).then_some(AffinityInfo::On);
        }
        match affinity {
            0 => Some(AffinityInfo::On),
            1 | 0x1_0000_0000 => Some(AffinityInfo::Off),
            2 => Some(AffinityInfo::OnPending),
            _ => None,
        }
    }

    fn ask(x0: u64, x1: u64, x2: u64, x3: u64) -> CallAnswer {
        ask_with(Firmware::default(), [x0, x1, x2, x3])
    }

    fn ask_with(firmware: Firmware, arguments: [u64; 4]) -> CallAnswer {
        call(&arguments, &Speculation::new(0, |_| 0, firmware, Mitigations::Auto), state)
    }

    #[test]
    fn versions_are_those_that_are_offered() {
        assert_eq!(ask(0x8400_0000, 0, 0, 0), CallAnswer::Return(0x1_0001));
        assert_eq!(ask(0x8000_0000, 0, 0, 0), CallAnswer::Return(0x1_0001));
        assert_eq!(
            ask(0xffff_ffff_8400_0000, 0, 0, 0),
            CallAnswer::Return(0x1_0001),
            "the upper half of X0 says nothing"
        );
    }

    #[test]
    fn what_does_not_exist_is_not_supported() {
        // MIGRATE, SYSTEM_SUSPEND, TRNG_VERSION, stolen time, no fast call, PSCI 0.1.
        let none = [0x8400_0005, 0xc400_000e, 0x8400_0050, 0xc500_0020, 0x0400_0000, 0x95c1_ba5e, 0];
        for id in none {
            assert_eq!(ask(id, u64::MAX, u64::MAX, u64::MAX), CallAnswer::NotSupported { id: id as u32 });
        }
        assert_eq!(NOT_SUPPORTED as i64, -1);
    }

    #[test]
    fn features_are_true_of_every_function() {
        for id in (0x8400_0000u64..0x8400_0020).chain(0xc400_0000..0xc400_0020).chain([0, 0x8000_0000, 0x8000_0001]) {
            let told = ask(0x8400_000a, id, 0, 0);
            let exists = !matches!(ask(id, 0, 0, 0), CallAnswer::NotSupported { .. });
            let expected = match id {
                // SMCCC_ARCH_FEATURES says so itself: PSCI knows but one function of SMCCC.
                0x8000_0001 => NOT_SUPPORTED,
                0x8400_0001 | 0xc400_0001 => 2,
                _ if exists => 0,
                _ => NOT_SUPPORTED,
            };
            assert_eq!(told, CallAnswer::Return(expected), "{id:#x}");
        }
        for id in [0x8000_0000, 0x8000_0001] {
            assert_eq!(ask(0x8000_0001, id, 0, 0), CallAnswer::Return(0));
        }
        // SMCCC_ARCH_SOC_ID, and SMCCC_ARCH_WORKAROUND_1, _2 and _3.
        for id in [0x8000_0002, 0x8000_8000, 0x8000_7fff, 0x8000_3fff] {
            assert_eq!(ask(0x8000_0001, id, 0, 0), CallAnswer::Return(NOT_SUPPORTED));
            assert_eq!(ask(id, 0, 0, 0), CallAnswer::NotSupported { id: id as u32 });
        }
    }

    #[test]
    fn a_workaround_that_the_firmware_has_is_offered_and_called() {
        let firmware =
            Firmware { targets: Workaround::Required, stores: Workaround::Required, history: Workaround::NotRequired };
        let feature = |function| ask_with(firmware, [0x8000_0001, function, 0, 0]);
        assert_eq!(feature(0x8000_8000), CallAnswer::Return(0));
        assert_eq!(feature(0x8000_7fff), CallAnswer::Return(-2i64 as u64), "loads are held back all the time");
        assert_eq!(feature(0x8000_3fff), CallAnswer::Return(1));
        for function in [0x8000_8000, 0x8000_3fff] {
            let called = ask_with(firmware, [0xffff_ffff_0000_0000 | u64::from(function), 0, 0, 0]);
            assert_eq!(called, CallAnswer::Workaround { function });
        }
        assert_eq!(ask_with(firmware, [0x8000_7fff, 1, 0, 0]), CallAnswer::NotSupported { id: 0x8000_7fff });
    }

    #[test]
    fn a_vcpu_that_is_off_is_started() {
        let on = CallAnswer::CpuOn { affinity: 1, entry: GuestAddr::new(0x4_0000_1000), context: 0x5_0000_0006 };
        assert_eq!(ask(0xc400_0003, 1, 0x4_0000_1000, 0x5_0000_0006), on);
        let far = CallAnswer::CpuOn { affinity: 0x1_0000_0000, entry: GuestAddr::new(0), context: 0 };
        assert_eq!(ask(0xc400_0003, 0x1_0000_0000, 0, 0), far);
    }

    #[test]
    fn a_32_bit_call_uses_half_of_each_register() {
        let on = CallAnswer::CpuOn { affinity: 1, entry: GuestAddr::new(0x1000), context: 6 };
        assert_eq!(ask(0x8400_0003, 0xf_0000_0001, 0x4_0000_1000, 0x5_0000_0006), on);
        assert_eq!(ask(0x8400_0004, 0xf_0000_0001, 0xf_0000_0000, 0), CallAnswer::Return(1));
    }

    #[test]
    fn a_vcpu_that_cannot_be_started_is_refused_with_the_reason() {
        assert_eq!(ask(0xc400_0003, 0, 0x1000, 0), ALREADY_ON);
        assert_eq!(ask(0xc400_0003, 2, 0x1000, 0), ON_PENDING);
        assert_eq!(ask(0xc400_0003, 3, 0x1000, 0), INVALID_PARAMETERS);
        assert_eq!(ask(0xc400_0003, 0x8000_0001, 0x1000, 0), INVALID_PARAMETERS, "MPIDR_EL1 with its RES1 bit");
        assert_eq!(ask(0xc400_0003, 1, 0x1002, 0), INVALID_ADDRESS);
    }

    #[test]
    fn affinity_info_tells_the_state_of_a_vcpu() {
        let answers = [0, 1, 2].map(|affinity| ask(0xc400_0004, affinity, 0, 0));
        assert_eq!(answers, [0, 1, 2].map(CallAnswer::Return));
        assert_eq!(ask(0xc400_0004, 3, 0, 0), INVALID_PARAMETERS);
        assert_eq!(ask(0xc400_0004, 0, 4, 0), INVALID_PARAMETERS);
        // Of a cluster one is on, if it has any.
        assert_eq!([1, 2, 3].map(|level| ask(0xc400_0004, 0, level, 0)), [CallAnswer::Return(0); 3]);
        assert_eq!(ask(0xc400_0004, 0x1_0000, 1, 0), INVALID_PARAMETERS);
    }

    #[test]
    fn a_vcpu_waits_but_does_not_power_down() {
        assert_eq!(ask(0xc400_0001, 0, 0, 0), CallAnswer::Suspend);
        assert_eq!(ask(0x8400_0001, 0x1234, 0, 0), CallAnswer::Suspend);
        assert_eq!(ask(0xc400_0001, 1 << 30, 0x1000, 0), INVALID_PARAMETERS);
        assert_eq!(ask(0xc400_0001, 1 << 28, 0, 0), INVALID_PARAMETERS);
    }

    #[test]
    fn the_rest_is_for_the_caller() {
        assert_eq!(ask(0x8400_0002, 0, 0, 0), CallAnswer::CpuOff);
        assert_eq!(ask(0x8400_0008, 0, 0, 0), CallAnswer::Off);
        assert_eq!(ask(0x8400_0009, 0, 0, 0), CallAnswer::Reset);
        assert_eq!([0x8400_0012, 0xc400_0012].map(|id| ask(id, 0, 0, 0)), [CallAnswer::Reset; 2]);
        assert_eq!(ask(0xc400_0012, 0x8000_0000, 0, 0), INVALID_PARAMETERS, "a vendor's type of reset");
        assert_eq!(ask(0xc400_0012, 1, 0, 0), INVALID_PARAMETERS, "an unknown type of reset");
        assert_eq!(ask(0x8400_0006, 0, 0, 0), CallAnswer::Return(2), "no Trusted OS to migrate");
    }

    proptest! {
        #[test]
        fn no_call_panics(id in 0u64..0x40, kind in any::<u8>(), arguments in any::<[u64; 3]>()) {
            let [x1, x2, x3] = arguments;
            ask(u64::from(kind) << 24 | id, x1, x2, x3);
            ask(0x8400_0000 | id, x1 & 3, x2 & 0xf, x3);
            ask(0xc400_0000 | id, x1 & 3, x2 & 0xf, x3);
        }
    }
}
