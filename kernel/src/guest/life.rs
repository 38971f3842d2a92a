//! One life of a domain, shared by its vCPUs and all other CPUs: the power state of each vCPU, the work posted to it,
//! and the domain's end.
//!
//! Only the CPU of a vCPU touches the vCPU's registers and its list registers. Every other CPU changes the state of
//! devices under their lock, posts work to the vCPU, and interrupts its CPU. Posted work is a set of bits, taken as a
//! whole: it cannot overflow, and an unnecessary look does no harm. The CPU that posts into an empty set sends the
//! interrupt; a CPU that finds the set filled knows that another's interrupt is on its way.

use crate::arch::lock::SpinLock;
use crate::base::addr::GuestAddr;
use crate::base::id::VcpuId;
use alloc::string::String;
use alloc::vec::Vec;
use arm_psci::AffinityInfo;
use core::ops::BitOr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Why a domain came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It switched itself off: PSCI SYSTEM_OFF.
    Off,
    /// It is to start again, because it said so (PSCI SYSTEM_RESET) or somebody at the keyboard.
    Reset,
    /// Somebody at the keyboard ended it.
    Ordered,
    /// It cannot go on, and this is why.
    Stopped(String),
}

/// Where a vCPU starts, and what it finds in X0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryState {
    /// Its first instruction.
    pub pc: GuestAddr,
    /// X0.
    pub x0: u64,
}

/// What a vCPU is to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posted(u32);

impl Posted {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// Its list registers: interrupts of it have changed.
    pub const INTERRUPTS: Self = Self(1 << 0);
    /// SGIs that other vCPUs have sent to it.
    pub const SGIS: Self = Self(1 << 5);
    /// The keys that wait for the domain.
    pub const KEYS: Self = Self(1 << 1);
    /// Its power state: it is to start, or the domain has ended.
    pub const POWER: Self = Self(1 << 2);
    /// The monitor requests its registers.
    pub const SHOW_STATE: Self = Self(1 << 3);
    /// The monitor requests its interrupts.
    pub const SHOW_INTERRUPTS: Self = Self(1 << 4);

    /// Whether any of `wanted` is posted.
    pub const fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }
}

impl BitOr for Posted {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is posted to a vCPU.
#[derive(Debug, Default)]
pub struct Inbox(AtomicU32);

impl Inbox {
    /// Posts `what`. Whether the CPU of the vCPU must be interrupted: nobody else has done so for what was there before.
    #[must_use = "without an interrupt nobody looks"]
    #[inline]
    pub fn post(&self, what: Posted) -> bool {
        // Release: what was changed before is there for whoever takes.
        self.0.fetch_or(what.0, Ordering::AcqRel) == 0
    }

    /// Whether anything is posted.
    pub fn is_filled(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Takes all that was posted.
    #[inline]
    pub fn take(&self) -> Posted {
        Posted(self.0.swap(0, Ordering::AcqRel))
    }
}

/// Whether a vCPU is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Off,
    /// CPU_ON named this entry, and the vCPU has not started yet.
    Pending(EntryState),
    On,
}

/// Why a vCPU cannot be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The domain has no such vCPU.
    Absent,
    /// It is on.
    On,
    /// CPU_ON was called, and the vCPU has not started yet.
    Pending,
}

/// One life of a domain.
#[derive(Debug)]
pub struct Life {
    power: SpinLock<Vec<Power>>,
    inboxes: Vec<Inbox>,
    end: SpinLock<Option<End>>,
    has_ended: AtomicBool,
}

impl Life {
    /// A domain of `vcpus` vCPUs, of which the first is to start at `entry`.
    pub fn new(vcpus: usize, entry: EntryState) -> Self {
        let power = (0..vcpus).map(|vcpu| if vcpu == 0 { Power::Pending(entry) } else { Power::Off });
        Self {
            power: SpinLock::new(power.collect()),
            inboxes: (0..vcpus).map(|_| Inbox::default()).collect(),
            end: SpinLock::new(None),
            has_ended: AtomicBool::new(false),
        }
    }

    /// The inbox of `vcpu`, which the domain has.
    #[inline]
    pub fn inbox(&self, vcpu: VcpuId) -> &Inbox {
        &self.inboxes[vcpu.index()]
    }

    /// How many vCPUs there are.
    pub fn vcpus(&self) -> usize {
        self.inboxes.len()
    }

    /// The state of `vcpu` as PSCI has it; `None` if there is no such vCPU.
    pub fn state(&self, vcpu: VcpuId) -> Option<AffinityInfo> {
        self.power.lock().get(vcpu.index()).map(|power| match power {
            Power::Off => AffinityInfo::Off,
            Power::Pending(_) => AffinityInfo::OnPending,
            Power::On => AffinityInfo::On,
        })
    }

    /// Has `vcpu` start at `entry`, if it is off: of two who try at the same time, one succeeds. Its CPU has to be told.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn switch_on(&self, vcpu: VcpuId, entry: EntryState) -> Result<(), Refused> {
        match self.power.lock().get_mut(vcpu.index()) {
            None => Err(Refused::Absent),
            Some(Power::On) => Err(Refused::On),
            Some(Power::Pending(_)) => Err(Refused::Pending),
            Some(power) => {
                *power = Power::Pending(entry);
                Ok(())
            }
        }
    }

    /// Where `vcpu` starts, if it is to: it is on from then on.
    pub fn begin(&self, vcpu: VcpuId) -> Option<EntryState> {
        let mut power = self.power.lock();
        let power = power.get_mut(vcpu.index())?;
        let Power::Pending(entry) = *power else { return None };
        *power = Power::On;
        Some(entry)
    }

    /// Switches `vcpu` off, which says so itself. Whether another is on or starts; if none does, nothing has changed, and
    /// nobody is left to switch it on again.
    #[must_use]
    pub fn switch_off(&self, vcpu: VcpuId) -> bool {
        let mut power = self.power.lock();
        let others = power.iter().enumerate().any(|(index, power)| index != vcpu.index() && *power != Power::Off);
        if others && let Some(power) = power.get_mut(vcpu.index()) {
            *power = Power::Off;
        }
        others
    }

    /// Ends this life for the reason `why`, unless it has ended for another before. All its CPUs have to be told.
    pub fn end(&self, why: End) {
        self.end.lock().get_or_insert(why);
        self.has_ended.store(true, Ordering::Release);
    }

    /// Whether this life has ended: no vCPU may be entered any more.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Why it has ended.
    pub fn into_end(self) -> Option<End> {
        self.end.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::{End, EntryState, Inbox, Life, Posted, Refused};
    use crate::base::addr::GuestAddr;
    use crate::base::id::VcpuId;
    use arm_psci::AffinityInfo;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Barrier};
    use std::thread;
    use std::vec::Vec;

    fn entry(x0: u64) -> EntryState {
        EntryState { pc: GuestAddr::new(0x4000_0000), x0 }
    }

    fn vcpu(number: u16) -> VcpuId {
        VcpuId::new(number)
    }

    #[test]
    fn a_vcpu_is_off_then_pending_then_on() {
        let life = Life::new(2, entry(7));
        let states = || [0, 1].map(|number| life.state(vcpu(number)).unwrap());
        assert_eq!(states(), [AffinityInfo::OnPending, AffinityInfo::Off]);
        assert_eq!((life.begin(vcpu(0)), life.begin(vcpu(0))), (Some(entry(7)), None));
        assert_eq!(life.switch_on(vcpu(0), entry(0)), Err(Refused::On));
        assert_eq!(life.switch_on(vcpu(1), entry(1)), Ok(()));
        assert_eq!(life.switch_on(vcpu(1), entry(2)), Err(Refused::Pending));
        assert_eq!(states(), [AffinityInfo::On, AffinityInfo::OnPending]);
        assert_eq!(life.begin(vcpu(1)), Some(entry(1)));
        assert_eq!((life.switch_on(vcpu(2), entry(0)), life.state(vcpu(2))), (Err(Refused::Absent), None));
    }

    #[test]
    fn the_last_that_is_on_cannot_be_switched_off() {
        let life = Life::new(2, entry(0));
        assert_eq!(life.begin(vcpu(0)), Some(entry(0)));
        assert!(!life.switch_off(vcpu(0)));
        assert_eq!(life.state(vcpu(0)), Some(AffinityInfo::On));
        // One that has been told to start counts.
        life.switch_on(vcpu(1), entry(0)).unwrap();
        assert!(life.switch_off(vcpu(0)));
        assert_eq!(life.begin(vcpu(1)), Some(entry(0)));
        assert!(!life.switch_off(vcpu(1)));
    }

    #[test]
    fn the_first_reason_counts() {
        let life = Life::new(1, entry(0));
        assert!(!life.has_ended());
        life.end(End::Reset);
        life.end(End::Off);
        assert!(life.has_ended());
        assert_eq!(life.into_end(), Some(End::Reset));
    }

    /// Bao's #386: two vCPUs that switch a third one on both succeed, and one of the two entries is lost.
    #[test]
    fn of_two_who_switch_a_vcpu_on_one_succeeds() {
        for _ in 0..2000 {
            let life = Arc::new(Life::new(3, entry(0)));
            let barrier = Arc::new(Barrier::new(2));
            let threads: Vec<_> = [1, 2]
                .into_iter()
                .map(|x0| {
                    let (life, barrier) = (life.clone(), barrier.clone());
                    thread::spawn(move || {
                        barrier.wait();
                        life.switch_on(vcpu(2), entry(x0)).map(|()| x0)
                    })
                })
                .collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let winners: Vec<_> = results.iter().flatten().copied().collect();
            assert_eq!(winners.len(), 1, "{results:?}");
            assert_eq!(life.begin(vcpu(2)), Some(entry(winners[0])));
        }
    }

    /// Two vCPUs that switch themselves off at the same time do not leave a domain without any: one is told that it is the
    /// last.
    #[test]
    fn of_two_who_switch_themselves_off_one_stays() {
        for _ in 0..2000 {
            let life = Arc::new(Life::new(2, entry(0)));
            life.begin(vcpu(0)).unwrap();
            life.switch_on(vcpu(1), entry(0)).unwrap();
            life.begin(vcpu(1)).unwrap();
            let threads: Vec<_> = [0, 1]
                .into_iter()
                .map(|number| {
                    let life = life.clone();
                    thread::spawn(move || life.switch_off(vcpu(number)))
                })
                .collect();
            let off: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(off.iter().filter(|off| **off).count(), 1, "{off:?}");
        }
    }

    /// Whatever is posted is taken, and for each time that the set was empty there is one interrupt.
    #[test]
    fn nothing_posted_is_lost() {
        let (inbox, interrupts) = (Arc::new(Inbox::default()), Arc::new(AtomicU32::new(0)));
        let (bits, rounds) = ([Posted::INTERRUPTS, Posted::KEYS, Posted::POWER], 5000);
        let threads: Vec<_> = bits
            .into_iter()
            .map(|bit| {
                let (inbox, interrupts) = (inbox.clone(), interrupts.clone());
                thread::spawn(move || {
                    for _ in 0..rounds {
                        if inbox.post(bit) {
                            interrupts.fetch_add(1, Ordering::AcqRel);
                        }
                    }
                })
            })
            .collect();
        let mut taken = Posted::NOTHING;
        let mut takes = 0;
        loop {
            let done = threads.iter().all(thread::JoinHandle::is_finished);
            // As a CPU does: an interrupt first, then a look.
            if interrupts.load(Ordering::Acquire) > takes {
                takes += 1;
                taken = taken | inbox.take();
            } else if done {
                break;
            }
        }
        assert_eq!(inbox.take(), Posted::NOTHING, "nobody was interrupted for what was left");
        assert!(bits.into_iter().all(|bit| taken.has(bit)));
    }
}
