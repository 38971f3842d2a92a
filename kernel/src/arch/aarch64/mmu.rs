//! Turning the MMU on.

use crate::base::addr::PhysAddr;
use crate::base::mair;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    HCR_EL2, ID_AA64MMFR0_EL1, MAIR_EL2, ReadWriteable, Readable, SCTLR_EL2, TCR_EL2, TTBR0_EL2, Writeable,
};
use core::arch::asm;

/// TCR_EL2 bits 31 and 23 are RES1 when E2H is 0 (DDI 0487, D24.2.197).
const TCR_EL2_RES1: u64 = 1 << 31 | 1 << 23;

/// Whether this CPU always runs EL2 with E2H = 1, whose translation regime differs (no FEAT_E2H0, DDI 0487, D24.2.49).
pub fn host_extensions_forced() -> bool {
    HCR_EL2.matches_all(HCR_EL2::E2H::EnableOsAtEl2)
}

/// MAIR_EL2, TCR_EL2, TTBR0_EL2 and SCTLR_EL2 of this CPU, whose MMU is on: another CPU that is given them translates alike.
pub fn translation() -> [u64; 4] {
    [MAIR_EL2.get(), TCR_EL2.get(), TTBR0_EL2.get(), SCTLR_EL2.get()]
}

/// Turns on the MMU, the caches and write-implies-never-executable, on the tables at `root`.
///
/// # Safety
///
/// - `root` must be the level 0 table of a complete set of tables for EL2, in the format of [`crate::mmu`], that maps the
///   running code, its stack and all it refers to at their physical addresses.
/// - The MMU and the data cache must be off, and nothing may have been left dirty in the cache.
pub unsafe fn enable(root: PhysAddr) {
    MAIR_EL2.set(mair::MAIR_EL2);
    let physical_size = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange).min(0b101); // 48 bits
    let walks = TCR_EL2::SH0::Inner
        + TCR_EL2::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
        + TCR_EL2::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable;
    let sizes = TCR_EL2::PS.val(physical_size) + TCR_EL2::TG0::KiB_4 + TCR_EL2::T0SZ.val(16);
    TCR_EL2.set((walks + sizes).value | TCR_EL2_RES1);
    TTBR0_EL2.set(root.get());
    // Tables are in memory before the walker may read them, and no translation from before survives. The instruction
    // cache may hold what was there before the image (DDI 0487, D8.17, D7.5.9).
    // SAFETY: invalidating changes no translation: none is in use while the MMU is off.
    unsafe { asm!("dsb sy", "tlbi alle2", "ic iallu", "dsb sy", "isb", options(nostack, preserves_flags)) };
    // Everything at once: a cache without the MMU would see all memory as it pleases.
    SCTLR_EL2.modify(SCTLR_EL2::M::Enable + SCTLR_EL2::C::Cacheable + SCTLR_EL2::I::Cacheable + SCTLR_EL2::WXN::Enable);
    barrier::isb(barrier::SY);
}
