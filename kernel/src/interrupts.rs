//! The machine's interrupt controller, and which of its interrupts come to EL2.

use crate::arch::aarch64::gic::{
    Distributor, Redistributor, enable_system_registers, find_redistributor, has_range_selector,
};
use crate::arch::aarch64::{cpu, el3};
use crate::arch::lock::SpinLock;
use crate::arch::sgi::{KICK, SgiTarget};
use crate::base::addr::{PhysAddr, Span};
use crate::base::id::{Mpidr, PhysIntid};
use crate::base::interrupt::{Interrupt, Trigger};
use crate::devtree::{self, Facts};
use crate::vmap::{Vmap, VmapError};
use alloc::string::String;
use alloc::vec::Vec;
use arm_gic::gicv3::GicRedistributor;
use arm_gic::gicv3::registers::Gicd;
use core::ptr::NonNull;
use log::warn;

/// What a device tree need not say: where Arm's Base System Architecture (DEN0094) has the private interrupts.
const MAINTENANCE: Interrupt = Interrupt { id: PhysIntid::new(25), trigger: Trigger::Level };
const VIRTUAL_TIMER: Interrupt = Interrupt { id: PhysIntid::new(27), trigger: Trigger::Level };
const HYPERVISOR_TIMER: Interrupt = Interrupt { id: PhysIntid::new(26), trigger: Trigger::Level };
const PHYSICAL_TIMER: Interrupt = Interrupt { id: PhysIntid::new(30), trigger: Trigger::Level };

/// Why the machine has no interrupt controller that guests could do with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// Its registers cannot be mapped.
    #[error("{node} cannot be mapped: {source}")]
    Unmappable {
        /// The controller's node.
        node: String,
        /// Why.
        source: VmapError,
    },
    /// It is too small to be one.
    #[error("{node} has {bytes:#x} bytes of distributor, a GICv3 has 64 KiB")]
    TooSmall {
        /// The controller's node.
        node: String,
        /// The length that its `reg` gives.
        bytes: u64,
    },
    /// No redistributor says that it is this CPU's.
    #[error("{node} has no redistributor for this CPU, MPIDR {mpidr}")]
    NoRedistributor {
        /// The controller's node.
        node: String,
        /// The CPU's affinity.
        mpidr: Mpidr,
    },
    /// EL3 was entered by this image, and does not do what its code there does.
    #[error("interrupts of {node} stay the Secure state's: EL3 answered {answer:#x}")]
    Secure {
        /// The controller's node.
        node: String,
        /// What EL3 answered.
        answer: u64,
    },
    /// No other CPU can interrupt this one.
    #[error("{node} cannot send an SGI to this CPU, MPIDR {mpidr}: it has no range selector (ICC_CTLR_EL1.RSS)")]
    NoRangeSelector {
        /// The controller's node.
        node: String,
        /// The CPU's affinity.
        mpidr: Mpidr,
    },
    /// The system registers of the CPU interface cannot be used.
    #[error("this CPU has no system registers of a GICv3 (ID_AA64PFR0_EL1.GIC, ICC_SRE_EL2.SRE)")]
    NoSystemRegisters,
    /// An interrupt that the device tree names does not exist.
    #[error("interrupt {id} does not exist")]
    NoSuchInterrupt {
        /// Its ID.
        id: PhysIntid,
    },
}

/// The machine's interrupts that concern a guest.
#[derive(Clone, Copy, Debug)]
pub struct Interrupts {
    /// The virtual timer's.
    pub virtual_timer: PhysIntid,
    /// The physical timer's.
    pub physical_timer: PhysIntid,
    /// That of EL2's own physical timer.
    pub hypervisor_timer: PhysIntid,
    /// That of the virtual CPU interface.
    pub maintenance: PhysIntid,
    /// The console's, if keys can be had. It goes to the CPU that boots.
    pub console: Option<PhysIntid>,
}

/// The machine's interrupt controller.
pub struct MachineGic {
    node: String,
    distributor: SpinLock<Distributor>,
    /// Where redistributors are mapped, how many bytes of them, and their physical address.
    redistributors: Vec<(RedistributorRegion, Span)>,
    /// Bytes from one to the next, if they are not packed.
    stride: Option<u64>,
    /// Those that are private to each CPU.
    private: [Interrupt; 4],
    interrupts: Interrupts,
}

/// The first byte of a region of redistributors.
struct RedistributorRegion(NonNull<u8>);

// SAFETY: device memory that is mapped for good on all CPUs. Each CPU drives the redistributor that is its own, and looks at
// the others' for whose they are only, while it holds the distributor's lock.
unsafe impl Send for RedistributorRegion {}

// SAFETY: as for `Send`, nothing is done through a shared reference but to copy the address.
unsafe impl Sync for RedistributorRegion {}

impl MachineGic {
    /// Maps the registers of the controller that `facts` names, sets the distributor up, and routes the console's interrupt to
    /// this CPU. Each CPU has to [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// [`ControllerError`].
    pub fn start(
        vmap: &'static Vmap,
        controller: &devtree::GicFacts,
        facts: &Facts<'_>,
    ) -> Result<Self, ControllerError> {
        let node = || controller.node.clone();
        if controller.distributor.bytes() < size_of::<Gicd>() as u64 {
            return Err(ControllerError::TooSmall { node: node(), bytes: controller.distributor.bytes() });
        }
        if !enable_system_registers() {
            return Err(ControllerError::NoSystemRegisters);
        }
        let map = |span: &Span| {
            let mapped = vmap.ioremap_for_good(span.start, span.bytes());
            mapped.map_err(|source| ControllerError::Unmappable { node: node(), source })
        };
        let registers = map(&controller.distributor)?.cast::<Gicd>();
        let regions = controller.redistributors.iter();
        let redistributors: Result<Vec<_>, _> =
            regions.map(|region| Ok((RedistributorRegion(map(region)?), *region))).collect();
        let redistributors = redistributors?;
        if el3::is_ours() {
            let found = find(&redistributors, controller.stride);
            let (address, _) =
                found.ok_or_else(|| ControllerError::NoRedistributor { node: node(), mpidr: cpu::affinity() })?;
            el3::give_interrupts(controller.distributor.start, address)
                .map_err(|answer| ControllerError::Secure { node: node(), answer })?;
        }
        // SAFETY: the device tree says that there is a GICv3 distributor, it was just mapped as device memory for good, and
        // this is called once: nobody else drives it.
        let mut distributor = unsafe { Distributor::set_up(registers) };
        let console = facts.console.as_ref().and_then(|console| console.interrupt);
        match console {
            None => warn!("the console has no interrupt: nothing can be typed"),
            Some(interrupt) => distributor
                .enable(interrupt, cpu::affinity())
                .map_err(|_| ControllerError::NoSuchInterrupt { id: interrupt.id })?,
        }
        let private = [
            facts.virtual_timer.unwrap_or(VIRTUAL_TIMER),
            facts.physical_timer.unwrap_or(PHYSICAL_TIMER),
            facts.hypervisor_timer.unwrap_or(HYPERVISOR_TIMER),
            controller.maintenance.unwrap_or(MAINTENANCE),
        ];
        let [virtual_timer, physical_timer, hypervisor_timer, maintenance] = private.map(|interrupt| interrupt.id);
        let console = console.map(|interrupt| interrupt.id);
        Ok(Self {
            node: node(),
            distributor: SpinLock::new(distributor),
            redistributors,
            stride: controller.stride,
            private,
            interrupts: Interrupts { virtual_timer, physical_timer, hypervisor_timer, maintenance, console },
        })
    }

    /// Has this CPU take interrupts: those of its timers, of its virtual CPU interface, and of other CPUs.
    ///
    /// # Errors
    ///
    /// [`ControllerError`] if it cannot.
    pub fn join(&self) -> Result<(), ControllerError> {
        // One CPU at a time looks for its redistributor.
        let _one = self.distributor.lock();
        let mpidr = cpu::affinity();
        if !enable_system_registers() {
            return Err(ControllerError::NoSystemRegisters);
        }
        if SgiTarget::of(mpidr).needs_range() && !has_range_selector() {
            return Err(ControllerError::NoRangeSelector { node: self.node.clone(), mpidr });
        }
        let found = find(&self.redistributors, self.stride);
        let (_, redistributor) =
            found.ok_or_else(|| ControllerError::NoRedistributor { node: self.node.clone(), mpidr })?;
        let mut redistributor = Redistributor::set_up(redistributor, KICK);
        for interrupt in self.private {
            redistributor.enable(interrupt).map_err(|_| ControllerError::NoSuchInterrupt { id: interrupt.id })?;
        }
        Ok(())
    }

    /// Which interrupt is what.
    pub fn interrupts(&self) -> Interrupts {
        self.interrupts
    }

    /// Disables an interrupt that nobody expects, and says so.
    #[cold]
    pub fn silence(&self, id: PhysIntid) {
        self.distributor.lock().disable(id);
        warn!("unexpected interrupt {id}: disabled");
    }
}

/// The redistributor of this CPU in `regions`, and its physical address.
fn find(regions: &[(RedistributorRegion, Span)], stride: Option<u64>) -> Option<(PhysAddr, GicRedistributor<'static>)> {
    regions.iter().find_map(|(RedistributorRegion(registers), region)| {
        // SAFETY: the region was mapped as device memory for good, and the device tree says that it holds redistributors. The
        // CPU that looks holds the distributor's lock, or is alone as yet; the one that it finds is its own.
        let found = unsafe { find_redistributor(*registers, region.bytes(), stride, cpu::affinity()) };
        found.map(|(offset, redistributor)| (PhysAddr::new(region.start.get() + offset), redistributor))
    })
}
