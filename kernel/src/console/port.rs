//! The console: a UART, with the `log` crate's macros in front of it.
//!
//! It has two entry points. Log lines take a lock. [`Emergency`] takes no lock and allocates nothing: panics and
//! exceptions print through it, whatever state everything else is in.

use crate::arch::aarch64::cpu::{self, pause};
use crate::arch::aarch64::semihosting;
use crate::arch::lock::SpinLock;
use crate::base::id::DomainId;
use crate::console::mark;
use crate::console::terminal::Focus;
use crate::console::terminal::output::{Output, RESTORE, Speaker};
pub use crate::console::uart::Keyboard;
use crate::console::uart::{TransmitterFull, UartDriver};
use crate::cpu::fixup::{self, Fault};
use aarch64_cpu::asm::barrier;
use alloc::boxed::Box;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;
use log::{LevelFilter, Log, Metadata, Record};

/// How often a byte is tried before it is lost: for seconds, and a full FIFO has room again after a fraction of one. Only
/// flow control, or a debug channel without a debugger, takes longer.
const PATIENCE: u32 = 1 << 24;

/// The UART once it is there, for [`Emergency`].
static WIRE: AtomicPtr<Wire> = AtomicPtr::new(core::ptr::null_mut());

/// The UART once it is there, for everybody else.
static CONSOLE: SpinLock<Option<Port>> = SpinLock::new(None);

/// Whether somebody is in the middle of a line, for [`Emergency`] to begin a new one.
static IN_LINE: AtomicBool = AtomicBool::new(false);

/// Whether a guest may have left the terminal in any state, for [`Emergency`] to restore it.
static UNSETTLED: AtomicBool = AtomicBool::new(false);

/// Who has the keyboard: the number of a guest, or [`NO_GUEST`]. Readable without the lock, for each byte that is printed.
static FOCUS: AtomicU32 = AtomicU32::new(NO_GUEST);

/// No guest's number.
const NO_GUEST: u32 = u32::MAX;

/// What stands before a command.
const PROMPT: &str = "lacuna> ";

/// Sends `log` lines to the console.
struct Logger;

/// A UART that bytes go into, whether or not it has room.
struct Wire {
    uart: Box<dyn UartDriver>,
    patience: Patience,
}

/// Whether the last byte was lost, so that the next one is not waited for as long.
struct Patience(AtomicBool);

/// A UART, and who printed on it last.
struct Port {
    wire: &'static Wire,
    output: Output,
    /// When a guest printed last, in ticks.
    last: u64,
}

/// Starts to use `uart`, unless that faults.
///
/// # Errors
///
/// The fault. There is no console then.
pub fn open(uart: Box<dyn UartDriver>) -> Result<(), Fault> {
    let start = || {
        uart.start();
        // An external abort may come late, as an SError: have it now.
        barrier::dsb(barrier::SY);
    };
    // SAFETY: the closure owns nothing, and a driver's start holds nothing; a device that faults is not used again.
    unsafe { fixup::catch(start) }?;
    let wire = Box::leak(Box::new(Wire { uart, patience: Patience::new() }));
    WIRE.store(wire, Ordering::Release);
    *CONSOLE.lock() = Some(Port { wire, output: Output::new(), last: 0 });
    Ok(())
}

impl Wire {
    fn send(&self, byte: u8) {
        self.patience.send(|| self.uart.send(byte));
    }
}

impl Patience {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Sends a byte by `send`, as soon as there is room, unless there never is.
    fn send(&self, send: impl Fn() -> Result<(), TransmitterFull>) {
        let tries = if self.0.load(Ordering::Relaxed) { 1 } else { PATIENCE };
        let is_sent = (0..tries).any(|_| send().inspect_err(|_| pause()).is_ok());
        self.0.store(!is_sent, Ordering::Relaxed);
    }
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
        Some(port) => ConsoleLine(port).write_fmt(arguments),
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
        print(format_args!("{}{}\n", mark(record.level()), record.args()));
    }

    fn flush(&self) {}
}

/// What the hypervisor prints.
struct ConsoleLine<'p>(&'p mut Port);

impl Write for ConsoleLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(Speaker::Hypervisor, text.as_bytes());
        Ok(())
    }
}

impl Port {
    fn write(&mut self, speaker: Speaker<'_>, bytes: &[u8]) {
        let Self { wire, output, .. } = self;
        output.write(speaker, bytes, |byte| wire.send(byte));
        IN_LINE.store(!output.is_at_line_start(), Ordering::Relaxed);
        UNSETTLED.store(output.is_unsettled(), Ordering::Relaxed);
    }
}

/// Whether bytes of a guest may break the line of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// They may.
    Now,
    /// They may not, as long as that guest prints.
    CanWait,
}

/// How long a guest pauses, in the middle of a line, before others' lines may break it.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Prints bytes of a guest, in lines that bear its name. Without a console they are lost. Whether it is done: bytes that can
/// wait are not printed while another guest is in the middle of a line.
#[must_use]
pub fn print_for_guest(id: DomainId, name: &str, bytes: &[u8], urgency: Urgency) -> bool {
    if let Some(port) = CONSOLE.lock().as_mut() {
        let (now, speaker) = (cpu::ticks(), Speaker::Guest { id, name });
        let has_paused = now.wrapping_sub(port.last) > cpu::ticks_in(PAUSE);
        if urgency == Urgency::CanWait && port.output.breaks_a_guests_line(speaker) && !has_paused {
            return false;
        }
        port.write(speaker, bytes);
        port.last = now;
    }
    true
}

/// Who has the keyboard, as [`set_raw`] was told.
pub fn focus() -> Focus {
    match FOCUS.load(Ordering::Relaxed) {
        NO_GUEST => Focus::Hypervisor,
        number => Focus::Guest(DomainId::new(number as u16)),
    }
}

/// Lets what a guest prints through as it is if the guest is `focus`; of others, only text.
pub fn set_raw(focus: Focus) {
    let number = match focus {
        Focus::Hypervisor => NO_GUEST,
        Focus::Guest(id) => id.index() as u32,
    };
    FOCUS.store(number, Ordering::Relaxed);
    if let Some(port) = CONSOLE.lock().as_mut() {
        port.output.set_raw(focus);
    }
}

/// Shows the line `line` at the hypervisor's prompt: by `change`, which makes it of what is there, or whole if something else
/// was printed meanwhile.
pub fn prompt(line: &str, change: &str) {
    if let Some(port) = CONSOLE.lock().as_mut() {
        let shown = if port.output.is_at_prompt() { ["", change] } else { [PROMPT, line] };
        shown.iter().for_each(|text| port.write(Speaker::Prompt, text.as_bytes()));
    }
}

/// Ends the line at the hypervisor's prompt, if there is one.
pub fn end_prompt() {
    if let Some(port) = CONSOLE.lock().as_mut()
        && port.output.is_at_prompt()
    {
        port.write(Speaker::Prompt, b"\n");
    }
}

/// Turns the UART's interrupt on or off.
pub fn set_keyboard(keyboard: Keyboard) {
    if let Some(port) = CONSOLE.lock().as_mut() {
        port.wire.uart.listen(keyboard);
    }
}

/// A key that was typed, if there is one. What did not arrive well is left out.
pub fn key() -> Option<u8> {
    CONSOLE.lock().as_ref()?.wire.uart.receive()
}

/// The console for the last words: no lock, no allocation, usable before there is a console at all.
///
/// Then it prints through semihosting if that answers, else on the board's early UART if the image was built for a board.
pub struct Emergency;

impl Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the pointer is null or was made from a reference for good.
        if let Some(wire) = unsafe { WIRE.load(Ordering::Acquire).as_ref() } {
            // The normal path may be in the middle of using it, on this CPU: what is left behind is a UART that accepts a
            // byte whenever it has room.
            let is_unsettled = UNSETTLED.swap(false, Ordering::Relaxed);
            if is_unsettled {
                RESTORE.iter().for_each(|byte| wire.send(*byte));
            }
            if IN_LINE.swap(false, Ordering::Relaxed) || is_unsettled {
                b"\r\n".iter().for_each(|byte| wire.send(*byte));
            }
            for byte in text.bytes() {
                if byte == b'\n' {
                    wire.send(b'\r');
                }
                wire.send(byte);
            }
            return Ok(());
        }
        for byte in text.bytes() {
            early(byte);
        }
        Ok(())
    }
}

/// Sends a byte where it may be seen before the console is there: to whoever answers semihosting, else to the board's UART,
/// which may be another one than that of the machine that the image runs on.
fn early(byte: u8) {
    if semihosting::answers() {
        semihosting::write(byte);
    } else {
        letter(byte);
    }
}

/// Whether nothing that is printed can get anywhere.
pub fn is_mute() -> bool {
    WIRE.load(Ordering::Relaxed).is_null() && !cfg!(feature = "early-uart") && !semihosting::answers()
}

/// Sends a byte to the UART of the board that the image was built for, if it was built for one: to tell a boot stage.
pub fn letter(byte: u8) {
    #[cfg(feature = "early-uart")]
    if let Some(uart) = lacuna_board::BOARD.early_uart {
        static PATIENCE: Patience = Patience::new();
        // SAFETY: whoever boots the image chose one for this board; the backend maps the UART's page where it is, before it
        // turns anything on.
        PATIENCE.send(|| unsafe { crate::console::uart::send_early(&uart, byte) });
    }
    #[cfg(not(feature = "early-uart"))]
    let _ = byte;
}
