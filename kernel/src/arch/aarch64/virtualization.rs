//! EL2's control of EL1 on this CPU: stage 2, traps, and a guest's identity and counters.

use crate::arch::aarch64::{barrier, controls, el1};
use crate::arch::controls::{Control, IdRegisters};
#[cfg(target_os = "none")]
use crate::{
    arch::{aarch64::cpu, capabilities::Capabilities},
    base::addr::PhysAddr,
};
use arm_sysregs::el0::accessors::{write_cntp_ctl_el0, write_cntv_ctl_el0};
use arm_sysregs::el0::registers::{CntpCtlEl0, CntvCtlEl0};
use arm_sysregs::el1::accessors::{read_id_aa64mmfr0_el1, read_midr_el1};
#[cfg(target_os = "none")]
use arm_sysregs::el1::accessors::{read_id_aa64mmfr1_el1, read_id_aa64pfr0_el1};
use arm_sysregs::el2::accessors as el2;
use arm_sysregs::el2::registers::{CntvoffEl2, HcrEl2, VmpidrEl2, VpidrEl2, VtcrEl2, VttbrEl2};

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
    /// HCR_EL2, as [`hcr`](crate::arch::controls::hcr) decides.
    pub hcr: u64,
    /// VMPIDR_EL2: the affinity that the guest sees.
    pub mpidr: u64,
    /// CNTVOFF_EL2: what the physical counter says when the guest's virtual counter is at 0.
    pub virtual_offset: u64,
}

/// ID_AA64MMFR0_EL1.PARange, which VTCR_EL2.PS follows.
pub fn physical_range() -> u64 {
    read_id_aa64mmfr0_el1().bits() & 0xf
}

/// Whether stage 2 can have 4 KiB pages: TGran4_2 of ID_AA64MMFR0_EL1, bits 43:40, is not 1. Where it is 0, it is as for
/// stage 1, which EL2 has been seen to have.
pub fn has_stage_2_of_4k() -> bool {
    let field = read_id_aa64mmfr0_el1().bits() >> 40 & 0xf;
    field != 1
}

/// What this CPU can do, as far as that is decided once for all CPUs.
#[cfg(target_os = "none")]
pub fn capabilities() -> Capabilities {
    /// VMIDBits of ID_AA64MMFR1_EL1, bits 7:4: 0b0010 for 16 bits (DDI 0487, D24.2.81).
    const VMID_16: u64 = 0b0010;
    let vmid = read_id_aa64mmfr1_el1().bits() >> 4 & 0xf;
    let gic = read_id_aa64pfr0_el1().bits() >> 24 & 0xf;
    Capabilities {
        physical_bits: cpu::physical_address_bits(),
        vmid_bits: if vmid == VMID_16 { 16 } else { 8 },
        stage_2: has_stage_2_of_4k().into(),
        gic: (gic != 0).into(),
    }
}

/// Gives EL1 of this CPU, which has the ID registers `id`, to a vCPU that starts: its memory, its identity, and registers
/// as after reset. HCR_EL2 and the controls that were set at start decide what it may do.
///
/// # Safety
///
/// - HCR_EL2 of `regime` must be [`hcr`](crate::arch::controls::hcr)'s for this CPU.
/// - `regime` must lead to complete stage 2 tables that map the guest's own memory and nothing else, already visible to
///   walks, until [`leave`].
/// - No other vCPU may be on this CPU; the state of one that was is stored, or no longer needed.
pub unsafe fn enter(id: &IdRegisters, regime: &GuestRegime) {
    // Stage 2 of a vCPU that was stored may still be on.
    detach();
    // SAFETY: stage 2 is off (HCR_EL2.VM), so its control has no effect yet.
    unsafe { el2::write_vtcr_el2(VtcrEl2::from_bits_retain(regime.vtcr)) };
    // SAFETY: the tables are complete and map the guest's own memory, as the caller says.
    unsafe { el2::write_vttbr_el2(VttbrEl2::from_bits_retain(regime.vttbr)) };
    // VPIDR_EL2 and VMPIDR_EL2 are UNKNOWN at reset.
    el2::write_vpidr_el2(VpidrEl2::from_bits_retain(read_midr_el1().bits()));
    el2::write_vmpidr_el2(VmpidrEl2::from_bits_retain(regime.mpidr));
    // SAFETY: the caller says that no guest is on this CPU.
    unsafe { el1::reset(id) };
    el2::write_cntvoff_el2(CntvoffEl2::from_bits_retain(regime.virtual_offset));
    controls::write(Control::Hcr, regime.hcr);
    barrier::isb();
    // Nothing of an earlier owner of this VMID, and nothing that was in this memory before the guest's code.
    barrier::drop_guest_translations();
    barrier::drop_instructions();
}

/// Where the guest that has this CPU finds `address`, with its MMU off as when it starts; `None` if nowhere.
#[cfg(target_os = "none")]
pub fn translate(address: u64) -> Option<PhysAddr> {
    /// PAR_EL1: F, the translation failed, and PA, bits 47:12 (DDI 0487, D24.2.125).
    const FAILED: u64 = 1;
    const PAGE: u64 = (1 << 48) - (1 << 12);
    let result: u64;
    // SAFETY: the instruction looks at tables and writes PAR_EL1, which EL2 does not use.
    unsafe {
        core::arch::asm!("at s12e1r, {address}", "isb", "mrs {result}, par_el1",
            address = in(reg) address, result = out(reg) result, options(nostack, preserves_flags))
    };
    (result & FAILED == 0).then_some(PhysAddr::new(result & PAGE))
}

/// Takes EL1 from the guest: no stage 2, and its timers are quiet.
pub fn leave() {
    write_cntv_ctl_el0(CntvCtlEl0::empty());
    write_cntp_ctl_el0(CntpCtlEl0::empty());
    barrier::isb();
    // While HCR_EL2.VM is still 1, so that it is this VMID's stage 2 that goes.
    barrier::drop_guest_translations();
    detach();
}

/// Drops all translations of a guest whose vCPU is not on this CPU and never will be again.
///
/// # Safety
///
/// No vCPU may be on this CPU; the state of one that was is stored, or no longer needed.
#[cfg(target_os = "none")]
pub unsafe fn forget(regime: &GuestRegime) {
    detach();
    // SAFETY: the tables are still those of the guest, and EL1 does not run.
    unsafe { el2::write_vttbr_el2(VttbrEl2::from_bits_retain(regime.vttbr)) };
    controls::write(Control::Hcr, regime.hcr);
    leave();
}

/// Turns stage 2 off.
fn detach() {
    // SAFETY: as the entry code left it: EL2 runs with E2H = 0, and EL1 does not run.
    unsafe { el2::write_hcr_el2(HcrEl2::from_bits_retain(HCR_HOST)) };
    // SAFETY: no translation uses it, as stage 2 is off.
    unsafe { el2::write_vttbr_el2(VttbrEl2::from_bits_retain(0)) };
    barrier::isb();
}
