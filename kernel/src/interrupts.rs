//! The machine's interrupt controller, and which of its interrupts come to EL2.

use crate::arch::aarch64::gic::{Gic, enable_system_registers, find_redistributor};
use crate::arch::aarch64::{cpu, el3};
use crate::base::addr::{PhysAddr, Span};
use crate::base::id::{Mpidr, PhysIntid};
use crate::base::interrupt::{Interrupt, Trigger};
use crate::devtree::{self, Facts};
use crate::vmap::{Vmap, VmapError};
use arm_gic::gicv3::registers::Gicd;
use log::warn;

/// What a device tree need not say: where Arm's Base System Architecture (DEN0094) has the private interrupts.
const MAINTENANCE: Interrupt = Interrupt { id: PhysIntid::new(25), trigger: Trigger::Level };
const VIRTUAL_TIMER: Interrupt = Interrupt { id: PhysIntid::new(27), trigger: Trigger::Level };
const PHYSICAL_TIMER: Interrupt = Interrupt { id: PhysIntid::new(30), trigger: Trigger::Level };

/// Why the machine has no interrupt controller that guests could do with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// Its registers cannot be mapped.
    #[error("{node} cannot be mapped: {source}")]
    Unmappable {
        /// The controller's node.
        node: alloc::string::String,
        /// Why.
        source: VmapError,
    },
    /// It is too small to be one.
    #[error("{node} has {bytes:#x} bytes of distributor, a GICv3 has 64 KiB")]
    TooSmall {
        /// The controller's node.
        node: alloc::string::String,
        /// The length that its `reg` gives.
        bytes: u64,
    },
    /// No redistributor says that it is this CPU's.
    #[error("{node} has no redistributor for this CPU, MPIDR {mpidr}")]
    NoRedistributor {
        /// The controller's node.
        node: alloc::string::String,
        /// The CPU's affinity.
        mpidr: Mpidr,
    },
    /// EL3 was entered by this image, and does not do what its code there does.
    #[error("interrupts of {node} stay the Secure state's: EL3 answered {answer:#x}")]
    Secure {
        /// The controller's node.
        node: alloc::string::String,
        /// What EL3 answered.
        answer: u64,
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
    /// That of the virtual CPU interface.
    pub maintenance: PhysIntid,
    /// The console's, if keys can be had.
    pub console: Option<PhysIntid>,
}

/// Sets `controller` up, and routes the interrupts that guests need to this CPU.
///
/// # Errors
///
/// [`ControllerError`].
pub fn start(
    vmap: &'static Vmap,
    controller: &devtree::GicFacts,
    facts: &Facts<'_>,
) -> Result<Interrupts, ControllerError> {
    let mut gic = set_up(vmap, controller)?;
    let virtual_timer = facts.virtual_timer.unwrap_or(VIRTUAL_TIMER);
    let physical_timer = facts.physical_timer.unwrap_or(PHYSICAL_TIMER);
    let maintenance = controller.maintenance.unwrap_or(MAINTENANCE);
    let console = facts.console.as_ref().and_then(|console| console.interrupt);
    for interrupt in [virtual_timer, physical_timer, maintenance].into_iter().chain(console) {
        gic.enable(interrupt).map_err(|_| ControllerError::NoSuchInterrupt { id: interrupt.id })?;
    }
    if console.is_none() {
        warn!("the console has no interrupt: nothing can be typed");
    }
    Ok(Interrupts {
        virtual_timer: virtual_timer.id,
        physical_timer: physical_timer.id,
        maintenance: maintenance.id,
        console: console.map(|interrupt| interrupt.id),
    })
}

/// Maps the registers of `controller`, finds the redistributor of this CPU, and sets both up.
fn set_up(vmap: &'static Vmap, controller: &devtree::GicFacts) -> Result<Gic, ControllerError> {
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
    let distributor = map(&controller.distributor)?.cast::<Gicd>();
    let mpidr = cpu::affinity();
    let mut own = None;
    for region in &controller.redistributors {
        let (registers, bytes) = (map(region)?, region.bytes());
        // SAFETY: the region was just mapped as device memory for good, the device tree says that it holds redistributors,
        // and this is called once: nobody else drives them.
        let found = unsafe { find_redistributor(registers, bytes, controller.stride, mpidr) };
        own = own.or(found.map(|(offset, redistributor)| (PhysAddr::new(region.start.get() + offset), redistributor)));
    }
    let Some((address, redistributor)) = own else {
        return Err(ControllerError::NoRedistributor { node: node(), mpidr });
    };
    if el3::is_ours() {
        el3::give_interrupts(controller.distributor.start, address)
            .map_err(|answer| ControllerError::Secure { node: node(), answer })?;
    }
    // SAFETY: the device tree says that there is a GICv3 distributor, it was just mapped as device memory for good, and
    // this is called once: nobody else drives it.
    Ok(unsafe { Gic::set_up(distributor, redistributor) })
}
