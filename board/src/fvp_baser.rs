//! Arm's FVP Base-R, `FVP_BaseR_AEMv8R`: a model of an Armv8-R AArch64 system (Fast Models FVP Reference Guide, 100966).
//!
//! The image is the first software to run. EL2 is the highest exception level, and Secure; there is no EL3, so no SMC and
//! no PSCI; the UART is as reset left it, and CNTFRQ_EL0 may be 0.

use crate::{Board, EarlyUart, Firmware, RegisterWrite, Start, pl011};

const UART: u64 = 0x9c09_0000;

/// The clock of the UARTs.
const UART_HZ: u32 = 24_000_000;

/// The machine.
pub const BOARD: Board = Board {
    name: "fvp-baser",
    early_uart: Some(EarlyUart::pl011(UART)),
    early_uart_setup: &SETUP,
    // The frequency that Zephyr's port to this model uses.
    counter_hz: Some(100_000_000),
    start: Start::EveryCore,
    firmware: Firmware::Absent,
    device_tree: TREE,
};

const SETUP: [RegisterWrite; 5] = pl011::setup(UART, UART_HZ);

/// `dts/fvp-baser.dts`, compiled, in an image for this board.
#[cfg(feature = "fvp-baser")]
const TREE: Option<&[u8]> = Some(&crate::Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/fvp-baser.dtb"))).0);
#[cfg(not(feature = "fvp-baser"))]
const TREE: Option<&[u8]> = None;
