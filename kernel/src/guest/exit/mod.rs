//! What happens when a guest comes back to EL2: decoding why, answering as hardware or firmware would, and saying what it did
//! wrong.
//!
//! `vcpu` is where exits arrive. The modules that only decode or decide are tested on the host.

pub mod complaints;
pub mod inject;
pub mod mmio;
pub mod psci;
pub mod system_register;
