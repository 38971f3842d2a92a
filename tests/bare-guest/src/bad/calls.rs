//! Calls of the hypervisor that mean nothing, or ask for what there is not.

use super::Steps;
use super::expect::{UNKNOWN, Verdict, Why, claim, value};
use super::plain;
use crate::code::{self, Run, word};
use crate::console::say;
use crate::registers::{now, unmask_interrupts};
use crate::{machine, timer};
use smccc::arch::{SMCCC_ARCH_FEATURES, SMCCC_ARCH_WORKAROUND_1, SMCCC_ARCH_WORKAROUND_2, SMCCC_ARCH_WORKAROUND_3};
use smccc::psci::{
    PSCI_AFFINITY_INFO_64, PSCI_CPU_ON_32, PSCI_CPU_ON_64, PSCI_CPU_SUSPEND_64, PSCI_FEATURES, PSCI_MIGRATE_INFO_TYPE,
    PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET, PSCI_VERSION,
};

const NOT_SUPPORTED: i32 = -1;
const INVALID_PARAMETERS: i32 = -2;
const ALREADY_ON: i32 = -4;
const INVALID_ADDRESS: i32 = -9;

/// An affinity that no vCPU has.
const NOBODY: u64 = 0xff_00ff_ff03;

/// Function identifiers that nobody gave a meaning, or a meaning for others (DEN 0028).
const UNKNOWN_FUNCTIONS: [u64; 14] = [
    0x8400_00ff,
    0xc400_00ff,
    0x8000_00fe,
    0xc000_00fe,
    0x8200_0001,
    0xc300_0000,
    0x8500_0000,
    0x8600_0042,
    0xb200_0001,
    0xbf00_ffff,
    0xff00_1234,
    0x8fff_ffff,
    0xffff_fff0,
    0x1234_5678_8400_00fe,
];

/// More calls than a hypervisor should report one by one.
const REPEATED: u32 = 1000;

pub fn run(steps: &mut Steps) {
    steps.step("calls: HVC of unknown functions", || unknown(word!("hvc #0"), Refusal::Value));
    steps.step("calls: SMC of unknown functions", || unknown(word!("smc #0"), Refusal::ValueOrUndefined));
    steps.step("calls: unknown functions without an end", || {
        (0..REPEATED).try_for_each(|_| is_one_of(UNKNOWN_FUNCTIONS[0] as u32, [0; 3], &[NOT_SUPPORTED]))
    });
    steps.step("calls: HVC with a number of its own", || {
        for word in [word!("hvc #1"), word!("hvc #0x4a48"), word!("hvc #0xea1"), word!("hvc #0xffff")] {
            unknown(word, Refusal::AnyErrorOrUndefined)?;
        }
        Ok(())
    });
    steps.step("calls: SMC with a number of its own", || {
        for word in [word!("smc #1"), word!("smc #0xffff")] {
            unknown(word, Refusal::ValueOrUndefined)?;
        }
        Ok(())
    });
    steps.step("calls: HVC goes on behind itself, SMC too", || {
        for word in [word!("hvc #0"), word!("smc #0")] {
            let run = plain(&[word, word!("mov x1, #77")], [0x8400_00ff, 0, 0, 0]);
            run.expect_none_or(0, &[UNKNOWN])?;
            if run.fault.is_none() {
                value(0, run.x[1], 77)?;
            }
        }
        Ok(())
    });
    steps.step("calls: workarounds that are there, and no others", workarounds);
    steps.step("calls: a call spares x4 to x30", spares_registers);
    steps.step("PSCI: version", || claim(call(PSCI_VERSION, [0; 3])? >= 0x2, "below 0.2"));
    steps.step("PSCI: features of everything", features);
    steps.step("PSCI: CPU_ON of this CPU", || is_one_of(PSCI_CPU_ON_64, [0, entry(), 0], &[ALREADY_ON]));
    steps.step("PSCI: CPU_ON of this CPU by the call of 32 bits", || {
        is_one_of(PSCI_CPU_ON_32, [0, entry(), 0], &[ALREADY_ON, NOT_SUPPORTED])
    });
    steps.step("PSCI: CPU_ON of a CPU that does not exist", || {
        for cpu in [1, 7, 0x100, NOBODY, u64::MAX, 1 << 31] {
            is_one_of(PSCI_CPU_ON_64, [cpu, entry(), 0], &[INVALID_PARAMETERS])?;
        }
        Ok(())
    });
    steps.step("PSCI: CPU_ON at no address", || {
        is_one_of(PSCI_CPU_ON_64, [1, u64::MAX, 0], &[INVALID_PARAMETERS, INVALID_ADDRESS])
    });
    steps.step("PSCI: AFFINITY_INFO", || {
        is_one_of(PSCI_AFFINITY_INFO_64, [0, 0, 0], &[0])?;
        is_one_of(PSCI_AFFINITY_INFO_64, [NOBODY, 0, 0], &[INVALID_PARAMETERS])?;
        is_one_of(PSCI_AFFINITY_INFO_64, [0, 9, 0], &[INVALID_PARAMETERS])
    });
    steps.step("PSCI: MIGRATE_INFO_TYPE", || is_one_of(PSCI_MIGRATE_INFO_TYPE, [0; 3], &[2, NOT_SUPPORTED]));
    steps.step("PSCI: CPU_SUSPEND with states of all kinds", suspend);
    steps.step("PSCI: CPU_SUSPEND after the timer has expired", || {
        timer::expire_at(now());
        timer::spin(50_000);
        let result = call(PSCI_CPU_SUSPEND_64, [0, 0, 0]);
        timer::stop();
        claim((-3..=0).contains(&result?), "neither success nor one of PSCI's refusals")
    });
}

/// A workaround is there if SMCCC_ARCH_FEATURES says 0, or 1 where the CPU does not need it; -2, it is not to be
/// called.
fn workarounds() -> Verdict {
    let functions = [SMCCC_ARCH_WORKAROUND_1, SMCCC_ARCH_WORKAROUND_2, SMCCC_ARCH_WORKAROUND_3];
    let mut features = [0; 3];
    for (function, feature) in functions.into_iter().zip(&mut features) {
        *feature = call(SMCCC_ARCH_FEATURES, [function.into(), 0, 0])?;
        is_one_of(function, [1, 0, 0], &[if *feature < 0 { NOT_SUPPORTED } else { 0 }])?;
    }
    let [targets, stores, history] = features;
    say!("workarounds {targets} {stores} {history}");
    claim((NOT_SUPPORTED..=1).contains(&targets) && (NOT_SUPPORTED..=1).contains(&history), "no such answer")?;
    claim((-2..=1).contains(&stores), "no such answer")
}

/// How a call may be refused.
#[derive(Clone, Copy)]
enum Refusal {
    Value,
    ValueOrUndefined,
    /// SMCCC keeps these instructions for hypervisors to use as they like.
    AnyErrorOrUndefined,
}

fn entry() -> u64 {
    machine::image().start
}

fn unknown(word: u32, refusal: Refusal) -> Verdict {
    for function in UNKNOWN_FUNCTIONS {
        let run = plain(&[word], [function, 1, 2, 3]);
        match run.fault {
            Some(fault) if !matches!(refusal, Refusal::Value) && fault.class() == UNKNOWN => {}
            Some(fault) => return Err(Why::Fault { at: function, fault }),
            None if matches!(refusal, Refusal::AnyErrorOrUndefined) => claim((run.x[0] as i32) < 0, "not an error")?,
            None => value(function, run.x[0] & 0xffff_ffff, u64::from(NOT_SUPPORTED as u32))?,
        }
    }
    Ok(())
}

fn hvc(function: u32, [a, b, c]: [u64; 3]) -> Run {
    plain(&[word!("hvc #0")], [function.into(), a, b, c])
}

fn call(function: u32, arguments: [u64; 3]) -> Result<i32, Why> {
    let run = hvc(function, arguments);
    run.expect_none(function.into())?;
    Ok(run.x[0] as i32)
}

fn is_one_of(function: u32, arguments: [u64; 3], wanted: &[i32]) -> Verdict {
    let found = call(function, arguments)?;
    let wanted_number = wanted.first().copied().unwrap_or_default();
    if wanted.contains(&found) {
        return Ok(());
    }
    Err(Why::Value { at: arguments[0], found: found as u32 as u64, wanted: wanted_number as u32 as u64 })
}

/// Those that PSCI 0.2 demands are there, the rest is or is not; and what is not is said so in one way.
fn features() -> Verdict {
    for function in (0x8400_0000..0x8400_0020_u32).flat_map(|function| [function, function | 1 << 30]) {
        claim(call(PSCI_FEATURES, [function.into(), 0, 0])? >= NOT_SUPPORTED, "an error other than NOT_SUPPORTED")?;
    }
    for function in [PSCI_VERSION, PSCI_CPU_ON_64, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET, PSCI_FEATURES] {
        is_one_of(PSCI_FEATURES, [function.into(), 0, 0], &[0])?;
    }
    for function in [0, 0x8400_00ff, 0xffff_ffff, 0x1234_5678] {
        is_one_of(PSCI_FEATURES, [function, 0, 0], &[NOT_SUPPORTED])?;
    }
    Ok(())
}

/// The timer's interrupt ends a suspension, if there is one.
fn suspend() -> Verdict {
    const TICKS: u64 = 20_000;
    for state in [0, 1, 1 << 16, 0xffff_ffff] {
        timer::expire_at(now() + TICKS);
        let run = hvc(PSCI_CPU_SUSPEND_64, [state, 0, 0]);
        unmask_interrupts();
        timer::stop();
        crate::registers::mask_interrupts();
        run.expect_none(state)?;
        claim((-3..=0).contains(&(run.x[0] as i32)), "neither success nor one of PSCI's refusals")?;
    }
    Ok(())
}

/// By SMCCC 1.1 a call changes x0 to x3 alone. Looks at some of the others.
fn spares_registers() -> Verdict {
    let words = [
        word!("mov x19, #19"),
        word!("mov x28, #28"),
        word!("mov x18, #18"),
        word!("mov x4, #4"),
        word!("mov x17, #17"),
        word!("hvc #0"),
        word!("mov x0, x19"),
        word!("add x0, x0, x28, lsl #8"),
        word!("add x0, x0, x18, lsl #16"),
        word!("mov x1, x4"),
        word!("add x1, x1, x17, lsl #8"),
    ];
    let run = plain(&words, [PSCI_VERSION.into(), 0, 0, 0]);
    run.expect_none(0)?;
    value(code::address(), run.x[0], 19 | 28 << 8 | 18 << 16)?;
    value(code::address(), run.x[1], 4 | 17 << 8)
}
