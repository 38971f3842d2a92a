//! The chain of callers, with names.
//!
//! The image is compiled with frame pointers: x29 points to the pair (caller's x29, return address) of each function
//! (AAPCS64, 6.4.6). Names come from the symbol table that is put into the image after linking
//! ([`crate::trap::symbols`]).

use crate::arch::memory_system::MemorySystem;
use crate::cpu::block::block;
use crate::trap::symbols::Symbols;
use core::fmt::{self, Write};
use core::ops::Range;

/// Deepest call chain that is printed.
const MAX_DEPTH: usize = 32;

/// Bytes for the symbol table. The tool that fills it says so if they are too few.
const SYMBOL_BYTES: usize = match (cfg!(feature = "selftest"), MemorySystem::of_image()) {
    (true, MemorySystem::Mpu) => 28 << 10,
    (true, MemorySystem::Mmu) => 42 << 10,
    (false, _) => 34 << 10,
};

/// Room for the symbol table; the linker script puts it between read-only data.
#[unsafe(link_section = ".symbols")]
#[used]
static SYMBOL_ROOM: [u8; SYMBOL_BYTES] = [0; SYMBOL_BYTES];

/// Prints the functions from `pc` outwards, following the frame records from `frame_pointer`.
///
/// `link` is x30 at the time. A function that has not made its record yet, or makes none, was called from there.
pub fn print(out: &mut dyn Write, pc: u64, link: u64, frame_pointer: u64) {
    // A failure to print can be told to nobody.
    let _ = writeln!(out, "backtrace (offset in the image, function):");
    let _ = line(out, pc);
    let layout = lacuna_boot::layout();
    let stacks = block().stacks();
    let first = read_record(frame_pointer, &stacks);
    if layout.text.contains(&link) && first.is_none_or(|(_, return_address)| return_address != link) {
        let _ = line(out, before(link));
    }
    let mut record = first;
    for _ in 0..MAX_DEPTH {
        let Some((next, return_address)) = record.filter(|(_, return_address)| *return_address != 0) else { return };
        let _ = line(out, before(return_address));
        record = read_record(next, &stacks);
    }
}

/// The call is the instruction before the one that is returned to.
const fn before(return_address: u64) -> u64 {
    return_address.wrapping_sub(4)
}

fn line(out: &mut dyn Write, address: u64) -> fmt::Result {
    let layout = lacuna_boot::layout();
    if !layout.text.contains(&address) {
        return writeln!(out, "  {address:#014x}  outside the image's text");
    }
    let offset = address - layout.text.start;
    match names(&layout.symbols).and_then(|symbols| symbols.lookup(offset)) {
        Some((name, inside)) => writeln!(out, "  {offset:#010x}  {name}+{inside:#x}"),
        None => writeln!(out, "  {offset:#010x}  ?"),
    }
}

/// The frame record at `address`: the caller's frame pointer, and the return address.
fn read_record(address: u64, stacks: &[Range<u64>]) -> Option<(u64, u64)> {
    let end = address.checked_add(16)?;
    let inside = stacks.iter().any(|stack| stack.start <= address && end <= stack.end);
    if !inside || !address.is_multiple_of(8) {
        return None;
    }
    let record = address as *const [u64; 2];
    // SAFETY: the 16 bytes lie in one of the image's stacks, which are always mapped, and are aligned. Nobody writes them
    // meanwhile: their owner is the code that is being reported on, on this CPU.
    let [next, return_address] = unsafe { record.read_volatile() };
    Some((next, return_address))
}

fn names(range: &Range<u64>) -> Option<Symbols<'static>> {
    let length = (range.end - range.start) as usize;
    // SAFETY: the linker script puts the symbol table there, in the part of the image that is never written.
    let bytes = unsafe { core::slice::from_raw_parts(range.start as *const u8, length) };
    Symbols::parse(bytes)
}
