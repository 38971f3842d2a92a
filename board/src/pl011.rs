//! How a PL011 is set up that nobody has touched since reset (PrimeCell UART PL011, DDI 0183).

use crate::RegisterWrite;

/// Register offsets (DDI 0183, 3.2).
const UARTIBRD: u64 = 0x24;
const UARTFBRD: u64 = 0x28;
const UARTLCR_H: u64 = 0x2c;
const UARTCR: u64 = 0x30;

/// 8 bits, no parity, one stop bit, FIFOs on: without them a letter that follows another too soon is lost.
const LCR_H_8N1_FIFO: u32 = 0b11 << 5 | 1 << 4;

/// UART, transmitter and receiver on.
const CR_ON: u32 = 1 << 9 | 1 << 8 | 1;

/// Bits per second.
const BAUD: u32 = 115_200;

/// Writes that make the PL011 at `base`, whose clock has `clock_hz`, send at 115200 8N1.
///
/// It must be off while the rest changes, and UARTLCR_H comes after the divisors because writing it makes them count
/// (DDI 0183, 3.3.7).
pub const fn setup(base: u64, clock_hz: u32) -> [RegisterWrite; 5] {
    // The divisor in 64ths: clock / (16 * baud), rounded (DDI 0183, 3.3.6).
    let divisor = (clock_hz * 4 + BAUD / 2) / BAUD;
    [
        RegisterWrite::new(base + UARTCR, 0),
        RegisterWrite::new(base + UARTIBRD, divisor >> 6),
        RegisterWrite::new(base + UARTFBRD, divisor & 0x3f),
        RegisterWrite::new(base + UARTLCR_H, LCR_H_8N1_FIFO),
        RegisterWrite::new(base + UARTCR, CR_ON),
    ]
}

#[cfg(test)]
mod tests {
    use super::setup;
    use crate::RegisterWrite;

    /// DDI 0183 works out 4 MHz and 230400 bits per second as 1 and 5/64; at half the rate that is 2 and 11/64.
    #[test]
    fn divisors_are_those_of_the_manual() {
        let [_, integer, fraction, ..] = setup(0, 4_000_000);
        assert_eq!((integer, fraction), (RegisterWrite::new(0x24, 2), RegisterWrite::new(0x28, 11)));
        let [_, integer, fraction, ..] = setup(0x9c09_0000, 24_000_000);
        assert_eq!((integer, fraction), (RegisterWrite::new(0x9c09_0024, 13), RegisterWrite::new(0x9c09_0028, 1)));
    }
}
