//! The virtual timer of EL1.

use crate::interrupts;
use crate::registers::{now, read, write};

/// PPI 11: the virtual timer.
pub const INTERRUPT: u32 = 27;

/// CNTV_CTL_EL0 (DDI 0487, D24.10).
pub const ENABLE: u64 = 1;
/// Its interrupt is kept back.
pub const MASK: u64 = 1 << 1;
/// The condition is met.
pub const STATUS: u64 = 1 << 2;

/// Has the timer expire when the counter is at `time`.
pub fn expire_at(time: u64) {
    write!("cntv_cval_el0", time);
    control(ENABLE);
}

/// Writes CNTV_CTL_EL0.
pub fn control(value: u64) {
    write!("cntv_ctl_el0", value);
}

/// Stops the timer, and takes its interrupt back.
pub fn stop() {
    control(0);
}

/// Whether the condition is met.
pub fn status() -> u64 {
    read!("cntv_ctl_el0")
}

/// Spins for as many ticks.
pub fn spin(ticks: u64) {
    let end = now() + ticks;
    while now() < end {}
}

/// Spins until an interrupt was taken more than `before` times, at most for as many ticks. Whether it was.
pub fn await_interrupt(interrupt: u32, before: u32, ticks: u64) -> bool {
    let end = now() + ticks;
    while now() < end {
        if interrupts::count(interrupt) > before {
            return true;
        }
    }
    false
}
