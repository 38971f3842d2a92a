//! The end of the guest, by PSCI.

use crate::console::say;
use smccc::{Hvc, psci};

/// Ends the guest.
pub fn off() -> ! {
    say!("end");
    let result = psci::system_off::<Hvc>();
    say!("FAIL SYSTEM_OFF came back: {result:?}");
    stop()
}

/// Starts the guest again.
pub fn reset() -> ! {
    let result = psci::system_reset::<Hvc>();
    say!("FAIL SYSTEM_RESET came back: {result:?}");
    stop()
}

fn stop() -> ! {
    crate::registers::mask_interrupts();
    loop {
        crate::registers::wait_for_interrupt();
    }
}
