//! What the image makes of a bug of its own: it says what, where and how it came there, and ends.

use lacuna_tests::{Boot, own_guest};
use std::time::Duration;

/// A function that is called with everything running, by way of a table, so that it is always there.
const FUNCTION: &str = "lacuna::selftest::pdx::gives_the_published_layouts";

/// `udf #0`
const UNDEFINED: [u32; 1] = [0];

/// `mov x0, #0x18`, `ldr x0, [x0]`
const LOAD_FROM_NEAR_ZERO: [u32; 2] = [0xd280_0300, 0xf940_0000];

/// `mov x0, #0`, `mov sp, x0`, `stp x29, x30, [sp, #-16]!`
const LOSE_THE_STACK: [u32; 3] = [0xd280_0000, 0x9100_001f, 0xa9bf_7bfd];

/// `mrs x0, vbar_el2`, `add x0, x0, #0x280`, `br x0`: what the CPU does for an IRQ from EL2 itself.
const GO_TO_THE_IRQ_VECTOR: [u32; 3] = [0xd53c_c000, 0x910a_0000, 0xd61f_0000];

/// The same for an SError: `mrs x0, vbar_el2`, `add x0, x0, #0x380`, `br x0`.
const GO_TO_THE_SERROR_VECTOR: [u32; 3] = [0xd53c_c000, 0x910e_0000, 0xd61f_0000];

/// `mrs x0, daif`, `tbz x0, #8, .+12`, then as [`LOAD_FROM_NEAR_ZERO`]; and `udf #0` where SErrors are not masked.
const TELL_WHETHER_SERRORS_ARE_MASKED: [u32; 5] = [0xd53b_4220, 0x3640_0060, 0xd280_0300, 0xf940_0000, 0];

/// `mov x0, #0`, `ret`: nothing, none or an error, as what the function returns may be.
const RETURN_NOTHING: [u32; 2] = [0xd280_0000, 0xd65f_03c0];

/// `b .`
const ENDLESS_LOOP: [u32; 1] = [0x1400_0000];

#[test]
fn an_unexpected_exception_ends_with_registers_and_names() {
    let outcome = Boot::virt().sabotage(FUNCTION, &LOAD_FROM_NEAR_ZERO).run();
    outcome.expect_fatal("translation fault");
    outcome.expect_line("FAR 0x0000000000000018");
    outcome.expect_line("x0  0x0000000000000018");
    outcome.expect_line(&format!("{FUNCTION}+0x4"));
    outcome.expect_line("lacuna_main+");
}

#[test]
fn an_undefined_instruction_is_told_apart() {
    Boot::virt().sabotage(FUNCTION, &UNDEFINED).run().expect_fatal("undefined instruction");
}

#[test]
fn an_interrupt_that_nobody_asked_for_is_reported_as_one() {
    let outcome = Boot::virt().sabotage(FUNCTION, &GO_TO_THE_IRQ_VECTOR).run();
    outcome.expect_fatal("unexpected IRQ from EL2");
    outcome.expect_line("lacuna_main+");
}

#[test]
fn an_serror_of_el2s_own_is_reported_as_one() {
    Boot::virt().sabotage(FUNCTION, &GO_TO_THE_SERROR_VECTOR).run().expect_fatal("(SError from EL2)");
}

/// QEMU raises no SError, but PSTATE says whether EL2 would take one after a guest's life, of which each exit masks them.
#[test]
fn serrors_are_unmasked_after_a_guests_life() {
    let boot = Boot::virt().bootargs("selftest=off").guest(own_guest("mode=hello"));
    let outcome = boot.sabotage("lacuna::guest::memory::GuestMemory::release", &TELL_WHETHER_SERRORS_ARE_MASKED).run();
    outcome.expect_line("guest: end");
    outcome.expect_fatal("undefined instruction");
}

#[test]
fn an_exception_without_a_stack_is_reported_on_another() {
    let outcome = Boot::virt().sabotage(FUNCTION, &LOSE_THE_STACK).run();
    outcome.expect_fatal("data write, translation fault");
    outcome.expect_line("SP 0x0000000000000000");
    outcome.expect_line(&format!("{FUNCTION}+0x8"));
}

#[test]
fn an_exception_during_the_report_ends_it() {
    let boot =
        Boot::virt().sabotage(FUNCTION, &UNDEFINED).sabotage("lacuna::trap::backtrace::print", &LOAD_FROM_NEAR_ZERO);
    let outcome = boot.run();
    outcome.expect_line("lacuna: fatal: undefined instruction");
    outcome.expect_line("lacuna: fatal: another exception during the report");
    outcome.expect_failing_status();
}

#[test]
fn a_broken_promise_panics_with_its_place_and_names() {
    let outcome = Boot::virt().sabotage("lacuna::frames::page_alloc::PageAlloc::entries", &RETURN_NOTHING).run();
    outcome.expect_line("lacuna: panic: a frame of block");
    outcome.expect_line("page_alloc/mod.rs:");
    outcome.expect_line("lacuna::frames::page_alloc::PageAlloc::alloc+");
    outcome.expect_failing_status();
}

#[test]
fn a_heap_that_has_nothing_left_says_how_much_it_has() {
    let outcome = Boot::virt().sabotage("buddy_system_allocator::Heap::alloc", &RETURN_NOTHING).run();
    outcome.expect_fatal("out of memory: memory allocation of 4096 bytes failed, heap: ");
    outcome.expect_line("bytes in use");
}

/// The harness on trial: a guest that never ends fails its test, and soon.
#[test]
fn an_endless_loop_is_stopped() {
    let outcome = Boot::virt().sabotage(FUNCTION, &ENDLESS_LOOP).within(Duration::from_secs(2)).run();
    assert!(std::panic::catch_unwind(|| outcome.expect_quiet_end()).is_err());
    assert!(outcome.took < Duration::from_secs(8));
}

/// Such faults go by the same vectors and the same stack as exits, and come back to a guest that must not see them.
#[test]
fn a_fault_at_el2_between_two_exits_leaves_the_guest_its_registers() {
    let outcome = crate::small_guest::run(crate::small_guest::small("mode=hold"));
    outcome.expect_line("guest: registers hold, 1000 faults at EL2");
}

/// `sub sp, sp, #16`, `str xzr, [sp]`, `b .-8`
const OVERFLOW_THE_STACK: [u32; 3] = [0xd100_43ff, 0xf900_03ff, 0x17ff_fffe];

/// A copy of the image runs out of stack when a guest calls it: EL2's stack is a guard page away from the fault stack.
#[test]
fn a_stack_overflow_beside_a_guest_is_reported_on_the_fault_stack() {
    let boot = Boot::virt().guest(crate::small_guest::small("mode=hello"));
    let outcome = boot.sabotage("lacuna::guest::vcpu::Vcpu::act", &OVERFLOW_THE_STACK).run();
    outcome.expect_line("guest: end");
    outcome.expect_fatal("data write, translation fault");
    outcome.expect_line("on CPU 0, beside vCPU 0 of domain 0");
    outcome.expect_line("lacuna::guest::vcpu::Vcpu::act+0x4");
    outcome.expect_line("lacuna_main+");
}

/// Two guests: the first calls when it ends, and its CPU loses its stack; the second computes meanwhile on another CPU.
#[test]
fn a_fault_at_el2_of_one_cpu_stops_the_others_which_say_what_they_did() {
    let guests = [crate::small_guest::small("mode=spin").name("spins"), crate::small_guest::hello().name("calls")];
    let boot = guests.into_iter().fold(Boot::virt().cpus(3), Boot::guest);
    let outcome = boot.sabotage("lacuna::guest::vcpu::Vcpu::act", &OVERFLOW_THE_STACK).run();
    outcome.expect_fatal("data write, translation fault");
    outcome.expect_line("on CPU 1, beside vCPU 0 of domain 1");
    outcome.expect_line("  CPU 0 ran vCPU 0 of domain 0 at 0x4");
    outcome.expect_line("  CPU 2 was idle");
}

/// As all CPUs call it at the same time, several fail at the same time.
#[test]
fn cpus_that_fail_at_the_same_time_report_one_after_the_other() {
    let boot = Boot::virt().cpus(4).bootargs("selftest=cpus::frames");
    let outcome = boot.sabotage("lacuna::selftest::cpus::take_and_give_back", &UNDEFINED).run();
    outcome.expect_failing_status();
    let reports: Vec<&str> = outcome.console.split("lacuna: fatal: ").skip(1).collect();
    assert!(reports.iter().all(|report| report.starts_with("undefined instruction")), "{reports:?}");
    // Whole reports, each with its CPU and its backtrace, and at the end a word on each of the other three.
    assert!(reports.iter().all(|report| report.matches("  on CPU ").count() == 1), "{reports:?}");
    let last = reports.last().expect("a report");
    assert_eq!(last.lines().filter(|line| line.starts_with("  CPU ")).count(), 3, "{last}");
    let failed = last.lines().filter(|line| line.ends_with(" has failed as well")).count();
    assert_eq!(failed + 1, reports.len(), "{last}");
}
