//! Guests from the device tree to their end.

use crate::arch::aarch64::gic::list_registers::CpuInterface;
use crate::arch::aarch64::{cpu, semihosting, virtualization};
use crate::arch::workarounds::WORKAROUND_2;
use crate::base::id::{DomainId, VcpuId};
use crate::base::outcome::Outcome;
use crate::cpu::firmware;
use crate::devtree::Facts;
use crate::guest::complaints::Complaints;
use crate::guest::domain::{BuildError, Domain, MachineFacts};
use crate::guest::exit::speculation::Speculation;
use crate::guest::vcpu::{End, Vcpu, keyboard};
use crate::interrupts::{self, ControllerError};
use crate::memory::HostMemory;
use crate::options::Mitigations;
use crate::println;
use alloc::string::String;
use log::{info, warn};

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
    /// A guest cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Runs the guests that the device tree describes, until the last has come to its end.
///
/// # Errors
///
/// [`GuestError`] if one cannot be started.
pub fn run(host: &HostMemory, facts: &Facts<'_>, mitigations: Mitigations) -> Result<Outcome, GuestError> {
    let Some((first, others)) = facts.guests.split_first() else { return Ok(Outcome::Success) };
    for other in others {
        warn!("{}: more than one guest is not supported yet: not started", other.node);
    }
    if semihosting::answers() {
        return Err(GuestError::Semihosting { guest: first.node.clone() });
    }
    if !virtualization::has_stage_2_of_4k() {
        return Err(GuestError::NoStage2);
    }
    let controller = facts.gic.as_ref().ok_or_else(|| GuestError::NoGic { guest: first.node.clone() })?;
    let interrupts = interrupts::start(host.vmap(), controller, facts)?;
    let machine = MachineFacts {
        midr: cpu::identity(),
        physical_bits: cpu::physical_address_bits(),
        priority_bits: CpuInterface::features().priority_bits(),
    };
    let speculation = Speculation::new(cpu::identity(), cpu::id_register, firmware::workarounds(), mitigations);
    if speculation.holds_loads_back() {
        firmware::call(WORKAROUND_2, 1);
    }
    info!("exits   {speculation}");
    keyboard::start(1, DomainId::new(0));
    let mut complaints = Complaints::new(cpu::nanoseconds(cpu::ticks()));
    let mut resets = 0_u64;
    // A guest that does nothing but to reset itself would fill the console with what is said of each life.
    let mut is_told = true;
    loop {
        let domain = Domain::build(host, first, DomainId::new(0), machine)?;
        if is_told {
            report(host, &domain);
        }
        let end = Vcpu::run(&domain, VcpuId::new(0), interrupts, &speculation, &mut complaints);
        domain.release(host);
        let (name, free) = (&first.name, (host.free_bytes() + host.grown_bytes()) >> 10);
        match end {
            End::Off => {
                complaints.conclude(name);
                println!("lacuna: {name}: switched off, free_kib={free}");
                return Ok(Outcome::Success);
            }
            End::Reset => {
                resets += 1;
                is_told = complaints.has_room(name, cpu::nanoseconds(cpu::ticks()));
                if is_told {
                    println!("lacuna: {name}: reset {resets}, free_kib={free}");
                }
            }
            End::Stopped(why) => {
                complaints.conclude(name);
                println!("lacuna: {name}: stopped: {why}, free_kib={free}");
                return Ok(Outcome::Failure);
            }
        }
    }
}

/// Says what was built, to people and to scripts.
fn report(host: &HostMemory, domain: &Domain) {
    let name = domain.name();
    let place = domain.placement();
    info!("guest   {name}: {}", domain.memory_in_words());
    for region in domain.map().regions() {
        info!("        {region}");
    }
    info!("        kernel at {}, device tree at {}", place.kernel.start, place.tree.start);
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
