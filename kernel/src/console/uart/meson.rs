//! The UART of Amlogic's SoCs (S905 Datasheet, chapter UART).

use super::{Keyboard, Registers, TransmitterFull, UartDriver};

const TRANSMIT: usize = 0x00;
const RECEIVE: usize = 0x04;
const CONTROL: usize = 0x08;
const STATUS: usize = 0x0c;
/// In bits 7:0, how many bytes interrupt.
const TRIGGER: usize = 0x10;

/// Control: transmitter and receiver on; clear the errors; interrupts for sent and received bytes.
const ON: u32 = 1 << 12 | 1 << 13;
const CLEAR_ERRORS: u32 = 1 << 24;
const RECEIVED: u32 = 1 << 27;
const SENT: u32 = 1 << 28;

/// Status: parity and framing errors; receiver empty; transmitter full.
const BAD: u32 = 1 << 16 | 1 << 17;
const RECEIVER_EMPTY: u32 = 1 << 20;
const TRANSMITTER_FULL: u32 = 1 << 21;

/// An Amlogic UART.
pub(super) struct Meson<R>(pub(super) R);

impl<R: Registers> UartDriver for Meson<R> {
    fn start(&self) {
        self.0.change(CONTROL, RECEIVED | SENT, ON);
        self.0.change(TRIGGER, 0xff, 1);
    }

    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        if self.0.read(STATUS) & TRANSMITTER_FULL != 0 {
            return Err(TransmitterFull);
        }
        self.0.write(TRANSMIT, byte.into());
        Ok(())
    }

    fn receive(&self) -> Option<u8> {
        loop {
            let status = self.0.read(STATUS);
            if status & RECEIVER_EMPTY != 0 {
                return None;
            }
            if status & BAD != 0 {
                self.0.change(CONTROL, 0, CLEAR_ERRORS);
                self.0.change(CONTROL, CLEAR_ERRORS, 0);
            }
            let byte = self.0.read(RECEIVE) as u8;
            if status & BAD == 0 {
                return Some(byte);
            }
        }
    }

    fn listen(&self, keyboard: Keyboard) {
        self.0.change(CONTROL, RECEIVED | SENT, if keyboard == Keyboard::Heard { RECEIVED } else { 0 });
    }
}
