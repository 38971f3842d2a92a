//! Exceptions that the guest causes in itself, and that are none of the hypervisor's business.

use super::expect::{
    BREAKPOINT, FETCH_ABORT, ILLEGAL_STATE, PC_ALIGNMENT, SP_ALIGNMENT, SVC, SVC_AARCH32, UNKNOWN, Verdict, Why, value,
};
use super::{Steps, at, plain, scratch};
use crate::code::{Code, word};

/// SPSR_EL1.M of other states (DDI 0487, C5.2.18): AArch64 EL0, EL2 and EL3; a reserved one; AArch32 user and supervisor.
pub(super) const EL0T: u64 = 0x0;
const EL2H: u64 = 0x9;
const EL3H: u64 = 0xd;
const RESERVED: u64 = 0x2;
pub(super) const USER: u64 = 0x10;
const SUPERVISOR: u64 = 0x13;
const HYPERVISOR: u64 = 0x1a;
/// PSTATE.IL, and D, A, I and F.
const ILLEGAL: u64 = 1 << 20;
const MASKED: u64 = 0xf << 6;

/// `svc #0` of A32.
const SVC_A32: u32 = 0xef00_0000;

pub fn run(steps: &mut Steps) {
    steps.step("faults: a jump to zero", || at(word!("br x0"), 0, 0).expect_abort(0, FETCH_ABORT, &[0x10]));
    steps.step("faults: an abort is taken at the vector of the stack in use", || {
        // SP_EL0 is in use: the first of four groups (DDI 0487, D1.3.1).
        let fault = at(word!("ldr w1, [x0]"), 0, 0).expect_class(0, &[super::expect::DATA_ABORT])?;
        value(0, fault.kind, 0)
    });
    steps.step("faults: a misaligned program counter", || {
        let run = at(word!("br x0"), scratch() + 2, 0);
        let fault = run.expect_class(scratch(), &[PC_ALIGNMENT])?;
        value(scratch(), fault.far, scratch() + 2)
    });
    // QEMU does not check it.
    steps.step("faults: a misaligned stack pointer", || {
        let words = [word!("mov x9, sp"), word!("mov sp, x0"), word!("ldr x1, [sp]"), word!("mov sp, x9")];
        super::plain_at(&words, [scratch() + 8, 0, 0, 0]).expect_none_or(scratch(), &[SP_ALIGNMENT])
    });
    steps.step("faults: a stack pointer to nowhere", || {
        let words = [word!("mov x9, sp"), word!("mov sp, x0"), word!("ldr x1, [sp]"), word!("mov sp, x9")];
        super::plain_at(&words, [0, 0, 0, 0]).expect_abort(0, super::expect::DATA_ABORT, &[0x10])
    });
    steps.step("faults: UDF, HLT and unallocated instructions", || {
        for word in [word!("udf #0"), word!("udf #0xffff"), word!("hlt #1"), 0xffff_ffff, 0x0100_0000] {
            let fault = plain(&[word], [0; 4]).expect_class(word.into(), &[UNKNOWN])?;
            value(word.into(), fault.elr, crate::code::address())?;
        }
        Ok(())
    });
    steps.step("faults: BRK", || {
        let fault = plain(&[word!("brk #0x77")], [0; 4]).expect_class(0, &[BREAKPOINT])?;
        value(0, fault.esr & 0xffff, 0x77)
    });
    steps.step("faults: SVC", || {
        let fault = plain(&[word!("svc #0x77")], [0; 4]).expect_class(0, &[SVC])?;
        value(0, fault.esr & 0xffff, 0x77)
    });
    steps.step("return: to EL0 and back by SVC", || {
        let fault = descend(EL0T, word!("svc #0x55")).expect_class(EL0T, &[SVC])?;
        value(EL0T, fault.kind, 8)
    });
    steps.step("return: HVC and SMC at EL0", || {
        for word in [word!("hvc #0"), word!("smc #0")] {
            descend(EL0T, word).expect_class(word.into(), &[UNKNOWN])?;
        }
        Ok(())
    });
    steps.step("return: to EL2, to EL3, to no level", || {
        for mode in [EL2H, EL3H, RESERVED, EL0T | 1, EL0T | ILLEGAL] {
            descend(mode, word!("svc #0")).expect_class(mode, &[ILLEGAL_STATE])?;
        }
        Ok(())
    });
    steps.step("return: to EL1 or EL2 of AArch32", || {
        for mode in [SUPERVISOR, HYPERVISOR] {
            descend(mode, SVC_A32).expect_class(mode, &[ILLEGAL_STATE])?;
        }
        Ok(())
    });
    steps.step("return: to EL0 of AArch32", || {
        let run = descend(USER, SVC_A32);
        match run.fault {
            Some(fault) if fault.class() == SVC_AARCH32 => value(USER, fault.kind, 12),
            _ => run.expect_class(USER, &[ILLEGAL_STATE]).map(|_| ()),
        }
    });
    steps.step("return: AArch32 code that calls, waits and faults", aarch32);
}

/// Returns from an exception to `mode`, at `word`.
pub(super) fn descend(mode: u64, word: u32) -> crate::code::Run {
    let words = [
        word!("adr x9, .+24"),
        word!("msr elr_el1, x9"),
        word!("msr spsr_el1, x0"),
        word!("isb"),
        word!("eret"),
        word!("nop"),
        word,
    ];
    // SAFETY: whatever the state, it runs one instruction that changes no memory, and takes an exception at it.
    unsafe { Code::new(&words).run([mode | MASKED, 0, 0, 0]) }
}

/// A32: udf #0; hvc #0; smc #0; mcr p15 (SCTLR); cps; a coprocessor that is none; bkpt; ldr r0, [r1] at address 0, where
/// nothing is. The ID registers may say that there is no AArch32, and the CPU have it all the same.
fn aarch32() -> Verdict {
    const WORDS: [u32; 8] =
        [0xe7f0_00f0, 0xe140_0070, 0xe160_0070, 0xee01_0f10, 0xee00_0a10, 0xee00_0510, 0xe120_0070, 0xe591_0000];
    for word in WORDS {
        let run = descend(USER, word);
        // Undefined; a trapped coprocessor (3 to 8, 0xc); a breakpoint; an abort; the state itself.
        let classes = [UNKNOWN, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0xc, 0x38, 0x24, ILLEGAL_STATE];
        match run.fault {
            Some(fault) if classes.contains(&fault.class()) => {}
            Some(fault) => return Err(Why::Fault { at: word.into(), fault }),
            None => return Err(Why::NoFault(word.into(), run.x[0], run.x[1])),
        }
    }
    Ok(())
}
