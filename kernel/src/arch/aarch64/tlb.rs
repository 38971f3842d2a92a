//! Barriers and TLB maintenance for the page tables of EL2, on all CPUs of the inner shareable domain.

use core::arch::asm;

use crate::arch::tlb::{Scope, TlbOps};
use crate::base::addr::{PAGE_SHIFT, VirtAddr};

/// The TLBs of the machine, for the EL2 regime without VHE (HCR_EL2.E2H = 0), which has no ASIDs.
///
/// Before the MMU is on, the same instructions do no harm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tlb;

impl TlbOps for Tlb {
    #[inline(always)]
    fn drain(&mut self) {
        // SAFETY: a barrier changes no state of the program. Without `nomem` the compiler keeps stores before it.
        unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn publish(&mut self) {
        // SAFETY: barriers change no state of the program. Without `nomem` the compiler keeps stores before them.
        unsafe { asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn invalidate(&mut self, va: VirtAddr, scope: Scope) {
        let page = tlbi_operand(va);
        match scope {
            // SAFETY: a TLB is a cache of the page tables: with less in it the program does the same.
            Scope::Leaf => unsafe { asm!("tlbi vale2is, {}", in(reg) page, options(nostack, preserves_flags)) },
            // SAFETY: entries of upper levels are copies of the page tables too: with fewer of them the program does the same.
            Scope::Walk => unsafe { asm!("tlbi vae2is, {}", in(reg) page, options(nostack, preserves_flags)) },
        }
    }

    #[inline(always)]
    fn complete(&mut self) {
        // SAFETY: barriers change no state of the program. Without `nomem` the compiler keeps accesses where they are.
        unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
    }
}

/// VA\[55:12\] in bits 43:0. The bits above are TTL, a level hint, where 0 means any level (DDI 0487, C5.5 "TLBI
/// VAE2IS"); nothing of the address may get there.
const fn tlbi_operand(va: VirtAddr) -> u64 {
    const VA_MASK: u64 = (1 << 44) - 1;
    va.get() >> PAGE_SHIFT & VA_MASK
}
