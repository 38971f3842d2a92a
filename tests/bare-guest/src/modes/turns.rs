//! Whether the registers hold while other guests run on the same CPU, and what giving the CPU to them costs.

use super::hold::{call, pattern};
use crate::console::say;
use crate::gic::{self, Gic};
use crate::machine::Machine;
use crate::registers::{mask_interrupts, now, read, write};
use core::arch::{asm, naked_asm};

/// The call by which an image with self-tests ends the turn of this vCPU: a function ID of the range for hypervisors
/// (SMCCC, DEN0028, 6.1). Returns 1 if another vCPU has run meanwhile, else 0.
const GIVE_TURN_UP: u64 = 0x8600_5455;

/// Turns that are given up, unless the command line says how many.
const ROUNDS: u64 = 5000;

/// The SGI that is active all the time, and one that is pending all the time.
const ACTIVE: u32 = 3;
const PENDING: u32 = 5;

macro_rules! system_registers {
    ($($name:literal)*) => {
        /// How many there are.
        const COUNT: usize = [$($name),*].len();

        /// Their names.
        const NAMES: [&str; COUNT] = [$($name),*];

        /// What they hold.
        fn read_all() -> [u64; COUNT] {
            [$(read!($name)),*]
        }

        /// Fills them.
        fn fill(seed: u64) {
            let mut number = 100;
            $(number += 1; write!($name, legal($name, pattern(seed, number)));)*
            let _ = number;
        }
    };
}

// All that a program can write that runs at EL1 with its MMU off, takes no exception, and goes on to use SP_EL0 and floating
// point.
system_registers!(
    "ttbr0_el1" "ttbr1_el1" "tcr_el1" "spsr_el1" "elr_el1" "afsr0_el1" "afsr1_el1" "esr_el1" "far_el1" "par_el1" "mair_el1"
    "amair_el1" "vbar_el1" "contextidr_el1" "tpidr_el1" "cntkctl_el1" "csselr_el1" "tpidr_el0" "tpidrro_el0"
    "cntv_cval_el0" "cntp_cval_el0" "cntv_ctl_el0" "cntp_ctl_el0" "mdscr_el1" "cpacr_el1" "icc_pmr_el1" "icc_bpr1_el1"
    "icc_igrpen1_el1"
);

/// A value that does not end the program.
fn legal(name: &str, value: u64) -> u64 {
    match name {
        // Floating point stays usable.
        "cpacr_el1" => 0b11 << 20 | value & 1 << 28,
        // On or off, and masked: no interrupt comes.
        "cntv_ctl_el0" | "cntp_ctl_el0" => 0b10 | value & 1,
        // A cache that there is.
        "csselr_el1" => value & 1,
        // What is pending stays so, as its priority is 0xa0 and lower than the active one's.
        "icc_pmr_el1" => 0xb0 | value & 0x40,
        "icc_bpr1_el1" => value & 0b11,
        "icc_igrpen1_el1" => 1,
        // No stepping.
        "mdscr_el1" => value & 1 << 12,
        _ => value,
    }
}

/// Pointer authentication keys, where the CPU has them.
mod keys {
    use crate::registers::{read, write};

    /// ID_AA64ISAR1_EL1: API and APA.
    pub fn exist() -> bool {
        read!("id_aa64isar1_el1") & 0xff0 != 0
    }

    /// All ten words of the five keys.
    pub fn fill(pattern: impl Fn(u64) -> u64) {
        write!("s3_0_c2_c1_0", pattern(200));
        write!("s3_0_c2_c1_1", pattern(201));
        write!("s3_0_c2_c1_2", pattern(202));
        write!("s3_0_c2_c1_3", pattern(203));
        write!("s3_0_c2_c2_0", pattern(204));
        write!("s3_0_c2_c2_1", pattern(205));
        write!("s3_0_c2_c2_2", pattern(206));
        write!("s3_0_c2_c2_3", pattern(207));
        write!("s3_0_c2_c3_0", pattern(208));
        write!("s3_0_c2_c3_1", pattern(209));
    }

    /// What they hold.
    pub fn read_all() -> [u64; 10] {
        [
            read!("s3_0_c2_c1_0"),
            read!("s3_0_c2_c1_1"),
            read!("s3_0_c2_c1_2"),
            read!("s3_0_c2_c1_3"),
            read!("s3_0_c2_c2_0"),
            read!("s3_0_c2_c2_1"),
            read!("s3_0_c2_c2_2"),
            read!("s3_0_c2_c2_3"),
            read!("s3_0_c2_c3_0"),
            read!("s3_0_c2_c3_1"),
        ]
    }
}

/// Loads v0 to v31, FPCR and FPSR from `from`.
#[unsafe(naked)]
extern "C" fn load_vectors(from: &[u64; 66]) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "ldp q0, q1, [x0], #32",
        "ldp q2, q3, [x0], #32",
        "ldp q4, q5, [x0], #32",
        "ldp q6, q7, [x0], #32",
        "ldp q8, q9, [x0], #32",
        "ldp q10, q11, [x0], #32",
        "ldp q12, q13, [x0], #32",
        "ldp q14, q15, [x0], #32",
        "ldp q16, q17, [x0], #32",
        "ldp q18, q19, [x0], #32",
        "ldp q20, q21, [x0], #32",
        "ldp q22, q23, [x0], #32",
        "ldp q24, q25, [x0], #32",
        "ldp q26, q27, [x0], #32",
        "ldp q28, q29, [x0], #32",
        "ldp q30, q31, [x0], #32",
        "ldp x1, x2, [x0]",
        "msr fpcr, x1",
        "msr fpsr, x2",
        "ret",
    )
}

/// Stores them into `to`.
#[unsafe(naked)]
extern "C" fn store_vectors(to: &mut [u64; 66]) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "stp q0, q1, [x0], #32",
        "stp q2, q3, [x0], #32",
        "stp q4, q5, [x0], #32",
        "stp q6, q7, [x0], #32",
        "stp q8, q9, [x0], #32",
        "stp q10, q11, [x0], #32",
        "stp q12, q13, [x0], #32",
        "stp q14, q15, [x0], #32",
        "stp q16, q17, [x0], #32",
        "stp q18, q19, [x0], #32",
        "stp q20, q21, [x0], #32",
        "stp q22, q23, [x0], #32",
        "stp q24, q25, [x0], #32",
        "stp q26, q27, [x0], #32",
        "stp q28, q29, [x0], #32",
        "stp q30, q31, [x0], #32",
        "mrs x1, fpcr",
        "mrs x2, fpsr",
        "stp x1, x2, [x0]",
        "ret",
    )
}

/// Gives the turn up with x1 to x30 from `before`, and puts x0 to x30 into `after`.
fn give_turn_up(before: &mut [u64; 31], after: &mut [u64; 31]) {
    before[0] = GIVE_TURN_UP;
    call(before, after);
}

/// Fills all registers, gives turns up, and compares, again and again.
pub fn run(machine: &Machine) {
    let Some(gic) = machine.gic else { return say!("FAIL no GICv3") };
    let seed = machine.word("seed").and_then(|word| word.parse().ok()).unwrap_or(1);
    let rounds = machine.word("rounds").and_then(|word| word.parse().ok()).unwrap_or(ROUNDS);
    mask_interrupts();
    let vectors = read!("vbar_el1");
    let result = hold_all(gic, seed, rounds);
    write!("vbar_el1", vectors);
    write!("cntv_ctl_el0", 0);
    write!("cntp_ctl_el0", 0);
    match result {
        Ok(given) => say!("registers hold, {rounds} turns of which {given} were others'"),
        Err((name, was, is)) => say!("FAIL {name} was {was:#x} and is {is:#x}"),
    }
}

type Lost = (&'static str, u64, u64);

fn hold_all(gic: Gic, seed: u64, rounds: u64) -> Result<u64, Lost> {
    gic.start();
    gic.enable(ACTIVE);
    gic.enable(PENDING);
    write!("icc_pmr_el1", 0xf0);
    gic::send(gic::to_self(ACTIVE.into()));
    let taken = gic::acknowledge();
    if taken != ACTIVE {
        return Err(("ICC_IAR1_EL1", ACTIVE.into(), taken.into()));
    }
    // Of the same priority: it waits until the first one ends.
    gic::send(gic::to_self(PENDING.into()));
    let running = read!("icc_rpr_el1");
    let mut given = 0;
    for round in 0..rounds {
        let seed = seed << 20 | round;
        fill(seed);
        if keys::exist() {
            keys::fill(|number| pattern(seed, number));
        }
        let mut vectors: [u64; 66] = core::array::from_fn(|number| pattern(seed, 300 + number as u64));
        // FPCR: a rounding mode; FPSR: QC and the flags of exceptions.
        vectors[64] &= 0b11 << 22;
        vectors[65] &= 1 << 27 | 0x9f;
        load_vectors(&vectors);
        let (system, keys) = (read_all(), keys::exist().then(keys::read_all));
        let mut before: [u64; 31] = core::array::from_fn(|number| pattern(seed, number as u64));
        let mut after = [0; 31];
        give_turn_up(&mut before, &mut after);
        let (system_after, keys_after) = (read_all(), keys::exist().then(keys::read_all));
        let mut vectors_after = [0; 66];
        store_vectors(&mut vectors_after);
        given += after[0];
        compare(&NAMES, &system, &system_after)?;
        compare(&["x1 to x30"; 30], &before[1..], &after[1..])?;
        compare(&["v0 to v31, FPCR, FPSR"; 66], &vectors, &vectors_after)?;
        if let (Some(keys), Some(keys_after)) = (keys, keys_after) {
            compare(&["a key of pointer authentication"; 10], &keys, &keys_after)?;
        }
        compare(&["ICC_RPR_EL1"], &[running], &[read!("icc_rpr_el1")])?;
    }
    // The active interrupt ends, and the pending one comes.
    write!("icc_pmr_el1", 0xf0);
    gic::end(ACTIVE);
    let next = gic::acknowledge();
    compare(&["ICC_IAR1_EL1"], &[PENDING.into()], &[next.into()])?;
    gic::end(PENDING);
    Ok(given)
}

fn compare(names: &[&'static str], before: &[u64], after: &[u64]) -> Result<(), Lost> {
    let lost = names.iter().zip(before.iter().zip(after)).find(|(_, (before, after))| before != after);
    lost.map_or(Ok(()), |(name, (before, after))| Err((*name, *before, *after)))
}

/// Counts what it costs to give the CPU to another guest that does the same. With the word `partner` it keeps that to itself.
pub fn bench(machine: &Machine) {
    const COUNTS: usize = 501;
    let mut ticks = [0; COUNTS];
    for tick in &mut ticks {
        let begin = now();
        give_up_alone();
        *tick = now() - begin;
    }
    ticks.sort_unstable();
    let nanoseconds = ticks[COUNTS / 2] * 1_000_000_000 / read!("cntfrq_el0");
    if machine.word("partner").is_none() {
        // There and back.
        say!("bench turn={}", nanoseconds / 2);
    }
}

fn give_up_alone() {
    // SAFETY: by the SMC Calling Convention a call changes no register but x0 to x17, and no memory.
    unsafe { asm!("hvc #0", inout("x0") GIVE_TURN_UP => _, clobber_abi("C"), options(nostack)) };
}
