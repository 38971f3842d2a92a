//! The machine's GICv3, by the `arm-gic` crate: which interrupts come to EL2, and taking them.
//!
//! Every interrupt of the machine is EL2's. What is a guest's, its timers, is handed on through a list register that is
//! linked to the physical interrupt, so priority drop and deactivation are apart here (ICC_CTLR_EL1.EOImode, IHI 0069,
//! 4.8.4): EL2 drops the priority at once, and the guest's own end of interrupt deactivates.

pub mod list_registers;

use crate::addr::{PhysAddr, Span};
use crate::arch::aarch64::el3;
use crate::devtree::{Gic as Facts, Interrupt, Trigger};
use crate::vmap::{Vmap, VmapError};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{ICC_SRE_EL2, ID_AA64PFR0_EL1, MPIDR_EL1, ReadWriteable, Readable};
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicDistributor, GicError, GicRedistributor};
use arm_gic::{IntId, UniqueMmioPointer};
use core::arch::asm;
use core::ptr::NonNull;

/// MPIDR_EL1 without its flags: Aff3, Aff2, Aff1 and Aff0 (DDI 0487, D24.2.119).
const AFFINITY: u64 = 0xff_00ff_ffff;

/// The lowest priority that is let through, exclusive: all that an interrupt can have.
const EVERY_PRIORITY: u8 = 0xff;

/// Interrupt IDs from here to 1023 are no interrupts: 1023 is that none is pending (IHI 0069, 2.2.1).
const SPECIAL: u32 = 1020;

/// The first interrupt ID of a private peripheral interrupt; those below are software's.
const FIRST_PPI: u32 = 16;

/// The first interrupt ID that the distributor, not a redistributor, has.
const FIRST_SPI: u32 = 32;

/// Why the machine has no interrupt controller that guests could do with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterruptError {
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
    #[error("{node} has no redistributor for this CPU, MPIDR {mpidr:#x}")]
    NoRedistributor {
        /// The controller's node.
        node: alloc::string::String,
        /// The CPU's affinity.
        mpidr: u64,
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
        id: u32,
    },
}

/// The machine's interrupt controller, seen from this CPU.
pub struct Gic {
    distributor: GicDistributor<'static>,
    redistributor: GicRedistributor<'static>,
}

impl Gic {
    /// Maps the controller and sets it up: every interrupt disabled, in group 1, level-triggered; this CPU listens.
    ///
    /// # Errors
    ///
    /// [`InterruptError`].
    pub fn new(vmap: &'static Vmap, facts: &Facts) -> Result<Self, InterruptError> {
        let node = || facts.node.clone();
        if facts.distributor.bytes() < size_of::<Gicd>() as u64 {
            return Err(InterruptError::TooSmall { node: node(), bytes: facts.distributor.bytes() });
        }
        enable_system_registers()?;
        let map = |span: &Span| {
            let mapped = vmap.ioremap_for_good(span.start, span.bytes());
            mapped.map_err(|source| InterruptError::Unmappable { node: node(), source })
        };
        let registers = map(&facts.distributor)?.cast::<Gicd>();
        // SAFETY: the device tree says that there is a GICv3 distributor, it was just mapped as device memory for good, and
        // this is called once: nobody else drives it.
        let mut distributor = GicDistributor::new(unsafe { UniqueMmioPointer::new(registers) });
        let mpidr = MPIDR_EL1.get() & AFFINITY;
        let mut own = None;
        for region in &facts.redistributors {
            let found = find(map(region)?, region.bytes(), facts.stride, mpidr);
            own = own
                .or(found.map(|(offset, redistributor)| (PhysAddr::new(region.start.get() + offset), redistributor)));
        }
        let Some((address, mut redistributor)) = own else {
            return Err(InterruptError::NoRedistributor { node: node(), mpidr });
        };
        if el3::is_ours() {
            el3::give_interrupts(facts.distributor.start, address)
                .map_err(|answer| InterruptError::Secure { node: node(), answer })?;
        }
        // It is awake already if firmware has used it, which is no error.
        let _ = redistributor.mark_core_awake();
        // Settings may change only while an interrupt is disabled (IHI 0069, 12.9 "GICD_ICFGR").
        distributor.enable_all_interrupts(false);
        redistributor.configure_default_settings();
        distributor.configure_default_settings();
        GicCpuInterface::set_priority_mask(EVERY_PRIORITY);
        split_end_of_interrupt();
        GicCpuInterface::enable_group1(true);
        barrier::isb(barrier::SY);
        Ok(Self { distributor, redistributor })
    }

    /// Has `interrupt` come to this CPU.
    ///
    /// # Errors
    ///
    /// [`InterruptError::NoSuchInterrupt`].
    pub fn enable(&mut self, interrupt: Interrupt) -> Result<(), InterruptError> {
        let id = interrupt.id;
        self.configure(interrupt).map_err(|_| InterruptError::NoSuchInterrupt { id })
    }

    fn configure(&mut self, interrupt: Interrupt) -> Result<(), GicError> {
        let trigger = match interrupt.trigger {
            Trigger::Edge => arm_gic::Trigger::Edge,
            Trigger::Level => arm_gic::Trigger::Level,
        };
        if interrupt.id < FIRST_SPI {
            let id = IntId::ppi(interrupt.id.saturating_sub(FIRST_PPI));
            self.redistributor.set_trigger(id, trigger)?;
            return self.redistributor.enable_interrupt(id, true);
        }
        if interrupt.id >= SPECIAL || interrupt.id > self.distributor.typer().num_spis() + FIRST_SPI - 1 {
            return Err(GicError::InvalidGicdIntid(IntId::spi(0)));
        }
        let id = IntId::spi(interrupt.id - FIRST_SPI);
        self.distributor.set_trigger(id, trigger)?;
        self.distributor.set_routing(id, Some(MPIDR_EL1.get() & AFFINITY))?;
        self.distributor.enable_interrupt(id, true)
    }
}

/// The redistributor of the CPU `mpidr` in a region of `bytes`, and its offset, if it is there. From one to the next it is
/// `stride` bytes, or as many as each says that it has: those with virtual LPIs have two frames more (IHI 0069, 12.10).
fn find(region: NonNull<u8>, bytes: u64, stride: Option<u64>, mpidr: u64) -> Option<(u64, GicRedistributor<'static>)> {
    const FRAMES: u64 = size_of::<GicrSgi>() as u64;
    let mut offset = 0;
    while offset + FRAMES <= bytes {
        // SAFETY: so many bytes are mapped from there on.
        let registers = unsafe { region.add(offset as usize) }.cast::<GicrSgi>();
        // SAFETY: the region is mapped for good, and the device tree says that it holds redistributors; nobody else drives
        // this one, and no other pointer to it is left from the last time round.
        let redistributor = GicRedistributor::new(unsafe { UniqueMmioPointer::new(registers) });
        let about = redistributor.typer();
        if about.core_mpidr() == mpidr {
            return Some((offset, redistributor));
        }
        if about.last_redistributor() {
            return None;
        }
        offset += stride.unwrap_or(if about.virtual_lpis_supported() { 2 * FRAMES } else { FRAMES });
    }
    None
}

/// Turns the system registers of the CPU interface on, for EL2 and for guests.
fn enable_system_registers() -> Result<(), InterruptError> {
    // ID_AA64PFR0_EL1.GIC, bits 27:24: without them, touching one is undefined, whatever the device tree says.
    if ID_AA64PFR0_EL1.get() >> 24 & 0xf == 0 {
        return Err(InterruptError::NoSystemRegisters);
    }
    ICC_SRE_EL2.modify(ICC_SRE_EL2::SRE::SET + ICC_SRE_EL2::ENABLE::SET);
    barrier::isb(barrier::SY);
    if ICC_SRE_EL2.is_set(ICC_SRE_EL2::SRE) { Ok(()) } else { Err(InterruptError::NoSystemRegisters) }
}

/// Sets ICC_CTLR_EL1.EOImode, bit 1: the end of an interrupt drops its priority and no more.
fn split_end_of_interrupt() {
    // SAFETY: changes what `drop_priority` and `deactivate` do, to what they say.
    unsafe { asm!("msr icc_ctlr_el1, {}", in(reg) 0b10_u64, options(nomem, nostack, preserves_flags)) };
}

/// Takes the most urgent interrupt, which is active from then on.
#[inline]
pub fn acknowledge() -> Option<u32> {
    let id: u64;
    // SAFETY: the interrupt that is taken gets to the caller.
    unsafe { asm!("mrs {}, icc_iar1_el1", out(reg) id, options(nomem, nostack, preserves_flags)) };
    // The effect of the acknowledgement must be there before the device is touched (IHI 0069, 4.1.1).
    barrier::dsb(barrier::SY);
    Some(id as u32).filter(|id| *id < SPECIAL)
}

/// Lets others of the priority of `id` through; `id` stays active.
#[inline]
pub fn drop_priority(id: u32) {
    // SAFETY: only changes which interrupts come next.
    unsafe { asm!("msr icc_eoir1_el1, {}", in(reg) u64::from(id), options(nomem, nostack, preserves_flags)) };
}

/// Ends the active state of `id`.
#[inline]
pub fn deactivate(id: u32) {
    // SAFETY: only changes which interrupts come next.
    unsafe { asm!("msr icc_dir_el1, {}", in(reg) u64::from(id), options(nomem, nostack, preserves_flags)) };
}
