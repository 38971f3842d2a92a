//! UARTs as far as it takes to send a byte on one that is set up: before there is a stack, or a driver.

/// Where a byte is written to be sent, and what shows that there is room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlyUart {
    transmit: u64,
    status: u64,
    room: Room,
    width: Width,
}

/// What shows room: this bit of the status register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is set.
    Set(u32),
    /// It is clear.
    Clear(u32),
}

/// The size of an access to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 32 bits.
    Word,
}

impl EarlyUart {
    /// A PL011 with its registers at `base`: UARTDR, and UARTFR.TXFF (DDI 0183, 3.3).
    pub const fn pl011(base: u64) -> Self {
        Self::words(base, 0, 0x18, Room::Clear(5))
    }

    /// A 16550 and alike, whose registers are `1 << shift` bytes apart: THR, and LSR.THRE.
    pub const fn ns16550(base: u64, shift: u32, width: Width) -> Self {
        Self { width, ..Self::words(base, 0, 5 << shift, Room::Set(5)) }
    }

    /// Cadence's: FIFO, and channel status, TFUL (UG1087, module UART).
    pub const fn cadence(base: u64) -> Self {
        Self::words(base, 0x30, 0x2c, Room::Clear(4))
    }

    /// That of i.MX: UTXD, and UTS.TXFULL.
    pub const fn imx(base: u64) -> Self {
        Self::words(base, 0x40, 0xb4, Room::Clear(4))
    }

    /// Freescale's low-power UART with registers of 32 bits, `base` being where BAUD is: DATA, and STAT.TDRE.
    pub const fn lpuart(base: u64) -> Self {
        Self::words(base, 0x0c, 0x04, Room::Set(23))
    }

    /// Amlogic's: write FIFO, and status, transmitter full.
    pub const fn meson(base: u64) -> Self {
        Self::words(base, 0, 0x0c, Room::Clear(21))
    }

    const fn words(base: u64, transmit: u64, status: u64, room: Room) -> Self {
        assert!(base % 4096 + transmit < 4096 && base % 4096 + status < 4096, "the image maps one page of the UART");
        Self { transmit: base + transmit, status: base + status, room, width: Width::Word }
    }

    /// Physical address of the register that sends the byte that is written to it.
    pub const fn transmit(&self) -> u64 {
        self.transmit
    }

    /// Physical address of the register that shows whether there is room, in the same page of 4 KiB.
    pub const fn status(&self) -> u64 {
        self.status
    }

    /// How it shows that.
    pub const fn room(&self) -> Room {
        self.room
    }

    /// How both are accessed.
    pub const fn width(&self) -> Width {
        self.width
    }
}

impl Room {
    /// Whether there is room by this value of the status register.
    pub const fn is_in(self, status: u32) -> bool {
        match self {
            Self::Set(bit) => status >> bit & 1 != 0,
            Self::Clear(bit) => status >> bit & 1 == 0,
        }
    }
}
