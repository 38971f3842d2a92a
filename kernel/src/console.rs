//! The console: a PL011, with the `log` crate's macros in front of it.
//!
//! Two ways lead to it. Log lines take a lock. [`Emergency`] does not, and allocates nothing: it is what panics and
//! exceptions print through, whatever state everything else is in.

use crate::devtree::Console;
use crate::terminal::{Output, Speaker};
use crate::vmap::{Vmap, VmapError};
use arm_pl011_uart::{Interrupts, PL011Registers, Uart, UniqueMmioPointer};
use core::fmt::{self, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use log::{Level, LevelFilter, Log, Metadata, Record};
use spin::mutex::SpinMutex;

/// The UART's registers once it is mapped, for [`Emergency`].
static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(core::ptr::null_mut());

/// The UART once it is mapped, for everybody else.
static CONSOLE: SpinMutex<Option<Port>> = SpinMutex::new(None);

/// Whether somebody is in the middle of a line, for [`Emergency`] to begin a new one.
static IN_LINE: AtomicBool = AtomicBool::new(false);

/// Why the console that the device tree names cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("console cannot be mapped: {0}")]
pub struct ConsoleError(#[from] VmapError);

/// Sends `log` lines to the console.
struct Logger;

/// A UART, and who printed on it last.
struct Port {
    uart: Uart<'static>,
    output: Output,
}

/// Maps the console's registers, for good, and starts to use it.
///
/// # Errors
///
/// [`ConsoleError`].
pub fn start(vmap: &'static Vmap, console: &Console) -> Result<(), ConsoleError> {
    let registers = vmap.ioremap_for_good(console.base, console.size)?.cast();
    // SAFETY: the device tree says that there is a PL011, and that it is the console: for the boot stages before this one to
    // have used, and nobody beside this one from here on. It is mapped as device memory for good, as far as the driver
    // reaches: `Facts` names no console with fewer registers, or with registers that are not aligned.
    unsafe { open(registers) };
    Ok(())
}

/// Starts to use the PL011 at `registers`.
///
/// The firmware has set up baud rate and line; the device tree says neither with certainty.
///
/// # Safety
///
/// `registers` must be a PL011, mapped as device memory up to UARTICR for as long as the machine runs, that nothing else
/// drives.
unsafe fn open(registers: NonNull<PL011Registers>) {
    // SAFETY: the caller promises a PL011 that nobody else drives.
    let unique = unsafe { UniqueMmioPointer::new(registers) };
    *CONSOLE.lock() = Some(Port { uart: Uart::new(unique), output: Output::new() });
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
        Some(port) => Line(port).write_fmt(arguments),
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

/// What the hypervisor prints.
struct Line<'p>(&'p mut Port);

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(Speaker::Hypervisor, text.as_bytes());
        Ok(())
    }
}

impl Port {
    fn write(&mut self, speaker: Speaker<'_>, bytes: &[u8]) {
        let Self { uart, output } = self;
        output.write(speaker, bytes, |byte| send(uart, byte));
        IN_LINE.store(!output.is_at_line_start(), Ordering::Relaxed);
    }
}

fn send(uart: &mut Uart<'_>, byte: u8) {
    while uart.is_tx_fifo_full() {
        core::hint::spin_loop();
    }
    uart.write_word(byte);
}

/// Prints bytes of a guest, in lines that bear its name. Without a console they are lost.
pub fn print_for_guest(number: usize, name: &str, bytes: &[u8]) {
    if let Some(port) = CONSOLE.lock().as_mut() {
        port.write(Speaker::Guest { number, name }, bytes);
    }
}

/// Whether the UART interrupts when something was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyboard {
    /// It does.
    Heard,
    /// It does not, and keeps what is typed as long as it has room.
    Deaf,
}

/// Turns the UART's interrupt on or off.
pub fn set_keyboard(keyboard: Keyboard) {
    let masks = match keyboard {
        Keyboard::Heard => Interrupts::RXI | Interrupts::RTI,
        Keyboard::Deaf => Interrupts::empty(),
    };
    if let Some(port) = CONSOLE.lock().as_mut() {
        port.uart.set_interrupt_masks(masks);
    }
}

/// A key that was typed, if there is one. What did not arrive well is left out.
pub fn key() -> Option<u8> {
    let mut console = CONSOLE.lock();
    let port = console.as_mut()?;
    loop {
        match port.uart.read_word() {
            Ok(key) => return key,
            Err(_) => port.uart.clear_interrupts(Interrupts::all()),
        }
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
            let mut uart = Uart::new(unique);
            if IN_LINE.swap(false, Ordering::Relaxed) {
                b"\r\n".iter().for_each(|byte| send(&mut uart, *byte));
            }
            for byte in text.bytes() {
                if byte == b'\n' {
                    send(&mut uart, b'\r');
                }
                send(&mut uart, byte);
            }
            return Ok(());
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
