//! Each driver against a model of its device, written from the manual and not from the driver.

mod devices;

use super::{
    Dcc, Flavour, Keyboard, Mmio, Order, RegisterAccess, RegisterWidth, Registers, TransmitterFull, UartDriver,
    UartModel, driver, early,
};
use devices::{Arrived, Device, Fake, Kind};
use lacuna_board::EarlyUart;
use std::boxed::Box;
use std::ptr::NonNull;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

/// Every kind of device with the model that drives it.
const ALL: [(Kind, Option<UartModel>); 11] = [
    (Kind::Pl011, Some(UartModel::Pl011)),
    (Kind::Ns16550, Some(UartModel::Ns16550(Flavour::Plain))),
    (Kind::DesignWare, Some(UartModel::Ns16550(Flavour::DesignWare))),
    (Kind::Tegra, Some(UartModel::Ns16550(Flavour::Tegra))),
    (Kind::Mini, Some(UartModel::Ns16550(Flavour::Mini))),
    (Kind::Cadence, Some(UartModel::Cadence)),
    (Kind::Imx, Some(UartModel::Imx)),
    (Kind::Lpuart8, Some(UartModel::Lpuart8)),
    (Kind::Lpuart32, Some(UartModel::Lpuart32)),
    (Kind::Meson, Some(UartModel::Meson)),
    (Kind::Dcc, None),
];

/// A device of that kind as reset leaves it, and its driver, not started yet.
fn made(kind: Kind, model: Option<UartModel>) -> (Arc<Fake>, Box<dyn UartDriver>) {
    let fake = Arc::new(Fake::new(kind));
    let registers = Arc::clone(&fake);
    let uart: Box<dyn UartDriver> = match model {
        Some(model) => driver(model, registers),
        None => Box::new(Dcc(registers)),
    };
    (fake, uart)
}

/// The same, started.
fn started(kind: Kind, model: Option<UartModel>) -> (Arc<Fake>, Box<dyn UartDriver>) {
    let (fake, uart) = made(kind, model);
    uart.start();
    fake.with(Device::transmit_all);
    fake.with(|device| device.sent.clear());
    (fake, uart)
}

impl Registers for Arc<Fake> {
    fn read(&self, register: usize) -> u32 {
        self.with(|device| device.read(register))
    }

    fn write(&self, register: usize, value: u32) {
        self.with(|device| device.write(register, value));
    }
}

fn received(uart: &dyn UartDriver) -> Vec<u8> {
    std::iter::from_fn(|| uart.receive()).collect()
}

#[test]
fn bytes_are_sent_in_order_and_a_full_transmitter_loses_none() {
    for (kind, model) in ALL {
        let (fake, uart) = started(kind, model);
        let mut refused = 0;
        for byte in 0..=255 {
            while uart.send(byte) == Err(TransmitterFull) {
                refused += 1;
                fake.with(Device::transmit_one);
            }
        }
        fake.with(Device::transmit_all);
        assert_eq!(fake.with(|device| device.sent.clone()), (0..=255).collect::<Vec<u8>>(), "{kind:?}");
        assert!(refused > 0, "{kind:?} was never full");
        assert_eq!(fake.with(|device| device.lost), 0, "{kind:?}");
    }
}

#[test]
fn a_transmitter_that_never_has_room_is_said_to_be_full() {
    for (kind, model) in ALL {
        let (_, uart) = started(kind, model);
        assert!((0..1000).any(|_| uart.send(b'x') == Err(TransmitterFull)), "{kind:?}");
        assert_eq!(uart.send(b'x'), Err(TransmitterFull), "{kind:?}");
    }
}

#[test]
fn bytes_are_received_in_order_and_then_none() {
    for (kind, model) in ALL {
        let (fake, uart) = started(kind, model);
        assert_eq!(uart.receive(), None, "{kind:?}");
        let room = fake.with(|device| device.receiver_room());
        let bytes: Vec<u8> = (0..room as u8).map(|byte| byte.wrapping_mul(37)).collect();
        fake.with(|device| bytes.iter().for_each(|byte| device.arrive(*byte, Arrived::Well)));
        assert_eq!(received(&*uart), bytes, "{kind:?}");
        assert_eq!(fake.with(|device| device.underflows), 0, "{kind:?} was read while empty");
    }
}

/// Of devices that say it of each byte; not of Cadence's and the debug channel, which do not.
#[test]
fn bytes_with_errors_are_left_out_and_those_around_them_are_not() {
    for (kind, model) in ALL.into_iter().filter(|(kind, _)| kind.tells_errors()) {
        let (fake, uart) = started(kind, model);
        fake.with(|device| {
            for (byte, how) in [(b'a', Arrived::Well), (b'?', Arrived::Badly), (b'b', Arrived::Well)] {
                device.arrive(byte, how);
            }
        });
        assert_eq!(received(&*uart), *b"ab", "{kind:?}");
        fake.with(|device| device.arrive(b'c', Arrived::Well));
        assert_eq!(received(&*uart), *b"c", "{kind:?}");
    }
}

/// The errors that a 16550's line status shows are gone once it was read, which sending does, too.
#[test]
fn an_error_that_sending_saw_is_not_forgotten() {
    for (kind, model) in ALL.into_iter().filter(|(kind, _)| kind.tells_errors()) {
        let (fake, uart) = started(kind, model);
        fake.with(|device| device.arrive(b'?', Arrived::Badly));
        assert_eq!(uart.send(b'x'), Ok(()), "{kind:?}");
        fake.with(|device| device.arrive(b'a', Arrived::Well));
        assert_eq!(received(&*uart), *b"a", "{kind:?}");
    }
}

/// An overrun loses bytes, not those that are in the FIFO, and not the ones that come afterwards.
#[test]
fn an_overrun_ends_when_the_fifo_was_read() {
    for (kind, model) in ALL {
        let (fake, uart) = started(kind, model);
        let room = fake.with(|device| device.receiver_room());
        fake.with(|device| (0..=room).for_each(|_| device.arrive(b'a', Arrived::Well)));
        assert_eq!(received(&*uart), vec![b'a'; room], "{kind:?}");
        fake.with(|device| device.arrive(b'b', Arrived::Well));
        assert_eq!(received(&*uart), *b"b", "{kind:?}");
    }
}

/// One key interrupts; reading until there is none ends it; the next key interrupts again.
#[test]
fn each_received_byte_interrupts_until_all_were_read() {
    for (kind, model) in ALL.into_iter().filter(|(kind, _)| *kind != Kind::Dcc) {
        let (fake, uart) = started(kind, model);
        let asserts = || fake.with(|device| device.interrupts());
        uart.listen(Keyboard::Heard);
        assert!(!asserts(), "{kind:?} interrupts without reason");
        for _ in 0..3 {
            fake.with(|device| device.arrive(b'k', Arrived::Well));
            assert!(asserts(), "{kind:?} does not interrupt");
            assert_eq!(received(&*uart), *b"k");
            assert!(!asserts(), "{kind:?} still interrupts");
        }
        // One that waits already is heard of, too.
        uart.listen(Keyboard::Deaf);
        fake.with(|device| device.arrive(b'k', Arrived::Well));
        assert!(!asserts(), "{kind:?} interrupts while nobody listens");
        uart.listen(Keyboard::Heard);
        assert!(asserts(), "{kind:?} does not interrupt for what came before");
    }
}

/// A byte may come at any moment of a driver's work: after each number of register accesses in turn.
#[test]
fn a_byte_that_comes_while_the_fifo_is_read_is_read_or_interrupts() {
    for (kind, model) in ALL.into_iter().filter(|(kind, _)| *kind != Kind::Dcc) {
        for accesses in 0..16 {
            let (fake, uart) = started(kind, model);
            uart.listen(Keyboard::Heard);
            fake.with(|device| device.arrive(b'a', Arrived::Well));
            fake.with(|device| device.arrive_after(accesses, b'b'));
            let mut bytes = received(&*uart);
            if fake.with(|device| device.interrupts()) {
                bytes.extend(received(&*uart));
            }
            let is_pending = fake.with(|device| device.is_to_come());
            assert_eq!(bytes, if is_pending { b"a".to_vec() } else { b"ab".to_vec() }, "{kind:?} after {accesses}");
        }
    }
}

/// As a firmware may leave it that used interrupts itself.
#[test]
fn only_receive_interrupts_are_enabled_whatever_firmware_left() {
    for (kind, model) in ALL.into_iter().filter(|(kind, _)| *kind != Kind::Dcc) {
        let (fake, uart) = made(kind, model);
        fake.with(|device| device.enable_everything());
        uart.start();
        assert!(!fake.with(|device| device.interrupts()), "{kind:?} interrupts after it was started");
        uart.listen(Keyboard::Heard);
        assert!(!fake.with(|device| device.interrupts()), "{kind:?} interrupts with nothing received");
        fake.with(|device| device.arrive(b'k', Arrived::Well));
        uart.listen(Keyboard::Deaf);
        assert!(!fake.with(|device| device.interrupts()), "{kind:?} interrupts though nobody listens");
    }
}

/// A DesignWare says of an empty FIFO that bytes have waited in it, and interrupts until the FIFO is read all the same.
#[test]
fn a_timeout_of_an_empty_fifo_is_acknowledged() {
    let (fake, uart) = started(Kind::DesignWare, Some(UartModel::Ns16550(Flavour::DesignWare)));
    uart.listen(Keyboard::Heard);
    fake.with(|device| device.false_timeout());
    assert!(fake.with(|device| device.interrupts()));
    assert_eq!(uart.receive(), None);
    assert!(!fake.with(|device| device.interrupts()));
}

/// A DesignWare interrupts when its line control was written while it sent, whatever is enabled.
#[test]
fn busy_detection_is_acknowledged() {
    let (fake, uart) = started(Kind::DesignWare, Some(UartModel::Ns16550(Flavour::DesignWare)));
    fake.with(|device| device.detect_busy());
    assert!(fake.with(|device| device.interrupts()));
    assert_eq!(uart.receive(), None);
    assert!(!fake.with(|device| device.interrupts()));
}

#[test]
fn baud_rate_and_line_stay_as_firmware_set_them() {
    for (kind, model) in ALL {
        let (fake, uart) = made(kind, model);
        let before = fake.with(|device| device.line());
        uart.start();
        uart.listen(Keyboard::Heard);
        let _ = uart.send(b'x');
        let _ = uart.receive();
        uart.listen(Keyboard::Deaf);
        assert_eq!(fake.with(|device| device.line()), before, "{kind:?}");
    }
}

/// What the image sends before the driver is there, by what the board's constants say of the UART.
#[test]
fn early_bytes_are_sent_in_order_and_a_full_transmitter_loses_none() {
    for (kind, model, early, shift) in [
        (Kind::Pl011, UartModel::Pl011, EarlyUart::pl011(0), 0),
        (Kind::Ns16550, UartModel::Ns16550(Flavour::Plain), EarlyUart::ns16550(0, 0, lacuna_board::Width::Byte), 0),
        (
            Kind::DesignWare,
            UartModel::Ns16550(Flavour::DesignWare),
            EarlyUart::ns16550(0, 2, lacuna_board::Width::Word),
            2,
        ),
        (Kind::Mini, UartModel::Ns16550(Flavour::Mini), EarlyUart::ns16550(0x40, 2, lacuna_board::Width::Word), 2),
        (Kind::Cadence, UartModel::Cadence, EarlyUart::cadence(0), 0),
        (Kind::Imx, UartModel::Imx, EarlyUart::imx(0x1000), 0),
        (Kind::Lpuart32, UartModel::Lpuart32, EarlyUart::lpuart(0), 0),
        (Kind::Meson, UartModel::Meson, EarlyUart::meson(0x3000), 0),
    ] {
        // Firmware has started it.
        let (fake, _) = started(kind, Some(model));
        let base = if kind == Kind::Mini { 0x40 } else { 0 };
        let page = Page { fake: Arc::clone(&fake), base, shift };
        for byte in 0..=255 {
            while early::send(&early, &page, byte) == Err(TransmitterFull) {
                fake.with(Device::transmit_one);
            }
        }
        fake.with(Device::transmit_all);
        assert_eq!(fake.with(|device| device.sent.clone()), (0..=255).collect::<Vec<u8>>(), "{kind:?}");
        assert_eq!(fake.with(|device| device.lost), 0, "{kind:?}");
    }
}

/// The page that a device lies in, from `base` on, with registers `1 << shift` bytes apart.
struct Page {
    fake: Arc<Fake>,
    base: usize,
    shift: u32,
}

impl Registers for Page {
    fn read(&self, register: usize) -> u32 {
        self.fake.read((register - self.base) >> self.shift)
    }

    fn write(&self, register: usize, value: u32) {
        self.fake.write((register - self.base) >> self.shift, value);
    }
}

/// Registers in ordinary memory: the bytes around them stay as they were.
#[test]
fn an_access_touches_the_bytes_of_its_register_in_their_order() {
    for (width, order, shift, bytes) in [
        (RegisterWidth::Byte, Order::Little, 0, &[0x44][..]),
        (RegisterWidth::Byte, Order::Big, 2, &[0x44]),
        (RegisterWidth::Half, Order::Little, 1, &[0x44, 0x33]),
        (RegisterWidth::Half, Order::Big, 2, &[0x33, 0x44]),
        (RegisterWidth::Word, Order::Little, 2, &[0x44, 0x33, 0x22, 0x11]),
        (RegisterWidth::Word, Order::Big, 3, &[0x11, 0x22, 0x33, 0x44]),
    ] {
        let mut memory = [0xaaaa_aaaa_aaaa_aaaa_u64; 16];
        let access = RegisterAccess { width, order, offset: 0x10, shift };
        // SAFETY: the registers that are used lie in `memory`, which nothing else uses meanwhile.
        let registers = unsafe { Mmio::new(NonNull::from(&mut memory).cast(), access) };
        registers.write(3, 0x1122_3344);
        let read = registers.read(3);
        assert_eq!(read, 0x1122_3344 & (u64::from(u32::MAX) >> (32 - 8 * width.bytes())) as u32, "{access:?}");
        let memory: Vec<u8> = memory.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut expected = vec![0xaa; memory.len()];
        let at = 0x10 + (3 << shift);
        expected[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(memory, expected, "{access:?}");
    }
}
