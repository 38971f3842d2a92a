//! The interrupt handler: it counts, and quiets what interrupted.

use crate::timer;
use crate::{gic, modes};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Interrupts with numbers below this are counted.
const COUNTED: usize = 64;

/// SPI 0: the UART.
pub const UART: u32 = 32;

static COUNTS: [AtomicU32; COUNTED] = [const { AtomicU32::new(0) }; COUNTED];
static LAST: AtomicU64 = AtomicU64::new(0);
/// How many timer interrupts the handler lets pass before it stops the timer.
static LEFT_ALONE: AtomicU32 = AtomicU32::new(0);

/// Called with the time at which the vector was reached.
pub fn handle(time: u64) {
    LAST.store(time, Relaxed);
    let interrupt = gic::acknowledge();
    if interrupt >= gic::SPURIOUS {
        return;
    }
    if let Some(count) = COUNTS.get(interrupt as usize) {
        count.store(count.load(Relaxed) + 1, Relaxed);
    }
    match interrupt {
        timer::INTERRUPT => match LEFT_ALONE.load(Relaxed) {
            0 => timer::stop(),
            left => LEFT_ALONE.store(left - 1, Relaxed),
        },
        UART => modes::echo::receive(),
        _ => {}
    }
    gic::end(interrupt);
}

/// Has the next `count` timer interrupts left alone: they come again.
pub fn leave_timer_alone(count: u32) {
    LEFT_ALONE.store(count, Relaxed);
}

/// How often an interrupt below 64 was taken.
pub fn count(interrupt: u32) -> u32 {
    COUNTS.get(interrupt as usize).map_or(0, |count| count.load(Relaxed))
}

/// When the last interrupt's vector was reached.
pub fn last() -> u64 {
    LAST.load(Relaxed)
}
