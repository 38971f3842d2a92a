//! Semihosting calls: whoever runs the machine answers them from every exception level if it answers at all, and then a
//! guest has the host's files and commands.
//!
//! To a CPU that no debugger halts, each of these instructions is what it is without semihosting.

use super::expect::{BREAKPOINT_AARCH32, ILLEGAL_STATE, SVC_AARCH32, UNKNOWN, Verdict, value};
use super::faults::{EL0T, USER, descend};
use super::{Steps, plain};
use crate::code::{address, word};
use crate::machine::Machine;
use arrayvec::ArrayString;
use core::fmt::Write;

/// Operations (Semihosting for AArch32 and AArch64).
const SYS_OPEN: u64 = 0x01;
const SYS_WRITE0: u64 = 0x04;
const SYS_SYSTEM: u64 = 0x12;
const SYS_GET_CMDLINE: u64 = 0x15;
const SYS_EXIT: u64 = 0x18;
const SYS_EXIT_EXTENDED: u64 = 0x20;

/// To write, as fopen's "w".
const MODE_W: u64 = 4;
/// ADP_Stopped_ApplicationExit.
const APPLICATION_EXIT: u64 = 0x20026;

/// SPSR_EL1.T: AArch32 code in T32.
const T32: u64 = 1 << 5;

/// A string with a zero behind it, and its length without that.
type Text = ArrayString<256>;

pub fn run(steps: &mut Steps, machine: &Machine) {
    let file = machine.word("file").unwrap_or("lacuna-guest-was-here");
    let text = |start: &str| {
        let mut text = Text::new();
        // What does not fit is the path of a file that the test will not find.
        let _ = write!(text, "{start}{file}\0");
        text
    };
    steps.step("semihosting: a file of the host", || {
        let name = text("");
        call(SYS_OPEN, &[pointer(&name), MODE_W, name.len() as u64 - 1])
    });
    steps.step("semihosting: a command on the host", || {
        let command = text("touch ");
        call(SYS_SYSTEM, &[pointer(&command), command.len() as u64 - 1])
    });
    steps.step("semihosting: what the host would say, or print", || {
        let buffer = text("");
        call(SYS_GET_CMDLINE, &[pointer(&buffer), buffer.len() as u64])?;
        undefined(SYS_WRITE0, pointer(&buffer))
    });
    steps.step("semihosting: an end of the machine", || {
        call(SYS_EXIT, &[APPLICATION_EXIT, 0])?;
        call(SYS_EXIT_EXTENDED, &[APPLICATION_EXIT, 0])
    });
    steps
        .step("semihosting: from EL0", || descend(EL0T, word!("hlt #0xf000")).expect_class(EL0T, &[UNKNOWN]).map(drop));
    steps.step("semihosting: from AArch32", aarch32);
}

fn pointer(text: &Text) -> u64 {
    text.as_ptr() as u64
}

/// Makes a call with a block of parameters.
fn call(operation: u64, block: &[u64]) -> Verdict {
    undefined(operation, block.as_ptr() as u64)
}

/// HLT is UNDEFINED, since nobody may halt the CPU (DDI 0487, C6.2.129), and the exception is taken at it.
fn undefined(operation: u64, parameter: u64) -> Verdict {
    let fault = plain(&[word!("hlt #0xf000")], [operation, parameter, 0, 0]).expect_class(operation, &[UNKNOWN])?;
    value(operation, fault.elr, address())
}

/// What asks for semihosting in A32 and in T32: HLT, SVC and, as on M profile, BKPT.
fn aarch32() -> Verdict {
    for (state, word, class) in [
        (USER, 0xe10f_0070, UNKNOWN),
        (USER, 0xef12_3456, SVC_AARCH32),
        (USER | T32, 0xbabc, UNKNOWN),
        (USER | T32, 0xdfab, SVC_AARCH32),
        (USER | T32, 0xbeab, BREAKPOINT_AARCH32),
    ] {
        // A CPU without AArch32 does not get there.
        descend(state, word).expect_class(word.into(), &[class, ILLEGAL_STATE])?;
    }
    Ok(())
}
