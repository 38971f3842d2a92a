//! A virtual CPU on the physical one that is its own.
//!
//! `run` enters the guest, and is where its exits arrive; `access` is loads and stores of devices, `faults` what the guest
//! does wrong, `keyboard` what is typed, and `monitor` the commands of the hypervisor's prompt. What can be decided without
//! the processor is in [`crate::guest::exit`] and [`crate::guest::sysreg`].

mod access;
mod faults;
pub mod keyboard;
mod monitor;
mod run;

use crate::arch::aarch64::gic::list_registers::CpuInterface;
use crate::base::id::VcpuId;
use crate::guest::complaints::Complaints;
use crate::guest::domain::Domain;
use crate::guest::exit::speculation::Speculation;
use crate::interrupts::Interrupts;
use alloc::string::String;

/// Bytes of an A64 instruction: how far the program counter moves when one has been carried out for the guest.
pub(super) const INSTRUCTION_BYTES: u64 = 4;

/// What the assembly does when a handler returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Next {
    /// The guest goes on.
    Resume = 0,
    /// The guest is left, and `run_guest` returns.
    Leave = 1,
}

/// Why a guest came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It switched itself off: PSCI SYSTEM_OFF.
    Off,
    /// It is to start again, because it said so (PSCI SYSTEM_RESET) or somebody at the keyboard.
    Reset,
    /// It cannot go on, and this is why.
    Stopped(String),
}

/// A virtual CPU that runs.
pub struct Vcpu<'d> {
    /// Whose it is.
    pub(super) domain: &'d Domain,
    /// Its number in its domain.
    pub(super) id: VcpuId,
    /// The virtual CPU interface of this physical CPU.
    pub(super) lists: CpuInterface,
    pub(super) interrupts: Interrupts,
    pub(super) complaints: &'d mut Complaints,
    pub(super) speculation: &'d Speculation,
    /// Why it was left, once it was.
    pub(super) end: Option<End>,
}
