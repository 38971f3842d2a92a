use super::{
    CR, DR, FBRD, FR, IBRD, ICR, ID_VALUES, IFLS, ILPR, IMSC, LCR_H, LineLevel, MIS, RIS, RT, RX, ReceiverFull, TX,
    UartInterrupt, UartRejected, Vpl011,
};
use crate::guest::device::size::Size;
use proptest::prelude::{any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};
use std::collections::VecDeque;
use std::vec::Vec;

impl Vpl011 {
    fn get(&mut self, offset: u64) -> u64 {
        self.read(offset, Size::Word).expect("a register")
    }

    fn set(&mut self, offset: u64, value: impl Into<u64>) -> Option<u8> {
        self.write(offset, Size::Word, value.into()).expect("a register")
    }

    fn fill(&mut self) -> usize {
        (0..).take_while(|&byte| self.receive(byte).is_ok()).count()
    }
}

#[test]
fn a_byte_written_is_a_byte_to_print_whatever_its_width() {
    let mut uart = Vpl011::new();
    for size in [Size::Byte, Size::Half, Size::Word] {
        assert_eq!(uart.write(DR, size, 0xffff_ffff_ffff_ff41), Ok(Some(b'A')));
    }
    assert_eq!(uart.get(FR), 0x97, "sent, nothing received, and somebody there");
}

#[test]
fn an_access_that_is_none_of_a_register_changes_nothing() {
    let mut uart = Vpl011::new();
    uart.receive(b'x').expect("room");
    let wide = UartRejected::TooWide { offset: DR, size: Size::Double };
    assert_eq!(uart.read(DR, Size::Double), Err(wide));
    assert_eq!(uart.write(DR, Size::Double, 0), Err(wide));
    assert_eq!(uart.read(1, Size::Byte), Err(UartRejected::BetweenRegisters { offset: 1 }));
    assert_eq!(uart.write(2, Size::Half, 0), Err(UartRejected::BetweenRegisters { offset: 2 }));
    assert_eq!(uart.read(0x1000, Size::Word), Err(UartRejected::Beyond { offset: 0x1000 }));
    assert_eq!((uart.get(RIS), uart.get(DR)), (RT.into(), b'x'.into()));
    assert_eq!(std::format!("{wide}"), "8 bytes at offset 0x0 of a UART, whose registers have at most 4");
}

#[test]
fn it_identifies_itself_as_the_pl011_that_linux_knows() {
    let mut uart = Vpl011::new();
    let id: Vec<_> = (0xfe0..0x1000).step_by(4).map(|offset| uart.get(offset)).collect();
    assert_eq!(id, ID_VALUES.map(u64::from));
    // AMBA_PERIPHID(0x00041011) with mask 0x000fffff, in Linux.
    let part = id[..4].iter().rev().fold(0, |part, byte| part << 8 | byte);
    assert_eq!(part & 0xf_ffff, 0x4_1011);
}

#[test]
fn registers_keep_the_bits_that_they_have() {
    let mut uart = Vpl011::new();
    for (offset, kept) in [(ILPR, 0xff), (IBRD, 0xffff), (FBRD, 0x3f), (LCR_H, 0xff), (CR, 0xffff), (IFLS, 0x3f)] {
        assert_eq!(uart.set(offset, u64::MAX), None);
        assert_eq!(uart.get(offset), kept);
    }
    uart.set(IMSC, u64::MAX);
    assert_eq!(uart.get(IMSC), 0x7ff);
    assert_eq!(uart.read(CR, Size::Byte), Ok(0xff));
    for offset in [4, FR, RIS, MIS, 0xfe0, 0x100] {
        let before = uart.get(offset);
        uart.set(offset, u64::MAX);
        assert_eq!(uart.get(offset), before, "{offset:#x} is read-only or not there");
    }
}

/// As drivers/tty/serial/amba-pl011.c of Linux does it: start sending, sleep, be interrupted, stop when nothing is
/// left.
#[test]
fn a_driver_that_sleeps_until_there_is_room_is_woken() {
    let mut uart = Vpl011::new();
    uart.set(IMSC, TX);
    assert_eq!(uart.line(), LineLevel::Low, "nothing was sent");
    uart.set(DR, b'a');
    assert_eq!((uart.line(), uart.get(MIS)), (LineLevel::High, TX.into()));
    uart.set(ICR, TX);
    assert_eq!(uart.line(), LineLevel::Low);
    uart.set(DR, b'b');
    assert_eq!(uart.line(), LineLevel::High);
    uart.set(IMSC, 0u64);
    assert_eq!((uart.line(), uart.get(RIS)), (LineLevel::Low, TX.into()));
}

#[test]
fn one_byte_interrupts_and_reading_it_ends_that() {
    let mut uart = Vpl011::new();
    uart.set(IMSC, RX | RT);
    uart.receive(b'x').expect("room");
    assert_eq!((uart.line(), uart.get(MIS)), (LineLevel::High, RT.into()));
    uart.set(ICR, 0x7ffu64);
    assert_eq!(uart.line(), LineLevel::High, "the byte is still there");
    assert_eq!((uart.get(DR), uart.line()), (b'x'.into(), LineLevel::Low));
    assert_eq!(uart.get(DR), 0);
}

#[test]
fn the_trigger_level_is_the_one_that_was_chosen() {
    for (select, level) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28), (7, 28)] {
        let mut uart = Vpl011::new();
        uart.set(IFLS, select << 3 | 0b010u64);
        let before = (1..).take_while(|_| uart.receive(0).is_ok() && uart.get(RIS) & u64::from(RX) == 0).count();
        assert_eq!(before + 1, level, "level {select}");
        uart.get(DR);
        assert_eq!(uart.get(RIS), RT.into());
    }
}

#[test]
fn a_full_fifo_refuses_and_loses_nothing() {
    let mut uart = Vpl011::new();
    assert_eq!(uart.fill(), 32);
    assert_eq!(uart.receive(0xff), Err(ReceiverFull));
    assert_eq!(uart.get(FR), 0xc7);
    assert_eq!(uart.get(DR), 0);
    assert_eq!(uart.receive(0xff), Ok(()));
    let rest: Vec<_> = (0..32).map(|_| uart.get(DR)).collect();
    assert_eq!(rest, (1..32).chain([0xff]).collect::<Vec<_>>());
}

#[test]
fn without_fifos_there_is_room_for_one() {
    let mut uart = Vpl011::new();
    assert!(uart.receive(b'a').is_ok() && uart.receive(b'b').is_ok());
    uart.set(LCR_H, 0x60u64);
    assert_eq!(uart.receive(b'c'), Err(ReceiverFull));
    assert_eq!([uart.get(DR), uart.get(DR)], [b'a'.into(), b'b'.into()], "switching off keeps what is there");
    assert_eq!(uart.fill(), 1);
    assert_eq!(uart.get(RIS), (RX | RT).into());
    assert_eq!(uart.get(FR), 0xc7);
}

#[test]
fn it_is_listened_to_by_interrupt_or_by_looking_again_and_again() {
    let mut uart = Vpl011::new();
    for _ in 0..100 {
        // What Linux's console does for each byte, and its driver when it starts.
        uart.get(FR);
        uart.set(DR, 0x41_u8);
        uart.get(FR);
    }
    uart.get(FR);
    assert!(!uart.is_listened_to(UartInterrupt::Enabled));
    for interrupt in [RX, RT] {
        uart.set(IMSC, interrupt);
        assert!(uart.is_listened_to(UartInterrupt::Enabled));
        assert!(!uart.is_listened_to(UartInterrupt::Disabled), "Linux's driver empties the FIFO after this");
        uart.set(IMSC, TX);
        assert!(!uart.is_listened_to(UartInterrupt::Enabled));
    }
    for register in [FR, RIS, MIS] {
        uart.set(IMSC, 0_u8);
        let looks = (1..)
            .take_while(|_| {
                uart.get(register);
                !uart.is_listened_to(UartInterrupt::Disabled)
            })
            .count();
        assert_eq!(looks, 15);
        uart.get(DR);
        assert!(uart.is_listened_to(UartInterrupt::Disabled), "it took one and waits for the next");
    }
}

#[test]
fn bytes_wait_until_the_receiver_is_on() {
    let mut uart = Vpl011::new();
    assert!(uart.has_room());
    for off in [0x301 & !0x200, 0x300u64, 0] {
        uart.set(CR, off);
        assert!(!uart.has_room());
        assert_eq!(uart.receive(b'x'), Err(ReceiverFull));
    }
    assert_eq!(uart.set(DR, b'y'), Some(b'y'), "what a guest prints is seen");
    uart.set(CR, 0x301u64);
    assert_eq!(uart.receive(b'x'), Ok(()));
}

/// What a guest or a keyboard does to the UART.
#[derive(Clone, Debug)]
enum Step {
    Read(u64, Size),
    Write(u64, Size, u64),
    Receive(u8),
}

fn any_step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::{Just, Strategy, prop_oneof};
    let size = prop_oneof![Just(Size::Byte), Just(Size::Half), Just(Size::Word), Just(Size::Double)];
    let offset = prop_oneof![(0u64..0x14).prop_map(|register| register * 4), any::<u64>()];
    prop_oneof![
        (offset.clone(), size.clone()).prop_map(|(offset, size)| Step::Read(offset, size)),
        (offset, size, any::<u64>()).prop_map(|(offset, size, value)| Step::Write(offset, size, value)),
        any::<u8>().prop_map(Step::Receive),
    ]
}

proptest! {
    /// Whatever a guest does, what was accepted comes out in order, and the line says what UARTMIS says.
    #[test]
    fn bytes_arrive_in_order_and_the_line_tells_the_truth(steps in prop::collection::vec(any_step(), 0..200)) {
        let mut uart = Vpl011::new();
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Read(offset, size) => match (uart.read(offset, size), offset) {
                    (Ok(value), DR) => prop_assert_eq!(value, model.pop_front().unwrap_or(0).into()),
                    (Ok(value), _) => prop_assert_eq!(value, size.truncate(value)),
                    (Err(_), _) => prop_assert!(size == Size::Double || offset % 4 != 0 || offset >= 0x1000),
                },
                Step::Write(offset, size, value) => {
                    let sent = uart.write(offset, size, value).ok().flatten();
                    prop_assert_eq!(sent, (offset == DR && size != Size::Double).then_some(value as u8));
                }
                Step::Receive(byte) => {
                    prop_assert_eq!(uart.has_room(), uart.receive(byte).map(|()| model.push_back(byte)).is_ok());
                }
            }
            prop_assert_eq!(uart.line() == LineLevel::High, uart.get(MIS) != 0);
            prop_assert_eq!(uart.get(FR) & 1 << 4 != 0, model.is_empty());
        }
    }
}
