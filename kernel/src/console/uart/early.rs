//! The UART of the board that the image was built for: no more of it than `lacuna-board` says.

use super::{Registers, TransmitterFull};
use lacuna_board::EarlyUart;
#[cfg(all(target_os = "none", feature = "early-uart"))]
use {
    super::{Mmio, Order, RegisterAccess, RegisterWidth},
    core::ptr::NonNull,
};

/// Bytes of registers that are mapped: the page with both.
const PAGE: u64 = 4096;

/// Sends `byte` if there is room; `registers` are the bytes of the UART's page.
///
/// # Errors
///
/// [`TransmitterFull`].
pub(super) fn send(uart: &EarlyUart, registers: &impl Registers, byte: u8) -> Result<(), TransmitterFull> {
    let number = |address: u64| (address % PAGE) as usize;
    if !uart.room().is_in(registers.read(number(uart.status()))) {
        return Err(TransmitterFull);
    }
    registers.write(number(uart.transmit()), byte.into());
    Ok(())
}

/// Sends `byte` on `uart` if there is room.
///
/// # Errors
///
/// [`TransmitterFull`].
///
/// # Safety
///
/// The machine must be the one that the image was built for. The UART's page must be mapped where it is, as device memory,
/// or translation and protection be off.
#[cfg(all(target_os = "none", feature = "early-uart"))]
pub unsafe fn send_early(uart: &EarlyUart, byte: u8) -> Result<(), TransmitterFull> {
    let width = match uart.width() {
        lacuna_board::Width::Byte => RegisterWidth::Byte,
        lacuna_board::Width::Word => RegisterWidth::Word,
    };
    let base = NonNull::new((uart.status() & !(PAGE - 1)) as *mut u8).ok_or(TransmitterFull)?;
    let access = RegisterAccess { width, order: Order::Little, offset: 0, shift: 0 };
    // SAFETY: the caller promises the UART's page; both registers are aligned and in it, as `EarlyUart` sees to.
    send(uart, &unsafe { Mmio::new(base, access) }, byte)
}
