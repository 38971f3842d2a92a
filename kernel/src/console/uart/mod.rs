//! UARTs, each behind the same few calls.
//!
//! A driver sends and receives single bytes and says whether received ones interrupt. It never touches baud rate and line
//! format: firmware has set them, and no device tree says with certainty from which clock. Every driver works on
//! [`Registers`], so host tests run it against a model of its device.
//!
//! Which driver a device needs is a [`UartModel`], and how its registers are accessed an [`RegisterAccess`]: both stand in the device tree.

mod cadence;
mod dcc;
#[cfg(any(test, all(target_os = "none", feature = "early-uart")))]
mod early;
mod imx;
mod lpuart;
mod meson;
mod model;
mod ns16550;
mod pl011;
mod registers;
#[cfg(test)]
mod tests;

pub use dcc::Dcc;
#[cfg(target_os = "none")]
pub use dcc::DebugChannel;
#[cfg(all(target_os = "none", feature = "early-uart"))]
pub use early::send_early;
pub use model::{Flavour, UartModel};
pub use registers::{Mmio, Order, RegisterAccess, RegisterWidth, Registers};

use alloc::boxed::Box;

/// A transmitter that accepts no byte at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitterFull;

/// Whether the UART interrupts when something was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyboard {
    /// It does.
    Heard,
    /// It does not, and keeps what is typed as long as it has room.
    Deaf,
}

/// A UART that firmware has set up.
///
/// All calls take a shared reference: a panic may print while a line is being printed. The device then sees both, and
/// loses nothing but order.
pub trait UartDriver: Send + Sync {
    /// Turns on what a loader without firmware leaves off: transmitter and receiver. No interrupt is enabled afterwards.
    fn start(&self) {
        self.listen(Keyboard::Deaf);
    }

    /// Sends `byte`, if there is room for it.
    ///
    /// # Errors
    ///
    /// [`TransmitterFull`].
    fn send(&self, byte: u8) -> Result<(), TransmitterFull>;

    /// The oldest byte that was received. Bytes that did not arrive well, and breaks, are left out.
    ///
    /// `None` also acknowledges the interrupt, so whoever reads until then is interrupted again by the next byte only.
    fn receive(&self) -> Option<u8>;

    /// Enables the interrupts for received bytes, and only these, or none.
    fn listen(&self, keyboard: Keyboard);
}

/// The driver for a device of this model.
pub fn driver<R: Registers + 'static>(model: UartModel, registers: R) -> Box<dyn UartDriver> {
    match model {
        UartModel::Pl011 => Box::new(pl011::Pl011(registers)),
        UartModel::Ns16550(flavour) => Box::new(ns16550::Ns16550::new(registers, flavour)),
        UartModel::Cadence => Box::new(cadence::Cadence(registers)),
        UartModel::Imx => Box::new(imx::Imx(registers)),
        UartModel::Lpuart8 => Box::new(lpuart::Lpuart8(registers)),
        UartModel::Lpuart32 => Box::new(lpuart::Lpuart32(registers)),
        UartModel::Meson => Box::new(meson::Meson(registers)),
    }
}
