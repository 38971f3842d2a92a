//! A virtual CPU on its physical CPU.
//!
//! `seat` holds the vCPUs of a CPU and switches between them; `run` enters the guest and handles its exits; `access` emulates loads and stores of devices, `faults` answers the
//! guest's errors, `keyboard` passes typed characters on, and `monitor` executes the commands of the hypervisor's
//! prompt. Decisions that do not need the processor are in [`crate::guest::exit`] and [`crate::guest::sysreg`].

mod access;
mod faults;
pub mod keyboard;
pub mod monitor;
mod run;
mod seat;

pub use seat::{Seat, Seats};

use crate::arch::aarch64::gic::list_registers::CpuInterface;
use crate::base::id::{DomainId, PhysIntid, VcpuId};
use crate::guest::domain::Domain;
use crate::guest::exit::speculation::Speculation;
use crate::guest::life::Posted;
use crate::guest::registry::{GuestSlot, Registry};
use crate::guest::turns::TurnEnd;
use crate::interrupts::{Interrupts, MachineGic};

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

/// Shows the requested state of a vCPU of this CPU.
pub type ShowOwn<'s> = &'s dyn Fn(DomainId, VcpuId, Posted);

/// What a CPU of the machine has for the vCPUs that it runs.
pub struct CpuServices<'g> {
    /// All guests.
    pub registry: &'g Registry<'g>,
    /// The machine's interrupt controller.
    pub controller: &'g MachineGic,
    /// Which of its interrupts is what.
    pub interrupts: Interrupts,
    /// What this CPU needs against speculation.
    pub speculation: Speculation,
    /// The vCPUs of this CPU.
    pub seats: Seats<'g>,
    /// The interrupts of the virtual and the physical timer, where each that arrives is the vCPU's: where it has the CPU to
    /// itself. Where vCPUs take turns, a level that falls may still be the last one's, and the timer must be looked at.
    pub own_timers: Option<[PhysIntid; 2]>,
}

/// A virtual CPU that runs.
pub struct Vcpu<'d> {
    /// Whose it is.
    pub(super) domain: &'d Domain,
    /// Its number in its domain.
    pub(super) id: VcpuId,
    /// The virtual CPU interface of this physical CPU.
    pub(super) lists: CpuInterface,
    /// Its guest, over all of its lives.
    pub(super) slot: &'d GuestSlot<'d>,
    /// What this CPU has for it.
    pub(super) services: &'d CpuServices<'d>,
    /// How its turn ends, once a handler returns [`Next::Leave`].
    pub(super) end: TurnEnd,
}
