//! Addresses where nothing is, and RAM as it should not be used.

use super::expect::{ADDRESS_SIZE, ALIGNMENT, DATA_ABORT, EXTERNAL, FETCH_ABORT, Verdict, Why, claim, value};
use super::{Steps, at, scratch};
use crate::code::word;
use crate::machine::Machine;
use crate::registers::{find_other, read, read_ram};

/// Where Xen's guests, and so this one's neighbours, have their banks of RAM.
const BANK_0_END: u64 = 0x1_0000_0000;
const BANK_1: u64 = 0x2_0000_0000;

pub fn run(steps: &mut Steps, machine: &Machine) {
    steps.step("memory: RAM holds nothing old", || all_zero(machine));
    for (name, address) in unmapped(machine) {
        if let Some(address) = address {
            steps.step(name, || accesses(address, &[EXTERNAL]));
        }
    }
    let bits = address_bits();
    steps.step("unmapped: first address that no CPU here can have", || accesses(1 << bits, &[EXTERNAL, ADDRESS_SIZE]));
    steps.step("unmapped: top of the 64-bit space", || accesses(!0xfff, &[EXTERNAL, ADDRESS_SIZE, 0x4]));
    steps.step("execute: unmapped memory", || {
        for (_, address) in unmapped(machine) {
            if let Some(address) = address {
                at(word!("br x0"), address, 0).expect_abort(address, FETCH_ABORT, &[EXTERNAL])?;
            }
        }
        Ok(())
    });
    steps.step("misaligned: accesses to RAM with the MMU off", misaligned);
    steps.step("exclusive: pairs in RAM end and store what they say", exclusives);
    steps.step("floating point: registers to RAM and back", floating_point);
    steps.step("cache maintenance: RAM, by address and by set and way", caches);
    steps.step("translation: AT tells of unmapped memory in PAR_EL1", translate);
}

/// Addresses of every kind where nothing is.
fn unmapped(machine: &Machine) -> [(&'static str, Option<u64>); 14] {
    let gic = machine.gic;
    let end = machine.banks().map(|bank| bank.end).next().unwrap_or(0);
    let last = machine.banks().map(|bank| bank.end).max().unwrap_or(0);
    let top = (1 << address_bits()) - 0x1000;
    let is_ram = |address: u64| machine.banks().any(|bank| bank.contains(&address));
    let beside_ram = |address| Some(address).filter(|address| !is_ram(*address));
    [
        ("unmapped: address 0", Some(0)),
        ("unmapped: a page above 0", Some(0x1000)),
        ("unmapped: below the distributor", gic.map(|gic| gic.distributor - 0x1000)),
        ("unmapped: above the distributor", gic.map(|gic| gic.distributor + 0x1_0000)),
        ("unmapped: below the redistributor", gic.map(|gic| gic.redistributor - 0x1000)),
        ("unmapped: redistributor of a second vCPU", gic.map(|gic| gic.redistributor + 0x2_0000)),
        ("unmapped: above all redistributors", gic.map(|gic| gic.redistributor + 0x100_0000)),
        ("unmapped: below the UART", Some(machine.uart - 0x1000)),
        ("unmapped: above the UART", Some(machine.uart + 0x1000)),
        ("unmapped: below RAM", machine.banks().map(|bank| bank.start - 0x1000).min()),
        ("unmapped: just past RAM", Some(end)),
        ("unmapped: between the banks", beside_ram(BANK_0_END)),
        ("unmapped: past the last bank", Some(last.max(BANK_1)).filter(|address| !is_ram(*address))),
        ("unmapped: top of the CPU's address space", Some(top)),
    ]
}

/// ID_AA64MMFR0_EL1.PARange, in bits.
fn address_bits() -> u32 {
    match read!("id_aa64mmfr0_el1") & 0xf {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        5 => 48,
        _ => 52,
    }
}

fn all_zero(machine: &Machine) -> Verdict {
    let mut other = None;
    machine.each_free(|range| other = other.or_else(|| find_other(range, 0)));
    other.map_or(Ok(()), |address| value(address, read_ram(address), 0))
}

/// Reads and writes of all sizes, single, paired, exclusive, with writeback and by SIMD registers.
fn accesses(address: u64, status: &[u64]) -> Verdict {
    let single = [
        word!("ldrb w1, [x0]"),
        word!("ldrh w1, [x0]"),
        word!("ldr w1, [x0]"),
        word!("ldr x1, [x0]"),
        word!("ldrsb x1, [x0]"),
        word!("ldrsw x1, [x0]"),
        word!("strb w1, [x0]"),
        word!("strh w1, [x0]"),
        word!("str w1, [x0]"),
        word!("str x1, [x0]"),
        word!("ldar w1, [x0]"),
        word!("stlr w1, [x0]"),
        word!("ldp x1, x2, [x0]"),
        word!("stp x1, x2, [x0]"),
        word!("ldr q0, [x0]"),
        word!("str q0, [x0]"),
        word!("ldxr x1, [x0]"),
    ];
    for word in single {
        at(word, address, 0).expect_abort(address, DATA_ABORT, status)?;
    }
    for word in [word!("ldr w1, [x0], #4"), word!("str w1, [x0], #4"), word!("ldp x1, x2, [x0], #16")] {
        let run = at(word, address, 0);
        run.expect_abort(address, DATA_ABORT, status)?;
        // The base is as it was if the access aborts (DDI 0487, D1.3.7).
        value(address, run.x[0], address)?;
    }
    let last = address + 0xff8;
    at(word!("ldr x1, [x0]"), last, 0).expect_abort(last, DATA_ABORT, status)
}

/// With the MMU off memory is a device, which takes no misaligned access; QEMU before 9.0 allows it all the same.
fn misaligned() -> Verdict {
    let words = [
        word!("ldrh w1, [x0]"),
        word!("ldr w1, [x0]"),
        word!("str x1, [x0]"),
        word!("ldp x1, x2, [x0]"),
        word!("ldxr x1, [x0]"),
        word!("str q0, [x0]"),
    ];
    for word in words {
        let run = at(word, scratch() + 1, 0);
        if run.fault.is_some() {
            run.expect_abort(scratch() + 1, DATA_ABORT, &[ALIGNMENT])?;
        }
    }
    at(word!("ldrb w1, [x0]"), scratch() + 1, 0).expect_none(scratch() + 1)
}

fn exclusives() -> Verdict {
    const NEW: u64 = 0x0123_4567_89ab_cdef;
    let words = [word!("ldxr x2, [x0]"), word!("stxr w3, x1, [x0]"), word!("clrex")];
    for _ in 0..1000 {
        let run = super::plain_at(&words, [scratch(), NEW, 0, 0]);
        run.expect_none(scratch())?;
        if run.x[3] == 0 {
            return value(scratch(), read_ram(scratch()), NEW);
        }
    }
    claim(false, "STXR never succeeded in 1000 times")
}

fn floating_point() -> Verdict {
    const PATTERN: u64 = 0xfedc_ba98_7654_3210;
    let words = [
        word!("dup v31.2d, x1"),
        word!("str q31, [x0]"),
        word!("movi v31.2d, #0"),
        word!("ldr q31, [x0]"),
        word!("umov x2, v31.d[1]"),
    ];
    let run = super::plain_at(&words, [scratch(), PATTERN, 0, 0]);
    run.expect_none(scratch())?;
    value(scratch(), run.x[2], PATTERN)
}

fn caches() -> Verdict {
    for word in [word!("dc civac, x0"), word!("dc cvau, x0"), word!("dc ivac, x0"), word!("ic ivau, x0")] {
        at(word, scratch(), 0).expect_none(scratch())?;
    }
    // x0 = 0 is set 0, way 0 of the first level.
    for word in
        [word!("dc cisw, x0"), word!("dc csw, x0"), word!("dc isw, x0"), word!("ic iallu"), word!("tlbi vmalle1")]
    {
        super::plain(&[word], [0; 4]).expect_none(0)?;
    }
    Ok(())
}

/// AT by stage 1 alone, which is off, gives the address back; with stage 2, it is not for EL1 to have.
fn translate() -> Verdict {
    let words = [word!("at s1e1r, x0"), word!("isb"), word!("mrs x1, par_el1")];
    let run = super::plain(&words, [0x1000, 0, 0, 0]);
    run.expect_none(0x1000)?;
    value(0x1000, run.x[1] & 0xffff_ffff_f001, 0x1000)?;
    match super::plain(&[word!("at s12e1r, x0")], [0x1000, 0, 0, 0]).fault {
        Some(fault) if fault.class() == super::expect::UNKNOWN => Ok(()),
        Some(fault) => Err(Why::Fault { at: 0x1000, fault }),
        None => claim(false, "AT S12E1R is an instruction at EL1"),
    }
}
