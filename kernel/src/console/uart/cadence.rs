//! Cadence's UART, of Xilinx' Zynq and ZynqMP (UG1085, chapter 21; UG1087, module UART).

use super::{Keyboard, Registers, TransmitterFull, UartDriver};

/// Control.
const CONTROL: usize = 0x00;
/// Interrupts: enable, disable, and status, which is cleared by writing ones.
const ENABLE: usize = 0x08;
const DISABLE: usize = 0x0c;
const STATUS: usize = 0x14;
/// How many bytes in the receiver's FIFO interrupt.
const TRIGGER: usize = 0x20;
/// Channel status: the FIFOs' state now.
const CHANNEL: usize = 0x2c;
/// A received byte, or one to send.
const FIFO: usize = 0x30;

/// Control: RX_EN, RX_DIS, TX_EN, TX_DIS.
const ON: u32 = 1 << 2 | 1 << 4;
const OFF: u32 = 1 << 3 | 1 << 5;

/// Channel status: REMPTY and TFUL.
const RECEIVER_EMPTY: u32 = 1 << 1;
const TRANSMITTER_FULL: u32 = 1 << 4;

/// Interrupts: RTRIG, and all there are.
const RECEIVED: u32 = 1 << 0;
const ALL: u32 = 0x3fff;

/// A Cadence UART.
pub(super) struct Cadence<R>(pub(super) R);

impl<R: Registers> Cadence<R> {
    fn is_empty(&self) -> bool {
        self.0.read(CHANNEL) & RECEIVER_EMPTY != 0
    }
}

impl<R: Registers> UartDriver for Cadence<R> {
    fn start(&self) {
        self.listen(Keyboard::Deaf);
        self.0.write(TRIGGER, 1);
        if self.0.read(CONTROL) & (ON | OFF) != ON {
            self.0.change(CONTROL, OFF, ON);
        }
    }

    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        if self.0.read(CHANNEL) & TRANSMITTER_FULL != 0 {
            return Err(TransmitterFull);
        }
        self.0.write(FIFO, byte.into());
        Ok(())
    }

    /// The device keeps no errors for each byte, so a byte that did not arrive well is taken as it is.
    fn receive(&self) -> Option<u8> {
        if self.is_empty() {
            // The status stays until it is cleared. A byte that comes before that is found by the second look, one that
            // comes later sets the status again.
            self.0.write(STATUS, RECEIVED);
            if self.is_empty() {
                return None;
            }
        }
        Some(self.0.read(FIFO) as u8)
    }

    fn listen(&self, keyboard: Keyboard) {
        self.0.write(DISABLE, ALL);
        if keyboard == Keyboard::Heard {
            self.0.write(ENABLE, RECEIVED);
        }
    }
}
