//! Whether the registers hold while the hypervisor takes an exception of its own, and survives it.

use crate::console::say;
use crate::registers::{read, write};
use core::arch::naked_asm;

/// The call at which an image with self-tests has EL2 access an address where nothing is mapped: a function ID of the
/// range for hypervisors (SMCCC, DEN0028, 6.1). Returns 0 if EL2 took the fault and went on.
const FAULT_AT_EL2: u64 = 0x8600_5354;

const CALLS: u64 = 1000;

/// Values with which nothing begins, one for each register.
pub(super) fn pattern(seed: u64, number: u64) -> u64 {
    (seed << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

macro_rules! system_registers {
    ($($name:literal)*) => {
        /// Fills system registers of EL0 and EL1 that have no say while EL1 runs with interrupts masked.
        fn fill(seed: u64) {
            let mut number = 100;
            $(number += 1; write!($name, pattern(seed, number));)*
            let _ = number;
        }

        /// The first of them that does not hold what it was filled with.
        fn first_lost(seed: u64) -> Option<(&'static str, u64)> {
            let mut number = 100;
            $(
                number += 1;
                let found = read!($name);
                if found != pattern(seed, number) {
                    return Some(($name, found));
                }
            )*
            None
        }
    };
}
system_registers!("tpidr_el0" "tpidrro_el0" "tpidr_el1" "elr_el1" "far_el1" "cntv_cval_el0" "cntp_cval_el0");

/// Calls the hypervisor by HVC with x0 to x30 from `before`, and puts them into `after`.
#[unsafe(naked)]
pub(super) extern "C" fn call(before: &[u64; 31], after: &mut [u64; 31]) {
    naked_asm!(
        "stp x29, x30, [sp, #-96]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "str x1, [sp, #-16]!",
        "ldp x1, x2, [x0, #8]",
        "ldp x3, x4, [x0, #24]",
        "ldp x5, x6, [x0, #40]",
        "ldp x7, x8, [x0, #56]",
        "ldp x9, x10, [x0, #72]",
        "ldp x11, x12, [x0, #88]",
        "ldp x13, x14, [x0, #104]",
        "ldp x15, x16, [x0, #120]",
        "ldp x17, x18, [x0, #136]",
        "ldp x19, x20, [x0, #152]",
        "ldp x21, x22, [x0, #168]",
        "ldp x23, x24, [x0, #184]",
        "ldp x25, x26, [x0, #200]",
        "ldp x27, x28, [x0, #216]",
        "ldp x29, x30, [x0, #232]",
        "ldr x0, [x0]",
        "hvc #0",
        "stp x0, x1, [sp, #-16]!",
        "ldr x0, [sp, #16]",
        "stp x2, x3, [x0, #16]",
        "stp x4, x5, [x0, #32]",
        "stp x6, x7, [x0, #48]",
        "stp x8, x9, [x0, #64]",
        "stp x10, x11, [x0, #80]",
        "stp x12, x13, [x0, #96]",
        "stp x14, x15, [x0, #112]",
        "stp x16, x17, [x0, #128]",
        "stp x18, x19, [x0, #144]",
        "stp x20, x21, [x0, #160]",
        "stp x22, x23, [x0, #176]",
        "stp x24, x25, [x0, #192]",
        "stp x26, x27, [x0, #208]",
        "stp x28, x29, [x0, #224]",
        "str x30, [x0, #240]",
        "ldp x2, x3, [sp], #32",
        "stp x2, x3, [x0]",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp x29, x30, [sp], #96",
        "ret",
    )
}

/// How far the virtual counter is behind the physical one; the smallest of some, as the two are read one after the other.
fn virtual_offset() -> u64 {
    let once = || {
        let physical = read!("cntpct_el0");
        read!("cntvct_el0").wrapping_sub(physical)
    };
    (0..8).map(|_| once()).min().unwrap_or_default()
}

/// Has EL2 fault again and again, and compares all registers each time. SP_EL0 is the stack that this runs on.
pub fn run() {
    let offset = virtual_offset();
    for seed in 0..CALLS {
        let mut before: [u64; 31] = core::array::from_fn(|number| pattern(seed, number as u64));
        before[0] = FAULT_AT_EL2;
        let mut after = [0; 31];
        fill(seed);
        call(&before, &mut after);
        let lost = first_lost(seed);
        if after[0] != 0 {
            return say!("FAIL the hypervisor took no fault: {:#x}", after[0]);
        }
        before[0] = 0;
        if let Some(number) = (0..31).find(|&number| before[number] != after[number]) {
            return say!("FAIL x{number} was {:#x} and is {:#x}", before[number], after[number]);
        }
        if let Some((name, found)) = lost {
            return say!("FAIL {name} is {found:#x}");
        }
    }
    // As near as two reads of a counter come; any other offset would be a boot's ticks away.
    let moved = virtual_offset().wrapping_sub(offset) as i64;
    if moved.unsigned_abs() > read!("cntfrq_el0") / 10_000 {
        return say!("FAIL the virtual counter has moved by {moved} ticks");
    }
    say!("registers hold, {CALLS} faults at EL2");
}
