//! The assembly, and the functions by which Rust reads its results.

use crate::{FAULT_STACK_BYTES, GIVE_INTERRUPTS, Layout, STACK_BYTES};
use core::arch::global_asm;
use core::ptr::addr_of;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use lacuna_board::{BOARD, EarlyUart, Firmware, RegisterWrite, Room, Start, Width};

/// The board's UART, if this image uses it before the device tree is read.
const EARLY_UART: Option<EarlyUart> = if cfg!(feature = "early-uart") {
    assert!(BOARD.early_uart.is_some(), "feature early-uart needs a board that names its UART");
    BOARD.early_uart
} else {
    None
};

/// How many writes the early UART needs; none in an image that does not use it.
const UART_WRITES: usize = if cfg!(feature = "early-uart") { BOARD.early_uart_setup.len() } else { 0 };

/// The writes themselves, not a reference to them: nothing is relocated yet when they are read.
static UART_SETUP: [RegisterWrite; UART_WRITES] =
    *BOARD.early_uart_setup.first_chunk().expect("there are as many as were counted");

/// Whether semihosting answers: stored by the entry code, once, before any Rust runs.
static SEMIHOSTING: AtomicBool = AtomicBool::new(false);

/// The [`CpuStart`](crate::CpuStart) of the CPU that is being started, or null. That CPU reads it past the caches.
static PENDING: AtomicPtr<crate::CpuStart> = AtomicPtr::new(core::ptr::null_mut());

// One block: the compiler keeps no order between two, and each file uses what the ones before it define.
global_asm!(
    include_str!("macros.S"),
    include_str!("vectors.S"),
    include_str!("entry.S"),
    include_str!("el3.S"),
    include_str!("secondary.S"),
    guests = const cfg!(feature = "guests") as u32,
    cpus = const cfg!(feature = "cpus") as u32,
    has_el3 = const matches!(BOARD.firmware, Firmware::Possible) as u32,
    semihosting = const cfg!(feature = "semihosting") as u32,
    early_uart = const EARLY_UART.is_some() as u32,
    give_interrupts = const GIVE_INTERRUPTS,
    stack_bytes = const STACK_BYTES,
    fault_stack_bytes = const FAULT_STACK_BYTES,
    uart_transmit = const match EARLY_UART {
        Some(uart) => uart.transmit(),
        None => 0,
    },
    uart_status = const match EARLY_UART {
        Some(uart) => uart.status(),
        None => 0,
    },
    uart_bytes = const matches!(EARLY_UART, Some(uart) if matches!(uart.width(), Width::Byte)) as u32,
    uart_is_set = const matches!(EARLY_UART, Some(uart) if matches!(uart.room(), Room::Set(_))) as u32,
    uart_bit = const match EARLY_UART {
        Some(uart) => match uart.room() {
            Room::Set(bit) | Room::Clear(bit) => bit,
        },
        None => 0,
    },
    uart_setup = sym UART_SETUP,
    uart_writes = const UART_WRITES,
    park = const matches!(BOARD.start, Start::EveryCore) as u32,
    counter_hz = const match BOARD.counter_hz {
        Some(hz) => hz,
        None => 0,
    },
    answers = sym SEMIHOSTING,
    pending = sym PENDING,
);

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
/// The guest runs with the registers in `frame`, and `frame` has its registers when this returns. Its exceptions go to
/// `lacuna_guest_synchronous`, `lacuna_guest_interrupt` and `lacuna_guest_serror`, on the stack of this call. Their
/// arguments are `context` and a [`GuestFrame`](crate::GuestFrame), and for the first of them ESR_EL2 and SPSR_EL2. After
/// a handler that returns 0 the guest resumes with the contents of that frame; a handler that returns 1 makes this
/// function return.
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
/// - Interrupts must be masked, and stay so in the handlers.
#[cfg(feature = "guests")]
pub unsafe fn run_guest(
    context: *mut core::ffi::c_void,
    frame: &mut crate::GuestFrame,
    hardening: Option<crate::Hardening>,
) -> u64 {
    unsafe extern "C" {
        fn run_guest(context: *mut core::ffi::c_void, frame: *mut crate::GuestFrame, function: u32, rounds: u32)
        -> u64;
    }
    let function = hardening.and_then(|hardening| hardening.function).unwrap_or(0);
    let rounds = hardening.map_or(0, |hardening| hardening.rounds.get());
    // SAFETY: the caller keeps what the assembly relies on; it preserves what a function must.
    unsafe { run_guest(context, frame, function, rounds) }
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

/// Where a CPU that is started begins: a physical address.
#[cfg(feature = "cpus")]
pub fn secondary_entry() -> u64 {
    unsafe extern "C" {
        static secondary_entry: u8;
    }
    addr_of!(secondary_entry) as u64
}

/// Says which CPU is being started from now on, and returns the memory that has to be cleaned to the point of coherency before
/// that CPU can know. It finds its block and its stack by way of `start`.
#[cfg(feature = "cpus")]
pub fn set_pending(start: &'static crate::CpuStart) -> &'static [u8] {
    PENDING.store(core::ptr::from_ref(start).cast_mut(), Ordering::Relaxed);
    // SAFETY: the bytes of a static, which are initialised. Nothing reads them through the slice while they change: it is for
    // cache maintenance, which takes its address.
    unsafe { core::slice::from_raw_parts(PENDING.as_ptr().cast(), size_of_val(&PENDING)) }
}

/// Whether semihosting answers, as far as this image would use it: the entry code asked once, and took the exception that
/// comes of it where nobody answers.
pub fn semihosting_answers() -> bool {
    cfg!(feature = "semihosting") && SEMIHOSTING.load(Ordering::Relaxed)
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
