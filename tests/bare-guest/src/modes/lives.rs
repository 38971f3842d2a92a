//! What is left in system registers when a guest starts again.
//!
//! In each life every encoding that MRS and MSR can name is tried: first all are read, and what can be read is printed
//! with its value; then all are written, and what can be written is printed. Then the guest starts again. Nothing is
//! known here of which registers there are: two lives are compared by whoever reads the console.

use crate::code::{Code, mrs, msr};
use crate::console::say;
use crate::registers::{read, write};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use smccc::psci;

/// What is written: a pattern that no register has by itself, with bit 0 set for what is an enable, and positive in 32
/// bits: a virtual timer that is to fire before its counter began never lets QEMU 7.2 go on.
const PATTERN: u64 = 0xa5a5_5a5a_5eed_beef;
/// CPACR_EL1.FPEN: floating point and SIMD are not trapped.
const FLOATING_POINT: u64 = 3 << 20;

/// What entry.S found, before it changed anything, in the order of [`AT_ENTRY`].
pub static REGISTERS_AT_ENTRY: [AtomicU64; AT_ENTRY.len()] = [const { AtomicU64::new(0) }; AT_ENTRY.len()];

/// SCTLR_EL1, VBAR_EL1, ELR_EL1, SPSR_EL1, ESR_EL1, FAR_EL1, SP_EL0; and SP_EL1, which has no name at EL1 but as SP.
const AT_ENTRY: [Register; 8] = [
    [3, 0, 1, 0, 0],
    [3, 0, 12, 0, 0],
    [3, 0, 4, 0, 1],
    [3, 0, 4, 0, 0],
    [3, 0, 5, 2, 0],
    [3, 0, 6, 0, 0],
    [3, 0, 4, 1, 0],
    [3, 4, 4, 1, 0],
];

/// Coordinates of a register: op0, op1, CRn, CRm, op2.
type Register = [u32; 5];

const CPACR_EL1: Register = [3, 0, 1, 0, 2];
const SCTLR_EL1: Register = [3, 0, 1, 0, 0];

/// Reads, writes, and starts again.
pub fn run() -> ! {
    let cpacr = read!("cpacr_el1");
    write!("cpacr_el1", FLOATING_POINT);
    for (register, value) in AT_ENTRY.iter().zip(&REGISTERS_AT_ENTRY) {
        found("read", *register, value.load(Relaxed));
    }
    found("read", CPACR_EL1, cpacr);
    for register in every().filter(|register| !is_known(register) && !is_acknowledged_by_reading(register)) {
        if let Some(value) = read(register) {
            found("read", register, value);
        }
    }
    vectors();
    say!("all read");
    for register in every().filter(|register| !is_known(register) && !is_run_by(register)) {
        if write_register(register, PATTERN) {
            found("wrote", register, PATTERN);
        }
    }
    // The low half turns memory translation, its attributes and endianness around, on which this program stands.
    let sctlr = read!("sctlr_el1") | PATTERN & 0xffff_ffff << 32;
    if write_register(SCTLR_EL1, sctlr) {
        found("wrote", SCTLR_EL1, sctlr);
    }
    say!("all written");
    last();
}

fn found(what: &str, [op0, op1, crn, crm, op2]: Register, value: u64) {
    say!("{what} S{op0}_{op1}_C{crn}_C{crm}_{op2} {value:#x}");
}

/// Every encoding: op0 is 2 or 3, which are those of MRS and MSR.
fn every() -> impl Iterator<Item = Register> {
    (0..1 << 15).map(|n| [2 + (n >> 14), n >> 11 & 7, n >> 7 & 0xf, n >> 3 & 0xf, n & 7])
}

/// Read at entry, since this program and its handlers change them; and written at the end.
fn is_known(register: &Register) -> bool {
    AT_ENTRY.contains(register) || *register == CPACR_EL1
}

/// ICC_IAR0_EL1 and ICC_IAR1_EL1.
fn is_acknowledged_by_reading(register: &Register) -> bool {
    matches!(register, [3, 0, 12, 8 | 12, 0])
}

/// SPSel: with the other stack pointer nothing comes back.
fn is_run_by(register: &Register) -> bool {
    *register == [3, 0, 4, 2, 0]
}

fn read(register: Register) -> Option<u64> {
    // SAFETY: the instruction accesses no memory.
    let run = unsafe { Code::new(&[mrs(register)]).run([0; 4]) };
    run.fault.is_none().then_some(run.x[0])
}

/// Whether the register can be written.
fn write_register(register: Register, value: u64) -> bool {
    // SAFETY: as above. Registers that say how memory is seen are not among those that are written, or take no effect
    // as long as the MMU is off.
    unsafe { Code::new(&[msr(register)]).run([value, 0, 0, 0]) }.fault.is_none()
}

/// The vector registers: both halves of each, combined by exclusive or, which is 0 if all are; all of them are left as
/// ones.
fn vectors() {
    let mut sum = 0;
    for number in 0..32 {
        // fmov x0, d<n>; fmov x1, v<n>.d[1]; fmov d<n>, x2; fmov v<n>.d[1], x2
        let code = [0x9e66_0000 | number << 5, 0x9eae_0001 | number << 5, 0x9e67_0040 | number, 0x9eaf_0040 | number];
        // SAFETY: these access no memory, and this program holds nothing in vector registers.
        let run = unsafe { Code::new(&code).run([0, 0, u64::MAX, 0]) };
        sum |= run.x[0] | run.x[1];
    }
    say!("vectors {sum:#x}");
}

/// Writes what no exception may be taken with, and what each exception changes, and starts again.
fn last() -> ! {
    // SAFETY: nothing comes after it: the hypervisor starts the guest again.
    unsafe {
        asm!(
            "msr vbar_el1, {pattern}",
            "msr elr_el1, {pattern}",
            "msr spsr_el1, {pattern}",
            "msr esr_el1, {pattern}",
            "msr far_el1, {pattern}",
            "msr cpacr_el1, {pattern}",
            "isb",
            "hvc #0",
            "b .",
            pattern = in(reg) PATTERN,
            in("x0") u64::from(psci::PSCI_SYSTEM_RESET),
            options(noreturn),
        )
    }
}
