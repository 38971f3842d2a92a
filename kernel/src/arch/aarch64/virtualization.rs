//! What EL2 controls of EL1: stage 2, traps, identity and counters of a guest on this CPU.

use crate::arch::aarch64::{controls, el1};
use crate::arch::controls::{Control, hcr};
use crate::base::addr::PhysAddr;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    CNTVOFF_EL2, HCR_EL2, ID_AA64MMFR0_EL1, MIDR_EL1, Readable, VMPIDR_EL2, VTCR_EL2, VTTBR_EL2, Writeable,
};
use core::arch::asm;

/// HCR_EL2 without a guest: as `entry.S` and `unmask_serror` left it: RW and AMO.
const HCR_HOST: u64 = 1 << 31 | 1 << 5;

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
    /// CNTVOFF_EL2: what the physical counter says when the guest's virtual counter is at 0.
    pub virtual_offset: u64,
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

/// Makes EL1 of this CPU a guest's: its memory, what it takes itself for, and registers as after reset. What it may
/// do is said by HCR_EL2, and by the controls that were set at start.
///
/// # Safety
///
/// - `regime` must lead to complete stage 2 tables that map the guest's own memory and nothing else, already visible to
///   walks, until [`leave`].
/// - No other guest may be on this CPU.
pub unsafe fn enter(regime: &GuestRegime) {
    let id = controls::id_registers();
    VTCR_EL2.set(regime.vtcr);
    VTTBR_EL2.set(regime.vttbr);
    // VPIDR_EL2 and VMPIDR_EL2 are UNKNOWN at reset.
    let midr = MIDR_EL1.get();
    // SAFETY: what EL1 reads as MIDR_EL1.
    unsafe { asm!("msr vpidr_el2, {}", in(reg) midr, options(nomem, nostack, preserves_flags)) };
    VMPIDR_EL2.set(regime.mpidr);
    // SAFETY: the caller says that no guest is on this CPU.
    unsafe { el1::reset(&id) };
    CNTVOFF_EL2.set(regime.virtual_offset);
    controls::write(Control::Hcr, hcr(&id));
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
