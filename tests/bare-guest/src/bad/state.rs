//! What an instruction that the hypervisor carries out leaves of the CPU's state, and what it makes of it: byte order,
//! branch type, and AArch32 with its short instructions and conditions.

use super::expect::{BREAKPOINT, FETCH_ABORT, ILLEGAL_STATE, SVC, SVC_AARCH32, UNKNOWN, Verdict, value};
use super::{Steps, at, plain, plain_at};
use crate::code::{Run, word};
use crate::gic::{GICD_TYPER, Gic};
use crate::machine::Machine;
use crate::registers::{read, read32, write, write32};
use smccc::psci::PSCI_VERSION;

/// SPSR_EL1.BTYPE, and its value after BR and after BLR (DDI 0487, D8.4.5).
const BTYPE: u64 = 3 << 10;
const AFTER_BR: u64 = 1 << 10;
const AFTER_BLR: u64 = 2 << 10;

/// SCTLR_EL1.E0E: data at EL0 is big-endian.
const E0E: u64 = 1 << 24;

/// GICD_IPRIORITYR of SPIs 32 to 35.
const PRIORITY: u64 = 0x420;
/// GICR_TYPER.
const GICR_TYPER: u64 = 0x8;
/// The PL011's flags, and its interrupt mask.
const UART_FLAGS: u64 = 0x18;
const UART_MASK: u64 = 0x38;

/// SPSR_EL1 for EL0: A, I and F masked, in AArch64, A32 and T32; Z; and E of AArch32.
const EL0T: u64 = 0x1c0;
const A32: u64 = 0x1d0;
const T32: u64 = 0x1f0;
const Z: u64 = 1 << 30;
const E: u64 = 1 << 9;

pub fn run(steps: &mut Steps, machine: &Machine, gic: &Gic) {
    let (distributor, redistributor, uart) = (gic.distributor, gic.redistributor, machine.uart);
    steps.step("state: no branch type behind an instruction that traps", || no_branch_type(distributor + GICD_TYPER));
    steps.step("state: a fetch that aborts keeps its branch type", kept_branch_type);
    steps.step("endian: loads by EL1 in the other order", || loads(distributor, redistributor, uart));
    steps.step("endian: stores by EL1 in the other order", || stores(distributor, uart));
    steps.step("endian: EL0 has an order of its own", || unprivileged(distributor));
    steps.step("AArch32: short instructions, conditions and byte order", || aarch32(distributor + GICD_TYPER));
}

/// Branches to the instruction, behind which stands a BRK: of that exception SPSR_EL1.BTYPE is certain.
fn no_branch_type(device: u64) -> Verdict {
    let instructions = [
        (word!("ldr w1, [x0]"), device),
        (word!("str wzr, [x0]"), device),
        (word!("mrs x1, id_aa64mmfr0_el1"), 0),
        (word!("msr S3_0_C12_C11_5, xzr"), 0),
        (word!("hvc #0"), PSCI_VERSION.into()),
        (word!("smc #0"), PSCI_VERSION.into()),
    ];
    for (word, x0) in instructions {
        let words = [word!("adr x9, .+12"), word!("br x9"), word!("nop"), word, word!("brk #0x33")];
        let fault = plain(&words, [x0, 0, 0, 0]).expect_class(word.into(), &[BREAKPOINT, UNKNOWN])?;
        // Without an EL2 to answer, SMC is undefined.
        if fault.class() == BREAKPOINT {
            value(word.into(), fault.spsr & BTYPE, 0)?;
        }
    }
    Ok(())
}

fn kept_branch_type() -> Verdict {
    // ID_AA64PFR1_EL1.BT.
    let has_bti = read!("id_aa64pfr1_el1") & 0xf != 0;
    for (word, btype) in [(word!("br x0"), AFTER_BR), (word!("blr x0"), AFTER_BLR)] {
        let fault = at(word, 0, 0).expect_class(0, &[FETCH_ABORT])?;
        value(word.into(), fault.spsr & BTYPE, if has_bti { btype } else { 0 })?;
    }
    Ok(())
}

/// Runs the instruction with SCTLR_EL1.EE set. No exception may come of it: its handler is little-endian.
fn big_endian(word: u32, x: [u64; 4]) -> Run {
    let words = [
        word!("mrs x9, sctlr_el1"),
        word!("orr x10, x9, #1 << 25"),
        word!("msr sctlr_el1, x10"),
        word!("isb"),
        word,
        word!("msr sctlr_el1, x9"),
        word!("isb"),
    ];
    plain_at(&words, x)
}

fn loads(distributor: u64, redistributor: u64, uart: u64) -> Verdict {
    let instructions = [
        (word!("ldr w1, [x0]"), distributor + GICD_TYPER, 4),
        (word!("ldrsw x1, [x0]"), distributor + GICD_TYPER, 4),
        (word!("ldr x1, [x0]"), redistributor + GICR_TYPER, 8),
        (word!("ldrb w1, [x0]"), distributor + PRIORITY, 1),
        (word!("ldr w1, [x0]"), uart + UART_FLAGS, 4),
        (word!("ldrh w1, [x0]"), uart + UART_FLAGS, 2),
        (word!("ldrsh w1, [x0]"), uart + UART_FLAGS, 2),
        (word!("ldrsh x1, [x0]"), uart + UART_FLAGS, 2),
        (word!("ldr wzr, [x0]"), distributor + GICD_TYPER, 4),
    ];
    let (signed_w, signed_x, signed_word) = (word!("ldrsh w1, [x0]"), word!("ldrsh x1, [x0]"), word!("ldrsw x1, [x0]"));
    for (word, address, bytes) in instructions {
        let little = at(word, address, 0);
        little.expect_none(address)?;
        let run = big_endian(word, [address, 0, 0, 0]);
        run.expect_none(address)?;
        let swapped = little.x[1].swap_bytes() >> (64 - 8 * bytes);
        let expected = match word {
            _ if word == signed_w => u64::from(swapped as i16 as u32),
            _ if word == signed_x => swapped as i16 as u64,
            _ if word == signed_word => swapped as i32 as u64,
            _ => swapped,
        };
        value(address, run.x[1], expected)?;
    }
    Ok(())
}

fn stores(distributor: u64, uart: u64) -> Verdict {
    const PRIORITIES: u32 = 0x1020_4080;
    const RECEIVE: u16 = 1 << 4;
    let (priority, mask) = (distributor + PRIORITY, uart + UART_MASK);
    let before = (read32(priority), read32(mask));
    big_endian(word!("str w1, [x0]"), [priority, PRIORITIES.swap_bytes().into(), 0, 0]).expect_none(priority)?;
    let word = read32(priority);
    big_endian(word!("strb w1, [x0]"), [priority, 0xf0, 0, 0]).expect_none(priority)?;
    let byte = read32(priority);
    big_endian(word!("strh w1, [x0]"), [mask, RECEIVE.swap_bytes().into(), 0, 0]).expect_none(mask)?;
    let half = read32(mask);
    write32(priority, before.0);
    write32(mask, before.1);
    // The machine may have fewer bits of priority; these have the highest four.
    value(priority, (word & 0xf0f0_f0f0).into(), (PRIORITIES & 0xf0f0_f0f0).into())?;
    value(priority, (byte & 0xf0f0_f0f0).into(), (PRIORITIES & 0xf0f0_f000 | 0xf0).into())?;
    value(mask, half.into(), RECEIVE.into())
}

/// Goes to EL0 with SPSR_EL1 from x3 and runs the words behind there, the last of which must be an exception.
fn below(pstate: u64, words: [u32; 4], address: u64) -> Run {
    let [a, b, c, d] = words;
    let words = [
        word!("adr x9, .+24"),
        word!("msr elr_el1, x9"),
        word!("msr spsr_el1, x3"),
        word!("mov x3, xzr"),
        word!("isb"),
        word!("eret"),
        a,
        b,
        c,
        d,
    ];
    plain_at(&words, [address, 0, 0, pstate])
}

fn unprivileged(distributor: u64) -> Verdict {
    let typer = distributor + GICD_TYPER;
    let little = read32(typer);
    let sctlr = read!("sctlr_el1");
    write!("sctlr_el1", sctlr | E0E);
    let load = word!("ldr w1, [x0]");
    let el0 = below(EL0T, [load, word!("svc #0"), word!("nop"), word!("nop")], typer);
    // That bit says nothing of EL1, and of these instructions there neither.
    let (el1, like_el0) = (at(load, typer, 0), at(word!("ldtr w1, [x0]"), typer, 0));
    write!("sctlr_el1", sctlr);
    el0.expect_class(typer, &[SVC])?;
    value(typer, el0.x[1], little.swap_bytes().into())?;
    value(typer, el1.x[1], little.into())?;
    value(typer, like_el0.x[1], little.into())
}

/// Each ends by `svc #0`, if the CPU has AArch32 at EL0, with r1, r2 and r3 as given, at the vector for AArch32.
fn aarch32(typer: u64) -> Verdict {
    let little = u64::from(read32(typer));
    let big = u64::from(read32(typer).swap_bytes());
    // ldr r1, [r0]; mov r2, #5; svc #0; udf #0.
    let long = [0xe590_1000, 0xe3a0_2005, 0xef00_0000, 0xe7f0_00f0];
    // ldr r1, [r0]; svc #0; udf #0, udf #0.
    let short = [0xdf00_6801, 0xde00_de00, 0xde00_de00, 0xde00_de00];
    // ite eq; ldreq r1, [r0]; movne r2, #5; movs r3, #7; svc #0; udf #0.
    let block = [0x6801_bf0c, 0x2307_2205, 0xde00_df00, 0xde00_de00];
    // mrcne p14, 0, r1, c0, c0, 0; mov r2, #5; svc #0; udf #0: DBGDIDR is trapped.
    let conditional = [0x1e10_1e10, 0xe3a0_2005, 0xef00_0000, 0xe7f0_00f0];
    // The same of T32, in an IT block: it ne; mrcne; svc #0; udf #0.
    let conditional_short = [0xee10_bf18, 0xdf00_1e10, 0xde00_de00, 0xde00_de00];
    let cases = [
        (A32, long, [little, 5, 0]),
        (T32, short, [little, 0, 0]),
        (T32 | Z, block, [little, 0, 7]),
        (A32 | E, long, [big, 5, 0]),
        (T32 | E, short, [big, 0, 0]),
        (A32 | Z, conditional, [0, 5, 0]),
        (T32 | Z, conditional_short, [0, 0, 0]),
    ];
    for (pstate, words, expected) in cases {
        let run = below(pstate, words, typer);
        let fault = run.expect_class(pstate, &[SVC_AARCH32, ILLEGAL_STATE])?;
        if fault.class() == ILLEGAL_STATE {
            return Ok(());
        }
        value(pstate, fault.kind, 12)?;
        for (found, expected) in run.x[1..].iter().zip(expected) {
            value(pstate, *found, expected)?;
        }
    }
    // With a condition that holds the register is there or not.
    for (pstate, words) in [(A32, conditional), (T32, conditional_short)] {
        let fault = below(pstate, words, typer).expect_class(pstate, &[UNKNOWN, SVC_AARCH32])?;
        value(pstate, fault.kind, 12)?;
    }
    Ok(())
}
