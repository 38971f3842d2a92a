//! Properties of every CPU, and operations of several CPUs at the same time.

use super::memory::{READ_NOT_MAPPED, text, with_frames};
use super::{Subject, Verdict, execution_is_forbidden, faults, read_faults};
use crate::arch::lock::SpinLock;
use crate::base::addr::PAGE_SIZE;
use crate::base::attributes::Attributes;
use crate::base::id::CpuId;
use crate::cpu::block::block;
use crate::frames::frametable::page_info::FrameOwner;
use crate::memory::HostMemory;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};

tests!(cpus:
    work_is_done_once_by_each
    each_is_protected_and_recovers_while_the_others_do
    what_one_unmaps_faults_on_all
    frames_mappings_and_heap_are_kept_apart
);

/// How often all CPUs together do what others may disturb.
const ROUNDS: u64 = 400;

/// How often each does it: where many CPUs wait for one, as on a model with fewer cores of its own, each round takes long.
fn rounds(subject: &Subject<'_>) -> u64 {
    (ROUNDS / subject.crew.count() as u64).max(10)
}

/// Runs `test` on each CPU at the same time: the first complaint, with its CPU.
fn on_each(subject: &Subject<'_>, test: impl Fn(CpuId) -> Verdict + Sync) -> Verdict {
    let complaint: SpinLock<Option<String>> = SpinLock::new(None);
    subject.crew.each(&|cpu| {
        if let Err(message) = test(cpu) {
            complaint.lock().get_or_insert(format!("CPU {cpu}: {message}"));
        }
    });
    complaint.into_inner().map_or(Ok(()), Err)
}

fn work_is_done_once_by_each(subject: &Subject<'_>) -> Verdict {
    let calls: vec::Vec<AtomicU32> = subject.crew.members().map(|_| AtomicU32::new(0)).collect();
    let ids: vec::Vec<CpuId> = subject.crew.members().map(|member| member.id()).collect();
    for round in 1..=rounds(subject) as u32 {
        on_each(subject, |cpu| {
            ensure!(block().id() == cpu, "its block says that it is CPU {}", block().id());
            let Some(index) = ids.iter().position(|id| *id == cpu) else { return Err("is not in the crew".into()) };
            calls[index].fetch_add(1, Ordering::Relaxed);
            Ok(())
        })?;
        // All have done it when `each` returns.
        let seen = calls.iter().map(|calls| calls.load(Ordering::Relaxed));
        ensure!(seen.clone().all(|calls| calls == round), "round {round}: {:?}", seen.collect::<vec::Vec<_>>());
    }
    Ok(())
}

fn each_is_protected_and_recovers_while_the_others_do(subject: &Subject<'_>) -> Verdict {
    let (host, plan, crew) = (subject.host, subject.plan, subject.crew);
    let rounds = rounds(subject) / 10;
    on_each(subject, |_| {
        let subject = &Subject { host, plan, crew };
        for _ in 0..rounds {
            faults::wxn_is_set(subject)?;
            faults::text_cannot_be_written(subject)?;
            faults::constants_cannot_be_written(subject)?;
            faults::data_cannot_be_executed(subject)?;
            block().stacks().iter().try_for_each(|stack| execution_is_forbidden(stack.start))?;
            faults::stacks_have_guards()?;
            faults::overflow_hits_the_guard()?;
        }
        Ok(())
    })
}

fn what_one_unmaps_faults_on_all(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 1, |host, first| {
        for round in 0..rounds(subject) / 10 {
            let mapping = host.vmap_contig(first, 2, Attributes::DATA).map_err(text)?;
            let address = mapping.address().get();
            let word = || core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
            // SAFETY: the word is mapped read-write, and no other CPU looks before `on_each`.
            unsafe { word().write_volatile(round) };
            on_each(subject, |_| {
                // Now each CPU has the translation in its TLB.
                // SAFETY: the mapping lives until all CPUs have returned.
                let seen = unsafe { word().read_volatile() };
                ensure!(seen == round, "reads {seen:#x} instead of {round:#x}");
                Ok(())
            })?;
            drop(mapping);
            on_each(subject, |_| read_faults(address, READ_NOT_MAPPED))?;
        }
        Ok(())
    })
}

/// A frame, a mapping of it and a block of the heap, marked as this CPU's for as long as it has them.
// Not inlined: a test of the report of several CPUs has it fail.
#[inline(never)]
fn take_and_give_back(host: &HostMemory, cpu: CpuId, round: u64) -> Verdict {
    let owner = FrameOwner::new(200 + cpu.index() as u16);
    let mark = (cpu.index() as u64) << 32 | round;
    let order = (round % 4) as u32;
    let first = host.alloc(order, owner).map_err(text)?;
    host.get_page(first, owner).map_err(text)?;
    let mapping = host.vmap_contig(first, 1 << order, Attributes::DATA).map_err(text)?;
    let words = mapping.as_ptr().cast::<u64>();
    let heap = black_box(vec![mark; 1 + round as usize % 50]);
    for page in 0..1_usize << order {
        // SAFETY: the first word of a page that is mapped read-write, for this CPU alone.
        let word = unsafe { words.add(page * PAGE_SIZE as usize / size_of::<u64>()) };
        // SAFETY: the same word.
        unsafe { word.write_volatile(mark) };
    }
    for page in 0..1_usize << order {
        // SAFETY: the first word of a page that is mapped read-write, for this CPU alone.
        let word = unsafe { words.add(page * PAGE_SIZE as usize / size_of::<u64>()) };
        // SAFETY: the same word.
        let seen = unsafe { word.read_volatile() };
        ensure!(seen == mark, "page {page} of its frames holds {seen:#x} instead of {mark:#x}");
    }
    ensure!(heap.iter().all(|word| *word == mark), "its heap holds {heap:x?} instead of {mark:#x}");
    drop(mapping);
    host.put_page(first).map_err(text)?;
    host.free(first, order).map_err(text)
}

fn frames_mappings_and_heap_are_kept_apart(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let (heap, rounds) = (host.heap_bytes(), rounds(subject));
    on_each(subject, |cpu| (0..rounds).try_for_each(|round| take_and_give_back(host, cpu, round)))?;
    let now = host.heap_bytes();
    ensure!(heap == now, "{heap} bytes of heap were in use before, {now} are after");
    Ok(())
}
