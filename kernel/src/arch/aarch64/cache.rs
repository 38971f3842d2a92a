//! Caches: clearing memory a block at a time, and maintenance for newly written code and for memory that is read past
//! the caches.

use crate::arch::aarch64::own;
use arm_sysregs::el0::accessors::read_ctr_el0;
use core::arch::asm;
use core::ptr::NonNull;

/// Bytes that DC ZVA clears at once, or `None` where it is prohibited (DCZID_EL0, DDI 0487, D24.2.36).
fn zero_block_bytes() -> Option<usize> {
    let dczid = own::read_dczid_el0();
    let prohibited = dczid & (1 << 4) != 0;
    // BS: log2 of the block size in words.
    (!prohibited).then_some(4 << (dczid & 0xf))
}

/// Fills `memory` with zeroes, with DC ZVA where it is allowed and `memory` is aligned for it.
///
/// `memory` must be Normal memory: DC ZVA on Device memory takes an alignment fault (DDI 0487, C5.3). All memory that
/// Rust sees as a slice is, once the MMU is on.
pub fn zero(memory: &mut [u8]) {
    let Some(block) = zero_block_bytes() else { return memory.fill(0) };
    let step = block * UNROLL;
    let start = memory.as_mut_ptr();
    let head = start.align_offset(block).min(memory.len());
    let blocks = (memory.len() - head) / step * step;
    let (head, rest) = memory.split_at_mut(head);
    let (middle, tail) = rest.split_at_mut(blocks);
    head.fill(0);
    tail.fill(0);
    if !middle.is_empty() {
        // SAFETY: the loop clears `blocks` bytes, a multiple of the eight blocks it clears each time round, from an
        // address aligned to a block: exactly the bytes of `middle`, which is borrowed mutably.
        unsafe { zero_blocks(middle.as_mut_ptr(), blocks, block) };
    }
}

/// How many blocks [`zero_blocks`] clears each time round.
const UNROLL: usize = 8;

/// # Safety
///
/// - `start` must be aligned to `block`, the size that [`zero_block_bytes`] gives.
/// - `bytes` must be a multiple of `block * UNROLL` and not 0, and all of `start..start + bytes` be writable Normal
///   memory that nobody else uses meanwhile.
unsafe fn zero_blocks(start: *mut u8, bytes: usize, block: usize) {
    // SAFETY: by this function's contract every block that is cleared lies in the range.
    unsafe {
        asm!(
            "2:",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "cmp {at}, {end}",
            "b.lo 2b",
            at = inout(reg) start => _,
            end = in(reg) start.wrapping_add(bytes),
            block = in(reg) block,
            options(nostack),
        )
    };
}

/// CTR_EL0.DminLine: log2 of the words in the smallest data cache line (DDI 0487, D24.2.34).
fn line_size_field() -> u64 {
    read_ctr_el0().bits() >> 16 & 0xf
}

/// Makes `bytes` of code, written through `start`, what is fetched from any mapping of it (DDI 0487, B2.4.4).
pub fn publish_code(start: NonNull<u8>, bytes: usize) {
    let line = 4 << (line_size_field()); // DminLine
    for offset in (0..bytes).step_by(line) {
        // SAFETY: cleaning a line changes no memory; the address is one that the caller has written to.
        unsafe { asm!("dc cvau, {}", in(reg) start.as_ptr().wrapping_add(offset), options(nostack, preserves_flags)) };
    }
    // By address would do for a PIPT instruction cache only; all of it does for any.
    // SAFETY: barriers, and dropping what the instruction cache holds, change no memory.
    unsafe { asm!("dsb ish", "ic ialluis", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// The lines of `memory`, as [`clean_to_poc`] and [`clean_and_invalidate`] go through them.
struct Lines {
    /// The first line.
    start: *const u8,
    /// Bytes of a line.
    line: usize,
    /// Bytes in whole rounds of [`UNROLL`] lines.
    rounds: usize,
    /// Bytes in all, a multiple of a line.
    bytes: usize,
}

impl Lines {
    fn of(memory: &[u8]) -> Self {
        let line = 4 << line_size_field();
        let before = memory.as_ptr().addr() % line;
        let bytes = if memory.is_empty() { 0 } else { (before + memory.len()).next_multiple_of(line) };
        Self {
            start: memory.as_ptr().wrapping_sub(before),
            line,
            rounds: bytes / (line * UNROLL) * (line * UNROLL),
            bytes,
        }
    }
}

/// A function that does `$operation` to each line of a piece of memory and waits for the last.
///
/// Two instructions for a line, and two more for every eight.
macro_rules! for_each_line {
    ($(#[$doc:meta])* $name:ident, $operation:literal) => {
        $(#[$doc])*
        pub fn $name(memory: &[u8]) {
            let Lines { start, line, rounds, bytes } = Lines::of(memory);
            if rounds > 0 {
                // SAFETY: writing a line back, and dropping it then, changes nothing that a program sees. The loop goes
                // through lines of which `memory` has at least a byte each, so all are mapped.
                unsafe {
                    asm!(
                        "2:",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        concat!($operation, ", {at}"), "add {at}, {at}, {line}",
                        "cmp {at}, {end}",
                        "b.lo 2b",
                        at = inout(reg) start => _,
                        end = in(reg) start.wrapping_add(rounds),
                        line = in(reg) line,
                        options(nostack),
                    )
                };
            }
            for offset in (rounds..bytes).step_by(line) {
                let at = start.wrapping_add(offset);
                // SAFETY: writing a line back, and dropping it then, changes nothing that a program sees; the line has at
                // least a byte of `memory`, so it is mapped.
                unsafe { asm!(concat!($operation, ", {}"), in(reg) at, options(nostack, preserves_flags)) };
            }
            drain();
        }
    };
}

for_each_line! {
    /// Writes what the caches hold of `memory` back to where every observer finds it, the point of coherency, also one that
    /// reads past the caches, as a guest does that has not turned them on (DDI 0487, B2 "Mismatched memory attributes").
    clean_to_poc, "dc cvac"
}

for_each_line! {
    /// As [`clean_to_poc`], after which the caches hold nothing of `memory`: what is then written past them is not hidden
    /// by an older copy, or overwritten by one.
    clean_and_invalidate, "dc civac"
}

/// Waits until all earlier accesses and cache maintenance are complete, for every observer in the system.
pub fn drain() {
    // SAFETY: a barrier changes no state of the program. Without `nomem` the compiler keeps accesses before it.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}
