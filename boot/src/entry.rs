//! The assembly, and what Rust may ask of it.

use crate::{GIVE_INTERRUPTS, Layout};
use core::arch::global_asm;
use core::ptr::addr_of;
#[cfg(feature = "semihosting")]
use core::sync::atomic::{AtomicBool, Ordering};
use lacuna_board::{BOARD, Firmware, RegisterWrite, Start};
#[cfg(feature = "early-uart")]
use lacuna_board::{EarlyUart, Room, Width};

// One letter per stage on the board's UART, where the board is known before its device tree is read. It waits for room,
// but not for ever. Uses x0 to x2.
#[cfg(feature = "early-uart")]
global_asm!(
    ".macro stage letter",
    "mov_q x1, {status}",
    "mov w2, #0xffff",
    ".if {bytes}",
    "8: ldrb w0, [x1]",
    ".else",
    "8: ldr w0, [x1]",
    ".endif",
    ".if {is_set}",
    "tbnz w0, #{bit}, 9f",
    ".else",
    "tbz w0, #{bit}, 9f",
    ".endif",
    "subs w2, w2, #1",
    "b.ne 8b",
    "9: mov_q x1, {transmit}",
    "mov w0, #\\letter",
    ".if {bytes}",
    "strb w0, [x1]",
    ".else",
    "str w0, [x1]",
    ".endif",
    ".endm",
    transmit = const UART.transmit(),
    status = const UART.status(),
    bytes = const matches!(UART.width(), Width::Byte) as u32,
    is_set = const matches!(UART.room(), Room::Set(_)) as u32,
    bit = const match UART.room() {
        Room::Set(bit) | Room::Clear(bit) => bit,
    },
);
#[cfg(feature = "early-uart")]
const UART: EarlyUart = match BOARD.early_uart {
    Some(uart) => uart,
    None => panic!("feature early-uart needs a board that names its UART"),
};
#[cfg(not(feature = "early-uart"))]
global_asm!(".macro stage letter", ".endm");

/// How many writes the early UART needs; none in an image that does not use it.
const UART_WRITES: usize = if cfg!(feature = "early-uart") { BOARD.early_uart_setup.len() } else { 0 };

/// The writes themselves, not a reference to them: nothing is relocated yet when they are read.
static UART_SETUP: [RegisterWrite; UART_WRITES] =
    *BOARD.early_uart_setup.first_chunk().expect("there are as many as were counted");

// Makes the early UART usable. Uses x0 to x3.
global_asm!(
    ".macro set_up_uart",
    ".if {writes}",
    "adrp x0, {setup}",
    "add x0, x0, :lo12:{setup}",
    "mov x1, #{writes}",
    "1: ldr x2, [x0]",
    "ldr w3, [x0, #8]",
    "str w3, [x2]",
    "add x0, x0, #16",
    "subs x1, x1, #1",
    "b.ne 1b",
    ".endif",
    ".endm",
    setup = sym UART_SETUP,
    writes = const UART_WRITES,
);

// Keeps all cores but that with affinity 0 where they are, if the board starts every one. Uses x1 and x2.
global_asm!(
    ".macro park_other_cores",
    ".if {park}",
    "mrs x1, mpidr_el1", // Aff3 [39:32], Aff2 to Aff0 [23:0] (DDI 0487, D24.2.119)
    "and x2, x1, #0xffffff",
    "ubfx x1, x1, #32, #8",
    "orr x1, x1, x2",
    "cbz x1, 2f",
    "1: wfe",
    "b 1b",
    "2:",
    ".endif",
    ".endm",
    park = const matches!(BOARD.start, Start::EveryCore) as u32,
);

// Sets CNTFRQ_EL0 if nobody has, on a board that says what it should be. Uses x1.
global_asm!(
    ".macro set_counter_frequency",
    ".if {hz}",
    "mrs x1, cntfrq_el0",
    "cbnz x1, 1f",
    "mov_q x1, {hz}",
    "msr cntfrq_el0, x1",
    "1:",
    ".endif",
    ".endm",
    hz = const match BOARD.counter_hz {
        Some(hz) => hz,
        None => 0,
    },
);

/// Whether semihosting answers: stored by the entry code, once, before any Rust runs.
#[cfg(feature = "semihosting")]
static SEMIHOSTING: AtomicBool = AtomicBool::new(false);

// A semihosting call where nobody may answer. HLT is UNDEFINED then, and `early_vectors`, which are in use, lead to where
// TPIDR_EL0 says: behind the call, with x2 = 0 instead of 1. Uses x0 to x2.
#[cfg(feature = "semihosting")]
global_asm!(
    ".macro call_semihosting operation, block",
    "adr x0, 8f",
    "msr tpidr_el0, x0",
    "mov w0, #\\operation",
    "adr x1, \\block",
    "hlt #0xf000",
    "mov x2, #1",
    "b 9f",
    "8: mov x2, #0",
    "9: msr tpidr_el0, xzr",
    ".endm",
);

// Finds out whether semihosting answers, and has it in x23, by a call that changes nothing: SYS_ISERROR of 0 (Semihosting
// for AArch32 and AArch64). Uses x0 to x2.
#[cfg(feature = "semihosting")]
global_asm!(
    ".macro probe_semihosting",
    "call_semihosting 0x08, no_error",
    "mov x23, x2",
    ".endm",
    // Keeps what was found. Uses x0.
    ".macro keep_semihosting",
    "adrp x0, {answers}",
    "strb w23, [x0, :lo12:{answers}]",
    ".endm",
    answers = sym SEMIHOSTING,
);
#[cfg(not(feature = "semihosting"))]
global_asm!(".macro probe_semihosting", ".endm", ".macro keep_semihosting", ".endm");

// Where `early_vectors` lead: to code that expects the exception, which goes on with the PSTATE that it had but for the
// flags of memory access, none of which matters at EL2 or with the MMU off; or else to the end. Uses x0.
#[cfg(feature = "semihosting")]
global_asm!(".macro recover_early", "mrs x0, tpidr_el0", "cbz x0, dead", "br x0", ".endm");
#[cfg(not(feature = "semihosting"))]
global_asm!(".macro recover_early", ".endm");

// Ends the machine with a failing status from where no Rust can run, if semihosting answers. Else there is no way that
// works on every machine: the CPU stops, and the last stage's letter tells where.
#[cfg(feature = "semihosting")]
global_asm!(
    ".macro end_machine",
    "call_semihosting 0x20, failure", // SYS_EXIT_EXTENDED (as above, 6.8)
    "b 1f",
    ".balign 8",
    "no_error: .quad 0",
    "failure: .quad 0x20026, 1", // ADP_Stopped_ApplicationExit, status 1
    "1:",
    ".endm",
);
#[cfg(not(feature = "semihosting"))]
global_asm!(".macro end_machine", ".endm");

// SCTLR_EL2 with E2H = 0: all RES1 bits (29, 28, 23, 22, 18, 16, 11, 5, 4), everything else off (DDI 0487, D24.2.132).
global_asm!(
    ".equ SCTLR_EL2_OFF, 0x30c50830",
    ".macro mov_q register, value",
    "mov \\register, #(\\value & 0xffff)",
    "movk \\register, #((\\value >> 16) & 0xffff), lsl #16",
    ".if (\\value >> 32)",
    "movk \\register, #((\\value >> 32) & 0xffff), lsl #32",
    ".endif",
    ".endm",
);

// Nothing behind an ERET is to be speculated on. SB would do, where there is FEAT_SB.
global_asm!(".macro return_from_exception", "eret", "dsb nsh", "isb", ".endm");

global_asm!(".equ GUESTS, {guests}", guests = const cfg!(feature = "guests") as u32);
// Whether there may be an EL3 to be entered at.
global_asm!(".equ HAS_EL3, {el3}", el3 = const matches!(BOARD.firmware, Firmware::Possible) as u32);
global_asm!(".equ GIVE_INTERRUPTS, {call}", call = const GIVE_INTERRUPTS);
global_asm!(include_str!("vectors.S"));
global_asm!(include_str!("entry.S"));
global_asm!(include_str!("el3.S"));

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __symbols_start: u8;
    static __symbols_end: u8;
    static __rodata_end: u8;
    static __data_end: u8;
    static __stack_bottom: u8;
    static __stack_top: u8;
    static __fault_stack_bottom: u8;
    static __fault_stack_top: u8;
    static __early_pool_start: u8;
    static __early_pool_end: u8;

    fn invalidate_data_cache(start: u64, end: u64);
}

/// Runs a guest until a handler of its exceptions wants to leave it.
///
/// The guest starts at `pc` in `pstate`, the value of SPSR_EL2, with `x0` and zeroes in x1 to x30. Its exceptions come
/// to `lacuna_guest_synchronous`, `lacuna_guest_interrupt` and `lacuna_guest_serror`, which are given `context` and a
/// [`GuestFrame`](crate::GuestFrame), and the first of them ESR_EL2 and SPSR_EL2, on the stack of this call. A handler
/// that returns 0 lets the guest go on with what is in the frame then; one that returns 1 makes this function return.
///
/// Each exit is hardened as `hardening` says, if it does. The firmware must offer that function.
///
/// SErrors are masked from then on, and are as before when this returns. One that is pending when the guest is left is
/// taken in between: the handler of SErrors from EL2 knows it by [`is_leaving_guest`], and puts ESR_EL2 into x0.
/// Returns that value, else 0.
///
/// # Safety
///
/// - What EL2 controls of EL1 (HCR_EL2, VTTBR_EL2 and the others) must keep the guest within its own memory.
/// - `context` must be what the handlers expect, valid until this returns.
/// - Interrupts must be masked, and stay so in the handlers. SP_EL0 and TPIDR_EL2 are lost.
#[cfg(feature = "guests")]
pub unsafe fn run_guest(
    context: *mut core::ffi::c_void,
    pc: u64,
    pstate: u64,
    x0: u64,
    hardening: Option<crate::Hardening>,
) -> u64 {
    unsafe extern "C" {
        fn enter_guest(
            context: *mut core::ffi::c_void,
            pc: u64,
            pstate: u64,
            x0: u64,
            function: u32,
            rounds: u32,
        ) -> u64;
    }
    let function = hardening.and_then(|hardening| hardening.function).unwrap_or(0);
    let rounds = hardening.map_or(0, |hardening| hardening.rounds.get());
    // SAFETY: the caller keeps what the assembly relies on; it preserves what a function must.
    unsafe { enter_guest(context, pc, pstate, x0, function, rounds) }
}

/// Whether an SError from EL2 with this ELR_EL2 is one that a guest left pending.
#[cfg(feature = "guests")]
pub fn is_leaving_guest(elr: u64) -> bool {
    unsafe extern "C" {
        static serror_window: u8;
        static serror_window_end: u8;
    }
    (addr_of!(serror_window) as u64..=addr_of!(serror_window_end) as u64).contains(&elr)
}

/// Whether semihosting answers, as far as this image would use it: the entry code asked once, and took the exception that
/// comes of it where nobody answers.
pub fn semihosting_answers() -> bool {
    #[cfg(feature = "semihosting")]
    return SEMIHOSTING.load(Ordering::Relaxed);
    #[cfg(not(feature = "semihosting"))]
    false
}

/// Where the linker script put the parts of the image, at the address it was loaded at.
pub fn layout() -> Layout {
    macro_rules! address {
        ($symbol:ident) => {
            addr_of!($symbol) as u64
        };
    }
    Layout {
        text: address!(__image_start)..address!(__text_end),
        rodata: address!(__text_end)..address!(__rodata_end),
        data: address!(__rodata_end)..address!(__data_end),
        stack: address!(__stack_bottom)..address!(__stack_top),
        fault_stack: address!(__fault_stack_bottom)..address!(__fault_stack_top),
        pool: address!(__early_pool_start)..address!(__early_pool_end),
        symbols: address!(__symbols_start)..address!(__symbols_end),
    }
}

/// Drops every line of the image from the data cache, without writing any back.
///
/// What was written with the cache off is in memory only; a line that was speculatively filled before would hide it
/// once the cache is on (DDI 0487, D7.4.9). To be called as the last thing before that.
///
/// # Safety
///
/// The data cache must be off, so that no line holds anything that memory does not.
pub unsafe fn invalidate_image() {
    let image = layout().image();
    // SAFETY: the caller promises that no line of the range is dirty, so dropping lines loses nothing; the range is the
    // image, which begins on a page boundary and so on a cache line.
    unsafe { invalidate_data_cache(image.start, image.end) };
}
