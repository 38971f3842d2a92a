//! EL3, where this image itself was entered there: `boot/src/el3.S` stays, and answers one call.

#[cfg(feature = "mmu")]
use crate::base::addr::PhysAddr;
use core::sync::atomic::{AtomicBool, Ordering};

/// The exception level that this is about.
const EL3: u64 = 3;

static IS_OURS: AtomicBool = AtomicBool::new(false);

/// Tells at which exception level the image was entered.
pub fn entered_at(level: u64) {
    IS_OURS.store(level == EL3, Ordering::Relaxed);
}

/// Whether no firmware is at EL3, but this image.
pub fn is_ours() -> bool {
    IS_OURS.load(Ordering::Relaxed)
}

/// Makes the interrupts of a GICv3 the Non-secure state's, as firmware would have: those of the distributor, and those of
/// the redistributor of this CPU. To be called once, and only if EL3 [`is_ours`].
///
/// # Errors
///
/// What EL3 answered, which is not this image's then.
#[cfg(feature = "mmu")]
pub fn give_interrupts(distributor: PhysAddr, redistributor: PhysAddr) -> Result<(), u64> {
    let mut arguments = [0; 17];
    arguments[..2].copy_from_slice(&[distributor.get(), redistributor.get()]);
    match smccc::smc64(lacuna_boot::GIVE_INTERRUPTS, arguments)[0] {
        0 => Ok(()),
        answer => Err(answer),
    }
}
