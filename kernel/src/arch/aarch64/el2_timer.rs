//! EL2's own physical timer, of this CPU: CNTHP (DDI 0487, D12.2.4).

use crate::arch::aarch64::{barrier, cpu};
use arm_sysregs::el2::accessors::{write_cnthp_ctl_el2, write_cnthp_cval_el2};
use arm_sysregs::el2::registers::{CnthpCtlEl2, CnthpCvalEl2};
use core::time::Duration;

/// Has the timer interrupt once `time` has passed, and until it is [stopped](stop).
pub fn start(time: Duration) {
    write_cnthp_cval_el2(CnthpCvalEl2::from_bits_retain(cpu::ticks().wrapping_add(cpu::ticks_in(time))));
    write_cnthp_ctl_el2(CnthpCtlEl2::from_bits_retain(1)); // ENABLE
    barrier::isb();
}

/// Has the timer interrupt no more.
pub fn stop() {
    write_cnthp_ctl_el2(CnthpCtlEl2::from_bits_retain(0));
    barrier::isb();
}
