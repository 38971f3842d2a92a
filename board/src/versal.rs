//! AMD's Versal, as QEMU's `xlnx-versal-virt` (QEMU, docs/system/arm/xlnx-versal-virt.rst).

use crate::Board;

/// The machine.
pub const BOARD: Board = Board { name: "versal", early_uart: Some(0xff00_0000), ..Board::ANY };
