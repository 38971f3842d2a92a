//! What happens when a guest comes back to EL2: decoding why, and deciding what hardware or firmware would answer.
//!
//! Nothing here touches the processor: `guest::vcpu` acts, and the host tests this.

pub mod inject;
pub mod mmio;
pub mod psci;
pub mod speculation;
pub mod step;
