//! Register writes against the fakes of `arm-sysregs`. Each test compares whole sets of registers, so that it notices a
//! write to any other register.

use super::barrier::trace;
use super::context::{self, GuestContext, StaleTranslations};
use super::virtualization::GuestRegime;
use super::{controls, el1, own, virtualization};
use crate::arch::controls::tests::{OLD, with};
use crate::arch::controls::{AT_START, Control, Feature, IdRegisters, Sharing, hcr};
use arm_sysregs::el0::fake::{SYSREGS as EL0, SystemRegisters as El0Registers};
use arm_sysregs::el0::registers as of_el0;
use arm_sysregs::el1::fake::{SYSREGS as EL1, SystemRegisters as El1Registers};
use arm_sysregs::el1::registers as of_el1;
use arm_sysregs::el2::fake::{SYSREGS as EL2, SystemRegisters as El2Registers};
use arm_sysregs::el2::registers as of_el2;
use own::fake::{SYSREGS as OWN, SystemRegisters as OwnRegisters};
use std::sync::{Mutex, MutexGuard};
use std::vec;
use std::vec::Vec;

/// SCTLR_EL1 with each bit that is RES1 in Armv8.0 set and nothing on: bits 29, 28, 23, 22, 20 and 11 (DDI 0487, D24.2.131).
const SCTLR_EL1_OFF: u64 = 0x30d0_0800;

/// The fakes are one set for the whole process: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    let guard = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    trace::take();
    guard
}

/// All registers there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Registers {
    el0: El0Registers,
    el1: El1Registers,
    el2: El2Registers,
    own: OwnRegisters,
}

impl Registers {
    fn found() -> Self {
        Self {
            el0: EL0.lock().unwrap().clone(),
            el1: EL1.lock().unwrap().clone(),
            el2: EL2.lock().unwrap().clone(),
            own: OWN.lock().unwrap().clone(),
        }
    }

    fn put(&self) {
        *EL0.lock().unwrap() = self.el0.clone();
        *EL1.lock().unwrap() = self.el1.clone();
        *EL2.lock().unwrap() = self.el2.clone();
        *OWN.lock().unwrap() = self.own.clone();
    }

    /// A CPU that says of itself what `id` says.
    fn of(id: &IdRegisters) -> Self {
        let mut all = Self::default();
        all.el1.id_aa64pfr0_el1 = of_el1::IdAa64pfr0El1::from_bits_retain(id.pfr0);
        all.el1.id_aa64pfr1_el1 = of_el1::IdAa64pfr1El1::from_bits_retain(id.pfr1);
        all.el1.id_aa64dfr0_el1 = of_el1::IdAa64dfr0El1::from_bits_retain(id.dfr0);
        all.el1.id_aa64isar1_el1 = of_el1::IdAa64isar1El1::from_bits_retain(id.isar1);
        all.el1.id_aa64isar2_el1 = of_el1::IdAa64isar2El1::from_bits_retain(id.isar2);
        all.el1.id_aa64mmfr0_el1 = of_el1::IdAa64mmfr0El1::from_bits_retain(id.mmfr0);
        all.el1.id_aa64mmfr1_el1 = of_el1::IdAa64mmfr1El1::from_bits_retain(id.mmfr1);
        all.el1.mpamidr_el1 = of_el1::MpamidrEl1::from_bits_retain(id.mpam);
        all.el0.pmcr_el0 = of_el0::PmcrEl0::from_bits_retain(id.monitors);
        all.el1.midr_el1 = of_el1::MidrEl1::from_bits_retain(0x411f_d070);
        all
    }

    /// Fills the registers of EL1 and EL0 with `bits`: those of a CPU with `features` beside those that every CPU has.
    fn fill_el1(&mut self, bits: u64, features: &[Feature]) {
        macro_rules! fill {
            ($place:ident $types:ident: $($register:ident $type:ident)*) => {
                $(self.$place.$register = $types::$type::from_bits_retain(bits);)*
            };
            ($place:ident: $($register:ident)*) => {
                $(self.$place.$register = bits;)*
            };
        }
        fill!(el1 of_el1: cpacr_el1 CpacrEl1 ttbr0_el1 Ttbr0El1 ttbr1_el1 Ttbr1El1 tcr_el1 TcrEl1 spsr_el1 SpsrEl1);
        fill!(el1 of_el1: elr_el1 ElrEl1 esr_el1 EsrEl1 far_el1 FarEl1 par_el1 ParEl1 mair_el1 MairEl1 vbar_el1 VbarEl1);
        fill!(el1 of_el1: contextidr_el1 ContextidrEl1 tpidr_el1 TpidrEl1 cntkctl_el1 CntkctlEl1 csselr_el1 CsselrEl1);
        fill!(el1 of_el1: mdscr_el1 MdscrEl1 sp_el1 SpEl1);
        fill!(el1: afsr0_el1 afsr1_el1 amair_el1);
        fill!(el0 of_el0: tpidr_el0 TpidrEl0 tpidrro_el0 TpidrroEl0 cntp_ctl_el0 CntpCtlEl0 cntp_cval_el0 CntpCvalEl0);
        fill!(el0 of_el0: cntv_ctl_el0 CntvCtlEl0 cntv_cval_el0 CntvCvalEl0);
        fill!(own: sp_el0);
        if features.contains(&Feature::PointerAuthentication) {
            fill!(el1 of_el1: apiakeylo_el1 ApiakeyloEl1 apiakeyhi_el1 ApiakeyhiEl1);
            fill!(own: apibkeylo_el1 apibkeyhi_el1 apdakeylo_el1 apdakeyhi_el1 apdbkeylo_el1 apdbkeyhi_el1);
            fill!(own: apgakeylo_el1 apgakeyhi_el1);
        }
        if features.contains(&Feature::Ras) {
            fill!(el1 of_el1: disr_el1 DisrEl1);
            fill!(el2 of_el2: vdisr_el2 VdisrEl2 vsesr_el2 VsesrEl2);
        }
        if features.contains(&Feature::Sme) {
            fill!(own: smpri_el1 tpidr2_el0);
        }
        if features.contains(&Feature::Mpam) {
            fill!(own: mpam1_el1 mpam0_el1);
        }
    }
}

/// Every choice of features that bring registers with them.
fn choices() -> Vec<Vec<Feature>> {
    let all = [Feature::PointerAuthentication, Feature::Ras, Feature::Sme, Feature::Mpam];
    (0..1 << all.len())
        .map(|choice| (0..all.len()).filter(|n| choice >> n & 1 != 0).map(|n| all[n]).collect())
        .collect()
}

#[test]
fn el1_starts_as_after_reset_and_no_register_is_written_that_is_not_there() {
    let _alone = alone();
    for features in choices() {
        let id = with(&features);
        let mut before = Registers::of(&id);
        // All of them: a register that the CPU does not have must keep what stands for it.
        before.fill_el1(u64::MAX, &[Feature::PointerAuthentication, Feature::Ras, Feature::Sme, Feature::Mpam]);
        before.el1.sctlr_el1 = of_el1::SctlrEl1::from_bits_retain(u64::MAX);
        before.put();
        // SAFETY: there is no guest.
        unsafe { el1::reset(&id) };
        let mut expected = before.clone();
        expected.fill_el1(0, &features);
        expected.el1.sctlr_el1 = of_el1::SctlrEl1::from_bits_retain(SCTLR_EL1_OFF);
        assert_eq!(Registers::found(), expected, "{features:?}");
        assert_eq!(trace::take(), [("isb", 0)]);
    }
}

/// Puts `value` where `control` should arrive.
fn expect(all: &mut El2Registers, control: Control, value: u64) {
    macro_rules! put {
        ($($name:ident $register:ident $type:ident,)*) => {
            match control {
                $(Control::$name => all.$register = of_el2::$type::from_bits_retain(value),)*
                Control::Hstr => all.hstr_el2 = value,
            }
        };
    }
    put! {
        Hcr hcr_el2 HcrEl2,
        Cptr cptr_el2 CptrEl2,
        Mdcr mdcr_el2 MdcrEl2,
        Cnthctl cnthctl_el2 CnthctlEl2,
        Hcrx hcrx_el2 HcrxEl2,
        Hfgrtr hfgrtr_el2 HfgrtrEl2,
        Hfgwtr hfgwtr_el2 HfgwtrEl2,
        Hfgitr hfgitr_el2 HfgitrEl2,
        Hdfgrtr hdfgrtr_el2 HdfgrtrEl2,
        Hdfgwtr hdfgwtr_el2 HdfgwtrEl2,
        Hafgrtr hafgrtr_el2 HafgrtrEl2,
        Hfgrtr2 hfgrtr2_el2 Hfgrtr2El2,
        Hfgwtr2 hfgwtr2_el2 Hfgwtr2El2,
        Hfgitr2 hfgitr2_el2 Hfgitr2El2,
        Hdfgrtr2 hdfgrtr2_el2 Hdfgrtr2El2,
        Hdfgwtr2 hdfgwtr2_el2 Hdfgwtr2El2,
        Mpam2 mpam2_el2 Mpam2El2,
        Mpamhcr mpamhcr_el2 MpamhcrEl2,
    }
}

#[test]
fn each_control_arrives_in_its_register_and_nothing_else_is_written() {
    let _alone = alone();
    let features = [
        vec![],
        vec![Feature::FineGrained, Feature::Amu],
        vec![Feature::FineGrained, Feature::FineGrained2, Feature::ExtendedHcr, Feature::Mpam],
    ];
    for features in features {
        let id = with(&features);
        let before = Registers::of(&id);
        before.put();
        controls::set();
        let mut expected = before.clone();
        let mut written = 0;
        for control in AT_START {
            if let Some(value) = control.value(&controls::id_registers()) {
                expect(&mut expected.el2, control, value);
                written += 1;
            }
        }
        assert!(written >= 3);
        assert_eq!(Registers::found(), expected, "{features:?}");
        assert_eq!(trace::take().len(), 1, "one context synchronization event");
    }
}

/// HCR_EL2.VM, and what EL2 needs of HCR_EL2 without a guest: RW and AMO (DDI 0487, D24.2.49).
const VM: u64 = 1;
const HOST: u64 = 1 << 31 | 1 << 5;

#[test]
fn a_guest_is_entered_and_left_in_the_order_that_tlbs_need() {
    let _alone = alone();
    let before = Registers::of(&OLD);
    before.put();
    let regime = GuestRegime {
        vtcr: 0x8002_3558,
        vttbr: 0x0001_0000_4567_8000,
        hcr: hcr(&OLD, Sharing::Alone),
        mpidr: 0x8000_0001,
        virtual_offset: 0x1234_5678,
    };
    // SAFETY: there is no processor that could walk tables.
    unsafe { virtualization::enter(&OLD, &regime) };
    let inside = Registers::found();
    assert_eq!(inside.el2.vtcr_el2.bits(), regime.vtcr);
    assert_eq!(inside.el2.vttbr_el2.bits(), regime.vttbr);
    assert_eq!(inside.el2.vmpidr_el2.bits(), regime.mpidr);
    assert_eq!(inside.el2.vpidr_el2.bits(), 0x411f_d070);
    assert_eq!(inside.el2.cntvoff_el2.bits(), regime.virtual_offset);
    let hcr = inside.el2.hcr_el2.bits();
    assert_eq!(hcr & (VM | HOST), VM | HOST);
    // Stage 2 is on, and known to be, before translations are dropped: none of before comes back.
    assert_eq!(
        trace::take(),
        [("isb", HOST), ("isb", HOST), ("isb", hcr), ("drop_guest_translations", hcr), ("drop_instructions", hcr)]
    );

    let mut running = inside.clone();
    running.el0.cntv_ctl_el0 = of_el0::CntvCtlEl0::from_bits_retain(1);
    running.el0.cntp_ctl_el0 = of_el0::CntpCtlEl0::from_bits_retain(1);
    running.put();
    virtualization::leave();
    let mut expected = inside;
    expected.el2.hcr_el2 = of_el2::HcrEl2::from_bits_retain(HOST);
    expected.el2.vttbr_el2 = of_el2::VttbrEl2::default();
    assert_eq!(Registers::found(), expected, "timers are off, the rest of EL1 stays until the next guest");
    // The TLB is invalidated while VMID and stage 2 are still the guest's.
    assert_eq!(trace::take(), [("isb", hcr), ("drop_guest_translations", hcr), ("isb", HOST)]);
}

/// A vCPU's registers, all different: a register that is forgotten, or loaded into another, is seen.
fn scatter(all: &mut Registers, features: &[Feature], seed: u64) {
    let mut before = Registers::default();
    before.fill_el1(u64::MAX, features);
    let mut value = seed;
    macro_rules! scatter {
        ($place:ident $types:ident: $($register:ident $type:ident)*) => {
            $(if before.$place.$register.bits() != 0 {
                value = value.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                all.$place.$register = $types::$type::from_bits_retain(value);
            })*
        };
        ($place:ident: $($register:ident)*) => {
            $(if before.$place.$register != 0 {
                value = value.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                all.$place.$register = value;
            })*
        };
    }
    scatter!(el1 of_el1: cpacr_el1 CpacrEl1 ttbr0_el1 Ttbr0El1 ttbr1_el1 Ttbr1El1 tcr_el1 TcrEl1 spsr_el1 SpsrEl1);
    scatter!(el1 of_el1: elr_el1 ElrEl1 esr_el1 EsrEl1 far_el1 FarEl1 par_el1 ParEl1 mair_el1 MairEl1 vbar_el1 VbarEl1);
    scatter!(el1 of_el1: contextidr_el1 ContextidrEl1 tpidr_el1 TpidrEl1 cntkctl_el1 CntkctlEl1 csselr_el1 CsselrEl1);
    scatter!(el1 of_el1: mdscr_el1 MdscrEl1 sp_el1 SpEl1 apiakeylo_el1 ApiakeyloEl1 apiakeyhi_el1 ApiakeyhiEl1);
    scatter!(el1: afsr0_el1 afsr1_el1 amair_el1);
    scatter!(el0 of_el0: tpidr_el0 TpidrEl0 tpidrro_el0 TpidrroEl0 cntp_ctl_el0 CntpCtlEl0 cntp_cval_el0 CntpCvalEl0);
    scatter!(el0 of_el0: cntv_ctl_el0 CntvCtlEl0 cntv_cval_el0 CntvCvalEl0);
    scatter!(own: sp_el0 apibkeylo_el1 apibkeyhi_el1 apdakeylo_el1 apdakeyhi_el1 apdbkeylo_el1 apdbkeyhi_el1);
    scatter!(own: apgakeylo_el1 apgakeyhi_el1 smpri_el1 tpidr2_el0 mpam1_el1 mpam0_el1);
    scatter!(el2 of_el2: vdisr_el2 VdisrEl2 vsesr_el2 VsesrEl2);
    all.el1.sctlr_el1 = of_el1::SctlrEl1::from_bits_retain(value ^ 0xff);
}

#[test]
fn a_switch_stores_and_loads_every_register_that_a_start_resets() {
    let _alone = alone();
    for features in choices() {
        let id = with(&features);
        let regime = |n: u64| GuestRegime {
            vtcr: 0x8002_3558,
            vttbr: n << 48 | 0x4567_8000,
            hcr: hcr(&id, Sharing::Shared),
            mpidr: 0x8000_0000 | n,
            virtual_offset: 0x1234_5678 * n,
        };
        let mut contexts = [GuestContext::default(), GuestContext::default()];
        let mut expected = Vec::new();
        for (n, context) in contexts.iter_mut().enumerate() {
            let mut all = Registers::of(&id);
            scatter(&mut all, &features, n as u64 + 1);
            all.put();
            context.store(&id);
            let mut off = all.clone();
            off.el0.cntv_ctl_el0 = of_el0::CntvCtlEl0::empty();
            off.el0.cntp_ctl_el0 = of_el0::CntpCtlEl0::empty();
            assert_eq!(Registers::found(), off, "{features:?}");
            let of = regime(n as u64);
            all.el2.vtcr_el2 = of_el2::VtcrEl2::from_bits_retain(of.vtcr);
            all.el2.vttbr_el2 = of_el2::VttbrEl2::from_bits_retain(of.vttbr);
            all.el2.vmpidr_el2 = of_el2::VmpidrEl2::from_bits_retain(of.mpidr);
            all.el2.cntvoff_el2 = of_el2::CntvoffEl2::from_bits_retain(of.virtual_offset);
            all.el2.hcr_el2 = of_el2::HcrEl2::from_bits_retain(of.hcr);
            expected.push(all);
        }
        trace::take();
        for n in [0, 1, 0, 1] {
            let stale = if n == 0 { StaleTranslations::None } else { StaleTranslations::Possible };
            // SAFETY: there is no processor that could walk tables.
            unsafe { contexts[n].load(&id, &regime(n as u64), stale) };
            // DISR_EL1 is EL2's own, and is not touched.
            expected[n].el1.disr_el1 = Registers::found().el1.disr_el1;
            assert_eq!(Registers::found(), expected[n], "{features:?}");
            let flush = trace::take().iter().any(|(what, _)| *what == "drop_own_guest_translations");
            assert_eq!(flush, n == 1);
        }
    }
}

#[test]
fn a_timer_is_due_when_it_is_on_and_not_masked() {
    let _alone = alone();
    let due = |virtual_timer: (u64, u64), physical_timer: (u64, u64)| {
        let mut all = Registers::default();
        all.el0.cntv_ctl_el0 = of_el0::CntvCtlEl0::from_bits_retain(virtual_timer.0);
        all.el0.cntv_cval_el0 = of_el0::CntvCvalEl0::from_bits_retain(virtual_timer.1);
        all.el0.cntp_ctl_el0 = of_el0::CntpCtlEl0::from_bits_retain(physical_timer.0);
        all.el0.cntp_cval_el0 = of_el0::CntpCvalEl0::from_bits_retain(physical_timer.1);
        all.put();
        context::timer_deadline(1000)
    };
    assert_eq!(due((0, 5), (0, 5)), None);
    assert_eq!(due((3, 5), (2, 5)), None);
    assert_eq!(due((1, 5), (0, 5)), Some(1005));
    assert_eq!(due((1, 5), (5, 900)), Some(900));
    assert_eq!(due((1, u64::MAX), (0, 0)), Some(u64::MAX), "far away is not long ago");
}
