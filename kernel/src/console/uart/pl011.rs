//! Arm's PL011 (PrimeCell UART, DDI 0183) and the SBSA's generic UART, which has these registers of it and no others
//! (Server Base System Architecture, DEN 0029, appendix B).

use super::{Keyboard, Registers, TransmitterFull, UartDriver};

/// UARTDR: a received byte with its errors, or one to send.
const DATA: usize = 0x00;
/// UARTFR.
const FLAGS: usize = 0x18;
/// UARTIMSC: which interrupts are enabled.
const MASK: usize = 0x38;

/// UARTFR.TXFF and RXFE.
const TRANSMITTER_FULL: u32 = 1 << 5;
const RECEIVER_EMPTY: u32 = 1 << 4;

/// UARTDR.BE, PE and FE. Not OE: that byte is good, one after it was lost.
const BAD: u32 = 1 << 10 | 1 << 9 | 1 << 8;

/// UARTIMSC.RXIM and RTIM. Reading until the FIFO is empty clears both (DDI 0183, 2.8.2 and 2.8.4).
const RECEIVED: u32 = 1 << 4 | 1 << 6;

/// A PL011.
pub(super) struct Pl011<R>(pub(super) R);

impl<R: Registers> UartDriver for Pl011<R> {
    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        if self.0.read(FLAGS) & TRANSMITTER_FULL != 0 {
            return Err(TransmitterFull);
        }
        self.0.write(DATA, byte.into());
        Ok(())
    }

    fn receive(&self) -> Option<u8> {
        while self.0.read(FLAGS) & RECEIVER_EMPTY == 0 {
            let data = self.0.read(DATA);
            if data & BAD == 0 {
                return Some(data as u8);
            }
        }
        None
    }

    fn listen(&self, keyboard: Keyboard) {
        self.0.write(MASK, if keyboard == Keyboard::Heard { RECEIVED } else { 0 });
    }
}
