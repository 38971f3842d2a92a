//! Several CPUs: PSCI starts and stops them, and each interrupts each.
//!
//! CPU 0 gives orders: it writes one into a CPU's mailbox and sends SGI 15. The CPU counts the interrupts that it takes, in its
//! mailbox. Every word has one writer, so loads and stores are enough: with the MMU off memory has no exclusive accesses.

use crate::console::say;
use crate::gic::{self, Gic, SPURIOUS};
use crate::machine::Machine;
use crate::registers::{self, barrier, now, read};
use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use smccc::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_OFF, PSCI_CPU_ON_64};
use smccc::{Call, Hvc};

/// CPUs at most.
const MAX: usize = 64;

/// Bytes of each of the two stacks of a CPU.
const STACK: usize = 4096;

/// The SGI that says that there is an order.
const ORDER: usize = 15;

/// Interrupts that are counted: SGIs, and one SPI.
const COUNTED: usize = 17;

/// The SPI: its INTID, and where it is counted.
const SPI: u32 = 40;
const SPI_COUNT: usize = 16;

/// How often CPUs are switched off and on, and how often two race to switch a third on.
const ROUNDS: u64 = 100;

/// Results of PSCI (DEN0022, 5.2.2) and states of AFFINITY_INFO.
const SUCCESS: i64 = 0;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const ON_PENDING: i64 = -5;
const INVALID_ADDRESS: i64 = -9;
const ON: i64 = 0;
const OFF: i64 = 1;

/// An affinity that no CPU has.
const NOBODY: u64 = 0xff_00ff_ff03;

/// What CPU 0 and another CPU tell each other.
#[repr(C, align(64))]
struct Mailbox {
    /// The number of the order, which is new if it differs from `done`; and what it is.
    number: AtomicU64,
    order: AtomicU64,
    argument: AtomicU64,
    /// From here on the CPU itself writes.
    done: AtomicU64,
    result: AtomicU64,
    starts: AtomicU64,
    /// The virtual counter when it started last.
    started_at: AtomicU64,
    context: AtomicU64,
    mpidr: AtomicU64,
    counts: [AtomicU32; COUNTED],
}

const SEND: u64 = 1;
const SWITCH_OFF: u64 = 2;
const SWITCH_ON: u64 = 3;
const ECHO: u64 = 4;

#[expect(clippy::declare_interior_mutable_const, reason = "it is what each mailbox begins as")]
const EMPTY: Mailbox = Mailbox {
    number: AtomicU64::new(0),
    order: AtomicU64::new(0),
    argument: AtomicU64::new(0),
    done: AtomicU64::new(0),
    result: AtomicU64::new(0),
    starts: AtomicU64::new(0),
    started_at: AtomicU64::new(0),
    context: AtomicU64::new(0),
    mpidr: AtomicU64::new(0),
    counts: [const { AtomicU32::new(0) }; COUNTED],
};

static MAILBOXES: [Mailbox; MAX] = [EMPTY; MAX];

/// Affinities, and where the GIC is, for the other CPUs.
static AFFINITIES: [AtomicU64; MAX] = [const { AtomicU64::new(0) }; MAX];
static GIC: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Whether firmware refuses what it should: an entry outside of RAM, and a second CPU_ON before the CPU has started. QEMU's
/// own does neither.
static IS_STRICT: AtomicBool = AtomicBool::new(false);

/// Two stacks for each CPU.
#[repr(C, align(16))]
struct Stacks([[AtomicU64; STACK / 4]; MAX]);

static STACKS: Stacks = Stacks([const { [const { AtomicU64::new(0) }; STACK / 4] }; MAX]);

// Entered with the MMU off; x0: the number of the CPU from bit 32 on, and the context below. SCTLR_EL1 as in entry.S.
global_asm!(
    ".text",
    ".global guest_secondary_entry",
    "guest_secondary_entry:",
    "msr daifset, #0xf",
    "mov x1, #0x0818",
    "movk x1, #0x30d5, lsl #16",
    "msr sctlr_el1, x1",
    "isb",
    "lsr x1, x0, #32",
    "adrp x2, {stacks}",
    "add x2, x2, :lo12:{stacks}",
    "mov x3, #({stack} * 2)",
    "add x1, x1, #1",
    "madd x2, x1, x3, x2",
    "msr spsel, #1",
    "mov sp, x2",
    "msr spsel, #0",
    "sub x2, x2, #{stack}",
    "mov sp, x2",
    "adr x2, vectors",
    "msr vbar_el1, x2",
    "isb",
    "mov x29, xzr",
    "mov x30, xzr",
    "bl {main}",
    stacks = sym STACKS,
    stack = const STACK,
    main = sym secondary_main,
);

/// A CPU that was started.
extern "C" fn secondary_main(context: u64) -> ! {
    let started_at = now();
    let (number, context) = ((context >> 32) as usize, context & 0xffff_ffff);
    let own = &MAILBOXES[number];
    let gic = Gic { distributor: GIC[0].load(Relaxed), redistributor: GIC[1].load(Relaxed) }.of_cpu(number);
    gic.start_private();
    (0..SGIS).for_each(|sgi| gic.enable(sgi));
    own.mpidr.store(read!("mpidr_el1"), Relaxed);
    own.context.store(context, Relaxed);
    own.started_at.store(started_at, Relaxed);
    own.starts.store(own.starts.load(Relaxed) + 1, Relaxed);
    barrier();
    loop {
        take_interrupts(own);
        let order = own.number.load(Relaxed);
        if order == own.done.load(Relaxed) {
            // Masked, an interrupt ends it all the same.
            registers::wait_for_interrupt();
            continue;
        }
        barrier();
        let argument = own.argument.load(Relaxed);
        match own.order.load(Relaxed) {
            SEND => gic::send(argument),
            ECHO => (0..argument).for_each(|_| {
                gic::end(wait_for_one());
                gic::send(gic::to(0, PING));
            }),
            SWITCH_ON => own.result.store(cpu_on(argument as usize, number as u64) as u64, Relaxed),
            SWITCH_OFF => {
                own.done.store(order, Relaxed);
                barrier();
                let result = call(PSCI_CPU_OFF, [0; 3]);
                say!("FAIL CPU_OFF came back: {result}");
            }
            other => say!("FAIL order {other}"),
        }
        barrier();
        own.done.store(order, Relaxed);
    }
}

const SGIS: u32 = gic::SGIS;

/// The SGI that is sent to and fro to be counted.
const PING: u64 = 1;

/// Rounds of what is counted.
const COUNTS: u64 = 1000;

/// Waits for an interrupt, and takes it. Masked, it ends WFI all the same.
fn wait_for_one() -> u32 {
    loop {
        let id = gic::acknowledge();
        if id < SPURIOUS {
            return id;
        }
        registers::wait_for_interrupt();
    }
}

/// Takes all interrupts that are there, and counts them.
fn take_interrupts(own: &Mailbox) {
    loop {
        let id = gic::acknowledge();
        if id >= SPURIOUS {
            return;
        }
        let count = if id == SPI { SPI_COUNT } else { id as usize };
        match own.counts.get(count) {
            Some(counter) => counter.store(counter.load(Relaxed) + 1, Relaxed),
            None => say!("FAIL interrupt {id}"),
        }
        gic::end(id);
    }
}

fn call(function: u32, [x1, x2, x3]: [u64; 3]) -> i64 {
    let mut arguments = [0; 17];
    arguments[..3].copy_from_slice(&[x1, x2, x3]);
    i64::from(Hvc::call64(function, arguments)[0] as i32)
}

/// Starts CPU `target` with this context.
fn cpu_on(target: usize, context: u64) -> i64 {
    unsafe extern "C" {
        static guest_secondary_entry: u8;
    }
    let entry = &raw const guest_secondary_entry as u64;
    call(PSCI_CPU_ON_64, [AFFINITIES[target].load(Relaxed), entry, (target as u64) << 32 | context])
}

fn state(affinity: u64) -> i64 {
    call(PSCI_AFFINITY_INFO_64, [affinity, 0, 0])
}

/// What is wrong.
type Verdict = Result<(), (&'static str, u64, i64)>;

/// Waits until `done`, for at most 20 seconds.
fn wait(what: &'static str, number: usize, done: impl Fn() -> bool) -> Verdict {
    let (start, limit) = (now(), 20 * read!("cntfrq_el0"));
    while !done() {
        take_interrupts(&MAILBOXES[0]);
        // With instruction counting QEMU lets another CPU run only then.
        registers::pause();
        if now() - start > limit {
            return Err((what, number as u64, 0));
        }
    }
    Ok(())
}

fn ensure(condition: bool, what: &'static str, number: usize, found: i64) -> Verdict {
    if condition { Ok(()) } else { Err((what, number as u64, found)) }
}

/// Gives CPU `number` an order, and does not wait.
fn order(number: usize, order: u64, argument: u64) {
    let mailbox = &MAILBOXES[number];
    mailbox.order.store(order, Relaxed);
    mailbox.argument.store(argument, Relaxed);
    barrier();
    mailbox.number.store(mailbox.number.load(Relaxed) + 1, Relaxed);
    barrier();
    gic::send(gic::to(AFFINITIES[number].load(Relaxed), ORDER as u64));
}

fn wait_done(number: usize) -> Verdict {
    let mailbox = &MAILBOXES[number];
    wait("an order is not carried out by CPU", number, || mailbox.done.load(Relaxed) == mailbox.number.load(Relaxed))
}

/// Has CPU `number` write `value` to ICC_SGI1R_EL1.
fn send_from(number: usize, value: u64) -> Verdict {
    if number == 0 {
        gic::send(value);
        return Ok(());
    }
    order(number, SEND, value);
    wait_done(number)
}

/// How often CPU `number` has taken the interrupt that is counted at `index`.
fn count(number: usize, index: usize) -> u32 {
    MAILBOXES[number].counts[index].load(Relaxed)
}

/// Has `act` interrupt those of the first `cpus` CPUs that `wanted` says, once each by the interrupt counted at `index`.
fn expect(cpus: usize, index: usize, wanted: impl Fn(usize) -> bool, act: impl FnOnce() -> Verdict) -> Verdict {
    let mut before = [0; MAX];
    (0..cpus).for_each(|cpu| before[cpu] = count(cpu, index));
    act()?;
    for cpu in (0..cpus).filter(|cpu| wanted(*cpu)) {
        wait("an interrupt does not arrive at CPU", cpu, || count(cpu, index) != before[cpu])?;
    }
    (0..cpus).try_for_each(|cpu| {
        let more = count(cpu, index) - before[cpu];
        ensure(more == u32::from(wanted(cpu)), "so many interrupts instead of one or none at CPU", cpu, more.into())
    })
}

/// Starts CPU `number`, and waits until it runs.
fn start(number: usize, context: u64) -> Verdict {
    let mailbox = &MAILBOXES[number];
    let starts = mailbox.starts.load(Relaxed);
    let result = cpu_on(number, context);
    ensure(result == SUCCESS, "CPU_ON", number, result)?;
    if IS_STRICT.load(Relaxed) {
        let again = cpu_on(number, !context & 0xff);
        ensure([ALREADY_ON, ON_PENDING].contains(&again), "a second CPU_ON", number, again)?;
    }
    wait("no start of CPU", number, || mailbox.starts.load(Relaxed) == starts + 1)?;
    let again = cpu_on(number, !context & 0xff);
    ensure(again == ALREADY_ON, "a later CPU_ON", number, again)?;
    let seen = mailbox.context.load(Relaxed);
    ensure(seen == context, "the context of CPU", number, seen as i64)
}

/// Switches CPU `number` off, and waits until it is.
fn stop(number: usize) -> Verdict {
    order(number, SWITCH_OFF, 0);
    wait("not off: CPU", number, || state(AFFINITIES[number].load(Relaxed)) == OFF)
}

fn all_start(cpus: usize) -> Verdict {
    (1..cpus).try_for_each(|number| {
        let affinity = AFFINITIES[number].load(Relaxed);
        ensure(state(affinity) == OFF, "not off at first: CPU", number, state(affinity))?;
        start(number, 0x40 + number as u64)?;
        ensure(state(affinity) == ON, "not on: CPU", number, state(affinity))?;
        let mpidr = MAILBOXES[number].mpidr.load(Relaxed) & 0xff_00ff_ffff;
        ensure(mpidr == affinity, "MPIDR_EL1 of CPU", number, mpidr as i64)
    })
}

fn wrong_targets_are_refused() -> Verdict {
    let own = read!("mpidr_el1") & 0xff_00ff_ffff;
    let on = |affinity| call(PSCI_CPU_ON_64, [affinity, 0x4000_0000, 0]);
    ensure(on(own) == ALREADY_ON, "CPU_ON of CPU", 0, on(own))?;
    ensure(on(NOBODY) == INVALID_PARAMETERS, "CPU_ON of nobody", 0, on(NOBODY))?;
    ensure(state(NOBODY) == INVALID_PARAMETERS, "AFFINITY_INFO of nobody", 0, state(NOBODY))
}

/// The entry point has to be in RAM.
fn wrong_entries_are_refused() -> Verdict {
    [0x1000, 0x2200_0000, 1 << 47].into_iter().try_for_each(|entry| {
        let result = call(PSCI_CPU_ON_64, [AFFINITIES[1].load(Relaxed), entry, 0]);
        ensure(result == INVALID_ADDRESS, "CPU_ON at a wrong entry", 1, result)
    })
}

fn each_interrupts_each(cpus: usize) -> Verdict {
    for sender in 0..cpus {
        for (target, affinity) in AFFINITIES.iter().enumerate().take(cpus) {
            let (sgi, affinity) = ((sender + target) % ORDER, affinity.load(Relaxed));
            expect(cpus, sgi, |cpu| cpu == target, || send_from(sender, gic::to(affinity, sgi as u64)))?;
        }
        expect(cpus, 7, |cpu| cpu != sender, || send_from(sender, gic::to_others(7)))?;
    }
    Ok(())
}

fn nobody_is_interrupted_by_what_is_for_nobody(cpus: usize) -> Verdict {
    // Another cluster at each level, the range selector, and CPUs of the list that there are not.
    let absent = [1 << 48, 1 << 32, 0xfe << 16, 0xf << 44].map(|bits| bits | 3 << 24 | 1);
    let beyond = if cpus < 16 { 3 << 24 | 0xffff << cpus & 0xffff } else { 3 << 24 | 0xff << 16 | 0xffff };
    absent.into_iter().chain([beyond]).try_for_each(|value| expect(cpus, 3, |_| false, || send_from(0, value)))
}

fn off_and_on(cpus: usize) -> Verdict {
    (0..ROUNDS).try_for_each(|round| {
        let number = 1 + round as usize % (cpus - 1);
        stop(number)?;
        // What is sent to a CPU that is off must disturb nobody.
        gic::send(gic::to(AFFINITIES[number].load(Relaxed), 9));
        start(number, round)?;
        let affinity = AFFINITIES[number].load(Relaxed);
        expect(cpus, 4, |cpu| cpu == number, || send_from(0, gic::to(affinity, 4)))
    })
}

/// Bao's #386: both succeed.
fn of_two_who_start_a_third_one_succeeds() -> Verdict {
    (0..ROUNDS).try_for_each(|_| {
        stop(3)?;
        let starts = MAILBOXES[3].starts.load(Relaxed);
        order(1, SWITCH_ON, 3);
        order(2, SWITCH_ON, 3);
        wait_done(1)?;
        wait_done(2)?;
        let results = [1, 2].map(|number| MAILBOXES[number].result.load(Relaxed) as i64);
        let winners = results.iter().filter(|result| **result == SUCCESS).count();
        ensure(winners == 1, "so many who have started CPU", 3, winners as i64)?;
        let loser = results[if results[0] == SUCCESS { 1 } else { 0 }];
        ensure([ALREADY_ON, ON_PENDING].contains(&loser), "the second CPU_ON of CPU", 3, loser)?;
        wait("no start of CPU", 3, || MAILBOXES[3].starts.load(Relaxed) == starts + 1)?;
        let winner = if results[0] == SUCCESS { 1 } else { 2 };
        let context = MAILBOXES[3].context.load(Relaxed);
        ensure(context == winner, "the context of CPU", 3, context as i64)
    })
}

fn a_shared_interrupt_goes_where_its_route_says(gic: Gic, cpus: usize) -> Verdict {
    gic.enable(SPI);
    // Edge-triggered would do as well: pending by a register, it is pending once.
    for round in 0..3 {
        for target in (0..cpus).map(|cpu| (cpu * 7 + round) % cpus) {
            gic.route(SPI, AFFINITIES[target].load(Relaxed));
            expect(
                cpus,
                SPI_COUNT,
                |cpu| cpu == target,
                || {
                    gic.make_pending(SPI);
                    Ok(())
                },
            )?;
        }
    }
    gic.disable(SPI);
    // Pending and disabled, it moves with its route.
    gic.route(SPI, AFFINITIES[0].load(Relaxed));
    gic.make_pending(SPI);
    gic.route(SPI, AFFINITIES[cpus - 1].load(Relaxed));
    expect(
        cpus,
        SPI_COUNT,
        |cpu| cpu == cpus - 1,
        || {
            gic.enable(SPI);
            Ok(())
        },
    )
}

fn private_interrupts_of_others_can_be_made_pending(gic: Gic, cpus: usize) -> Verdict {
    (0..cpus).try_for_each(|target| {
        expect(
            cpus,
            5,
            |cpu| cpu == target,
            || {
                gic.of_cpu(target).make_pending(5);
                Ok(())
            },
        )
    })
}

/// Runs all that, and says how it went.
pub fn run(machine: &Machine) {
    let Some(gic) = machine.gic else { return say!("FAIL no GICv3") };
    let mut cpus = 0;
    for affinity in machine.cpus().take(MAX) {
        AFFINITIES[cpus].store(affinity, Relaxed);
        cpus += 1;
    }
    if cpus < 4 {
        return say!("FAIL {cpus} CPUs, fewer than 4");
    }
    gic.start();
    (0..SGIS).for_each(|sgi| gic.enable(sgi));
    GIC[0].store(gic.distributor, Relaxed);
    GIC[1].store(gic.redistributor, Relaxed);
    barrier();
    let step = |name: &str, run: &dyn Fn() -> Verdict| match run() {
        Ok(()) => say!("ok {name}"),
        Err((what, number, found)) => say!("FAIL {name}: {what} {number}: {found}"),
    };
    step("wrong targets are refused", &wrong_targets_are_refused);
    let is_strict = machine.word("psci") == Some("strict");
    IS_STRICT.store(is_strict, Relaxed);
    if is_strict {
        step("wrong entries are refused", &wrong_entries_are_refused);
    }
    step("all CPUs start, once each", &|| all_start(cpus));
    step("each interrupts each", &|| each_interrupts_each(cpus));
    step("nobody is interrupted by what is for nobody", &|| nobody_is_interrupted_by_what_is_for_nobody(cpus));
    step("CPUs go off and come on", &|| off_and_on(cpus));
    if is_strict {
        step("of two who start a third one succeeds", &of_two_who_start_a_third_one_succeeds);
    }
    step("a shared interrupt goes where its route says", &|| a_shared_interrupt_goes_where_its_route_says(gic, cpus));
    step("private interrupts of others can be made pending", &|| {
        private_interrupts_of_others_can_be_made_pending(gic, cpus)
    });
    say!("smp with {cpus} CPUs done");
}

/// Prints `bench NAME=INSTRUCTIONS` for what two CPUs do with each other, both together, and what one does with itself.
pub fn bench(machine: &Machine) {
    let Some(gic) = machine.gic else { return say!("FAIL no GICv3") };
    AFFINITIES[1].store(1, Relaxed);
    gic.start();
    (0..SGIS).for_each(|sgi| gic.enable(sgi));
    GIC[0].store(gic.distributor, Relaxed);
    GIC[1].store(gic.redistributor, Relaxed);
    barrier();
    let figure = |name: &str, ticks: u64, count: u64| {
        let nanoseconds = ticks * 1_000_000_000 / read!("cntfrq_el0");
        say!("bench {name}={}", (nanoseconds + count / 2) / count);
    };

    let begin = now();
    (0..COUNTS).for_each(|_| {
        gic::send(gic::to_self(PING));
        gic::end(wait_for_one());
    });
    figure("sgi self", now() - begin, COUNTS);

    let mut ticks = 0;
    for round in 0..COUNTS / 10 {
        let begin = now();
        if let Err((what, number, found)) = start(1, round) {
            return say!("FAIL {what} {number}: {found}");
        }
        ticks += MAILBOXES[1].started_at.load(Relaxed) - begin;
        if round + 1 < COUNTS / 10
            && let Err((what, number, found)) = stop(1)
        {
            return say!("FAIL {what} {number}: {found}");
        }
    }
    figure("cpu on", ticks, COUNTS / 10);

    order(1, ECHO, COUNTS);
    // Until the other waits, so that each round is alike.
    let begin = now();
    while now() - begin < read!("cntfrq_el0") / 1000 {
        registers::pause();
    }
    let begin = now();
    (0..COUNTS).for_each(|_| {
        gic::send(gic::to(1, PING));
        gic::end(wait_for_one());
    });
    figure("sgi other", now() - begin, 2 * COUNTS);
}
