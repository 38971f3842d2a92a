//! How firmware is called.

/// The instruction that calls PSCI firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `smc`, answered by EL3.
    Smc,
    /// `hvc`, answered by a hypervisor below this one.
    Hvc,
}
