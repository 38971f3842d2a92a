//! QEMU's `virt` machine (QEMU, docs/system/arm/virt.rst and hw/arm/virt.c).

use crate::{Board, EarlyUart};

/// Where RAM starts.
pub const RAM_START: u64 = 0x4000_0000;

/// The machine.
pub const BOARD: Board = Board { name: "virt", early_uart: Some(EarlyUart::pl011(0x0900_0000)), ..Board::ANY };
