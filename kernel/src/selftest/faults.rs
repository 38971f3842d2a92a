//! Accesses that EL2 must not be able to make to its own memory.

use super::{Subject, Verdict, execution_is_forbidden, expect_fault, read_faults, write_is_forbidden};
use crate::arch::syndrome::{Class, Direction, FaultKind};
use crate::base::addr::PAGE_SIZE;
use crate::cpu::block::block;
use aarch64_cpu::registers::{Readable, SCTLR_EL2};
use core::hint::black_box;
use core::ptr;

tests!(faults:
    text_cannot_be_written
    constants_cannot_be_written
    data_cannot_be_executed
    the_stack_cannot_be_executed
    address_zero_is_not_mapped
    a_stack_overflow_hits_the_guard
    the_fault_stack_has_guards
    free_memory_is_not_mapped
    wxn_is_set
);

const NOT_MAPPED: Class = Class::DataAbort(FaultKind::Translation, Direction::Read);
const PUSH_NOT_MAPPED: Class = Class::DataAbort(FaultKind::Translation, Direction::Write);

pub(super) fn text_cannot_be_written(_: &Subject<'_>) -> Verdict {
    let text = lacuna_boot::layout().text;
    write_is_forbidden(text.start)?;
    write_is_forbidden(text.end - 1)
}

pub(super) fn constants_cannot_be_written(_: &Subject<'_>) -> Verdict {
    static CONSTANT: u64 = 0x1ac0_0a17;
    let constants = lacuna_boot::layout().rodata;
    write_is_forbidden(constants.start)?;
    write_is_forbidden(ptr::from_ref(&CONSTANT).addr() as u64)?;
    write_is_forbidden(constants.end - 1)?;
    ensure!(black_box(&CONSTANT) == &0x1ac0_0a17, "a constant has changed");
    Ok(())
}

pub(super) fn data_cannot_be_executed(_: &Subject<'_>) -> Verdict {
    let layout = lacuna_boot::layout();
    execution_is_forbidden(layout.data.start)?;
    execution_is_forbidden(layout.rodata.start)?;
    execution_is_forbidden(layout.pool.start)
}

fn the_stack_cannot_be_executed(_: &Subject<'_>) -> Verdict {
    execution_is_forbidden(lacuna_boot::layout().stack.start)?;
    execution_is_forbidden(lacuna_boot::layout().fault_stack.start)
}

fn address_zero_is_not_mapped(_: &Subject<'_>) -> Verdict {
    read_faults(0, NOT_MAPPED)?;
    read_faults(PAGE_SIZE - 1, NOT_MAPPED)
}

fn a_stack_overflow_hits_the_guard(_: &Subject<'_>) -> Verdict {
    overflow_hits_the_guard()
}

/// Uses up the stack of this CPU.
pub(super) fn overflow_hits_the_guard() -> Verdict {
    /// Goes on until the stack ends.
    #[inline(never)]
    #[expect(unconditional_recursion, reason = "the stack is what ends it")]
    fn descend(depth: u64) -> u64 {
        let frame = black_box([depth; 8]);
        descend(depth + 1) + frame[(depth % 8) as usize]
    }
    let [stack, _] = block().stacks();
    // SAFETY: the closure owns nothing, nor does anything it calls.
    let fault = unsafe { expect_fault(PUSH_NOT_MAPPED, || descend(black_box(0))) }?;
    let address = fault.address.get();
    let guard = stack.start - PAGE_SIZE..stack.start;
    ensure!(guard.contains(&address), "the fault is at {address:#x}, the guard page is {guard:#x?}");
    Ok(())
}

fn the_fault_stack_has_guards(_: &Subject<'_>) -> Verdict {
    stacks_have_guards()
}

/// Reads beside both stacks of this CPU.
pub(super) fn stacks_have_guards() -> Verdict {
    block().stacks().iter().try_for_each(|stack| {
        read_faults(stack.start - 1, NOT_MAPPED)?;
        read_faults(stack.end, NOT_MAPPED)
    })
}

fn free_memory_is_not_mapped(subject: &Subject<'_>) -> Verdict {
    // There is no direct map: memory that nobody has mapped is not there, at its physical address or anywhere.
    let mfn = subject
        .host
        .alloc(0, crate::frames::frametable::page_info::FrameOwner::new(100))
        .map_err(|error| alloc::format!("{error}"))?;
    let verdict = read_faults(mfn.address().get(), NOT_MAPPED);
    subject.host.free(mfn, 0).map_err(|error| alloc::format!("{error}"))?;
    verdict
}

pub(super) fn wxn_is_set(_: &Subject<'_>) -> Verdict {
    ensure!(SCTLR_EL2.is_set(SCTLR_EL2::WXN), "SCTLR_EL2.WXN is clear");
    ensure!(SCTLR_EL2.matches_all(SCTLR_EL2::M::Enable + SCTLR_EL2::C::Cacheable), "MMU or cache is off");
    Ok(())
}
