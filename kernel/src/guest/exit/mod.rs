//! A guest's exits to EL2: decoding the cause, and deciding how hardware or firmware would answer.
//!
//! Nothing here touches the processor: `guest::vcpu` acts, and the host tests this.

pub mod inject;
pub mod mmio;
pub mod psci;
pub mod speculation;
pub mod step;
