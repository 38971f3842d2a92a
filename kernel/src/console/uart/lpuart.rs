//! Freescale's low-power UART: with registers of 8 bits (Vybrid Reference Manual, chapter UART), and of 32 bits (QorIQ
//! LS1021A and i.MX 8 reference manuals, chapter LPUART).

use super::{Keyboard, Registers, TransmitterFull, UartDriver};

/// With registers of 8 bits.
pub(super) struct Lpuart8<R>(pub(super) R);

mod narrow {
    /// C2.
    pub const CONTROL: usize = 0x03;
    /// S1.
    pub const STATUS: usize = 0x04;
    /// D.
    pub const DATA: usize = 0x07;
    /// SFIFO.
    pub const FIFO: usize = 0x12;
    /// RWFIFO: how many bytes interrupt.
    pub const TRIGGER: usize = 0x15;

    /// C2.TE and RE; TIE, TCIE, RIE and ILIE.
    pub const ON: u32 = 1 << 3 | 1 << 2;
    pub const RECEIVER: u32 = 1 << 2;
    pub const RECEIVED: u32 = 1 << 5;
    pub const INTERRUPTS: u32 = 0xf0;
    /// S1.TDRE; FE and PE.
    pub const ROOM: u32 = 1 << 7;
    pub const BAD: u32 = 1 << 1 | 1 << 0;
    /// SFIFO.RXEMPT.
    pub const RECEIVER_EMPTY: u32 = 1 << 6;
}

impl<R: Registers> UartDriver for Lpuart8<R> {
    fn start(&self) {
        use narrow::{CONTROL, INTERRUPTS, ON, RECEIVER, TRIGGER};
        // The trigger may change while the receiver is off only.
        self.0.change(CONTROL, INTERRUPTS | RECEIVER, 0);
        self.0.write(TRIGGER, 1);
        self.0.change(CONTROL, 0, ON);
    }

    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        if self.0.read(narrow::STATUS) & narrow::ROOM == 0 {
            return Err(TransmitterFull);
        }
        self.0.write(narrow::DATA, byte.into());
        Ok(())
    }

    /// Reading the status and then the byte clears the errors and the interrupt.
    fn receive(&self) -> Option<u8> {
        while self.0.read(narrow::FIFO) & narrow::RECEIVER_EMPTY == 0 {
            let status = self.0.read(narrow::STATUS);
            let byte = self.0.read(narrow::DATA) as u8;
            if status & narrow::BAD == 0 {
                return Some(byte);
            }
        }
        None
    }

    fn listen(&self, keyboard: Keyboard) {
        let received = if keyboard == Keyboard::Heard { narrow::RECEIVED } else { 0 };
        self.0.change(narrow::CONTROL, narrow::INTERRUPTS, received);
    }
}

/// With registers of 32 bits.
pub(super) struct Lpuart32<R>(pub(super) R);

mod wide {
    pub const STATUS: usize = 0x04;
    pub const CONTROL: usize = 0x08;
    pub const DATA: usize = 0x0c;
    pub const FIFO: usize = 0x18;
    /// WATER: in bits 23:16, more than how many bytes interrupt.
    pub const WATERMARK: usize = 0x1c;

    /// STAT.TDRE; OR, which is cleared by writing one and keeps bytes out until then.
    pub const ROOM: u32 = 1 << 23;
    pub const OVERRUN: u32 = 1 << 19;
    /// STAT: all that is cleared by writing ones: LBKDIF, RXEDGIF, IDLE, OR, NF, FE, PF, MA1F and MA2F.
    pub const FLAGS: u32 = 1 << 31 | 1 << 30 | 0x1f << 16 | 0b11 << 14;
    /// CTRL.TE and RE; ORIE, NEIE, FEIE, PEIE, TIE, TCIE, RIE and ILIE, MA1IE and MA2IE.
    pub const ON: u32 = 1 << 19 | 1 << 18;
    pub const RECEIVER: u32 = 1 << 18;
    pub const RECEIVED: u32 = 1 << 21;
    pub const INTERRUPTS: u32 = 0xff << 20 | 0b11 << 14;
    /// FIFO.RXEMPT.
    pub const RECEIVER_EMPTY: u32 = 1 << 22;
    /// DATA.PARITYE and FRETSC, of this byte.
    pub const BAD: u32 = 1 << 14 | 1 << 13;
}

impl<R: Registers> UartDriver for Lpuart32<R> {
    fn start(&self) {
        use wide::{CONTROL, INTERRUPTS, ON, RECEIVER, WATERMARK};
        self.0.change(CONTROL, INTERRUPTS | RECEIVER, 0);
        self.0.change(WATERMARK, 0xff << 16, 0);
        self.0.change(CONTROL, 0, ON);
    }

    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        if self.0.read(wide::STATUS) & wide::ROOM == 0 {
            return Err(TransmitterFull);
        }
        self.0.write(wide::DATA, byte.into());
        Ok(())
    }

    fn receive(&self) -> Option<u8> {
        while self.0.read(wide::FIFO) & wide::RECEIVER_EMPTY == 0 {
            let data = self.0.read(wide::DATA);
            if data & wide::BAD == 0 {
                return Some(data as u8);
            }
        }
        if self.0.read(wide::STATUS) & wide::OVERRUN != 0 {
            self.0.change(wide::STATUS, wide::FLAGS, wide::OVERRUN);
        }
        None
    }

    fn listen(&self, keyboard: Keyboard) {
        let received = if keyboard == Keyboard::Heard { wide::RECEIVED } else { 0 };
        self.0.change(wide::CONTROL, wide::INTERRUPTS, received);
    }
}
