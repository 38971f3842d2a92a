//! Access to system registers and to devices.

/// The value of a system register without side effects on reading.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading this register changes nothing but the destination.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack)) };
        value
    }};
}

/// Writes a system register that decides about interrupts, timers or traps, not about memory.
macro_rules! write {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the register has no say in how the program's memory is seen.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack)) };
    }};
}

pub(crate) use {read, write};

use core::arch::asm;

/// Waits until every access to memory and to devices has taken effect.
pub fn barrier() {
    // SAFETY: barriers touch neither registers nor memory.
    unsafe { asm!("dsb sy", "isb", options(nostack)) };
}

/// Lets interrupts in.
pub fn unmask_interrupts() {
    // SAFETY: the vectors are installed before any Rust runs, and their handler keeps all registers.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack)) };
}

/// Keeps interrupts out.
pub fn mask_interrupts() {
    // SAFETY: only the mask changes.
    unsafe { asm!("msr daifset, #2", "isb", options(nostack)) };
}

/// Waits for an interrupt, masked or not.
pub fn wait_for_interrupt() {
    // SAFETY: the instruction waits and changes nothing.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// Tells the CPU that it waits for another.
pub fn pause() {
    // SAFETY: a hint changes nothing.
    unsafe { asm!("yield", options(nostack)) };
}

/// Ticks of the virtual counter.
pub fn now() -> u64 {
    // SAFETY: the barrier keeps the read from being done early; neither changes anything.
    unsafe { asm!("isb", options(nostack)) };
    read!("cntvct_el0")
}

/// Reads a device register of 32 bits, by the one kind of instruction whose syndrome tells a hypervisor everything.
pub fn read32(address: u64) -> u32 {
    let value: u32;
    // SAFETY: callers give addresses of device registers from the device tree, never of memory that Rust knows.
    unsafe { asm!("ldr {:w}, [{}]", out(reg) value, in(reg) address, options(nostack)) };
    value
}

/// Writes a device register of 32 bits.
pub fn write32(address: u64, value: u32) {
    // SAFETY: as for `read32`; and no device here accesses memory by itself.
    unsafe { asm!("str {:w}, [{}]", in(reg) value, in(reg) address, options(nostack)) };
}

/// Reads eight bytes of RAM outside the image.
pub fn read_ram(address: u64) -> u64 {
    let value: u64;
    // SAFETY: the address lies in the guest's RAM by its device tree, aligned; whatever is there is a number.
    unsafe { asm!("ldr {}, [{}]", out(reg) value, in(reg) address, options(nostack)) };
    value
}

/// Fills RAM with pairs of `value`, at addresses that are multiples of 16.
///
/// # Safety
///
/// No part of the range may be memory that anyone holds a reference to.
pub unsafe fn fill_ram(range: core::ops::Range<u64>, value: u64) {
    // SAFETY: the caller promises that the range is nobody's.
    unsafe {
        asm!(
            "2: cmp {at}, {end}",
            "b.hs 3f",
            "stp {value}, {value}, [{at}], #16",
            "b 2b",
            "3:",
            at = inout(reg) range.start => _, end = in(reg) range.end, value = in(reg) value, options(nostack)
        );
    };
}

/// The address of the first 8 bytes in `range` that are not `value`, both ends multiples of 16.
pub fn find_other(range: core::ops::Range<u64>, value: u64) -> Option<u64> {
    let end = range.end;
    let at: u64;
    // SAFETY: the addresses are RAM by the device tree; they are only read.
    unsafe {
        asm!(
            "2: cmp {at}, {end}",
            "b.hs 3f",
            "ldp {a}, {b}, [{at}], #16",
            "eor {a}, {a}, {value}",
            "eor {b}, {b}, {value}",
            "orr {a}, {a}, {b}",
            "cbz {a}, 2b",
            "sub {at}, {at}, #16",
            "3:",
            at = inout(reg) range.start => at, end = in(reg) end, value = in(reg) value,
            a = out(reg) _, b = out(reg) _, options(nostack, readonly)
        );
    };
    (at < end).then(|| if read_ram(at) == value { at + 8 } else { at })
}
