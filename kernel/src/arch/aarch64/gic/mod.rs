//! The machine's GICv3, driven by the `arm-gic` crate: routing interrupts to EL2, and acknowledging them.
//!
//! Every physical interrupt is routed to EL2. EL2 forwards a guest's timer interrupt through a list register that is
//! linked to the physical interrupt. Priority drop and deactivation are therefore separate (ICC_CTLR_EL1.EOImode, IHI
//! 0069, 4.8.4): EL2 drops the priority at once, and the guest's own end of interrupt deactivates the physical
//! interrupt.

pub mod list_registers;

use crate::base::id::{Mpidr, PhysIntid};
use crate::base::interrupt::{Interrupt, Trigger};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{ICC_SRE_EL2, ID_AA64PFR0_EL1, ReadWriteable, Readable};
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicDistributor, GicError, GicRedistributor};
use arm_gic::{IntId, UniqueMmioPointer};
use arm_sysregs::el1::accessors::{
    read_icc_ctlr_el1, read_icc_iar1_el1, write_icc_ctlr_el1, write_icc_dir_el1, write_icc_eoir1_el1,
    write_icc_sgi1r_el1,
};
use arm_sysregs::el1::registers::{IccCtlrEl1, IccDirEl1, IccEoir1El1, IccSgi1rEl1};
use core::ptr::NonNull;

/// The lowest priority that is let through, exclusive: all that an interrupt can have.
const EVERY_PRIORITY: u8 = 0xff;

/// Interrupt IDs from here to 1023 are no interrupts: 1023 is that none is pending (IHI 0069, 2.2.1).
const SPECIAL: u32 = 1020;

/// The first interrupt ID of a private peripheral interrupt; those below are software's.
const FIRST_PPI: u32 = 16;

/// The first interrupt ID that the distributor, not a redistributor, has.
const FIRST_SPI: u32 = 32;

/// The machine's distributor, which all CPUs share.
pub struct Distributor(GicDistributor<'static>);

/// The redistributor of this CPU, which has its private interrupts.
pub struct Redistributor(GicRedistributor<'static>);

impl Distributor {
    /// Sets the distributor up: every shared interrupt disabled, in group 1, level-triggered.
    ///
    /// Relies on interrupts that the Non-secure state has.
    ///
    /// # Safety
    ///
    /// `registers` must be those of a GICv3's distributor, mapped as device memory for good, which nobody else drives.
    pub unsafe fn set_up(registers: NonNull<Gicd>) -> Self {
        // SAFETY: the caller vouches for the registers.
        let mut distributor = GicDistributor::new(unsafe { UniqueMmioPointer::new(registers) });
        // Settings may change only while an interrupt is disabled (IHI 0069, 12.9 "GICD_ICFGR").
        distributor.enable_all_interrupts(false);
        distributor.configure_default_settings();
        Self(distributor)
    }

    /// Routes `interrupt`, a shared one, to the CPU with the affinity `target`, and enables it.
    ///
    /// # Errors
    ///
    /// [`GicError`] if there is no such interrupt.
    pub fn enable(&mut self, interrupt: Interrupt, target: Mpidr) -> Result<(), GicError> {
        let last = self.0.typer().num_spis() + FIRST_SPI - 1;
        if !(FIRST_SPI..SPECIAL.min(last + 1)).contains(&interrupt.id.get()) {
            return Err(GicError::InvalidGicdIntid(IntId::spi(0)));
        }
        let id = IntId::spi(interrupt.id.get() - FIRST_SPI);
        self.0.set_trigger(id, trigger(interrupt.trigger))?;
        self.0.set_routing(id, Some(target.get()))?;
        self.0.enable_interrupt(id, true)
    }

    /// Disables the shared interrupt `id`.
    pub fn disable(&mut self, id: PhysIntid) {
        if id >= PhysIntid::new(FIRST_SPI) {
            // Fails only where there is no such interrupt, which then cannot come.
            let _ = self.0.enable_interrupt(IntId::spi(id.get() - FIRST_SPI), false);
        }
    }
}

impl Redistributor {
    /// Sets up the redistributor and the interface of this CPU: private interrupts disabled, in group 1, level-triggered, but
    /// for `sgi`, which is enabled. The CPU listens.
    ///
    /// Relies on [`enable_system_registers`] having returned true on this CPU.
    pub fn set_up(mut redistributor: GicRedistributor<'static>, sgi: PhysIntid) -> Self {
        // It is awake already if firmware has used it, which is no error.
        let _ = redistributor.mark_core_awake();
        redistributor.configure_default_settings();
        let enabled = redistributor.enable_interrupt(IntId::sgi(sgi.get()), true);
        debug_assert!(enabled.is_ok(), "each redistributor has 16 SGIs");
        GicCpuInterface::set_priority_mask(EVERY_PRIORITY);
        split_end_of_interrupt();
        GicCpuInterface::enable_group1(true);
        barrier::isb(barrier::SY);
        Self(redistributor)
    }

    /// Enables `interrupt`, a private peripheral one.
    ///
    /// # Errors
    ///
    /// [`GicError`] if there is no such interrupt.
    pub fn enable(&mut self, interrupt: Interrupt) -> Result<(), GicError> {
        let id = IntId::ppi(interrupt.id.get().saturating_sub(FIRST_PPI));
        self.0.set_trigger(id, trigger(interrupt.trigger))?;
        self.0.enable_interrupt(id, true)
    }
}

fn trigger(trigger: Trigger) -> arm_gic::Trigger {
    match trigger {
        Trigger::Edge => arm_gic::Trigger::Edge,
        Trigger::Level => arm_gic::Trigger::Level,
    }
}

/// Writes `value` to ICC_SGI1R_EL1, once earlier stores are there for its targets to see.
#[inline]
pub fn send_sgi(value: u64) {
    // A write of a system register is not ordered with stores to memory by itself (IHI 0069, 4.1.1).
    barrier::dsb(barrier::ISHST);
    write_icc_sgi1r_el1(IccSgi1rEl1::from_bits_retain(value));
    barrier::isb(barrier::SY);
}

/// The redistributor of the CPU `mpidr` in a region of `bytes`, and its offset, if it is there. From one to the next it is
/// `stride` bytes, or as many as each says that it has: those with virtual LPIs have two frames more (IHI 0069, 12.10).
///
/// # Safety
///
/// The region must hold redistributors, be mapped as device memory for good, and be driven by nobody else.
pub unsafe fn find_redistributor(
    region: NonNull<u8>,
    bytes: u64,
    stride: Option<u64>,
    mpidr: Mpidr,
) -> Option<(u64, GicRedistributor<'static>)> {
    const FRAMES: u64 = size_of::<GicrSgi>() as u64;
    let mut offset = 0;
    while offset + FRAMES <= bytes {
        // SAFETY: so many bytes are mapped from there on.
        let registers = unsafe { region.add(offset as usize) }.cast::<GicrSgi>();
        // SAFETY: the caller vouches for the region; no other pointer to this redistributor is left from the last time round.
        let redistributor = GicRedistributor::new(unsafe { UniqueMmioPointer::new(registers) });
        let about = redistributor.typer();
        if about.core_mpidr() == mpidr.get() {
            return Some((offset, redistributor));
        }
        if about.last_redistributor() {
            return None;
        }
        offset += stride.unwrap_or(if about.virtual_lpis_supported() { 2 * FRAMES } else { FRAMES });
    }
    None
}

/// Turns the system registers of the CPU interface on, for EL2 and for guests. Whether that can be done.
#[must_use]
pub fn enable_system_registers() -> bool {
    // ID_AA64PFR0_EL1.GIC, bits 27:24: without them, touching one is undefined, whatever the device tree says.
    if ID_AA64PFR0_EL1.get() >> 24 & 0xf == 0 {
        return false;
    }
    ICC_SRE_EL2.modify(ICC_SRE_EL2::SRE::SET + ICC_SRE_EL2::ENABLE::SET);
    barrier::isb(barrier::SY);
    ICC_SRE_EL2.is_set(ICC_SRE_EL2::SRE)
}

/// Whether this CPU can send SGIs to targets with an Aff0 above 15: ICC_CTLR_EL1.RSS, bit 18.
pub fn has_range_selector() -> bool {
    read_icc_ctlr_el1().bits() >> 18 & 1 != 0
}

/// Sets ICC_CTLR_EL1.EOImode, bit 1: the end of an interrupt drops its priority and no more.
fn split_end_of_interrupt() {
    write_icc_ctlr_el1(IccCtlrEl1::from_bits_retain(0b10));
}

/// Takes the most urgent interrupt, which is active from then on.
#[inline]
pub fn acknowledge() -> Option<PhysIntid> {
    let id = read_icc_iar1_el1().bits();
    // The effect of the acknowledgement must be there before the device is touched (IHI 0069, 4.1.1).
    barrier::dsb(barrier::SY);
    Some(id as u32).filter(|id| *id < SPECIAL).map(PhysIntid::new)
}

/// Lets others of the priority of `id` through; `id` stays active.
#[inline]
pub fn drop_priority(id: PhysIntid) {
    write_icc_eoir1_el1(IccEoir1El1::from_bits_retain(id.get().into()));
}

/// Ends the active state of `id`.
#[inline]
pub fn deactivate(id: PhysIntid) {
    write_icc_dir_el1(IccDirEl1::from_bits_retain(id.get().into()));
}
