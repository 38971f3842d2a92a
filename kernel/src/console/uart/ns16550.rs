//! The 16550 and its many descendants, which agree on seven registers: Synopsys' DesignWare APB UART, those of NVIDIA's and
//! TI's SoCs, and the mini UART of Broadcom's BCM2835.

use super::{Flavour, Keyboard, Registers, TransmitterFull, UartDriver};
use core::sync::atomic::{AtomicU32, Ordering};

/// RBR and THR: a received byte, or one to send. The firmware has left LCR.DLAB 0, else this would be a divisor.
const DATA: usize = 0;
/// IER: which interrupts are enabled.
const ENABLE: usize = 1;
/// IIR: why it interrupts.
const REASON: usize = 2;
/// LSR.
const LINE: usize = 5;
/// USR, of a DesignWare only.
const BUSY: usize = 31;

/// LSR.DR.
const READY: u32 = 1 << 0;
/// LSR.PE, FE and BI, of the byte that is read next. Not OE: that byte is good.
const BAD: u32 = 1 << 2 | 1 << 3 | 1 << 4;
/// LSR.THRE: the FIFO is empty; in a mini UART, that it is not full.
const ROOM: u32 = 1 << 5;

/// IIR: its reasons are bits 3:0, and bit 5 with FIFOs of 64 bytes.
const REASON_MASK: u32 = 0x3f;
/// Bytes have waited for some time in a FIFO that is not full enough to interrupt.
const TIMEOUT: u32 = 0x0c;
/// LCR was written while a DesignWare sent. IER cannot disable it; USR read acknowledges it.
const BUSY_DETECT: u32 = 0x07;

/// A 16550 and alike.
pub(super) struct Ns16550<R> {
    registers: R,
    flavour: Flavour,
    /// Errors of the byte that is read next, which LSR shows once: whoever sends may be the one to see them.
    errors: AtomicU32,
}

impl<R: Registers> Ns16550<R> {
    pub(super) const fn new(registers: R, flavour: Flavour) -> Self {
        Self { registers, flavour, errors: AtomicU32::new(0) }
    }

    /// The oldest good byte that the line status announces.
    fn next(&self) -> Option<u8> {
        loop {
            let line = self.registers.read(LINE);
            if line & READY == 0 {
                return None;
            }
            let byte = self.registers.read(DATA) as u8;
            if (line | self.errors.swap(0, Ordering::Relaxed)) & BAD == 0 {
                return Some(byte);
            }
        }
    }
}

impl<R: Registers> UartDriver for Ns16550<R> {
    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        let line = self.registers.read(LINE);
        if line & BAD != 0 {
            self.errors.store(line & BAD, Ordering::Relaxed);
        }
        if line & ROOM == 0 {
            return Err(TransmitterFull);
        }
        self.registers.write(DATA, byte.into());
        Ok(())
    }

    fn receive(&self) -> Option<u8> {
        let mut byte = self.next();
        if byte.is_some() {
            return byte;
        }
        match self.registers.read(REASON) & REASON_MASK {
            TIMEOUT => {
                // Of a byte that came since, or, in a DesignWare and TI's, of an empty FIFO: until it is read all the same.
                byte = self.next();
                if byte.is_none() {
                    self.registers.read(DATA);
                }
            }
            BUSY_DETECT if self.flavour == Flavour::DesignWare => _ = self.registers.read(BUSY),
            _ => (),
        }
        byte
    }

    /// Of the whole register: what firmware may have enabled beside, such as a DesignWare's bit 7, which gives LSR.THRE
    /// another meaning, is off.
    fn listen(&self, keyboard: Keyboard) {
        let received = match self.flavour {
            Flavour::Plain | Flavour::DesignWare => 1 << 0,
            // Timeouts have a bit of their own.
            Flavour::Tegra => 1 << 0 | 1 << 4,
            // Bits 3:2 are needed, against the manual (the BCM2835 ARM Peripherals' list of errata).
            Flavour::Mini => 1 << 0 | 1 << 2 | 1 << 3,
        };
        self.registers.write(ENABLE, if keyboard == Keyboard::Heard { received } else { 0 });
    }
}
