//! Boards with firmware and a device tree, of which nothing but the early UART need be known.
//!
//! Addresses are those of the boards' device trees in Linux.

use crate::{Board, EarlyUart, RegisterWrite, Width};

const fn board(name: &'static str, uart: EarlyUart) -> Board {
    Board { name, early_uart: Some(uart), ..Board::ANY }
}

/// AMD's ZCU102.
pub const ZCU102: Board = Board {
    // Firmware has done so already. QEMU, without firmware, has it off.
    early_uart_setup: &[RegisterWrite::new(0xff00_0000, 1 << 4 | 1 << 2)], // Control: TX_EN, RX_EN
    ..board("zcu102", EarlyUart::cadence(0xff00_0000))
};

/// NXP's i.MX 8M Plus EVK.
pub const IMX8MP_EVK: Board = Board {
    // As above.
    early_uart_setup: &[
        RegisterWrite::new(0x3089_0080, 1),                        // UCR1.UARTEN
        RegisterWrite::new(0x3089_0084, 1 << 14 | 1 << 5 | 0b111), // UCR2.IRTS, WS for 8 bits, TXEN, RXEN, no reset
    ],
    ..board("imx8mp-evk", EarlyUart::imx(0x3089_0000))
};

/// NXP's i.MX 93 EVK. Four registers that say what the UART is come first.
pub const IMX93_EVK: Board = board("imx93-evk", EarlyUart::lpuart(0x4438_0010));

/// NXP's LS1028A-RDB.
pub const LS1028A_RDB: Board = board("ls1028a-rdb", EarlyUart::ns16550(0x021c_0500, 0, Width::Byte));

/// NVIDIA's Jetson TX2.
pub const JETSON_TX2: Board = board("jetson-tx2", EarlyUart::ns16550(0x0310_0000, 2, Width::Word));

/// Hardkernel's ODROID-N2.
pub const ODROID_N2: Board = board("odroid-n2", EarlyUart::meson(0xff80_3000));

/// The Raspberry Pi 3, with the mini UART, and the 4, with a PL011.
pub const RASPI3B: Board = board("raspi3b", EarlyUart::ns16550(0x3f21_5040, 2, Width::Word));
pub const RASPI4B: Board = board("raspi4b", EarlyUart::pl011(0xfe20_1000));

/// Radxa's ROCK 5B.
pub const ROCK_5B: Board = board("rock-5b", EarlyUart::ns16550(0xfeb5_0000, 2, Width::Word));

/// AMD's Versal, as QEMU's `xlnx-versal-virt` (QEMU, docs/system/arm/xlnx-versal-virt.rst).
pub const VERSAL: Board = board("versal", EarlyUart::pl011(0xff00_0000));
