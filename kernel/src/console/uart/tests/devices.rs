//! Models of the devices: their FIFOs, the values of their registers, and the effects of reads and writes.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::vec::Vec;

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pl011,
    Ns16550,
    DesignWare,
    Tegra,
    Mini,
    Cadence,
    Imx,
    Lpuart8,
    Lpuart32,
    Meson,
    Dcc,
}

impl Kind {
    /// Whether the device says of each byte how it arrived.
    pub fn tells_errors(self) -> bool {
        !matches!(self, Self::Cadence | Self::Dcc | Self::Mini)
    }

    fn is_16550(self) -> bool {
        matches!(self, Self::Ns16550 | Self::DesignWare | Self::Tegra | Self::Mini)
    }
}

/// How a byte arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Well,
    /// With a framing error.
    Badly,
}

/// A device that its driver and the test share.
pub(super) struct Fake(Mutex<Device>);

impl Fake {
    pub fn new(kind: Kind) -> Self {
        Self(Mutex::new(Device::new(kind)))
    }

    pub fn with<R>(&self, act: impl FnOnce(&mut Device) -> R) -> R {
        act(&mut self.0.lock().unwrap())
    }
}

/// The device.
pub(super) struct Device {
    kind: Kind,
    /// What was written to registers that only keep it, by number.
    kept: [u32; 256],
    transmitter: VecDeque<u8>,
    receiver: VecDeque<(u8, Arrived)>,
    /// Bytes on the line.
    pub sent: Vec<u8>,
    /// Bytes written while the transmitter was full or off.
    pub lost: usize,
    /// Reads of an empty receiver.
    pub underflows: usize,
    /// Errors that the oldest byte came with and that a read of the status has shown already.
    shown: bool,
    overrun: bool,
    /// Cadence's latched interrupts, i.MX's none.
    latched: u32,
    timeout: bool,
    busy: bool,
    to_come: Option<(usize, u8)>,
}

impl Device {
    fn new(kind: Kind) -> Self {
        let mut kept = [0; 256];
        // What firmware has set up of baud rate and line, and for devices that reset to it, that all is off.
        match kind {
            Kind::Pl011 => (kept[0x24], kept[0x28], kept[0x2c], kept[0x30]) = (13, 1, 0x70, 0x301),
            Kind::Cadence => (kept[0x00], kept[0x18], kept[0x20], kept[0x34]) = (0x128, 0x28b, 32, 15),
            Kind::Imx => (kept[0x84], kept[0x90], kept[0xa4], kept[0xa8]) = (0x4021, 0x0a81, 0xf, 0x15b),
            Kind::Lpuart8 => (kept[0x00], kept[0x01], kept[0x15]) = (0x02, 0x45, 4),
            Kind::Lpuart32 => (kept[0x00], kept[0x1c]) = (0x0f00_0004, 3 << 16),
            Kind::Meson => (kept[0x08], kept[0x10], kept[0x14]) = (0, 16 | 32 << 8, 0x80_0033),
            Kind::Dcc => {}
            _ => kept[3] = 0b11,
        }
        Self {
            kind,
            kept,
            transmitter: VecDeque::new(),
            receiver: VecDeque::new(),
            sent: Vec::new(),
            lost: 0,
            underflows: 0,
            shown: false,
            overrun: false,
            latched: 0,
            timeout: false,
            busy: false,
            to_come: None,
        }
    }

    fn transmitter_room(&self) -> usize {
        if self.kind == Kind::Dcc { 1 } else { 16 }
    }

    pub fn receiver_room(&self) -> usize {
        if self.kind == Kind::Dcc { 1 } else { 16 }
    }

    fn is_full(&self) -> bool {
        self.transmitter.len() == self.transmitter_room()
    }

    pub fn transmit_one(&mut self) {
        self.sent.extend(self.transmitter.pop_front());
    }

    pub fn transmit_all(&mut self) {
        self.sent.extend(self.transmitter.drain(..));
    }

    pub fn arrive(&mut self, byte: u8, how: Arrived) {
        let is_on = match self.kind {
            Kind::Cadence => self.kept[0x00] & 0b11 << 2 == 1 << 2,
            Kind::Imx => self.kept[0x80] & 1 != 0 && self.kept[0x84] & 0b11 == 0b11,
            Kind::Lpuart8 => self.kept[0x03] & 1 << 2 != 0,
            // While it says that bytes were lost it takes no more.
            Kind::Lpuart32 => self.kept[0x08] & 1 << 18 != 0 && !self.overrun,
            Kind::Meson => self.kept[0x08] & 1 << 13 != 0,
            _ => true,
        };
        if !is_on || self.receiver.len() == self.receiver_room() {
            self.overrun |= is_on;
            return;
        }
        self.receiver.push_back((byte, how));
        self.latch();
    }

    /// Has a byte arrive behind that many accesses.
    pub fn arrive_after(&mut self, accesses: usize, byte: u8) {
        self.to_come = Some((accesses, byte));
    }

    pub fn is_to_come(&self) -> bool {
        self.to_come.is_some()
    }

    fn access(&mut self) {
        match self.to_come {
            Some((0, byte)) => {
                self.to_come = None;
                self.arrive(byte, Arrived::Well);
            }
            Some((accesses, byte)) => self.to_come = Some((accesses - 1, byte)),
            None => {}
        }
    }

    /// Cadence's status bits stay once their condition was seen.
    fn latch(&mut self) {
        if self.kept[0x20] > 0 && self.receiver.len() >= self.kept[0x20] as usize {
            self.latched |= 1;
        }
    }

    pub fn false_timeout(&mut self) {
        self.timeout = true;
    }

    pub fn detect_busy(&mut self) {
        self.busy = true;
    }

    /// The registers of baud rate and line format.
    pub fn line(&self) -> Vec<u32> {
        let registers: &[(usize, u32)] = match self.kind {
            Kind::Pl011 => &[(0x24, !0), (0x28, !0), (0x2c, !0), (0x30, !0)],
            Kind::Cadence => &[(0x04, !0), (0x18, !0), (0x34, !0)],
            // RFDIV and TXTL of UFCR, and of UCR2 the format.
            Kind::Imx => &[(0xa4, !0), (0xa8, !0), (0x90, !0x3f), (0x84, 0x41e0)],
            Kind::Lpuart8 => &[(0x00, !0), (0x01, !0), (0x02, !0)],
            Kind::Lpuart32 => &[(0x00, !0)],
            Kind::Meson => &[(0x14, !0), (0x08, 0xfff)],
            Kind::Dcc => &[],
            _ => &[(2, !0), (3, !0), (4, !0)],
        };
        registers.iter().map(|(register, mask)| self.kept[*register] & mask).collect()
    }

    /// Enables all interrupts there are.
    pub fn enable_everything(&mut self) {
        match self.kind {
            Kind::Pl011 => self.kept[0x38] = 0x7ff,
            Kind::Cadence => self.kept[0x10] = 0x1fff,
            Kind::Imx => {
                self.kept[0x80] |= 0xb36c;
                self.kept[0x84] |= 0x8018;
                self.kept[0x88] |= 0x3879;
                self.kept[0x8c] |= 0x1cf;
            }
            Kind::Lpuart8 => self.kept[0x03] |= 0xf0,
            Kind::Lpuart32 => self.kept[0x08] |= 0x0ff0_c000,
            Kind::Meson => self.kept[0x08] |= 0b11 << 27,
            Kind::Dcc => {}
            _ => self.kept[1] = 0xff,
        }
    }

    /// Whether the interrupt line is asserted. The transmitter always has a reason to.
    pub fn interrupts(&self) -> bool {
        let waiting = self.receiver.len();
        match self.kind {
            Kind::Pl011 => waiting > 0 && self.kept[0x38] & 0x50 == 0x50 || self.kept[0x38] & !0x50 != 0,
            Kind::Cadence => (self.latched | 1 << 3) & self.kept[0x10] != 0,
            Kind::Imx => {
                let trigger = (self.kept[0x90] & 0x3f) as usize;
                let received = trigger > 0 && waiting >= trigger && self.kept[0x80] & 1 << 9 != 0;
                let others = [(0x80, 0xb16c), (0x84, 0x8018), (0x88, 0x3879), (0x8c, 0x1cf)];
                received || others.iter().any(|(register, mask)| self.kept[*register] & mask != 0)
            }
            Kind::Lpuart8 => {
                let received = waiting >= self.kept[0x15].max(1) as usize && self.kept[0x03] & 1 << 5 != 0;
                received || self.kept[0x03] & 0b1101 << 4 != 0
            }
            Kind::Lpuart32 => {
                let more = (self.kept[0x1c] >> 16 & 0xff) as usize;
                waiting > more && self.kept[0x08] & 1 << 21 != 0 || self.kept[0x08] & 0x0fd0_c000 != 0
            }
            Kind::Meson => {
                let trigger = (self.kept[0x10] & 0xff) as usize;
                waiting >= trigger && self.kept[0x08] & 1 << 27 != 0 || self.kept[0x08] & 1 << 28 != 0
            }
            Kind::Dcc => false,
            kind => self.busy || self.reason(kind) != 1,
        }
    }

    /// IIR of a 16550, whose bit 0 says that there is none.
    fn reason(&self, kind: Kind) -> u32 {
        let enabled = self.kept[1];
        // Fewer bytes than FCR says wait for the timeout, which Tegra enables by itself, and a mini UART has no such level.
        let heard = match kind {
            Kind::Tegra => enabled & 0x11 == 0x11,
            Kind::Mini => enabled & 0x0d == 0x0d,
            _ => enabled & 1 != 0,
        };
        let others = if kind == Kind::Mini { 0b10 } else { 0b1110 };
        if self.busy {
            return 7;
        }
        match self.receiver.is_empty() {
            false if heard && kind == Kind::Mini => 4,
            false if heard => 0xc,
            true if self.timeout && heard => 0xc,
            _ if enabled & others != 0 => 2,
            _ => 1,
        }
    }

    fn pull(&mut self) -> (u8, Arrived) {
        self.shown = false;
        self.timeout = false;
        self.receiver.pop_front().unwrap_or_else(|| {
            self.underflows += usize::from(!self.kind.is_16550());
            (0, Arrived::Well)
        })
    }

    fn push(&mut self, byte: u8, is_on: bool) {
        if self.is_full() || !is_on {
            self.lost += 1;
        } else {
            self.transmitter.push_back(byte);
        }
    }

    /// How the oldest byte arrived.
    fn is_oldest_bad(&self) -> bool {
        self.receiver.front().is_some_and(|(_, how)| *how == Arrived::Badly)
    }

    pub fn read(&mut self, register: usize) -> u32 {
        let value = self.read_now(register);
        self.access();
        value
    }

    pub fn write(&mut self, register: usize, value: u32) {
        self.write_now(register, value);
        self.latch();
        self.access();
    }

    fn read_now(&mut self, register: usize) -> u32 {
        let (is_empty, is_full) = (self.receiver.is_empty(), self.is_full());
        let bit = |condition: bool, position: u32| u32::from(condition) << position;
        match (self.kind, register) {
            (Kind::Pl011, 0x18) => bit(is_full, 5) | bit(is_empty, 4),
            (Kind::Pl011, 0x00) => {
                let is_last = self.receiver.len() == 1;
                let (byte, how) = self.pull();
                let overrun = is_last && std::mem::take(&mut self.overrun);
                u32::from(byte) | bit(how == Arrived::Badly, 8) | bit(overrun, 11)
            }
            (Kind::Cadence, 0x2c) => bit(is_empty, 1) | bit(is_full, 4),
            (Kind::Cadence, 0x30) => self.pull().0.into(),
            (Kind::Cadence, 0x14) => self.latched,
            (Kind::Cadence, 0x08 | 0x0c) => panic!("write-only"),
            (Kind::Imx, 0xb4) => bit(is_full, 4) | bit(is_empty, 5),
            (Kind::Imx, 0x98) => bit(!is_empty, 0),
            (Kind::Imx, 0x00) => {
                let (byte, how) = self.pull();
                let overrun = std::mem::take(&mut self.overrun);
                u32::from(byte) | 1 << 15 | bit(how == Arrived::Badly, 12) | bit(overrun, 13)
            }
            (Kind::Lpuart8, 0x04) => bit(!is_full, 7) | bit(!is_empty, 5) | bit(self.is_oldest_bad(), 1),
            (Kind::Lpuart8, 0x12) => bit(is_empty, 6),
            (Kind::Lpuart8, 0x07) => self.pull().0.into(),
            (Kind::Lpuart32, 0x04) => bit(!is_full, 23) | bit(self.overrun, 19),
            (Kind::Lpuart32, 0x18) => bit(is_empty, 22),
            (Kind::Lpuart32, 0x0c) => {
                let (byte, how) = self.pull();
                u32::from(byte) | bit(how == Arrived::Badly, 13)
            }
            (Kind::Meson, 0x0c) => bit(is_empty, 20) | bit(is_full, 21) | bit(self.is_oldest_bad() && !self.shown, 17),
            (Kind::Meson, 0x04) => self.pull().0.into(),
            (Kind::Dcc, 0) => bit(is_full, 29) | bit(!is_empty, 30),
            (Kind::Dcc, 1) => self.pull().0.into(),
            (kind, 5) if kind.is_16550() => {
                // A mini UART says that there is room, the others that all was sent.
                let room = if kind == Kind::Mini { !is_full } else { self.transmitter.is_empty() };
                let error = self.is_oldest_bad() && !self.shown;
                self.shown |= error;
                let overrun = std::mem::take(&mut self.overrun);
                bit(!is_empty, 0) | bit(overrun, 1) | bit(error, 3) | bit(room, 5)
            }
            (kind, 0) if kind.is_16550() => self.pull().0.into(),
            (kind, 2) if kind.is_16550() => self.reason(kind) | 0xc0,
            (Kind::DesignWare, 31) => {
                self.busy = false;
                0
            }
            (kind, 31) if kind.is_16550() => panic!("{kind:?} has no such register"),
            (_, register) => self.kept[register],
        }
    }

    fn write_now(&mut self, register: usize, value: u32) {
        let kept = |register: usize| self.kept[register];
        match (self.kind, register) {
            (Kind::Pl011, 0x00) | (Kind::Dcc, 1) => self.push(value as u8, true),
            (Kind::Cadence, 0x30) => self.push(value as u8, kept(0x00) & 0b11 << 4 == 1 << 4),
            (Kind::Cadence, 0x08) => self.kept[0x10] |= value,
            (Kind::Cadence, 0x0c) => self.kept[0x10] &= !value,
            (Kind::Cadence, 0x14) => self.latched &= !value,
            (Kind::Imx, 0x40) => self.push(value as u8, kept(0x80) & 1 != 0 && kept(0x84) & 0b101 == 0b101),
            (Kind::Lpuart8, 0x07) => self.push(value as u8, kept(0x03) & 1 << 3 != 0),
            (Kind::Lpuart32, 0x0c) => self.push(value as u8, kept(0x08) & 1 << 19 != 0),
            (Kind::Lpuart32, 0x04) => self.overrun &= value & 1 << 19 == 0,
            (Kind::Meson, 0x00) => self.push(value as u8, kept(0x08) & 1 << 12 != 0),
            (Kind::Meson, 0x08) => {
                self.shown |= value & 1 << 24 != 0;
                self.kept[0x08] = value;
            }
            (kind, 0) if kind.is_16550() => self.push(value as u8, true),
            // The receiver's trigger counts only while the receiver is off.
            (Kind::Lpuart8, 0x15) if kept(0x03) & 1 << 2 != 0 => panic!("written while the receiver is on"),
            (Kind::Lpuart32, 0x1c) if kept(0x08) & 1 << 18 != 0 => panic!("written while the receiver is on"),
            (_, register) => self.kept[register] = value,
        }
    }
}
