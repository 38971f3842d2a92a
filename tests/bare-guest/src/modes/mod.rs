//! What the guest can do, other than to behave badly.

pub mod bench;
pub mod crash;
pub mod echo;
pub mod hello;
pub mod hold;
pub mod holes;
pub mod lives;
pub mod reset;
pub mod smp;
pub mod turns;

use crate::console::say;

/// Uses the CPU, for ever, and asks for nothing.
pub fn spin() -> ! {
    say!("spinning");
    loop {
        core::hint::spin_loop();
    }
}
