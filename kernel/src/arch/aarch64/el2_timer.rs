//! EL2's own physical timer, of this CPU: CNTHP (DDI 0487, D12.2.4).

use crate::arch::aarch64::barrier;
use arm_sysregs::el2::accessors::{write_cnthp_ctl_el2, write_cnthp_cval_el2};
use arm_sysregs::el2::registers::{CnthpCtlEl2, CnthpCvalEl2};

/// Lets the timer interrupt from `deadline` on, in ticks of the physical counter, until it is [stopped](stop).
pub fn start(deadline: u64) {
    write_cnthp_cval_el2(CnthpCvalEl2::from_bits_retain(deadline));
    write_cnthp_ctl_el2(CnthpCtlEl2::from_bits_retain(1)); // ENABLE
    barrier::isb();
}

/// Turns the timer off, and its interrupt.
pub fn stop() {
    write_cnthp_ctl_el2(CnthpCtlEl2::from_bits_retain(0));
    barrier::isb();
}
