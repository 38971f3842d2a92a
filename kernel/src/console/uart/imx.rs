//! The UART of NXP's i.MX from i.MX21 on (i.MX 8M Plus Reference Manual, chapter UART).

use super::{Keyboard, Registers, TransmitterFull, UartDriver};

/// URXD: a received byte with its errors.
const RECEIVE: usize = 0x00;
/// UTXD: a byte to send.
const TRANSMIT: usize = 0x40;
/// UCR1 to UCR4.
const CONTROL_1: usize = 0x80;
const CONTROL_2: usize = 0x84;
const CONTROL_3: usize = 0x88;
const CONTROL_4: usize = 0x8c;
/// UFCR: how many bytes interrupt, and a divider of the clock, which stays.
const FIFO_CONTROL: usize = 0x90;
/// USR2.
const STATUS_2: usize = 0x98;
/// UTS.
const TEST: usize = 0xb4;

/// URXD.FRMERR, BRK and PRERR. Not OVRRUN: that byte is good.
const BAD: u32 = 1 << 12 | 1 << 11 | 1 << 10;

/// UCR1.UARTEN and RRDYEN; all others of its bits that enable interrupts: ADEN, TRDYEN, IDEN, TXMPTYEN, RTSDEN; and by DMA:
/// RXDMAEN, TXDMAEN, ATDMAEN.
const ENABLED: u32 = 1 << 0;
const RECEIVED: u32 = 1 << 9;
const OTHERS_1: u32 = 1 << 15 | 1 << 13 | 1 << 12 | 1 << 8 | 1 << 6 | 1 << 5 | 1 << 3 | 1 << 2;
/// UCR2.SRST, which is low to reset, RXEN and TXEN; ESCI, RTSEN and ATEN.
const ON: u32 = 1 << 0 | 1 << 1 | 1 << 2;
const OTHERS_2: u32 = 1 << 15 | 1 << 4 | 1 << 3;
/// UCR3.DTREN, PARERREN, FRAERREN, RXDSEN, AIRINTEN, AWAKEN, DTRDEN and ACIEN.
const OTHERS_3: u32 = 1 << 13 | 1 << 12 | 1 << 11 | 1 << 6 | 1 << 5 | 1 << 4 | 1 << 3 | 1 << 0;
/// UCR4.ENIRI, WKEN, IDDMAEN, TCEN, BKEN, OREN and DREN.
const OTHERS_4: u32 = 1 << 8 | 1 << 7 | 1 << 6 | 1 << 3 | 1 << 2 | 1 << 1 | 1 << 0;
/// UFCR.RXTL.
const TRIGGER: u32 = 0x3f;
/// USR2.RDR.
const READY: u32 = 1 << 0;
/// UTS.TXFULL.
const TRANSMITTER_FULL: u32 = 1 << 4;

/// An i.MX UART.
pub(super) struct Imx<R>(pub(super) R);

impl<R: Registers> UartDriver for Imx<R> {
    fn start(&self) {
        self.0.change(CONTROL_1, OTHERS_1 | RECEIVED, ENABLED);
        self.0.change(CONTROL_2, OTHERS_2, ON);
        self.0.change(CONTROL_3, OTHERS_3, 0);
        self.0.change(CONTROL_4, OTHERS_4, 0);
        self.0.change(FIFO_CONTROL, TRIGGER, 1);
    }

    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        if self.0.read(TEST) & TRANSMITTER_FULL != 0 {
            return Err(TransmitterFull);
        }
        self.0.write(TRANSMIT, byte.into());
        Ok(())
    }

    /// USR1.RRDY is a level: it goes when fewer bytes are left than interrupt, which is one.
    fn receive(&self) -> Option<u8> {
        while self.0.read(STATUS_2) & READY != 0 {
            let data = self.0.read(RECEIVE);
            if data & BAD == 0 {
                return Some(data as u8);
            }
        }
        None
    }

    fn listen(&self, keyboard: Keyboard) {
        self.0.change(CONTROL_1, RECEIVED, if keyboard == Keyboard::Heard { RECEIVED } else { 0 });
    }
}
