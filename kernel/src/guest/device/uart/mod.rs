//! A guest's serial line: a PL011 emulated as its registers only.
//!
//! It serves three drivers of Linux: that of the PL011, that of the SBSA generic UART, which is its subset without baud
//! rate and control registers, and the early console, which only writes. For the last two it starts as firmware would
//! leave it: enabled in both directions, with its FIFOs.
//!
//! Sending takes no time: the caller prints a byte at once when it is written, and the transmit FIFO always has room.
//! Receiving depends on the guest: [`Vpl011::receive`] refuses a byte that does not fit, so no typed byte is lost
//! unless the guest discards it.
//!
//! There is no line, so there are no line errors, modem interrupts or DMA: their registers keep the written value and
//! have no effect. There is no loopback either. Numbers are those of DDI 0183 (PL011 technical reference manual, r1p5),
//! chapter 3.

use crate::guest::device::size::Size;
use crate::guest::device::vgic::LineLevel;
use arrayvec::ArrayVec;

/// UARTDR: a byte received, or to send.
const DR: u64 = 0x000;
/// UARTFR: flags.
const FR: u64 = 0x018;
/// UARTILPR: low-power divisor of IrDA.
const ILPR: u64 = 0x020;
/// UARTIBRD: baud rate, integer part.
const IBRD: u64 = 0x024;
/// UARTFBRD: baud rate, fraction.
const FBRD: u64 = 0x028;
/// UARTLCR_H: line control.
const LCR_H: u64 = 0x02c;
/// UARTCR: control.
const CR: u64 = 0x030;
/// UARTIFLS: at which levels the FIFOs interrupt.
const IFLS: u64 = 0x034;
/// UARTIMSC: which interrupts get through.
const IMSC: u64 = 0x038;
/// UARTRIS: which interrupts there are.
const RIS: u64 = 0x03c;
/// UARTMIS: which of them get through.
const MIS: u64 = 0x040;
/// UARTICR: clears interrupts.
const ICR: u64 = 0x044;
/// UARTDMACR: DMA control.
const DMACR: u64 = 0x048;
/// UARTPeriphID0, the first of the eight identification registers that end the page.
const ID: u64 = 0xfe0;
/// UARTPeriphID0 to 3, a PL011 of revision r1p5, then UARTPCellID0 to 3: by these, Linux's AMBA bus chooses the driver.
const ID_VALUES: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Bytes of registers, those that do not exist included.
pub const BYTES: u64 = 0x1000;
/// Bytes between two registers.
const STRIDE: u64 = 4;

/// UARTFR: clear to send, data set ready, data carrier detect. Somebody is always there, or a getty might wait for it.
const FR_PRESENT: u16 = 0b111;
/// UARTFR: nothing received.
const FR_RXFE: u16 = 1 << 4;
/// UARTFR: no room for another byte received.
const FR_RXFF: u16 = 1 << 6;
/// UARTFR: everything sent.
const FR_TXFE: u16 = 1 << 7;

/// UARTLCR_H: FIFOs enabled.
const LCR_H_FEN: u16 = 1 << 4;
/// UARTLCR_H: eight bits in a character.
const LCR_H_WLEN_8: u16 = 0b11 << 5;
/// UARTCR: the UART, its transmitter and its receiver are on.
const CR_UARTEN: u16 = 1 << 0;
const CR_TXE: u16 = 1 << 8;
const CR_RXE: u16 = 1 << 9;
/// UARTIFLS after reset: both FIFOs at half.
const IFLS_HALF: u16 = 0b010_010;
/// UARTIFLS.RXIFLSEL, bits 5:3.
const RXIFLSEL_SHIFT: u32 = 3;

/// In UARTIMSC, UARTRIS, UARTMIS and UARTICR: as many bytes received as UARTIFLS says.
const RX: u16 = 1 << 4;
/// The same: there is room to send, again.
const TX: u16 = 1 << 5;
/// The same: there are bytes received, and no more came for a while.
const RT: u16 = 1 << 6;

/// Reads of UARTFR, UARTRIS or UARTMIS in a row, of a guest that waits for a byte without interrupts. Output reads UARTFR
/// twice in a row: whether there is room for the next byte, after whether the last one is gone.
const POLLS: u8 = 16;

/// Bytes that the receive FIFO holds, as of r1p5.
const FIFO: usize = 32;

/// The guest has no room for a byte, or has its receiver off: it is to be offered again, later.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the guest's UART takes no byte now")]
pub struct ReceiverFull;

/// Whether the guest's interrupt controller lets the UART's interrupt through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UartInterrupt {
    /// The guest has enabled it there.
    Enabled,
    /// The guest does not read: the line may rise without effect.
    Disabled,
}

/// Why an access is none of a register.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UartRejected {
    /// Registers have at most 32 bits.
    #[error("{} bytes at offset {offset:#x} of a UART, whose registers have at most 4", size.bytes())]
    TooWide {
        /// Bytes from the first register.
        offset: u64,
        /// What was tried.
        size: Size,
    },
    /// No register begins there.
    #[error("offset {offset:#x} of a UART is between two registers")]
    BetweenRegisters {
        /// Bytes from the first register.
        offset: u64,
    },
    /// Its registers end before that.
    #[error("offset {offset:#x} is beyond the {BYTES:#x} bytes of a UART")]
    Beyond {
        /// Bytes from the first register.
        offset: u64,
    },
}

/// A PL011.
#[derive(Clone, Debug)]
pub struct Vpl011 {
    received: ArrayVec<u8, FIFO>,
    line_control: u16,
    control: u16,
    levels: u16,
    mask: u16,
    /// UARTRIS.TXRIS. The bits for receiving follow from `received`.
    sent: bool,
    /// Accesses since one that did not wait for a byte, up to [`POLLS`].
    polls: u8,
    /// ILPR, IBRD, FBRD and DMACR: kept for who reads them back.
    low_power: u16,
    integer_baud: u16,
    fraction_baud: u16,
    dma: u16,
}

impl Default for Vpl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Vpl011 {
    /// A UART that firmware has set up: eight bits, FIFOs, on, and no interrupt enabled.
    pub const fn new() -> Self {
        Self {
            received: ArrayVec::new_const(),
            line_control: LCR_H_WLEN_8 | LCR_H_FEN,
            control: CR_UARTEN | CR_TXE | CR_RXE,
            levels: IFLS_HALF,
            mask: 0,
            sent: false,
            polls: 0,
            low_power: 0,
            integer_baud: 0,
            fraction_baud: 0,
            dma: 0,
        }
    }

    /// What the guest reads, `offset` bytes from the first register. Registers that do not exist read as zero.
    ///
    /// # Errors
    ///
    /// [`UartRejected`]; nothing has changed then.
    pub fn read(&mut self, offset: u64, size: Size) -> Result<u64, UartRejected> {
        check(offset, size)?;
        self.polls = match offset {
            FR | RIS | MIS => (self.polls + 1).min(POLLS),
            DR => self.polls,
            _ => 0,
        };
        let value = match offset {
            // Bits 11:8, errors of the line, are 0. Without a byte, the manual leaves open what is read.
            DR if self.received.is_empty() => 0,
            DR => self.received.remove(0).into(),
            FR => self.flags(),
            ILPR => self.low_power,
            IBRD => self.integer_baud,
            FBRD => self.fraction_baud,
            LCR_H => self.line_control,
            CR => self.control,
            IFLS => self.levels,
            IMSC => self.mask,
            RIS => self.raised(),
            MIS => self.raised() & self.mask,
            DMACR => self.dma,
            ID..BYTES => ID_VALUES[((offset - ID) / STRIDE) as usize].into(),
            // UARTRSR, errors of the line, too.
            _ => 0,
        };
        Ok(size.truncate(value.into()))
    }

    /// Takes what the guest writes, `offset` bytes from the first register, and returns the byte to print if that sent
    /// one.
    ///
    /// What is narrower than its register clears the rest of it. Registers that do not exist, or are read-only, keep
    /// what they have. A byte is sent even if the transmitter is off: on hardware it would wait, and be lost with the
    /// guest.
    ///
    /// # Errors
    ///
    /// [`UartRejected`]; nothing has changed then.
    pub fn write(&mut self, offset: u64, size: Size, value: u64) -> Result<Option<u8>, UartRejected> {
        /// The low `count` bits: those that the register has.
        const fn bits(value: u64, count: u32) -> u16 {
            (value & ((1 << count) - 1)) as u16
        }
        check(offset, size)?;
        let value = size.truncate(value);
        self.polls = 0;
        match offset {
            DR => {
                // The FIFO is above its level for no time at all, and falls below it.
                self.sent = true;
                return Ok(Some(value as u8));
            }
            ILPR => self.low_power = bits(value, 8),
            IBRD => self.integer_baud = bits(value, 16),
            FBRD => self.fraction_baud = bits(value, 6),
            LCR_H => self.line_control = bits(value, 8),
            CR => self.control = bits(value, 16),
            IFLS => self.levels = bits(value, 6),
            IMSC => self.mask = bits(value, 11),
            ICR if bits(value, 11) & TX != 0 => self.sent = false,
            DMACR => self.dma = bits(value, 3),
            // UARTECR, which clears errors of the line, too.
            _ => (),
        }
        Ok(None)
    }

    /// Gives the guest a byte.
    ///
    /// # Errors
    ///
    /// [`ReceiverFull`]: the byte is still the caller's. Try again after the guest has accessed a register.
    pub fn receive(&mut self, byte: u8) -> Result<(), ReceiverFull> {
        if !self.has_room() {
            return Err(ReceiverFull);
        }
        self.received.try_push(byte).map_err(|_| ReceiverFull)
    }

    /// Whether [`receive`](Self::receive) would take a byte.
    pub fn has_room(&self) -> bool {
        const ON: u16 = CR_UARTEN | CR_RXE;
        self.control & ON == ON && self.received.len() < self.depth()
    }

    /// Whether the guest waits for bytes: by an interrupt that it lets through, or by looking again and again. Before that, a
    /// byte would be lost: a driver empties the FIFO when it starts. Linux's enables the interrupt for a moment before that,
    /// when none can arrive yet.
    pub fn is_listened_to(&self, interrupt: UartInterrupt) -> bool {
        let by_interrupt = interrupt == UartInterrupt::Enabled && self.mask & (RX | RT) != 0;
        by_interrupt || self.polls == POLLS
    }

    /// The interrupt line, UARTINTR: it may change with each access and each byte.
    pub fn line(&self) -> LineLevel {
        if self.raised() & self.mask == 0 { LineLevel::Low } else { LineLevel::High }
    }

    /// Bytes received that the UART holds at most.
    fn depth(&self) -> usize {
        if self.line_control & LCR_H_FEN == 0 { 1 } else { FIFO }
    }

    /// Bytes received that raise [`RX`].
    fn trigger(&self) -> usize {
        if self.line_control & LCR_H_FEN == 0 {
            return 1;
        }
        match self.levels >> RXIFLSEL_SHIFT {
            0b000 => FIFO / 8,
            0b001 => FIFO / 4,
            0b010 => FIFO / 2,
            0b011 => FIFO * 3 / 4,
            // Beyond 0b100, values are reserved.
            _ => FIFO * 7 / 8,
        }
    }

    /// UARTFR.
    fn flags(&self) -> u16 {
        let empty = if self.received.is_empty() { FR_RXFE } else { 0 };
        let full = if self.received.len() >= self.depth() { FR_RXFF } else { 0 };
        FR_PRESENT | FR_TXFE | empty | full
    }

    /// UARTRIS.
    ///
    /// Both interrupts for receiving follow the FIFO: a driver that clears them and leaves bytes behind is interrupted
    /// again, where hardware waits for the next byte. A guest asleep over half a line would be the alternative.
    fn raised(&self) -> u16 {
        let held = self.received.len();
        let level = if held >= self.trigger() { RX } else { 0 };
        let timeout = if held > 0 { RT } else { 0 };
        let sent = if self.sent { TX } else { 0 };
        level | timeout | sent
    }
}

/// Whether an access is one of a register: of at most 32 bits, at its first byte (DEN0094, SBSA, "Generic UART").
const fn check(offset: u64, size: Size) -> Result<(), UartRejected> {
    if offset >= BYTES {
        return Err(UartRejected::Beyond { offset });
    }
    if offset & (STRIDE - 1) != 0 {
        return Err(UartRejected::BetweenRegisters { offset });
    }
    match size {
        Size::Double => Err(UartRejected::TooWide { offset, size }),
        Size::Byte | Size::Half | Size::Word => Ok(()),
    }
}

#[cfg(test)]
mod tests;
