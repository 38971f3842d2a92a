//! The system registers, all of them.

use super::expect::{UNKNOWN, Verdict, Why, claim, value};
use super::{Steps, plain};
use crate::code::{mrs, msr, sys, word};

/// Coordinates of a register: op0, op1, CRn, CRm, op2.
type Register = [u32; 5];

/// Classes that a trapped register may have for EL1 itself: undefined, SVE, SME.
const TRAPPED: [u64; 3] = [UNKNOWN, 0x19, 0x1d];

pub fn run(steps: &mut Steps) {
    // A few on their own, of which each is reported: of thousands, the hypervisor reports those that there is room for.
    steps.step("names: PMCR_EL0 and DBGBVR2_EL1 are not there to read", || {
        each([[3, 3, 9, 12, 0], [2, 0, 0, 2, 4]].into_iter(), |register| undefined(register, mrs(register)))
    });
    steps.step("registers: the ID space reads whole", id_space);
    steps.step("registers: the ID space takes no writes", || {
        each((0..64).map(|n| [3, 0, 0, n / 8, n % 8]), |register| write(register, 0).map(|_| ()))
    });
    steps.step("registers: read all of EL1", || each(space(3, 0).filter(is_harmless), defined_or_not));
    steps.step("registers: read cache and implementation space of EL1", || {
        each(space(3, 1).chain(space(3, 2)), defined_or_not)
    });
    steps.step("registers: read all of EL0", || each(space(3, 3).filter(is_harmless), defined_or_not));
    for (name, op1) in [
        ("registers: EL2's are not there to read", 4),
        ("registers: EL1's by EL2's names are not there to read", 5),
        ("registers: EL3's are not there to read", 6),
    ] {
        steps.step(name, || each(space(3, op1), |register| undefined(register, mrs(register))));
    }
    for (name, op1) in [
        ("registers: EL2's are not there to write", 4),
        ("registers: EL1's by EL2's names are not there to write", 5),
        ("registers: EL3's are not there to write", 6),
    ] {
        steps.step(name, || each(space(3, op1), |register| undefined(register, msr(register))));
    }
    steps.step("registers: read debug", || each(space(2, 0), defined_or_not));
    steps.step("registers: read trace", || each(space(2, 1), defined_or_not));
    steps.step("registers: write debug", || each(debug(), write_all));
    steps.step("registers: write the implementation's own", || {
        let spaces = (0..8).flat_map(|op1| {
            [11, 15].into_iter().flat_map(move |crn| (0..128).map(move |n| [3, op1, crn, n / 8, n % 8]))
        });
        each(spaces, write_all)
    });
    steps.step("registers: write the performance monitors", || each(monitors(), write_all));
    steps.step("registers: write ACTLR, the LORegions and more", || each(others(), write_all));
    steps.step("registers: write the GIC's of group 0 and SRE", || each(group_0().into_iter(), write_all));
    steps.step("registers: MIDR and MPIDR are a CPU's", || {
        let run = plain(&[word!("mrs x0, midr_el1"), word!("mrs x1, mpidr_el1")], [0; 4]);
        run.expect_none(0)?;
        claim(run.x[0] != 0, "MIDR_EL1 is zero")?;
        value(0, run.x[1] & 0xff_00ff_ffff, 0)
    });
    steps.step("instructions: for EL2 and EL3 alone", privileged);
    steps.step("instructions: SVE and SME", || {
        // rdvl x0, #1; ptrue p0.b; smstart; rdsvl x0, #1
        for word in [0x04bf_5020, 0x2518_e3e0, 0xd503_477f, 0x04bf_5820] {
            plain(&[word], [0; 4]).expect_none_or(word.into(), &TRAPPED)?;
        }
        Ok(())
    });
}

fn space(op0: u32, op1: u32) -> impl Iterator<Item = Register> {
    (0..2048).map(move |n| [op0, op1, n >> 7, n >> 3 & 0xf, n & 7])
}

/// Reading these would take an interrupt, or fail by design: ICC_IAR0_EL1, ICC_IAR1_EL1, and RNDR's kin.
fn is_harmless(register: &Register) -> bool {
    !matches!(register, [3, 0, 12, 8 | 12, 0])
}

fn each(registers: impl Iterator<Item = Register>, mut check: impl FnMut(Register) -> Verdict) -> Verdict {
    for register in registers {
        check(register)?;
    }
    Ok(())
}

/// A register as a number to print: the instruction's bits.
fn name(register: Register) -> u64 {
    mrs(register).into()
}

fn defined_or_not(register: Register) -> Verdict {
    /// A trapped system register: what FEAT_IDST makes of ID registers that do not exist (DDI 0487, D1.3.5).
    const SYSTEM_REGISTER: u64 = 0x18;
    let classes = match register {
        [3, 0 | 1 | 3, 0, ..] => [UNKNOWN, SYSTEM_REGISTER, UNKNOWN],
        _ => TRAPPED,
    };
    plain(&[mrs(register)], [0; 4]).expect_none_or(name(register), &classes)
}

fn undefined(register: Register, word: u32) -> Verdict {
    plain(&[word], [0; 4]).expect_class(name(register), &[UNKNOWN]).map(|_| ())
}

/// Writes; `Ok(true)` if that was possible.
fn write(register: Register, value: u64) -> Result<bool, Why> {
    let run = plain(&[msr(register)], [value, 0, 0, 0]);
    run.expect_none_or(name(register), &TRAPPED)?;
    Ok(run.fault.is_none())
}

/// Writes ones, zeros and then what was there before, if it can be read.
fn write_all(register: Register) -> Verdict {
    let before = plain(&[mrs(register)], [0; 4]);
    for value in [u64::MAX, 0, before.x[0]] {
        write(register, value)?;
    }
    Ok(())
}

/// Reserved ID registers read as zero; none is trapped into an exception.
fn id_space() -> Verdict {
    each((0..64).map(|n| [3, 0, 0, n / 8, n % 8]).filter(|[_, _, _, crm, _]| *crm >= 1), |register| {
        plain(&[mrs(register)], [0; 4]).expect_none(name(register))
    })
}

/// Break- and watchpoints, the OS locks and the debug communication channel; not MDSCR_EL1, which could start stepping.
fn debug() -> impl Iterator<Item = Register> {
    let points = (0..64).map(|n| [2, 0, 0, n / 4, 4 + n % 4]);
    // The addresses come with their controls, which are zero again before anything could match.
    points.filter(|[_, _, _, _, op2]| *op2 % 2 == 0).chain([
        [2, 0, 1, 0, 4],
        [2, 0, 1, 3, 4],
        [2, 0, 1, 4, 4],
        [2, 0, 7, 8, 6],
        [2, 0, 7, 9, 6],
        [2, 0, 0, 2, 0],
        [2, 0, 0, 3, 2],
        [2, 0, 0, 6, 2],
        [2, 3, 0, 4, 0],
        [2, 3, 0, 5, 0],
    ])
}

fn monitors() -> impl Iterator<Item = Register> {
    let counters = (0..64).map(|n| [3, 3, 14, 8 + n / 8, n % 8]);
    let controls = (0..24).map(|n| [3, 3, 9, 12 + n / 8, n % 8]);
    counters.chain(controls).chain([[3, 0, 9, 14, 1], [3, 0, 9, 14, 2], [3, 0, 9, 14, 6]])
}

/// ACTLR_EL1, AFSR0 and 1, AMAIR, CONTEXTIDR, the LORegions, CSSELR, ZCR, SMCR, TRFCR, RGSR, GCR, CNTKCTL, CNTP.
fn others() -> impl Iterator<Item = Register> {
    let lor = (0..4).map(|op2| [3, 0, 10, 4, op2]);
    lor.chain([
        [3, 0, 1, 0, 1],
        [3, 0, 5, 1, 0],
        [3, 0, 5, 1, 1],
        [3, 0, 10, 3, 0],
        [3, 0, 13, 0, 1],
        [3, 2, 0, 0, 0],
        [3, 0, 1, 2, 0],
        [3, 0, 1, 2, 1],
        [3, 0, 1, 2, 4],
        [3, 0, 1, 2, 6],
        [3, 0, 1, 0, 5],
        [3, 0, 1, 0, 6],
        [3, 0, 14, 1, 0],
        [3, 3, 14, 2, 0],
        [3, 3, 14, 2, 2],
        [3, 3, 14, 2, 1],
    ])
}

/// ICC_BPR0, AP0R, IGRPEN0, SRE, DIR, EOIR0 and HPPIR0.
fn group_0() -> [Register; 10] {
    [
        [3, 0, 12, 8, 3],
        [3, 0, 12, 8, 4],
        [3, 0, 12, 8, 5],
        [3, 0, 12, 8, 1],
        [3, 0, 12, 8, 2],
        [3, 0, 12, 9, 0],
        [3, 0, 12, 11, 1],
        [3, 0, 12, 11, 3],
        [3, 0, 12, 12, 5],
        [3, 0, 12, 12, 6],
    ]
}

/// Address translation, TLB and exception instructions of higher levels.
fn privileged() -> Verdict {
    // AT S1E2R, S12E1W; TLBI IPAS2E1IS, ALLE2, ALLE1, VMALLS12E1, VAE2, ALLE3; AT S1E3R.
    let operations = [
        [4, 7, 8, 0],
        [4, 7, 8, 5],
        [4, 8, 0, 1],
        [4, 8, 7, 0],
        [4, 8, 7, 4],
        [4, 8, 7, 6],
        [4, 8, 7, 1],
        [6, 8, 7, 0],
        [6, 7, 8, 0],
    ];
    for operation in operations {
        let word = sys(operation);
        plain(&[word], [0; 4]).expect_class(word.into(), &[UNKNOWN])?;
    }
    // dcps1, dcps2, dcps3, drps: without a debugger there are none.
    for word in [0xd4a0_0001, 0xd4a0_0002, 0xd4a0_0003, 0xd6bf_03e0_u32] {
        plain(&[word], [0; 4]).expect_class(word.into(), &[UNKNOWN])?;
    }
    Ok(())
}
