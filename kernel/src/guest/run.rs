//! Guests from the device tree to their end.
//!
//! The boot CPU builds them all, in the order of the tree. Then every CPU serves its own vCPUs: it runs them when they
//! are on, and waits otherwise. The CPU that leaves an ended domain last takes it apart, and builds it again if it was
//! reset.

use crate::arch::aarch64::gic::list_registers::CpuInterface;
use crate::arch::aarch64::{cpu, gic, semihosting, virtualization};
use crate::arch::lock::SpinLock;
use crate::arch::sgi::{self, KICK, SgiTarget};
use crate::arch::workarounds::WORKAROUND_2;
use crate::base::id::{CpuId, DomainId, VcpuId};
use crate::base::outcome::Outcome;
use crate::console::Urgency;
use crate::cpu::crew::{self, Crew};
use crate::cpu::firmware;
use crate::cpu::last_words::Occupation;
use crate::devtree::{Facts, Guest, GuestStart};
use crate::guest::domain::{BuildError, Domain, Home, MachineFacts};
use crate::guest::exit::speculation::Speculation;
use crate::guest::life::End;
use crate::guest::registry::{GuestSlot, Registry};
use crate::guest::seating::{Seating, SeatingError};
use crate::guest::turns::TurnEnd;
use crate::guest::vcpu::{CpuServices, Seat, Seats, Vcpu, keyboard};
use crate::interrupts::{ControllerError, MachineGic};
use crate::memory::HostMemory;
use crate::options::{Mitigations, Options};
use crate::{fatal, println};
use aarch64_cpu::asm;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use log::{error, info, warn};

/// Why no guest can run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// Semihosting answers, and it would answer the guest too.
    #[error("{guest} cannot be started: semihosting is on, by which a guest reaches the host's files and commands")]
    Semihosting {
        /// The guest's node.
        guest: String,
    },
    /// There is no interrupt controller that a guest could do with.
    #[error("{guest} cannot be started: the device tree has no usable GICv3")]
    NoGic {
        /// The guest's node.
        guest: String,
    },
    /// It cannot be used.
    #[error(transparent)]
    Interrupts(#[from] ControllerError),
    /// EL2 cannot have tables for it.
    #[error("this CPU has no stage 2 translation with 4 KiB pages (ID_AA64MMFR0_EL1.TGran4_2)")]
    NoStage2,
    /// No guest can be built; this is why the last cannot.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A vCPU cannot have a CPU that its guest's node names.
    #[error(transparent)]
    Seating(#[from] SeatingError),
}

/// Everything that the CPUs share while guests run.
struct Guests<'g> {
    host: &'g HostMemory,
    machine: MachineFacts,
    registry: Registry<'g>,
    controller: MachineGic,
    mitigations: Mitigations,
    /// Whether a guest that cannot be started ends the boot.
    strict: bool,
    /// The slice of a vCPU that shares its CPU.
    slice: Duration,
    /// All CPUs that serve.
    cpus: Vec<Home>,
    /// Guests that could not be started.
    refusals: SpinLock<Refusals>,
    /// Whether a guest did not end by switching itself off.
    has_failed: AtomicBool,
    /// Held by who builds a guest or takes one apart. What a build needs of the heap is reserved, piece by piece, before it is
    /// allocated: another build in between could take it.
    building: SpinLock<()>,
}

/// Runs the guests that the device tree describes, until the last has come to its end.
///
/// # Errors
///
/// [`GuestError`] if none can be started.
pub fn run(host: &HostMemory, crew: &Crew, facts: &Facts<'_>, options: &Options) -> Result<Outcome, GuestError> {
    let at_boot = |guest: &&Guest| guest.start == GuestStart::AtBoot;
    let Some(first) = facts.guests.iter().find(at_boot) else { return Ok(Outcome::Success) };
    if semihosting::answers() {
        return Err(GuestError::Semihosting { guest: first.node.clone() });
    }
    if !virtualization::has_stage_2_of_4k() {
        return Err(GuestError::NoStage2);
    }
    let facts_of_gic = facts.gic.as_ref().ok_or_else(|| GuestError::NoGic { guest: first.node.clone() })?;
    let controller = MachineGic::start(host.vmap(), facts_of_gic, facts)?;
    let cpus = join(crew, &controller)?;
    let machine = MachineFacts {
        midr: cpu::identity(),
        physical_bits: cpu::physical_address_bits(),
        vmid_bits: virtualization::capabilities().vmid_bits,
        priority_bits: CpuInterface::features().priority_bits(),
    };
    let now = cpu::nanoseconds(cpu::ticks());
    let mut slots = Vec::new();
    let serving = crew.members().filter(|member| cpus.iter().any(|home| home.cpu == member.id()));
    let mut seating = Seating::new(serving.map(|member| (member.id(), member.mpidr())), &facts.pools)?;
    for config in &facts.guests {
        let chosen = seating.seat(config)?;
        let home = |cpu: &CpuId| cpus.iter().find(|home| home.cpu == *cpu).copied();
        let homes = chosen.iter().filter_map(home).collect();
        slots.push(GuestSlot::new(config, DomainId::new(slots.len() as u16), homes, now));
    }
    let guests = Guests {
        host,
        machine,
        registry: Registry::new(slots),
        controller,
        mitigations: options.mitigations,
        strict: options.strict_guests,
        slice: options.slice(),
        cpus,
        refusals: SpinLock::new(Refusals::default()),
        has_failed: AtomicBool::new(false),
        building: SpinLock::new(()),
    };
    crew.each(&|cpu| guests.serve(cpu));
    keyboard::stop();
    let refusals = guests.refusals.into_inner();
    let is_success = !guests.has_failed.load(Ordering::Relaxed) && refusals.count == 0;
    match refusals.last {
        Some(last) if refusals.count == facts.guests_at_boot() => Err(last),
        _ if is_success => Ok(Outcome::Success),
        _ => Ok(Outcome::Failure),
    }
}

/// Guests that cannot be started. While another may still be, each is worth an error; if none can, the last is fatal.
#[derive(Default)]
struct Refusals {
    count: usize,
    /// The last refusal, which has not been reported.
    last: Option<GuestError>,
}

impl Refusals {
    fn add(&mut self, why: GuestError) {
        self.tell();
        self.count += 1;
        self.last = Some(why);
    }

    /// Tells the last, because there is a guest that runs, or another refusal.
    fn tell(&mut self) {
        if let Some(why) = self.last.take() {
            error!("{why}: not started");
        }
    }
}

/// Has every CPU take interrupts. A CPU that cannot runs no guest; the CPU that boots must.
fn join(crew: &Crew, controller: &MachineGic) -> Result<Vec<Home>, ControllerError> {
    let joined = SpinLock::new(Vec::new());
    crew.each(&|cpu| {
        let result = controller.join();
        joined.lock().push((cpu, result));
    });
    crew::set_interruptible();
    let mut homes = Vec::new();
    let mut results = joined.into_inner();
    results.sort_by_key(|(cpu, _)| *cpu);
    for ((cpu, result), member) in results.into_iter().zip(crew.members()) {
        match result {
            Ok(()) => homes.push(Home { cpu, target: SgiTarget::of(member.mpidr()) }),
            Err(why) if cpu == CpuId::BOOT => return Err(why),
            Err(why) => warn!("CPU {cpu} runs no guest: {why}"),
        }
    }
    Ok(homes)
}

impl Guests<'_> {
    /// Serves the vCPUs of this CPU, until all guests have come to their ends.
    fn serve(&self, cpu: CpuId) {
        let Some(home) = self.cpus.iter().position(|home| home.cpu == cpu) else { return };
        let speculation =
            Speculation::new(cpu::identity(), cpu::id_register, firmware::workarounds(), self.mitigations);
        if speculation.holds_loads_back() {
            firmware::call(WORKAROUND_2, 1);
        }
        let seats = Seats::new(self.vcpus_of(cpu), cpu::ticks_in(self.slice));
        if home == 0 {
            info!("exits   {speculation}");
            self.build_all();
        }
        let interrupts = self.controller.interrupts();
        let own_timers = [interrupts.virtual_timer, interrupts.physical_timer];
        let services = CpuServices {
            registry: &self.registry,
            controller: &self.controller,
            interrupts,
            speculation,
            own_timers: (!seats.is_shared()).then_some(own_timers),
            seats,
        };
        let seats = &services.seats;
        while self.registry.is_alive() {
            for (index, seat) in seats.all().iter().enumerate().filter(|(_, seat)| !seat.is_on()) {
                self.look_after(seats, index, seat);
            }
            let now = cpu::ticks();
            seats.wake(now);
            match seats.next(now) {
                Some(index) => match Vcpu::run(&services, index) {
                    TurnEnd::Off => self.leave(seats, index),
                    end => seats.end(cpu::ticks(), end),
                },
                None => self.rest(&services),
            }
        }
    }

    /// Builds all guests, and has each start as soon as it is built.
    fn build_all(&self) {
        keyboard::start(&self.registry);
        let mut built = 0;
        for slot in self.registry.slots().iter().filter(|slot| !slot.is_over()) {
            let _one = self.building.lock();
            match Domain::build(self.host, slot.config(), slot.id(), slot.homes(), self.machine) {
                Ok(domain) => {
                    report(self.host, &domain, slot.homes());
                    slot.begin(domain);
                    built += 1;
                }
                Err(why) if self.strict => fatal!("{why}"),
                Err(why) => {
                    self.refusals.lock().add(why.into());
                    self.bury(slot);
                }
            }
        }
        if built > 0 {
            self.refusals.lock().tell();
        }
    }

    /// The guest of `slot` has come to its last end: if it was the last guest, all CPUs have to look.
    fn bury(&self, slot: &GuestSlot<'_>) {
        if self.registry.bury(slot) {
            self.cpus.iter().for_each(|home| sgi::kick(home.target));
        } else {
            keyboard::leave(&self.registry, slot.id());
        }
    }

    /// The vCPUs of a CPU.
    fn vcpus_of(&self, cpu: CpuId) -> impl Iterator<Item = (&GuestSlot<'_>, VcpuId)> {
        self.registry.slots().iter().flat_map(move |slot| {
            let homes = slot.homes().iter().enumerate().filter(move |(_, home)| home.cpu == cpu);
            homes.map(move |(vcpu, _)| (slot, VcpuId::new(vcpu as u16)))
        })
    }

    /// Switches a vCPU of this CPU that is off on if it is to start, and sees to its domain if that has ended.
    fn look_after(&self, seats: &Seats<'_>, index: usize, seat: &Seat<'_>) {
        let (slot, vcpu) = (seat.slot(), seat.vcpu());
        if vcpu == VcpuId::new(0) && slot.take_wanted() {
            let building = self.building.lock();
            let is_built = self.build_again(slot, true);
            drop(building);
            if !is_built {
                self.bury(slot);
            }
        }
        let Some(domain) = slot.current() else { return };
        // Taken before it is looked at: what is posted later interrupts this CPU again. A vCPU that begins looks at all there
        // is, and one that is off has no answer to what else could be asked.
        domain.life().inbox(vcpu).take();
        if !domain.life().has_ended()
            && let Some(entry) = domain.life().begin(vcpu)
        {
            seats.begin(index, domain, entry);
        } else {
            self.retire(slot, domain);
        }
    }

    /// A vCPU of this CPU is off from now on.
    fn leave(&self, seats: &Seats<'_>, index: usize) {
        if let Some(domain) = seats.leave(index)
            && let Some(seat) = seats.all().get(index)
        {
            self.retire(seat.slot(), domain);
        }
    }

    /// Gives a domain back, and takes it apart if its life has ended and this CPU was the last to have it.
    fn retire(&self, slot: &GuestSlot<'_>, domain: Arc<Domain>) {
        if let Some(domain) = slot.retire(domain) {
            self.after_life(slot, domain);
        }
    }

    /// Builds a guest that has had a life before. Whether it can be built.
    fn build_again(&self, slot: &GuestSlot<'_>, is_told: bool) -> bool {
        match Domain::build(self.host, slot.config(), slot.id(), slot.homes(), self.machine) {
            Ok(domain) => {
                if is_told {
                    report(self.host, &domain, slot.homes());
                }
                slot.begin(domain);
                true
            }
            Err(why) => {
                error!("{why}: not started again");
                self.has_failed.store(true, Ordering::Relaxed);
                false
            }
        }
    }

    /// Waits for an interrupt, unless something is posted to a vCPU of this CPU.
    fn rest(&self, services: &CpuServices<'_>) {
        let seats = &services.seats;
        // No vCPU runs, so a timer that is due is EL2's to look at, and not that of a vCPU.
        seats.evict();
        if seats.all().iter().any(Seat::is_called) || !self.registry.is_alive() {
            return;
        }
        seats.arm();
        // Interrupts are masked, and end WFI all the same: none is lost between the look and the wait.
        asm::wfi();
        let Some(id) = gic::acknowledge() else { return };
        gic::drop_priority(id);
        crew::stop_if_asked(Occupation::Idle);
        if services.interrupts.console == Some(id) {
            keyboard::typed(&self.registry, &|domain, vcpu, what| seats.show(domain, vcpu, what));
        } else if services.interrupts.hypervisor_timer == id {
            seats.flush();
        } else if id != KICK {
            self.controller.silence(id);
        }
        gic::deactivate(id);
    }

    /// Takes a domain apart whose life has ended, and builds it again if it is to start anew.
    fn after_life(&self, slot: &GuestSlot<'_>, domain: Domain) {
        let building = self.building.lock();
        let (host, name) = (self.host, slot.name());
        let end = domain.release(host).unwrap_or_else(|| unreachable!("it is taken apart because it has ended"));
        let _printed = slot.flush(Urgency::Now);
        slot.clear_keys();
        let free = (host.free_bytes() + host.grown_bytes()) >> 10;
        let starts_again = self.registry.starts_again(slot, &end);
        // A guest that does nothing but to start again would fill the console with what is said of each life.
        let is_told = !starts_again || slot.complaints().lock().has_room(name, cpu::nanoseconds(cpu::ticks()));
        if !starts_again {
            slot.complaints().lock().conclude(name);
        }
        let resets = if end == End::Reset { slot.count_reset() } else { 0 };
        if is_told {
            match &end {
                End::Off => println!("lacuna: {name}: switched off, free_kib={free}"),
                End::Ordered => println!("lacuna: {name}: ended at the prompt, free_kib={free}"),
                End::Reset => println!("lacuna: {name}: reset {resets}, free_kib={free}"),
                End::Stopped(why) => println!("lacuna: {name}: stopped: {why}, free_kib={free}"),
            }
            if starts_again && end != End::Reset {
                println!("lacuna: {name}: starts again, {}", Restarts(slot));
            }
        }
        if !starts_again && matches!(end, End::Stopped(_)) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        let again = starts_again && self.build_again(slot, is_told);
        drop(building);
        if !again {
            self.bury(slot);
        }
    }
}

/// How often a guest has started again by itself, and how often it may.
struct Restarts<'s, 'g>(&'s GuestSlot<'g>);

impl fmt::Display for Restarts<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restarts = self.0.restarts();
        match self.0.config().restart_limit {
            Some(limit) => write!(f, "{restarts} of {limit}"),
            None => write!(f, "{restarts}"),
        }
    }
}

/// Says what was built, to people and to scripts.
fn report(host: &HostMemory, domain: &Domain, homes: &[Home]) {
    let name = domain.name();
    let place = domain.placement();
    info!("guest   {name}: {}", domain.memory_in_words());
    for region in domain.map().regions() {
        info!("        {region}");
    }
    info!("        kernel at {}, device tree at {}", place.kernel.start, place.tree.start);
    for (vcpu, home) in homes.iter().enumerate() {
        info!("        vCPU {vcpu} on CPU {}", home.cpu);
    }
    let costs = domain.memory().costs();
    println!(
        "lacuna: guest {name} ram_kib={} overhead_bytes={} zero_ns={} clean_ns={} free_kib={}",
        domain.memory().bytes() >> 10,
        domain.overhead_bytes(),
        cpu::nanoseconds(costs.zero),
        cpu::nanoseconds(costs.clean),
        host.free_bytes() >> 10,
    );
}
