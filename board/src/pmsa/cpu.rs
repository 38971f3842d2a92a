//! What the emulation needs to know of the CPU it runs on, and to have it do.

/// What the emulation wants of the CPU it runs on.
pub trait Cpu {
    /// SCTLR_EL2.
    fn sctlr(&self) -> u64;
    /// MAIR_EL2.
    fn mair(&self) -> u64;
    /// The instruction at `address`, where one was fetched before or can be read now.
    fn instruction(&self, address: u64) -> u32;
    /// Makes entries that were added to the tables visible to the table walker.
    fn publish(&mut self);
    /// Makes what the tables no longer say unknown to the TLB.
    fn invalidate(&mut self);
    /// Has the next instruction that runs with SPSR_EL2.SS set and SPSR_EL2.D clear followed by a software step
    /// exception.
    fn start_stepping(&mut self);
    /// Ends that.
    fn stop_stepping(&mut self);
    /// Addresses without which the next exception could not be taken, and what is done there.
    fn lifelines(&self) -> [(u64, Use); 6];
}

/// What is done to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is executed.
    Execute,
    /// It is read.
    Read,
    /// It is written, and read.
    Write,
}

/// SCTLR_EL2.M: the MPU is on.
pub const SCTLR_M: u64 = 1 << 0;
/// SCTLR_EL2.WXN: what can be written is not executed.
pub const SCTLR_WXN: u64 = 1 << 19;
/// SCTLR_EL2.BR: an address in no region belongs to the default memory map (DDI 0600, G1.3).
pub const SCTLR_BR: u64 = 1 << 17;
