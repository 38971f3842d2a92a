//! The vCPUs of a CPU: which of them is on the CPU, and switching between them.
//!
//! A vCPU whose turn ends stays *resident*: its registers remain in the CPU until another vCPU's turn begins. So a vCPU
//! that is alone on its CPU is never stored, and neither is one that others leave the CPU to.
//!
//! All of this is one CPU's own. Other CPUs post to a vCPU's inbox and interrupt its CPU.

use crate::arch::aarch64::context::{GuestContext, StaleTranslations};
use crate::arch::aarch64::gic::list_registers::{CpuInterface, StoredInterface};
use crate::arch::aarch64::virtualization::{self, GuestRegime, PSTATE_START};
use crate::arch::aarch64::{barrier, controls, cpu, el2_timer};
use crate::arch::controls::{IdRegisters, Sharing, hcr};
use crate::base::id::{DomainId, Intid, VcpuId};
use crate::console::{PAUSE, Urgency};
use crate::cpu::block::block;
use crate::guest::device::vgic::{Affinity, InterruptSnapshot};
use crate::guest::domain::Domain;
use crate::guest::life::{EntryState, Posted};
use crate::guest::registry::GuestSlot;
use crate::guest::turns::{TurnEnd, Turns};
use crate::println;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use lacuna_boot::GuestFrame;

/// The vCPUs of this CPU.
pub struct Seats<'g> {
    seats: Vec<Seat<'g>>,
    turns: RefCell<Turns>,
    /// The vCPU whose registers are in the CPU.
    resident: Cell<Option<usize>>,
    id: IdRegisters,
    sharing: Sharing,
    /// When lines of guests that have paused are to be printed.
    flush_at: Cell<Option<u64>>,
}

/// A vCPU of this CPU.
pub struct Seat<'g> {
    slot: &'g GuestSlot<'g>,
    vcpu: VcpuId,
    /// The vCPU while it is on.
    on: RefCell<Option<On>>,
    /// Its registers while it is on and not resident. A CPU with one vCPU needs none.
    stored: RefCell<Option<Box<Stored>>>,
    /// Whether no other vCPU of the guest has been resident here since this one.
    is_latest: Cell<bool>,
}

/// A vCPU that is on.
pub(super) struct On {
    pub(super) domain: Arc<Domain>,
    pub(super) frame: GuestFrame,
    regime: GuestRegime,
    /// The vCPU's side of the virtual CPU interface; none before its first turn, and during a turn.
    pub(super) lists: Option<CpuInterface>,
}

/// Registers of a vCPU that is not resident.
#[derive(Default)]
struct Stored {
    context: GuestContext,
    interface: StoredInterface,
}

/// Whether a vCPU has run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It starts.
    First,
    /// It goes on from where its last turn left it.
    Again,
}

impl<'g> Seats<'g> {
    /// For these vCPUs, all of them off, with turns of `slice` ticks.
    pub fn new(vcpus: impl Iterator<Item = (&'g GuestSlot<'g>, VcpuId)>, slice: u64) -> Self {
        let mut seats: Vec<_> = vcpus
            .map(|(slot, vcpu)| Seat {
                slot,
                vcpu,
                on: RefCell::new(None),
                stored: RefCell::new(None),
                is_latest: Cell::new(false),
            })
            .collect();
        let sharing = if seats.len() > 1 { Sharing::Shared } else { Sharing::Alone };
        if sharing == Sharing::Shared {
            seats.iter_mut().for_each(|seat| *seat.stored.get_mut() = Some(Box::default()));
        }
        Self {
            turns: RefCell::new(Turns::new(seats.len(), slice)),
            seats,
            resident: Cell::new(None),
            id: controls::id_registers(),
            sharing,
            flush_at: Cell::new(None),
        }
    }

    /// All of them, by number.
    pub fn all(&self) -> &[Seat<'g>] {
        &self.seats
    }

    /// Whether several vCPUs share this CPU.
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.sharing == Sharing::Shared
    }

    /// Switches the vCPU on, to start at `entry`.
    pub fn begin(&self, index: usize, domain: Arc<Domain>, entry: EntryState) {
        let Some(seat) = self.seats.get(index) else { return };
        let regime = GuestRegime {
            vtcr: domain.stage2().config().vtcr(),
            vttbr: domain.vttbr(),
            hcr: hcr(&self.id, self.sharing),
            mpidr: Affinity::of(seat.vcpu).mpidr(),
            virtual_offset: domain.virtual_offset(),
        };
        let frame = GuestFrame::starting(entry.pc.get(), PSTATE_START, entry.x0);
        *seat.on.borrow_mut() = Some(On { domain, frame, regime, lists: None });
        self.turns.borrow_mut().wake(index);
    }

    /// Takes the vCPU off this CPU for good: it is switched off, or its domain has ended. Its interrupts go back to the
    /// domain. Returns the domain, if the vCPU was on.
    pub fn leave(&self, index: usize) -> Option<Arc<Domain>> {
        let seat = self.seats.get(index)?;
        let On { domain, lists, regime, .. } = seat.on.borrow_mut().take()?;
        self.turns.borrow_mut().forget(index);
        // A vCPU without list registers has not run.
        let Some(mut lists) = lists else { return Some(domain) };
        if self.resident.get() == Some(index) {
            self.resident.set(None);
            virtualization::leave();
            // What was forwarded to the guest and not ended by it is still active in the machine's GIC, until here.
            let kick = domain.devices().lock().vgic.retire(seat.vcpu, &mut lists);
            lists.stop();
            domain.kick(kick);
        } else {
            // `evict` has taken its interrupts from it. What is left are translations.
            self.evict();
            // SAFETY: no vCPU is on this CPU any more.
            unsafe { virtualization::forget(&regime) };
        }
        Some(domain)
    }

    /// Wakes each vCPU that waits and has something to do, for a post or because its time has come.
    #[inline]
    pub fn wake(&self, now: u64) {
        if self.turns.borrow().has_sleepers() {
            self.wake_some(now);
        }
    }

    #[inline(never)]
    fn wake_some(&self, now: u64) {
        let mut turns = self.turns.borrow_mut();
        turns.wake_due(now);
        for (index, seat) in self.seats.iter().enumerate() {
            if turns.is_asleep(index) && seat.has_posts() {
                turns.wake(index);
            }
        }
    }

    /// Whether a vCPU that is off has something to do, which the caller of [`Vcpu::run`](super::Vcpu::run) sees to.
    pub fn has_calls(&self) -> bool {
        self.seats.iter().any(|seat| !seat.is_on() && seat.is_called())
    }

    /// Begins the turn of the next vCPU, if one is ready.
    pub fn next(&self, now: u64) -> Option<usize> {
        self.turns.borrow_mut().next(now)
    }

    /// Ends the turn in progress.
    pub fn end(&self, now: u64, how: TurnEnd) {
        self.turns.borrow_mut().end(now, how);
    }

    /// Whether the turn in progress is over.
    pub fn is_over(&self, now: u64) -> bool {
        self.turns.borrow().is_over(now)
    }

    /// Whether a vCPU is ready that does not run.
    pub fn has_ready(&self) -> bool {
        self.turns.borrow().has_ready()
    }

    /// Programs EL2's timer for the next moment at which this CPU has something to do besides running its vCPU.
    pub fn arm(&self) {
        let turn = self.turns.borrow().deadline();
        match turn.into_iter().chain(self.flush_at.get()).min() {
            Some(deadline) => el2_timer::start(deadline),
            None => el2_timer::stop(),
        }
    }

    /// Lines of guests have to wait for a pause before they are printed.
    pub fn flush_later(&self) {
        self.flush_at.set(Some(cpu::ticks().wrapping_add(cpu::ticks_in(PAUSE))));
        self.arm();
    }

    /// Prints the lines that wait, if their time has come.
    pub fn flush(&self) {
        if self.flush_at.get().is_some_and(|at| at <= cpu::ticks()) {
            self.flush_at.set(None);
            let waits = self.seats.iter().fold(false, |waits, seat| seat.slot.flush(Urgency::CanWait) | waits);
            if waits {
                self.flush_at.set(Some(cpu::ticks().wrapping_add(cpu::ticks_in(PAUSE))));
            }
        }
        self.arm();
    }

    /// Makes `on`, the vCPU of seat `index`, resident.
    pub(super) fn admit(&self, index: usize, on: &mut On) -> Admission {
        if self.resident.get() == Some(index) {
            return Admission::Again;
        }
        self.evict();
        let seat = &self.seats[index];
        block().set_virtual_offset(on.regime.virtual_offset);
        self.resident.set(Some(index));
        let admission = match &mut on.lists {
            None => {
                on.lists = Some(CpuInterface::start());
                // SAFETY: the tables of the domain map its own memory, and it lives until this CPU has left the vCPU, which
                // `leave` does. Any other vCPU was stored.
                unsafe { virtualization::enter(&self.id, &on.regime) };
                Admission::First
            }
            Some(lists) => {
                let stale = if seat.is_latest.get() { StaleTranslations::None } else { StaleTranslations::Possible };
                if let Some(stored) = &*seat.stored.borrow() {
                    // SAFETY: as above; `evict` stored these registers when the vCPU was last resident.
                    unsafe { stored.context.load(&self.id, &on.regime, stale) };
                    lists.load(&stored.interface);
                }
                Admission::Again
            }
        };
        if !seat.is_latest.get() {
            let others = self.seats.iter().filter(|other| core::ptr::eq(other.slot, seat.slot));
            others.for_each(|other| other.is_latest.set(false));
            seat.is_latest.set(true);
        }
        admission
    }

    /// Stores the resident vCPU, if there is one.
    pub fn evict(&self) {
        let Some(seat) = self.resident.take().and_then(|index| self.seats.get(index)) else { return };
        let mut on = seat.on.borrow_mut();
        let mut stored = seat.stored.borrow_mut();
        if let Some(On { domain, lists: Some(lists), .. }) = &mut *on
            && let Some(stored) = &mut *stored
        {
            // Its timers are off from here on, so their interrupts do not come again once they are deactivated.
            stored.context.store(&self.id);
            barrier::isb();
            let kick = domain.devices().lock().vgic.part(seat.vcpu, lists);
            lists.store(&mut stored.interface);
            domain.kick(kick);
        }
    }

    /// Shows the registers or the interrupts of a vCPU of this CPU that does not run now.
    pub fn show(&self, domain: DomainId, vcpu: VcpuId, what: Posted) {
        let chosen = |seat: &&Seat<'_>| seat.slot.id() == domain && seat.vcpu == vcpu;
        let Some(seat) = self.seats.iter().find(chosen) else { return };
        let (on, stored) = (seat.on.borrow(), seat.stored.borrow());
        let (Some(on), Some(stored)) = (&*on, &*stored) else { return };
        if what.has(Posted::SHOW_STATE) {
            let GuestFrame { pc, pstate, .. } = on.frame;
            println!(
                "lacuna: {}: vCPU {vcpu} at {pc:#x} with PSTATE {pstate:#x}, waits for its turn",
                seat.slot.name()
            );
            println!("{}", stored.context.snapshot());
        }
        if what.has(Posted::SHOW_INTERRUPTS) {
            let end = on.domain.devices().lock().vgic.interrupts();
            let snapshot = |id| {
                let devices = on.domain.devices().lock();
                devices.vgic.snapshot(vcpu, Intid::new(id), &stored.interface).filter(InterruptSnapshot::is_in_use)
            };
            // One at a time: nothing is printed under the devices' lock.
            (0..end).filter_map(snapshot).for_each(|interrupt| println!("lacuna: {interrupt}"));
        }
    }
}

impl<'g> Seat<'g> {
    /// The guest.
    pub fn slot(&self) -> &'g GuestSlot<'g> {
        self.slot
    }

    /// The number of the vCPU in its guest.
    pub fn vcpu(&self) -> VcpuId {
        self.vcpu
    }

    /// Whether the vCPU is on.
    pub fn is_on(&self) -> bool {
        // The vCPU that runs is borrowed.
        self.on.try_borrow().map_or(true, |on| on.is_some())
    }

    /// Whether something is posted to the vCPU, on or off, or its guest is to be built.
    pub fn is_called(&self) -> bool {
        let is_wanted = self.vcpu == VcpuId::new(0) && self.slot.is_wanted();
        is_wanted || self.slot.look(|domain| domain.life().inbox(self.vcpu).is_filled()) == Some(true)
    }

    /// Whether something is posted to the vCPU, which is on.
    fn has_posts(&self) -> bool {
        self.on.borrow().as_ref().is_some_and(|on| on.domain.life().inbox(self.vcpu).is_filled())
    }

    /// The vCPU that is on.
    pub(super) fn on(&self) -> &RefCell<Option<On>> {
        &self.on
    }
}
