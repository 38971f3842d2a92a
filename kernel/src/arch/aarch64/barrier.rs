//! Barriers, and maintenance of a guest's translations. In host tests, a list records the order of these operations.

/// Makes a function of instructions.
macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident: $($instruction:literal)+;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            #[cfg(target_os = "none")]
            // SAFETY: barriers order what is done anyway. Translations and instructions are invalidated in caches, from which
            // anything may disappear at any time.
            unsafe {
                core::arch::asm!($($instruction),+, options(nostack, preserves_flags))
            };
            #[cfg(test)]
            trace::add(stringify!($name));
        }
    )*};
}

instructions! {
    /// What registers were set to holds for the instructions that follow (DDI 0487, B2.6.4 "Context synchronization events").
    isb: "isb";
    /// Loads and stores before it have completed when what follows begins.
    dsb: "dsb sy";
    /// No translation of the VMID in VTTBR_EL2 is left in a TLB of any CPU, of stage 1 or stage 2, nor one that was made of
    /// tables as they were before.
    drop_guest_translations: "dsb ishst" "tlbi vmalls12e1is" "dsb ish" "isb";
    /// As [`drop_guest_translations`], of stage 1 and of this CPU alone.
    drop_own_guest_translations: "tlbi vmalle1" "dsb nsh" "isb";
    /// No instruction is left in an instruction cache of any CPU.
    drop_instructions: "ic ialluis" "dsb ish" "isb";
}

/// What was done.
#[cfg(test)]
pub mod trace {
    use arm_sysregs::el2::accessors::read_hcr_el2;
    use std::cell::RefCell;
    use std::vec::Vec;

    std::thread_local! {
        static TRACE: RefCell<Vec<(&'static str, u64)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn add(name: &'static str) {
        TRACE.with_borrow_mut(|trace| trace.push((name, read_hcr_el2().bits())));
    }

    /// The functions above that were called on this thread since the last time, in order, and HCR_EL2 as it was then.
    pub fn take() -> Vec<(&'static str, u64)> {
        TRACE.take()
    }
}
