//! The debug communications channel: two registers of the CPU that an external debugger reads and writes (DDI 0487, H4.3).
//!
//! Each word carries one byte. Without a debugger the first one stays in the register for ever.

use super::{Keyboard, Registers, TransmitterFull, UartDriver};
#[cfg(target_os = "none")]
use core::arch::asm;

/// MDCCSR_EL0.
const STATUS: usize = 0;
/// DBGDTRRX_EL0 when read, DBGDTRTX_EL0 when written.
const DATA: usize = 1;

/// MDCCSR_EL0.TXfull and RXfull.
const TRANSMITTER_FULL: u32 = 1 << 29;
const RECEIVER_FULL: u32 = 1 << 30;

/// The debug communications channel.
pub struct Dcc<R>(pub R);

impl<R: Registers> UartDriver for Dcc<R> {
    /// Sends something, to have the fault now where a CPU's emulator lacks the registers.
    fn start(&self) {
        let _ = self.send(b'\r');
    }

    fn send(&self, byte: u8) -> Result<(), TransmitterFull> {
        if self.0.read(STATUS) & TRANSMITTER_FULL != 0 {
            return Err(TransmitterFull);
        }
        self.0.write(DATA, byte.into());
        Ok(())
    }

    fn receive(&self) -> Option<u8> {
        (self.0.read(STATUS) & RECEIVER_FULL != 0).then(|| self.0.read(DATA) as u8)
    }

    /// Its interrupt is the CPU's COMMIRQ, which no device tree describes.
    fn listen(&self, _: Keyboard) {}
}

/// The registers of this CPU.
#[cfg(target_os = "none")]
pub struct DebugChannel;

#[cfg(target_os = "none")]
impl Registers for DebugChannel {
    /// With an ISB behind it, so that the status read next is that after this access (DDI 0487, H4.3.3).
    fn read(&self, register: usize) -> u32 {
        let value: u64;
        match register {
            // SAFETY: MDCCSR_EL0 has the state of the channel, which a read leaves as it is.
            STATUS => unsafe { asm!("mrs {}, mdccsr_el0", "isb", out(reg) value, options(nostack)) },
            // SAFETY: takes the debugger's word out of the register, and nothing else in the image reads it.
            _ => unsafe { asm!("mrs {}, dbgdtrrx_el0", "isb", out(reg) value, options(nostack)) },
        }
        value as u32
    }

    fn write(&self, _: usize, value: u32) {
        // SAFETY: hands a word to the debugger; no memory is accessed.
        unsafe { asm!("msr dbgdtrtx_el0, {}", "isb", in(reg) u64::from(value), options(nostack)) }
    }
}
