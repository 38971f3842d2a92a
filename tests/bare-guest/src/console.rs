//! The console: a PL011 as SBSA restricts it, polled for output.

use crate::registers::{read32, write32};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Registers of the PL011 (DDI 0183, 3.2).
const DR: u64 = 0x00;
const FR: u64 = 0x18;
const IMSC: u64 = 0x38;
const ICR: u64 = 0x44;

/// FR: receive FIFO empty, transmit FIFO full.
const RXFE: u32 = 1 << 4;
const TXFF: u32 = 1 << 5;

/// IMSC and ICR: receive, and receive timeout.
const RX: u32 = 1 << 4;
const RT: u32 = 1 << 6;

/// The UART's address; 0 if there is none, when nothing is printed.
static UART: AtomicU64 = AtomicU64::new(0);

/// Prints to the UART at `address` from now on.
pub fn start(address: u64) {
    UART.store(address, Relaxed);
}

/// Has the UART interrupt when something was received.
pub fn enable_receive_interrupt() {
    let uart = UART.load(Relaxed);
    write32(uart + ICR, RX | RT);
    write32(uart + IMSC, RX | RT);
}

/// Takes the receive interrupts back.
pub fn acknowledge() {
    write32(UART.load(Relaxed) + ICR, RX | RT);
}

/// The next byte that was received.
pub fn receive() -> Option<u8> {
    let uart = UART.load(Relaxed);
    (read32(uart + FR) & RXFE == 0).then(|| read32(uart + DR) as u8)
}

/// Sends bytes as they are.
pub fn send(bytes: &[u8]) {
    let uart = UART.load(Relaxed);
    if uart == 0 {
        return;
    }
    for byte in bytes {
        while read32(uart + FR) & TXFF != 0 {}
        write32(uart + DR, u32::from(*byte));
    }
}

/// The console as a place to format to.
#[derive(Debug)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        send(text.as_bytes());
        Ok(())
    }
}

/// Prints a line after `guest: `.
macro_rules! say {
    ($($argument:tt)*) => {{
        use core::fmt::Write;
        // The console takes everything.
        let _ = writeln!($crate::console::Console, "guest: {}\r", format_args!($($argument)*));
    }};
}
pub(crate) use say;
