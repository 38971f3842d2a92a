//! Semihosting: the host of the machine, be it QEMU, a model or a debugger, answers `HLT #0xF000` (Semihosting for
//! AArch32 and AArch64).
//!
//! The host answers every exception level alike, and EL2 cannot trap the instruction. So semihosting is for images
//! without guests alone: a guest would read and write files of the host through it, and run commands there.
//!
//! Relies on: [`answers`] before each call. Without a host that answers, the instruction is UNDEFINED.

use crate::base::outcome::Outcome;

pub use lacuna_boot::semihosting_answers as answers;

/// Prints a byte wherever semihosting prints.
pub fn write(byte: u8) {
    #[cfg(feature = "semihosting")]
    semihosting::sys::arm_compat::sys_writec(byte);
    #[cfg(not(feature = "semihosting"))]
    let _ = byte;
}

/// Ends the machine with an exit status; returns only from an image that is built without semihosting.
pub fn exit(outcome: Outcome) {
    #[cfg(feature = "semihosting")]
    semihosting::process::exit(match outcome {
        Outcome::Success => 0,
        Outcome::Failure => 1,
    });
    #[cfg(not(feature = "semihosting"))]
    let _ = outcome;
}

/// What whoever started the machine wants the image to know; `None` if it does not fit into `buffer`.
#[cfg(feature = "pmsa-emulation")]
pub fn command_line(buffer: &mut [core::mem::MaybeUninit<u8>]) -> Option<&[u8]> {
    match semihosting::sys::arm_compat::sys_get_cmdline_uninit(buffer) {
        Ok(line) => Some(line),
        Err(_) => None,
    }
}
