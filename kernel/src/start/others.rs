//! The secondary CPUs: each gets a block and stacks, is started, and joins the crew.
//!
//! A CPU that cannot be started, does not arrive within a second, or lacks a feature that the boot CPU's decisions rest
//! on, is reported by its node and left out: the machine continues with the others. Its memory is not freed, since it
//! may still arrive.

use crate::arch;
use crate::arch::aarch64::{controls, cpu, mmu, virtualization};
use crate::arch::capabilities::{Capabilities, Lack};
use crate::arch::lock::SpinLock;
use crate::base::addr::{PAGE_SIZE, PhysAddr};
use crate::base::attributes::Attributes;
use crate::base::id::{CpuId, Mpidr};
use crate::cpu::block::CpuBlock;
use crate::cpu::crew::{Crew, CrewMember, within};
use crate::cpu::{fixup, power};
use crate::devtree::{CpuFacts, EnableMethod, Facts, PsciFacts};
use crate::frames::page_alloc::PageError;
use crate::memory::HostMemory;
use crate::trap::exceptions;
use crate::vmap::VmapError;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::num::NonZeroU16;
use core::time::Duration;
use lacuna_boot::{CpuStart, FAULT_STACK_BYTES, Refusal, STACK_BYTES, VectorState};
use log::warn;
use smccc::{Call, Smc};

/// Why a CPU is left out.
#[derive(Debug, thiserror::Error)]
enum LeftOut {
    #[error("it has no enable-method")]
    NoMethod,
    #[error("enable-method '{0}' is neither psci nor spin-table with an address")]
    UnknownMethod(String),
    #[error("firmware cannot be called: the device tree has no PSCI by SMC with CPU_ON")]
    NoFirmware,
    #[error("PSCI CPU_ON returned {0}")]
    Refused(PsciError),
    #[error("its release address {at} is no multiple of 8")]
    Misaligned { at: PhysAddr },
    #[error("its release address {at} cannot be mapped: {source}")]
    Release { at: PhysAddr, source: VmapError },
    #[error("it has not come within a second")]
    Silent,
    #[error("{0}")]
    Arrived(Arrival),
    #[error("it {0}")]
    Lacks(Lack),
    #[error("there are no frames for its stacks: {0}")]
    Frames(PageError),
    #[error("its stacks cannot be mapped: {0}")]
    Stacks(VmapError),
}

/// A CPU that came and could not go on, in words.
#[derive(Debug)]
struct Arrival(Refusal);

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::Level(level) => write!(f, "it arrived at EL{level} instead of EL2"),
            Refusal::HostExtensions => f.write_str("it cannot run EL2 without its host extensions (HCR_EL2.E2H is 1)"),
            Refusal::Granule => f.write_str("it has no 4 KiB translation granule (ID_AA64MMFR0_EL1.TGran4)"),
            Refusal::PhysicalRange(range) => {
                write!(f, "it has fewer physical address bits than the CPU that boots (PARange {range})")
            }
        }
    }
}

/// An error of PSCI (DEN0022, 5.2.2), by number and name.
#[derive(Debug)]
struct PsciError(i32);

impl fmt::Display for PsciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            -1 => "NOT_SUPPORTED",
            -2 => "INVALID_PARAMETERS",
            -3 => "DENIED",
            -4 => "ALREADY_ON",
            -5 => "ON_PENDING",
            -6 => "INTERNAL_FAILURE",
            -7 => "NOT_PRESENT",
            -8 => "DISABLED",
            -9 => "INVALID_ADDRESS",
            _ => "an unknown error",
        };
        write!(f, "{} ({name})", self.0)
    }
}

/// The arguments of an arriving CPU, beside those of the assembly.
#[repr(C)]
struct Recruit {
    start: CpuStart,
    member: CrewMember,
    wanted: Capabilities,
    /// What it lacks, once it has found that out.
    lack: SpinLock<Option<Lack>>,
}

/// Starts the CPUs of the device tree, `max` of them at most with the one that boots, one after the other.
///
/// # Panics
///
/// If it is called twice.
pub fn start_others(host: &HostMemory, facts: &Facts<'_>, max: NonZeroU16) -> &'static Crew {
    let own = cpu::affinity();
    let mut crew = Crew::new(Box::leak(Box::new(CrewMember::new(CpuId::BOOT, own))));
    if !facts.cpus.is_empty() && !facts.cpus.iter().any(|cpu| cpu.mpidr == own) {
        warn!("the device tree has no CPU with affinity {own}, which is this CPU's");
    }
    let wanted = virtualization::capabilities();
    let others = facts.cpus.iter().filter(|cpu| cpu.mpidr != own).zip(1..max.get());
    for (facts_of_cpu, number) in others {
        match start(host, facts_of_cpu, CpuId::new(number), facts.psci, wanted) {
            Ok(member) => crew.add(member),
            Err(why) => warn!("{} is left out: {why}", facts_of_cpu.node),
        }
    }
    crew.complete()
}

/// Starts one CPU, and waits until it runs.
fn start(
    host: &HostMemory,
    facts: &CpuFacts,
    id: CpuId,
    psci: Option<PsciFacts>,
    wanted: Capabilities,
) -> Result<&'static CrewMember, LeftOut> {
    let method = Method::of(facts, psci)?;
    let [stack, fault_stack] = [stack(host, STACK_BYTES)?, stack(host, FAULT_STACK_BYTES)?];
    let block = Box::leak(Box::new(CpuBlock::new(VectorState::new(stack, fault_stack), id)));
    let address = core::ptr::from_mut(block).expose_provenance() as u64;
    let recruit = &*Box::leak(Box::new(Recruit {
        start: CpuStart::new(facts.mpidr.get(), mmu::translation(), address, stack + STACK_BYTES),
        member: CrewMember::new(id, facts.mpidr),
        wanted,
        lack: SpinLock::new(None),
    }));
    // It reads that, and may write a refusal, past the caches.
    arch::clean_and_invalidate(bytes_of(&recruit.start));
    arch::clean_to_poc(lacuna_boot::set_pending(&recruit.start));
    method.call(host, facts.mpidr)?;
    cpu::send_event();
    let member = &recruit.member;
    let refusal = || {
        arch::clean_and_invalidate(bytes_of(&recruit.start));
        recruit.start.refusal()
    };
    within(Duration::from_secs(1), || member.is_ready() || recruit.lack.lock().is_some() || refusal().is_some());
    // Whatever it says from here on comes too late.
    if !member.leave_out() && member.is_ready() {
        return Ok(member);
    }
    let lack = *recruit.lack.lock();
    Err(match (lack, refusal()) {
        (Some(lack), _) => LeftOut::Lacks(lack),
        (_, Some(refusal)) => LeftOut::Arrived(Arrival(refusal)),
        (None, None) => LeftOut::Silent,
    })
}

/// Memory for a stack, mapped for good with an unmapped page at either end. Returns its lowest address.
fn stack(host: &HostMemory, bytes: u64) -> Result<u64, LeftOut> {
    let pages = bytes / PAGE_SIZE;
    let first = host.alloc_for_good(pages.ilog2()).map_err(LeftOut::Frames)?;
    let mapping = host.vmap_contig(first, pages, Attributes::DATA).map_err(LeftOut::Stacks)?;
    Ok(mapping.leak().get())
}

const _: () = assert!((STACK_BYTES / PAGE_SIZE).is_power_of_two() && (FAULT_STACK_BYTES / PAGE_SIZE).is_power_of_two());

/// The memory of `start`, for cache maintenance.
fn bytes_of(start: &CpuStart) -> &[u8] {
    // SAFETY: the bytes of a value that lives, of integers without padding between. Nobody reads them through the slice: cache
    // maintenance takes their address.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(start).cast(), size_of::<CpuStart>()) }
}

/// How a CPU can be started.
enum Method {
    /// By this function of the firmware, called by SMC.
    Psci { cpu_on: u32 },
    /// By an address that is written there.
    SpinTable { release: PhysAddr },
}

impl Method {
    fn of(facts: &CpuFacts, psci: Option<PsciFacts>) -> Result<Self, LeftOut> {
        match &facts.enable {
            EnableMethod::Absent => Err(LeftOut::NoMethod),
            EnableMethod::Unknown(method) => Err(LeftOut::UnknownMethod(method.clone())),
            EnableMethod::SpinTable { release } if release.is_aligned(size_of::<u64>() as u64) => {
                Ok(Self::SpinTable { release: *release })
            }
            EnableMethod::SpinTable { release } => Err(LeftOut::Misaligned { at: *release }),
            EnableMethod::Psci => {
                let cpu_on = psci.and_then(|psci| psci.cpu_on).filter(|_| power::calls_by_smc());
                Ok(Self::Psci { cpu_on: cpu_on.ok_or(LeftOut::NoFirmware)? })
            }
        }
    }

    /// Has the CPU begin at the image's entry for CPUs that are started.
    fn call(&self, host: &HostMemory, mpidr: Mpidr) -> Result<(), LeftOut> {
        let entry = lacuna_boot::secondary_entry();
        match *self {
            Self::Psci { cpu_on } => {
                let mut arguments = [0; 17];
                arguments[..2].copy_from_slice(&[mpidr.get(), entry]);
                let call = || Smc::call64(cpu_on, arguments)[0] as i32;
                // SAFETY: nothing is owned or half done at the SMC, which is UNDEFINED where the tree speaks of firmware that
                // is not there.
                match unsafe { fixup::catch(call) } {
                    Ok(0) => Ok(()),
                    Ok(error) => Err(LeftOut::Refused(PsciError(error))),
                    Err(_) => Err(LeftOut::NoFirmware),
                }
            }
            Self::SpinTable { release } => {
                // The address may lie in memory of the firmware's, where CPUs wait with their caches off.
                let mapping = host.map_bytes(release, size_of::<u64>() as u64, Attributes::DATA);
                let mapping = mapping.map_err(|source| LeftOut::Release { at: release, source })?;
                let address = mapping.as_ptr().cast::<u64>();
                // By one store: the CPU polls the word, and goes where the first part of it would lead.
                // SAFETY: the 8 bytes are mapped read-write and aligned, and the device tree says that they are for this.
                unsafe { address.write_volatile(entry.to_le()) };
                // SAFETY: the 8 bytes that were just written.
                arch::clean_to_poc(unsafe { address.cast::<[u8; size_of::<u64>()]>().as_ref() });
                Ok(())
            }
        }
    }
}

/// A CPU that was started, from `boot/src/secondary.S`, with the translation of the CPU that boots and a stack of its own.
/// `recruit` is where its [`CpuStart`] is.
#[unsafe(no_mangle)]
extern "C" fn lacuna_secondary(recruit: &'static Recruit) -> ! {
    controls::set();
    exceptions::unmask_serror();
    match recruit.wanted.are_met_by(&virtualization::capabilities()) {
        Ok(()) => recruit.member.serve(),
        Err(lack) => {
            *recruit.lack.lock() = Some(lack);
            recruit.member.rest()
        }
    }
}
