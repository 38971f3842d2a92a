//! The console: a PL011, with the `log` crate's macros in front of it.
//!
//! Two ways lead to it. Log lines take a lock. [`Emergency`] does not, and allocates nothing: it is what panics and
//! exceptions print through, whatever state everything else is in.

use crate::addr::PhysAddr;
use crate::devtree::Console;
use crate::vmap::{Vmap, VmapError};
use alloc::string::String;
use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use core::fmt::{self, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};
use log::{Level, LevelFilter, Log, Metadata, Record};
use spin::mutex::SpinMutex;

/// The UART's registers once it is mapped, for [`Emergency`].
static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(core::ptr::null_mut());

/// The UART once it is mapped, for everybody else.
static CONSOLE: SpinMutex<Option<Port>> = SpinMutex::new(None);

/// Sends `log` lines to the console.
struct Logger;

/// A UART whose output ends lines as a terminal wants them.
struct Port(Uart<'static>);

/// Why the console that the device tree names cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// Its registers are too few for a PL011.
    #[error("console {node} has {bytes:#x} bytes of registers, a PL011 has {}", size_of::<PL011Registers>())]
    TooSmall {
        /// The device's node.
        node: String,
        /// The length that its `reg` gives.
        bytes: u64,
    },
    /// Its registers are not aligned for 32-bit accesses.
    #[error("console {node} at {base} is not aligned to 4 bytes")]
    Misaligned {
        /// The device's node.
        node: String,
        /// Its first register.
        base: PhysAddr,
    },
    /// It cannot be mapped.
    #[error("console cannot be mapped: {0}")]
    Unmappable(#[from] VmapError),
}

/// Maps the console's registers, for good, and starts to use it.
///
/// # Errors
///
/// [`ConsoleError`].
pub fn start(vmap: &'static Vmap, console: &Console) -> Result<(), ConsoleError> {
    let Console { node, base, size, .. } = console;
    if *size < size_of::<PL011Registers>() as u64 {
        return Err(ConsoleError::TooSmall { node: node.clone(), bytes: *size });
    }
    if !base.is_aligned(align_of::<PL011Registers>() as u64) {
        return Err(ConsoleError::Misaligned { node: node.clone(), base: *base });
    }
    let registers = vmap.ioremap_for_good(*base, *size)?.cast();
    // SAFETY: the device tree says that there is a PL011, and that it is the console: for the boot stages before this one to
    // have used, and nobody beside this one from here on. It is mapped as device memory for good.
    unsafe { open(registers) };
    Ok(())
}

/// Starts to use the PL011 at `registers`.
///
/// The firmware has set up baud rate and line; the device tree says neither with certainty.
///
/// # Safety
///
/// `registers` must be a PL011, mapped as device memory for as long as the machine runs, that nothing else drives.
unsafe fn open(registers: NonNull<PL011Registers>) {
    // SAFETY: the caller promises a PL011 that nobody else drives.
    let unique = unsafe { UniqueMmioPointer::new(registers) };
    *CONSOLE.lock() = Some(Port(Uart::new(unique)));
    REGISTERS.store(registers.as_ptr(), Ordering::Release);
}

/// Makes `log`'s macros print lines of `level` and more important ones.
pub fn set_level(level: LevelFilter) {
    // Fails only if there is a logger already, and there is only this one.
    let _ = log::set_logger(&Logger);
    log::set_max_level(level);
}

/// Prints without a level and whatever the level: test results and the lines for scripts.
///
/// Without a console, wherever [`Emergency`] finds somebody to listen.
pub fn print(arguments: fmt::Arguments<'_>) {
    // A failure to print can be told to nobody.
    let _ = match CONSOLE.lock().as_mut() {
        Some(port) => port.write_fmt(arguments),
        None => Emergency.write_fmt(arguments),
    };
}

/// Prints a line on the console, whatever the log level.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::console::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // A report is for reading: only what is wrong carries a mark.
        match record.level() {
            Level::Error => print(format_args!("lacuna: error: {}\n", record.args())),
            Level::Warn => print(format_args!("lacuna: warning: {}\n", record.args())),
            Level::Info => print(format_args!("{}\n", record.args())),
            Level::Debug | Level::Trace => print(format_args!("# {}\n", record.args())),
        }
    }

    fn flush(&self) {}
}

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.send(b'\r');
            }
            self.send(byte);
        }
        Ok(())
    }
}

impl Port {
    fn send(&mut self, byte: u8) {
        while self.0.is_tx_fifo_full() {
            core::hint::spin_loop();
        }
        self.0.write_word(byte);
    }
}

/// The console for the last words: no lock, no allocation, usable before there is a console at all.
///
/// Then it prints on the board's early UART if the image was built for a board, and through semihosting if that is
/// built in.
pub struct Emergency;

impl Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(registers) = NonNull::new(REGISTERS.load(Ordering::Acquire)) {
            // SAFETY: `open` was given these registers as a PL011 that stays mapped. The normal path may be in the middle
            // of using it, on this CPU: what is left behind is a PL011 that accepts a byte whenever its FIFO has room.
            let unique = unsafe { UniqueMmioPointer::new(registers) };
            return Port(Uart::new(unique)).write_str(text);
        }
        for byte in text.bytes() {
            early(byte);
        }
        Ok(())
    }
}

/// Sends a byte where it may be seen before the console is there: to whoever listens to semihosting, who is certain to be
/// there, else to the board's UART, which may be another one than that of the machine that the image runs on.
fn early(byte: u8) {
    #[cfg(feature = "semihosting")]
    semihosting::sys::arm_compat::sys_writec(byte);
    #[cfg(not(feature = "semihosting"))]
    letter(byte);
}

/// Sends a byte to the UART of the board that the image was built for, if it was built for one: to tell a boot stage.
pub fn letter(byte: u8) {
    #[cfg(feature = "early-uart")]
    if let Some(address) = lacuna_board::BOARD.early_uart {
        // SAFETY: the board promises that writing a byte there sends it; the address is mapped as device memory, or
        // translation and protection are off. The FIFO may be full on a real line: a lost letter is better than a wait
        // without end.
        unsafe { (address as *mut u32).write_volatile(byte.into()) };
    }
    #[cfg(not(feature = "early-uart"))]
    let _ = byte;
}
