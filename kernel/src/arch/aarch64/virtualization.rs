//! What EL2 controls of EL1: stage 2, traps, identity and counters of a guest on this CPU.

use crate::addr::PhysAddr;
use crate::arch::aarch64::el1;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    CNTHCTL_EL2, CNTPCT_EL0, CNTVOFF_EL2, CPTR_EL2, HCR_EL2, ID_AA64DFR0_EL1, ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1,
    ID_AA64PFR0_EL1, MDCR_EL2, MIDR_EL1, Readable, VMPIDR_EL2, VTCR_EL2, VTTBR_EL2, Writeable,
};
use core::arch::asm;

/// HCR_EL2 while a guest runs (DDI 0487, D24.2.49): bit, and what for.
const HCR_GUEST: u64 = 1 << 31 // RW: EL1 is AArch64
    | 1 << 21 // TACR: ACTLR_EL1 is implementation defined, and may be shared with EL2
    | 1 << 20 // TIDCP: so are these encodings
    | 1 << 19 // TSC: SMC comes here, not to the firmware
    | 1 << 18 // TID3: what the guest may know of the CPU's features
    | 0b01 << 10 // BSU: barriers reach at least the inner shareable domain
    | 1 << 9 // FB: so does TLB and instruction cache maintenance
    | 1 << 5 // AMO: SErrors come here
    | 1 << 4 // IMO: interrupts come here, and ICC_* are those of the virtual CPU interface
    | 1 << 3 // FMO: likewise
    | 1 << 2 // PTW: a stage 1 walk through device memory faults
    | 1 << 1 // SWIO: invalidation by set and way also cleans
    | 1; // VM: stage 2
/// HCR_EL2.APK and API: pointer authentication is not trapped, where there is any.
const HCR_POINTER_AUTHENTICATION: u64 = 1 << 41 | 1 << 40;
/// HCR_EL2.TLOR: LORegion registers are trapped, where there are any.
const HCR_TLOR: u64 = 1 << 35;
/// HCR_EL2 without a guest: as `entry.S` and `unmask_serror` left it: RW and AMO.
const HCR_HOST: u64 = 1 << 31 | 1 << 5;

/// CPTR_EL2 with E2H = 0: RES1 (13, 9, 7:0); SVE and SME are trapped (TZ, bit 8; TSM, bit 12; both RES1 without), trace
/// registers too (TTA, bit 20), FP and SIMD not (TFP, bit 10) (DDI 0487, D24.2.35).
const CPTR_GUEST: u64 = 1 << 13 | 1 << 9 | 0xff | 1 << 8 | 1 << 12 | 1 << 20;
/// CPTR_EL2.TAM: activity monitors are trapped, where there are any.
const CPTR_TAM: u64 = 1 << 30;

/// MDCR_EL2 while a guest runs: TDRA, TDOSA and TDA trap the debug registers, TPM and TPMCR the performance monitors
/// (DDI 0487, D24.3.17).
const MDCR_GUEST: u64 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 6 | 1 << 5;
/// MDCR_EL2.HPMN: how many counters the guest may have; it must not be more than there are, as at reset.
const MDCR_HPMN: u64 = 0b1_1111;
/// MDCR_EL2.TTRF and TPMS: trace filter and statistical profiling are trapped, where there are any.
const MDCR_TTRF: u64 = 1 << 19;
const MDCR_TPMS: u64 = 1 << 14;

/// CNTHCTL_EL2 with E2H = 0: EL1PCEN and EL1PCTEN, physical timer and counter are not trapped (DDI 0487, D24.10.2).
const CNTHCTL_GUEST: u64 = 0b11;

/// SPSR_EL2 for a guest's first instruction: EL1h with D, A, I and F masked (Linux, booting.rst).
pub const PSTATE_START: u64 = 0b1111 << 6 | 0b0101;

/// A guest's stage 2 translation and identity, for one of its vCPUs.
#[derive(Clone, Copy, Debug)]
pub struct GuestRegime {
    /// VTCR_EL2.
    pub vtcr: u64,
    /// VTTBR_EL2: VMID and root table.
    pub vttbr: u64,
    /// VMPIDR_EL2: the affinity that the guest sees.
    pub mpidr: u64,
}

/// ID_AA64MMFR0_EL1.PARange, which VTCR_EL2.PS follows.
pub fn physical_range() -> u64 {
    ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange)
}

/// Whether stage 2 can have 4 KiB pages: TGran4_2 of ID_AA64MMFR0_EL1, bits 43:40, is not 1. Where it is 0, it is as for
/// stage 1, which EL2 has been seen to have.
pub fn has_stage_2_of_4k() -> bool {
    let field = ID_AA64MMFR0_EL1.get() >> 40 & 0xf;
    field != 1
}

/// Makes EL1 of this CPU a guest's: its memory, what it may do, what it takes itself for, and registers as after reset. Its
/// virtual counter starts at 0.
///
/// # Safety
///
/// - `regime` must lead to complete stage 2 tables that map the guest's own memory and nothing else, already visible to
///   walks, until [`leave`].
/// - No other guest may be on this CPU.
pub unsafe fn enter(regime: &GuestRegime) {
    let features = (ID_AA64MMFR1_EL1.get(), ID_AA64DFR0_EL1.get());
    VTCR_EL2.set(regime.vtcr);
    VTTBR_EL2.set(regime.vttbr);
    // VPIDR_EL2 and VMPIDR_EL2 are UNKNOWN at reset.
    let midr = MIDR_EL1.get();
    // SAFETY: what EL1 reads as MIDR_EL1.
    unsafe { asm!("msr vpidr_el2, {}", in(reg) midr, options(nomem, nostack, preserves_flags)) };
    VMPIDR_EL2.set(regime.mpidr);
    // SAFETY: HSTR_EL2 traps what only AArch32 has.
    unsafe { asm!("msr hstr_el2, xzr", options(nomem, nostack, preserves_flags)) };
    // ID_AA64PFR0_EL1.AMU, bits 47:44.
    let monitors = if ID_AA64PFR0_EL1.get() >> 44 & 0xf != 0 { CPTR_TAM } else { 0 };
    CPTR_EL2.set(CPTR_GUEST | monitors);
    MDCR_EL2.set(mdcr(features.1));
    CNTHCTL_EL2.set(CNTHCTL_GUEST);
    clear_extensions(features.0);
    barrier::isb(barrier::SY);
    // SAFETY: the caller says that no guest is on this CPU.
    unsafe { el1::reset() };
    CNTVOFF_EL2.set(CNTPCT_EL0.get());
    HCR_EL2.set(hcr(features.0));
    barrier::isb(barrier::SY);
    // Nothing of an earlier owner of this VMID, and nothing that was in this memory before the guest's code.
    // SAFETY: TLBs and instruction caches hold copies; with less in them everything does the same.
    unsafe {
        asm!("dsb ishst", "tlbi vmalls12e1is", "ic ialluis", "dsb ish", "isb", options(nostack, preserves_flags))
    };
}

/// Where the guest that has this CPU finds `address`, with its MMU off as when it starts; `None` if nowhere.
pub fn translate(address: u64) -> Option<PhysAddr> {
    /// PAR_EL1: F, the translation failed, and PA, bits 47:12 (DDI 0487, D24.2.125).
    const FAILED: u64 = 1;
    const PAGE: u64 = (1 << 48) - (1 << 12);
    let result: u64;
    // SAFETY: the instruction looks at tables and writes PAR_EL1, which EL2 does not use.
    unsafe {
        asm!("at s12e1r, {address}", "isb", "mrs {result}, par_el1",
            address = in(reg) address, result = out(reg) result, options(nostack, preserves_flags))
    };
    (result & FAILED == 0).then_some(PhysAddr::new(result & PAGE))
}

/// Takes EL1 from the guest: no stage 2, and its timers are quiet.
pub fn leave() {
    // SAFETY: the guest does not go on, and EL2 uses neither of its timers.
    unsafe { asm!("msr cntv_ctl_el0, xzr", "msr cntp_ctl_el0, xzr", "isb", options(nomem, nostack, preserves_flags)) };
    // While HCR_EL2.VM is still 1, so that it is this VMID's stage 2 that goes.
    // SAFETY: a TLB is a cache of tables.
    unsafe { asm!("dsb ishst", "tlbi vmalls12e1is", "dsb ish", "isb", options(nostack, preserves_flags)) };
    HCR_EL2.set(HCR_HOST);
    VTTBR_EL2.set(0);
    barrier::isb(barrier::SY);
}

fn hcr(mmfr1: u64) -> u64 {
    let keys = if el1::has_pointer_authentication() { HCR_POINTER_AUTHENTICATION } else { 0 };
    // ID_AA64MMFR1_EL1.LO, bits 19:16.
    let regions = if mmfr1 >> 16 & 0xf != 0 { HCR_TLOR } else { 0 };
    HCR_GUEST | keys | regions
}

fn mdcr(dfr0: u64) -> u64 {
    // ID_AA64DFR0_EL1.TraceFilt, bits 43:40, and PMSVer, bits 35:32.
    let filter = if dfr0 >> 40 & 0xf != 0 { MDCR_TTRF } else { 0 };
    let profiling = if dfr0 >> 32 & 0xf != 0 { MDCR_TPMS } else { 0 };
    MDCR_EL2.get() & MDCR_HPMN | MDCR_GUEST | filter | profiling
}

/// Extended trap registers are UNKNOWN at reset where they exist. With HCRX_EL2 of 0 what it would enable stays trapped.
fn clear_extensions(mmfr1: u64) {
    // ID_AA64MMFR1_EL1.HCX, bits 43:40.
    if mmfr1 >> 40 & 0xf != 0 {
        // SAFETY: HCRX_EL2 exists; it concerns EL1 and EL0 only.
        unsafe { asm!("msr S3_4_C1_C2_2, xzr", options(nomem, nostack, preserves_flags)) };
    }
    // ID_AA64MMFR0_EL1.FGT, bits 59:56: HFGRTR, HFGWTR, HFGITR, HDFGRTR and HDFGWTR_EL2.
    if ID_AA64MMFR0_EL1.get() >> 56 & 0xf != 0 {
        // SAFETY: they exist, and concern EL1 and EL0 only.
        unsafe {
            asm!(
                "msr S3_4_C1_C1_4, xzr",
                "msr S3_4_C1_C1_5, xzr",
                "msr S3_4_C1_C1_6, xzr",
                "msr S3_4_C3_C1_4, xzr",
                "msr S3_4_C3_C1_5, xzr",
                options(nomem, nostack, preserves_flags),
            )
        };
    }
}
