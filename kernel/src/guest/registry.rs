//! All guests of the machine, and the state of each that outlasts its lives.

use crate::arch::lock::SpinLock;
use crate::arch::sgi::kick;
use crate::base::id::{DomainId, VcpuId};
use crate::console::terminal::Focus;
use crate::console::terminal::held::{Held, KeyFate};
use crate::console::terminal::line_buffer::{Due, LineBuffer};
use crate::console::{self, Urgency};
use crate::devtree::{Guest, GuestStart, GuestUart, RestartPolicy};
use crate::guest::complaints::Complaints;
use crate::guest::domain::{Domain, Home};
use crate::guest::life::{End, Posted};
use crate::println;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// All guests that were started, by [`DomainId`].
pub struct Registry<'g> {
    slots: Vec<GuestSlot<'g>>,
    /// Number of guests that have not ended for good.
    alive: AtomicUsize,
    /// Whether all are to end.
    is_quitting: AtomicBool,
}

/// A guest over all of its lives.
pub struct GuestSlot<'g> {
    config: &'g Guest,
    id: DomainId,
    /// The CPU of each vCPU.
    homes: Vec<Home>,
    /// Its life now; none while it is built, and once it has come to its last end.
    domain: SpinLock<Option<Arc<Domain>>>,
    /// What there is to report on it pays with these.
    complaints: SpinLock<Complaints>,
    /// Keys on their way to it.
    held: SpinLock<Held>,
    /// Whether there are any.
    has_keys: AtomicBool,
    /// What it has printed of a line.
    lines: SpinLock<LineBuffer>,
    /// How often it has started again.
    resets: AtomicU64,
    /// How often it has started again by itself.
    restarts: AtomicU64,
    /// Whether it has come to its last end, or has not been started yet.
    is_over: AtomicBool,
    /// Whether it is to be built, after its last end.
    is_wanted: AtomicBool,
}

impl<'g> Registry<'g> {
    /// These guests, in the order of their numbers.
    pub fn new(slots: Vec<GuestSlot<'g>>) -> Self {
        let alive = AtomicUsize::new(slots.iter().filter(|slot| !slot.is_over()).count());
        Self { slots, alive, is_quitting: AtomicBool::new(false) }
    }

    /// All guests, in the order of their numbers.
    pub fn slots(&self) -> &[GuestSlot<'g>] {
        &self.slots
    }

    /// The guest with this number.
    pub fn slot(&self, id: DomainId) -> Option<&GuestSlot<'g>> {
        self.slots.get(id.index())
    }

    /// The guest with this name.
    pub fn named(&self, name: &str) -> Option<&GuestSlot<'g>> {
        self.slots.iter().find(|slot| slot.name() == name)
    }

    /// Whether a guest has not ended for good.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) > 0
    }

    /// Ends all guests, for good.
    pub fn quit(&self) {
        self.is_quitting.store(true, Ordering::Release);
        self.slots.iter().for_each(|slot| slot.end(End::Off));
    }

    /// Has the guest of `slot`, which has come to its last end, start again: the CPU of its first vCPU builds it. Whether it
    /// can: it does not run, and the machine is not at its end.
    #[must_use]
    pub fn revive(&self, slot: &GuestSlot<'_>) -> bool {
        let one_more = |alive| if alive > 0 { Some(alive + 1) } else { None };
        if self.is_quitting.load(Ordering::Acquire)
            || !slot.is_over()
            || self.alive.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_err()
        {
            return false;
        }
        slot.is_over.store(false, Ordering::Release);
        slot.is_wanted.store(true, Ordering::Release);
        slot.homes.first().into_iter().for_each(|home| kick(home.target));
        true
    }

    /// Whether the guest of `slot` starts again by itself after this end, which is counted then.
    #[must_use]
    pub fn starts_again(&self, slot: &GuestSlot<'_>, end: &End) -> bool {
        let policy = slot.config.restart;
        let is_due = match end {
            End::Reset => return !self.is_quitting.load(Ordering::Acquire),
            End::Ordered => false,
            End::Off => policy == RestartPolicy::Always,
            End::Stopped(_) => policy != RestartPolicy::Never,
        };
        let limit = u64::from(slot.config.restart_limit.unwrap_or(u32::MAX));
        let again = is_due && !self.is_quitting.load(Ordering::Acquire) && slot.restarts() < limit;
        if again {
            slot.restarts.fetch_add(1, Ordering::Relaxed);
        }
        again
    }

    /// The guest of `slot` has come to its last end. Whether it was the last guest.
    pub fn bury(&self, slot: &GuestSlot<'_>) -> bool {
        slot.is_over.store(true, Ordering::Release);
        self.alive.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Who has the keyboard if it was moved on to `focus`: that, or who comes after the guests that are over. After the last
    /// guest comes the hypervisor.
    pub fn alive_from(&self, focus: Focus) -> Focus {
        let Focus::Guest(id) = focus else { return focus };
        let rest = self.slots.get(id.index()..).unwrap_or_default();
        rest.iter().find(|slot| !slot.is_over()).map_or(Focus::Hypervisor, |slot| Focus::Guest(slot.id))
    }
}

impl<'g> GuestSlot<'g> {
    /// The guest `id`, as `config` describes it, with the CPUs of its vCPUs. `now` is the time, in nanoseconds.
    pub fn new(config: &'g Guest, id: DomainId, homes: Vec<Home>, now: u64) -> Self {
        let mut held = Held::new();
        held.reserve();
        Self {
            config,
            id,
            homes,
            domain: SpinLock::new(None),
            complaints: SpinLock::new(Complaints::new(now)),
            held: SpinLock::new(held),
            has_keys: AtomicBool::new(false),
            lines: SpinLock::new(LineBuffer::new()),
            resets: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            is_over: AtomicBool::new(config.start == GuestStart::AtThePrompt),
            is_wanted: AtomicBool::new(false),
        }
    }

    /// What the device tree says of it.
    pub fn config(&self) -> &'g Guest {
        self.config
    }

    /// Its number.
    pub fn id(&self) -> DomainId {
        self.id
    }

    /// The name of its node.
    pub fn name(&self) -> &'g str {
        &self.config.name
    }

    /// The CPU of each vCPU.
    pub fn homes(&self) -> &[Home] {
        &self.homes
    }

    /// The room for reports on it.
    pub fn complaints(&self) -> &SpinLock<Complaints> {
        &self.complaints
    }

    /// Whether it has come to its last end.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// How often it has started again by itself.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Whether it is to be built: who asks builds it.
    pub fn take_wanted(&self) -> bool {
        self.is_wanted.swap(false, Ordering::AcqRel)
    }

    /// Whether it is to be built.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// Counts a reset, and says how many there have been.
    pub fn count_reset(&self) -> u64 {
        self.resets.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Begins a life, by having the CPU of its first vCPU look.
    pub fn begin(&self, domain: Domain) {
        let old = self.domain.lock().replace(Arc::new(domain));
        debug_assert!(old.is_none(), "a guest has one life at a time");
        self.look(|domain| domain.post(VcpuId::new(0), Posted::POWER));
    }

    /// Its life now. Whoever takes it gives it to [`retire`](Self::retire), or the domain would never be taken apart.
    pub fn current(&self) -> Option<Arc<Domain>> {
        self.domain.lock().clone()
    }

    /// Gives back what [`current`](Self::current) gave. Whoever is the last to do so after the life has ended gets the domain,
    /// to take it apart.
    #[must_use]
    pub fn retire(&self, domain: Arc<Domain>) -> Option<Domain> {
        if domain.life().has_ended() {
            // From here on nobody else can begin with it.
            drop(self.domain.lock().take_if(|current| Arc::ptr_eq(current, &domain)));
        }
        Arc::into_inner(domain)
    }

    /// Looks at its life now, if it has one.
    pub fn look<R>(&self, look: impl FnOnce(&Domain) -> R) -> Option<R> {
        self.domain.lock().as_deref().map(look)
    }

    /// Ends its life now, if it has one.
    pub fn end(&self, why: End) {
        self.look(|domain| domain.end(why));
    }

    /// Keeps a key for it, and has its first vCPU look. A key that finds no room, or no UART to go to, is dropped.
    pub fn type_in(&self, key: u8) {
        let takes = self.config.uart != GuestUart::None;
        let mut held = self.held.lock();
        let fate = if takes { held.push(key) } else { held.drop_one() };
        drop(held);
        self.has_keys.store(true, Ordering::Release);
        if fate == KeyFate::FirstDropped {
            println!("lacuna: {} takes no keys: what is typed is dropped", self.name());
        }
        self.look(|domain| domain.post(VcpuId::new(0), Posted::KEYS));
    }

    /// Whether keys wait for it.
    #[inline]
    pub fn has_keys(&self) -> bool {
        self.has_keys.load(Ordering::Relaxed)
    }

    /// Hands the keys over that wait for it, until `give` refuses one. Once it has taken all, it is worth saying what it missed.
    pub fn hand_over<E>(&self, give: impl FnMut(u8) -> Result<(), E>) {
        let mut held = self.held.lock();
        let is_over = held.hand_over(give);
        self.has_keys.store(!is_over, Ordering::Release);
        let dropped = if is_over && self.config.uart != GuestUart::None { held.tell_dropped() } else { None };
        drop(held);
        self.say_dropped(dropped);
    }

    /// Says how many of its keys were dropped, if any were since the last time.
    pub fn tell_dropped(&self) {
        let dropped = self.held.lock().tell_dropped();
        self.say_dropped(dropped);
    }

    fn say_dropped(&self, dropped: Option<u64>) {
        if let Some(count) = dropped {
            println!("lacuna: {}: {count} keys were dropped", self.name());
        }
    }

    /// Forgets what was typed for a life that is over.
    pub fn clear_keys(&self) {
        self.tell_dropped();
        self.held.lock().clear();
        self.has_keys.store(false, Ordering::Release);
    }

    /// Prints a byte of the guest: at once if it has the keyboard, else when its line ends. Whether something has to wait, for
    /// [`flush`](Self::flush) in a while: a line that may go on, or that would break another's.
    #[must_use]
    pub fn print(&self, byte: u8) -> bool {
        let mut lines = self.lines.lock();
        let due = lines.push(byte);
        let is_watched = console::focus() == Focus::Guest(self.id);
        let urgency = match due {
            Due::Later if !is_watched => return true,
            Due::Line if !is_watched => Urgency::CanWait,
            _ => Urgency::Now,
        };
        let is_printed = console::print_for_guest(self.id, self.name(), lines.as_bytes(), urgency);
        if is_printed {
            lines.clear();
        }
        !is_printed
    }

    /// Prints what has waited. Whether it still has to.
    #[must_use]
    pub fn flush(&self, urgency: Urgency) -> bool {
        let mut lines = self.lines.lock();
        if lines.as_bytes().is_empty() {
            return false;
        }
        let is_printed = console::print_for_guest(self.id, self.name(), lines.as_bytes(), urgency);
        if is_printed {
            lines.clear();
        }
        !is_printed
    }
}
