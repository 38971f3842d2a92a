//! What must be known of a board before its device tree has been read, and nothing that a device tree can say.
//!
//! One image runs on every board with an MMU, so by default nothing is known. An image built for one board (feature of
//! its name) has that board's UART from the first instruction on: for bring-up, and for messages when there is no
//! device tree to find a console in.

#![no_std]

#[cfg(test)]
extern crate std;

mod early_uart;
mod fvp_baser;
mod pl011;
#[cfg(all(feature = "pmsa-emulation", any(test, target_os = "none")))]
pub mod pmsa;
mod uart_only;
mod virt;

pub use early_uart::{EarlyUart, Room, Width};

/// What is known of a board.
#[derive(Debug)]
pub struct Board {
    /// The board's name, as in the feature that chooses it.
    pub name: &'static str,
    /// A UART that the board's firmware or `early_uart_setup` sets up.
    pub early_uart: Option<EarlyUart>,
    /// What the early UART needs before its first byte. Empty if firmware has set it up.
    pub early_uart_setup: &'static [RegisterWrite],
    /// Frequency of the system counter in Hz, to be written to CNTFRQ_EL0 if that is 0. `None` where firmware sets it.
    ///
    /// Only the highest exception level can write it, so a board that gives a frequency must be entered there.
    pub counter_hz: Option<u32>,
    /// Which cores execute the image's first instruction.
    pub start: Start,
    /// Whether there is software above EL2.
    pub firmware: Firmware,
    /// The device tree, where no firmware provides one; aligned to 8 bytes. x0 means nothing at entry then.
    pub device_tree: Option<&'static [u8]>,
}

impl Board {
    /// A board with firmware that does what it should, so that nothing need be known.
    const ANY: Self = Self {
        name: "any",
        early_uart: None,
        early_uart_setup: &[],
        counter_hz: None,
        start: Start::BootCore,
        firmware: Firmware::Possible,
        device_tree: None,
    };
}

/// A value for a device register, written with one 32-bit store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RegisterWrite {
    address: u64,
    value: u32,
}

impl RegisterWrite {
    /// `value` for the register at the physical address `address`.
    pub const fn new(address: u64, value: u32) -> Self {
        Self { address, value }
    }
}

const _: () = assert!(size_of::<RegisterWrite>() == 16, "entry.rs walks over them by hand");

/// Which cores a board starts at the image's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// One; the others wait for PSCI.
    BootCore,
    /// All of them, because there is no firmware to hold them. The entry code parks all but that with affinity 0.
    EveryCore,
}

/// Software above EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// There may be some; the device tree says whether and how it is called.
    Possible,
    /// There is no EL3: SMC is UNDEFINED, so no code for it may be in the image.
    Absent,
}

/// Aligns bytes as a device tree must be (Devicetree Specification v0.4, 5.6).
#[cfg(feature = "fvp-baser")]
#[repr(C, align(8))]
struct Aligned<T>(T);

/// The board that this image is built for.
pub const BOARD: Board = chosen();

/// The board whose feature is on.
const fn chosen() -> Board {
    let mut chosen = Board::ANY;
    let mut count = 0;
    macro_rules! choose {
        ($($feature:literal: $board:expr,)*) => {
            $(if cfg!(feature = $feature) {
                chosen = $board;
                count += 1;
            })*
        };
    }
    choose! {
        "fvp-baser": fvp_baser::BOARD,
        "imx8mp-evk": uart_only::IMX8MP_EVK,
        "imx93-evk": uart_only::IMX93_EVK,
        "jetson-tx2": uart_only::JETSON_TX2,
        "ls1028a-rdb": uart_only::LS1028A_RDB,
        "odroid-n2": uart_only::ODROID_N2,
        "raspi3b": uart_only::RASPI3B,
        "raspi4b": uart_only::RASPI4B,
        "rock-5b": uart_only::ROCK_5B,
        "versal": uart_only::VERSAL,
        "virt": virt::BOARD,
        "zcu102": uart_only::ZCU102,
    }
    assert!(count <= 1, "an image is built for one board at most");
    chosen
}

/// Physical addresses at which a loader may have left a device tree without saying so.
///
/// QEMU's `virt` does that when it is given an ELF file instead of an Image: x0 is 0 and the tree lies at the start of
/// RAM (QEMU, docs/system/arm/virt.rst).
pub const DEVICE_TREE_CANDIDATES: &[u64] = &[virt::RAM_START];
