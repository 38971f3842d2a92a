//! The CPUs that run, and work that all of them execute.
//!
//! A started CPU waits for work, which is a function that every CPU calls. The boot CPU hands out the work, and
//! continues when all CPUs have finished it. Waiting is by WFE, and SEV follows each change of a waited-for value. The
//! event register keeps an event that arrives between the check and the WFE, so no change is missed.

use crate::arch::aarch64::cpu::{self, send_event, wait_for_event};
use crate::arch::sgi::{SgiTarget, kick};
use crate::base::id::{CpuId, Mpidr};
use crate::cpu::block::block;
use crate::cpu::last_words::{LastWords, Occupation};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use core::time::Duration;

/// A CPU as the others see it.
pub struct CrewMember {
    id: CpuId,
    mpidr: Mpidr,
    stage: AtomicU8,
    /// What it is to do next; null if nothing.
    task: AtomicPtr<Task<'static>>,
    /// What it was about when it stopped.
    last_words: LastWords,
}

/// How far a CPU has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum CrewStage {
    /// It was called.
    Called = 0,
    /// It runs, and waits for work.
    Ready = 1,
    /// It does not run, or must not: it lacks something, or came too late.
    LeftOut = 2,
}

/// What all CPUs are to do.
struct Task<'t> {
    work: &'t (dyn Fn(CpuId) + Sync),
    /// Number of CPUs that have not finished it.
    left: AtomicUsize,
}

/// All CPUs that run, the one that boots first.
pub struct Crew {
    members: Vec<&'static CrewMember>,
}

impl CrewMember {
    /// A CPU that is about to be called, or the one that boots.
    pub const fn new(id: CpuId, mpidr: Mpidr) -> Self {
        Self {
            id,
            mpidr,
            stage: AtomicU8::new(CrewStage::Called as u8),
            task: AtomicPtr::new(ptr::null_mut()),
            last_words: LastWords::new(),
        }
    }

    /// Its number.
    pub fn id(&self) -> CpuId {
        self.id
    }

    /// Its affinity.
    pub fn mpidr(&self) -> Mpidr {
        self.mpidr
    }

    /// What it was about when it stopped.
    pub fn last_words(&self) -> &LastWords {
        &self.last_words
    }

    /// Whether it has said that it runs.
    pub fn is_ready(&self) -> bool {
        self.stage.load(Ordering::Acquire) == CrewStage::Ready as u8
    }

    /// Leaves the CPU out. Whether it was still out: a CPU that has said at the last moment that it runs stays in.
    pub fn leave_out(&self) -> bool {
        self.leave_called(CrewStage::LeftOut)
    }

    /// The one change from `Called` that counts: the CPU and whoever waits for it may try at the same time.
    fn leave_called(&self, stage: CrewStage) -> bool {
        let change =
            self.stage.compare_exchange(CrewStage::Called as u8, stage as u8, Ordering::AcqRel, Ordering::Relaxed);
        change.is_ok()
    }

    /// Says that this CPU runs, and does what it is given from then on. One that came too late does nothing, ever.
    ///
    /// # Panics
    ///
    /// On another CPU than `self`'s.
    pub fn serve(&'static self) -> ! {
        assert_eq!(block().id(), self.id, "a CPU serves for itself");
        if self.leave_called(CrewStage::Ready) {
            send_event();
            loop {
                self.serve_once();
            }
        }
        self.rest()
    }

    /// Leaves this CPU out, and does nothing more.
    pub fn rest(&self) -> ! {
        self.leave_called(CrewStage::LeftOut);
        send_event();
        loop {
            wait_for_event();
        }
    }

    fn serve_once(&self) {
        let task = self.task.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: `Crew::each` lends a task until all have done it, which this CPU says by `done`, and gives it once.
        match unsafe { task.as_ref() } {
            None => {
                stop_if_asked(Occupation::Idle);
                wait_for_event();
            }
            Some(task) => {
                (task.work)(self.id);
                task.done();
            }
        }
    }
}

impl Task<'_> {
    /// This CPU has done its part, and does not touch the task any more.
    fn done(&self) {
        self.left.fetch_sub(1, Ordering::Release);
        send_event();
    }
}

impl Crew {
    /// The CPU that boots, alone.
    pub fn new(boot: &'static CrewMember) -> Self {
        Self { members: Vec::from([boot]) }
    }

    /// Adds a CPU that runs.
    pub fn add(&mut self, member: &'static CrewMember) {
        self.members.push(member);
    }

    /// Says that nobody joins any more.
    pub fn complete(self) -> &'static Self {
        let crew = Box::leak(Box::new(self));
        RUNNING.store(crew, Ordering::Release);
        crew
    }

    /// Has all CPUs but this one stop, as far as they listen.
    pub fn stop_others(&self) {
        IS_STOPPING.store(true, Ordering::Release);
        send_event();
        if IS_INTERRUPTIBLE.load(Ordering::Acquire) {
            let others = self.members().filter(|member| member.id != block().id());
            others.for_each(|member| kick(SgiTarget::of(member.mpidr)));
        }
    }

    /// How many CPUs run.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// All CPUs that run, the one that boots first.
    pub fn members(&self) -> impl Iterator<Item = &'static CrewMember> {
        self.members.iter().copied()
    }

    /// Calls `work` on every CPU at the same time, and returns when all have returned. To be called on the CPU that boots,
    /// and not by `work`.
    ///
    /// # Panics
    ///
    /// On another CPU than the one that boots.
    pub fn each(&self, work: &(dyn Fn(CpuId) + Sync)) {
        assert_eq!(block().id(), CpuId::BOOT, "work is handed out by one CPU");
        let Some((_, others)) = self.members.split_first() else { return };
        let task = Task { work, left: AtomicUsize::new(others.len()) };
        for member in others {
            member.task.store((&raw const task).cast_mut().cast(), Ordering::Release);
        }
        send_event();
        work(CpuId::BOOT);
        // Until then the others use the task, and what `work` borrows.
        while task.left.load(Ordering::Acquire) > 0 {
            wait_for_event();
        }
    }
}

/// The crew, once it is complete.
static RUNNING: AtomicPtr<Crew> = AtomicPtr::new(ptr::null_mut());

/// Whether all CPUs are to stop.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// Whether CPUs take interrupts of others.
static IS_INTERRUPTIBLE: AtomicBool = AtomicBool::new(false);

/// The CPUs that run, once they are known.
pub fn running() -> Option<&'static Crew> {
    // SAFETY: null, or made from a reference for good.
    unsafe { RUNNING.load(Ordering::Acquire).as_ref() }
}

/// CPUs take the interrupts of others from here on.
pub fn set_interruptible() {
    IS_INTERRUPTIBLE.store(true, Ordering::Release);
}

/// Stops this CPU, which was about what `occupation` says, if all are to stop.
#[inline]
pub fn stop_if_asked(occupation: Occupation) {
    if IS_STOPPING.load(Ordering::Acquire) {
        stop(occupation);
    }
}

/// Says what this CPU is about.
pub fn say(occupation: Occupation) {
    let own = block().id();
    if let Some(me) = running().and_then(|crew| crew.members().find(|member| member.id() == own)) {
        me.last_words.say(occupation);
    }
}

/// Stops this CPU.
#[cold]
pub fn stop(occupation: Occupation) -> ! {
    say(occupation);
    loop {
        wait_for_event();
    }
}

/// Waits until `done`, for at most `time`. Whether it was in time.
pub fn within(time: Duration, mut done: impl FnMut() -> bool) -> bool {
    let (start, limit) = (cpu::ticks(), cpu::ticks_in(time));
    loop {
        if done() {
            return true;
        }
        if cpu::ticks().wrapping_sub(start) > limit {
            return done();
        }
        cpu::pause();
    }
}
