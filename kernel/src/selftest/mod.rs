//! Tests that the image runs on itself, on the machine as it is.
//!
//! Results are printed in KTAP, the test format of the Linux kernel. Expected faults are real: the exception is taken,
//! compared with the expected one and survived.

use crate::arch::syndrome::{Class, Direction, FaultKind};
use crate::base::outcome::Outcome;
#[cfg(feature = "cpus")]
use crate::cpu::crew::Crew;
use crate::cpu::fixup::{self, Fault};
use crate::frames::frametable::plan::FrametablePlan;
use crate::memory::HostMemory;
use crate::options::{Options, SelfTest};
use crate::println;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What a test is given to test.
pub struct Subject<'a> {
    /// The memory of the running hypervisor.
    pub host: &'a HostMemory,
    /// The frametable as it was planned.
    pub plan: &'a FrametablePlan,
    /// The CPUs that run.
    #[cfg(feature = "cpus")]
    pub crew: &'a Crew,
}

/// Nothing, or what is wrong.
type Verdict = Result<(), String>;

struct Test {
    name: &'static str,
    run: fn(&Subject<'_>) -> Verdict,
}

/// Lists the functions of a module as tests, `module::function` being the name.
macro_rules! tests {
    ($module:ident: $($function:ident)*) => {
        pub(super) const TESTS: &[crate::selftest::Test] = &[
            $(crate::selftest::Test {
                name: concat!(stringify!($module), "::", stringify!($function)),
                run: $function,
            },)*
        ];
    };
}

/// Ends a test with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(alloc::format!($($message)*));
        }
    };
}

#[cfg_attr(feature = "mpu", path = "mpu.rs")]
#[cfg_attr(not(feature = "mpu"), path = "mmu.rs")]
mod backend;
#[cfg(feature = "cpus")]
mod cpus;
mod faults;
mod frametable;
#[cfg(feature = "guests")]
mod guests;
mod memory;
mod pages;
mod pdx;
mod vmap;

const SUITES: &[&[Test]] = &[
    pdx::TESTS,
    frametable::TESTS,
    pages::TESTS,
    vmap::TESTS,
    backend::TESTS,
    #[cfg(feature = "guests")]
    guests::TESTS,
    faults::TESTS,
    #[cfg(feature = "cpus")]
    cpus::TESTS,
];

/// Runs the tests on `subject` that `options` name, where there are `guests` guests to start, and prints how they went.
///
/// A name that starts like no test's is worth a warning, which the names of all tests follow. Then the tests run that run
/// unless some are chosen: a run without any test must not look like a success.
pub fn run(subject: &Subject<'_>, options: &Options, guests: usize) -> Outcome {
    let host = subject.host;
    let all = || SUITES.iter().copied().flatten();
    let mut choice = options.selftest_beside(guests);
    if let SelfTest::Prefix(prefix) = &choice
        && !all().any(|test| is_chosen(test.name, &choice))
    {
        log::warn!("selftest={prefix} is the start of no test's name: ignored");
        if log::log_enabled!(log::Level::Warn) {
            all().for_each(|test| println!("#       {}", test.name));
        }
        choice = SelfTest::unless_asked(guests);
    }
    if choice == SelfTest::Off {
        return Outcome::Success;
    }
    let chosen: Vec<&Test> = all().filter(|test| is_chosen(test.name, &choice)).collect();
    println!("KTAP version 1");
    println!("1..{}", chosen.len());
    let mut failed = 0;
    for (number, test) in chosen.iter().enumerate().map(|(index, test)| (index + 1, test)) {
        let before = host.free_bytes() + host.grown_bytes();
        let verdict = (test.run)(subject).and_then(|()| nothing_lost(host, before));
        match verdict {
            Ok(()) => println!("ok {number} - {}", test.name),
            Err(message) => {
                failed += 1;
                println!("# {message}");
                println!("not ok {number} - {}", test.name);
            }
        }
    }
    println!("lacuna: selftest: {} passed, {failed} failed", chosen.len() - failed);
    if failed == 0 { Outcome::Success } else { Outcome::Failure }
}

fn is_chosen(name: &str, choice: &SelfTest) -> bool {
    match choice {
        SelfTest::All => true,
        SelfTest::Off => false,
        SelfTest::Prefix(prefix) => name.starts_with(prefix.as_str()),
    }
}

/// Every test gives back what it takes. What heap and page tables grew by meanwhile is theirs.
fn nothing_lost(host: &HostMemory, before: u64) -> Verdict {
    let now = host.free_bytes() + host.grown_bytes();
    ensure!(now == before, "{before} bytes were free or in the pool before the test, {now} are after it");
    Ok(())
}

/// Runs `code`, which must fault as `class` says, and returns the fault.
///
/// # Safety
///
/// As for [`fixup::catch`].
unsafe fn expect_fault<R>(class: Class, code: impl FnOnce() -> R) -> Result<Fault, String> {
    // SAFETY: the caller vouches for the code.
    match unsafe { fixup::catch(code) } {
        Err(fault) if fault.syndrome.class() == class => Ok(fault),
        Err(fault) => Err(format!("expected {class}, got {} at {}", fault.syndrome.class(), fault.address)),
        Ok(_) => Err(format!("expected {class}, but nothing faulted")),
    }
}

/// Reads a byte at `address`, which must fault as `class` says, there.
fn read_faults(address: u64, class: Class) -> Verdict {
    let byte = core::ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: either the read faults, which is the point, or any byte is a valid one.
    let read = || unsafe { byte.read_volatile() };
    // SAFETY: the closure owns nothing and changes nothing.
    is_at(unsafe { expect_fault(class, read) }?, address)
}

/// Writes a byte at `address`, which must fault as a forbidden write, there.
fn write_is_forbidden(address: u64) -> Verdict {
    let byte = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
    // SAFETY: the write faults, which is the point, or the test fails and the run with it.
    let write = || unsafe { byte.write_volatile(0) };
    // SAFETY: the closure owns nothing; what it would change does not change.
    is_at(unsafe { expect_fault(Class::DataAbort(FaultKind::Permission, Direction::Write), write) }?, address)
}

/// Calls `address`, which must fault as a forbidden instruction fetch, there.
fn execution_is_forbidden(address: u64) -> Verdict {
    // SAFETY: what is there is not executed, which is the point, or the test fails and the run with it.
    let function: extern "C" fn() = unsafe { core::mem::transmute(address as usize) };
    // SAFETY: the closure owns nothing.
    let fault = unsafe { expect_fault(Class::InstructionAbort(FaultKind::Permission), || function()) }?;
    ensure!(fault.at.get() == address, "the instruction is at {}, not at {address:#x}", fault.at);
    is_at(fault, address)
}

fn is_at(fault: Fault, address: u64) -> Verdict {
    ensure!(fault.address.get() == address, "the fault is at {}, not at {address:#x}", fault.address);
    Ok(())
}
