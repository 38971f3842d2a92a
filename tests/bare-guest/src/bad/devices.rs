//! Devices, accessed as no driver would.

use super::expect::{DATA_ABORT, EXTERNAL, FETCH_ABORT, Verdict, Why, value};
use super::{Steps, at};
use crate::code::{Run, word};
use crate::gic::{GICD_TYPER, Gic, ISPENDR};
use crate::machine::Machine;
use crate::registers::read32;

/// From the redistributor to its frame of private interrupts.
const SGI_FRAME: u64 = 0x1_0000;

/// The PL011's masked interrupt status: read-only, and a read changes nothing.
const UART_MIS: u64 = 0x40;

pub fn run(steps: &mut Steps, machine: &Machine, gic: &Gic) {
    let uart = machine.uart + UART_MIS;
    // A read-only register, a word that is reserved, and one with bits to set, of which zeros set none.
    let places = [uart, gic.distributor + GICD_TYPER, gic.distributor + 0xfe0, gic.redistributor + SGI_FRAME + ISPENDR];
    steps.step("devices: bytes, halves and double words", || each(&places, &sizes()));
    steps.step("devices: misaligned", || misaligned(&places));
    steps.step("devices: pairs", || each(&places, &pairs()));
    steps.step("devices: writeback", || writeback(&places));
    steps.step("devices: exclusive and ordered", || each(&places, &exclusives()));
    steps.step("devices: SIMD and floating point", || each(&places, &vectors()));
    steps.step("devices: atomic instructions", || each(&places, &atomics()));
    steps.step("devices: cache maintenance", || each(&places, &caches()));
    steps.step("devices: an access over their last byte", || over_the_end(machine, gic));
    steps.step("devices: unprivileged accesses", || each(&places, &[word!("ldtr w1, [x0]"), word!("sttr w1, [x0]")]));
    steps.step("devices: a load to the zero register", || each(&places, &[word!("ldr wzr, [x0]")]));
    steps.step("devices: registers read the same afterwards", || {
        let typer = gic.distributor + GICD_TYPER;
        let before = read32(typer);
        each(&[typer], &[word!("str w1, [x0]"), word!("str x1, [x0]"), word!("strb w1, [x0]")])?;
        value(typer, read32(typer).into(), before.into())
    });
    steps.step("execute: devices", || {
        for address in [machine.uart, gic.distributor, gic.redistributor] {
            at(word!("br x0"), address, 0).expect_abort(address, FETCH_ABORT, &[EXTERNAL])?;
        }
        Ok(())
    });
}

fn sizes() -> [u32; 8] {
    [
        word!("ldrb w1, [x0]"),
        word!("ldrh w1, [x0]"),
        word!("ldr x1, [x0]"),
        word!("ldrsb x1, [x0]"),
        word!("ldrsh w1, [x0]"),
        word!("strb w1, [x0]"),
        word!("strh w1, [x0]"),
        word!("str x1, [x0]"),
    ]
}

fn pairs() -> [u32; 5] {
    [
        word!("ldp w1, w2, [x0]"),
        word!("ldp x1, x2, [x0]"),
        word!("stp w1, w2, [x0]"),
        word!("stp x1, x2, [x0]"),
        word!("ldnp w1, w2, [x0]"),
    ]
}

fn exclusives() -> [u32; 6] {
    [
        word!("ldxr w1, [x0]"),
        word!("ldaxr w1, [x0]"),
        word!("stxr w3, w1, [x0]"),
        word!("ldxp w1, w2, [x0]"),
        word!("ldar w1, [x0]"),
        word!("stlr w1, [x0]"),
    ]
}

fn vectors() -> [u32; 6] {
    [
        word!("ldr s0, [x0]"),
        word!("ldr q0, [x0]"),
        word!("str d31, [x0]"),
        word!("str q31, [x0]"),
        word!("ld1 {{v0.4s}}, [x0]"),
        word!("st1 {{v0.s}}[1], [x0]"),
    ]
}

fn atomics() -> [u32; 3] {
    [word!("ldadd w1, w2, [x0]"), word!("swp w1, w2, [x0]"), word!("cas w1, w2, [x0]")]
}

fn caches() -> [u32; 6] {
    [
        word!("dc civac, x0"),
        word!("dc cvac, x0"),
        word!("dc ivac, x0"),
        word!("dc zva, x0"),
        word!("ic ivau, x0"),
        word!("prfm pldl1keep, [x0]"),
    ]
}

/// An abort at the address, a missing instruction, or anything else that lets the guest go on: only no hang.
fn is_sane(run: &Run, address: u64) -> Verdict {
    const LARGEST: u64 = 64;
    match run.fault {
        Some(fault) if fault.class() == DATA_ABORT => {
            let start = address & !(LARGEST - 1);
            // DC ZVA and the like may name any byte of the block.
            let is_there = (start..start + 2 * LARGEST).contains(&fault.far);
            if is_there { Ok(()) } else { Err(Why::Fault { at: address, fault }) }
        }
        _ => run.expect_none_or(address, &[super::expect::UNKNOWN]),
    }
}

fn each(places: &[u64], words: &[u32]) -> Verdict {
    for place in places {
        for word in words {
            is_sane(&at(*word, *place, 0), *place)?;
        }
    }
    Ok(())
}

fn misaligned(places: &[u64]) -> Verdict {
    for place in places {
        for offset in [1, 2, 3] {
            for word in [word!("ldr w1, [x0]"), word!("str w1, [x0]"), word!("ldrh w1, [x0]"), word!("ldr x1, [x0]")] {
                is_sane(&at(word, place + offset, 0), place + offset)?;
            }
        }
    }
    Ok(())
}

/// The base moves if the access is done, and stays if it aborts.
fn writeback(places: &[u64]) -> Verdict {
    for place in places {
        let words = [
            (word!("ldr w1, [x0], #4"), 4),
            (word!("str w1, [x0], #4"), 4),
            (word!("ldr w1, [x0, #0]!"), 0),
            (word!("ldrb w1, [x0], #1"), 1),
            (word!("ldp w1, w2, [x0], #8"), 8),
        ];
        for (word, step) in words {
            let run = at(word, *place, 0);
            is_sane(&run, *place)?;
            let moved = if run.fault.is_some() { 0 } else { step };
            value(*place, run.x[0], place + moved)?;
        }
    }
    Ok(())
}

fn over_the_end(machine: &Machine, gic: &Gic) -> Verdict {
    let ends = [machine.uart + 0x1000, gic.distributor + 0x1_0000, gic.redistributor + 0x2_0000];
    for end in ends {
        for (back, word) in [
            (1, word!("ldrh w1, [x0]")),
            (2, word!("ldr w1, [x0]")),
            (4, word!("ldr x1, [x0]")),
            (4, word!("str x1, [x0]")),
            (8, word!("ldp x1, x2, [x0]")),
            (4, word!("stp w1, w2, [x0]")),
        ] {
            is_sane(&at(word, end - back, 0), end - back)?;
        }
    }
    Ok(())
}
