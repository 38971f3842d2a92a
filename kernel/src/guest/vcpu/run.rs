//! A virtual CPU on the physical one that is its own: what happens at each of its exits.
//!
//! Entered from `boot/src/vectors.S` with the guest's registers on the stack, and left the same way: an exit is save,
//! dispatch, restore. List registers, timers and the rest of EL1 stay in the hardware, so an exit that does not concern
//! them does not touch them. Interrupts are masked while EL2 runs.

use crate::arch::aarch64::gic::list_registers::CpuInterface;
use crate::arch::aarch64::virtualization::{self, GuestRegime, PSTATE_START};
use crate::arch::aarch64::{cpu, gic};
use crate::arch::syndrome::{Direction, Syndrome};
use crate::base::id::{Intid, PhysIntid, VcpuId};
use crate::cpu::block::block;
use crate::cpu::firmware;
#[cfg(feature = "selftest")]
use crate::cpu::fixup;
use crate::guest::complaints::Complaints;
use crate::guest::device::vgic::Affinity;
use crate::guest::domain::Domain;
use crate::guest::exit::psci::{self, CallAnswer};
use crate::guest::exit::speculation::{AtExit, Speculation};
use crate::guest::layout;
use crate::guest::sysreg::{Handling, Trap, filtered, handling};
use crate::guest::vcpu::{End, INSTRUCTION_BYTES, Next, Vcpu, keyboard};
use crate::interrupts::Interrupts;
use aarch64_cpu::asm;
use aarch64_cpu::registers::{ESR_EL2, Readable};
use alloc::format;
use lacuna_boot::{GuestFrame, Hardening};
use log::{Level, log_enabled, warn};

/// ESR_EL2.EC, bits 31:26, for what a guest is expected to do (DDI 0487, D24.2.37).
mod exception {
    pub const HVC: u64 = 0x16;
    pub const SMC: u64 = 0x17;
    pub const SYSTEM_REGISTER: u64 = 0x18;
    pub const INSTRUCTION_ABORT: u64 = 0x20;
    pub const DATA_ABORT: u64 = 0x24;
}

/// A call of an image with self-tests alone: EL2 faults, and survives it, between two exits of the guest. A function ID of
/// the range for hypervisors (SMCCC, DEN0028, 6.1).
#[cfg(feature = "selftest")]
const FAULT_AT_EL2: u32 = 0x8600_5354;

/// A synchronous exception of the guest, from EL1 or from EL0, which left these in ESR_EL2 and SPSR_EL2.
#[unsafe(no_mangle)]
extern "C" fn lacuna_guest_synchronous(vcpu: &mut Vcpu<'_>, frame: &mut GuestFrame, esr: u64, pstate: u64) -> Next {
    match esr >> 26 & 0x3f {
        exception::HVC => vcpu.call(frame, esr),
        exception::DATA_ABORT => vcpu.data_abort(frame, esr, pstate),
        exception::SYSTEM_REGISTER => vcpu.system_register(frame, esr),
        exception::SMC => {
            // Trapped, so it was not carried out: unlike HVC it leaves the program counter where it is.
            frame.pc = frame.pc.wrapping_add(INSTRUCTION_BYTES);
            vcpu.call(frame, esr)
        }
        exception::INSTRUCTION_ABORT => vcpu.instruction_abort(frame, esr, pstate),
        _ => vcpu.unexpected(frame, esr, pstate),
    }
}

/// An interrupt of the machine while the guest ran, or waited.
#[unsafe(no_mangle)]
extern "C" fn lacuna_guest_interrupt(vcpu: &mut Vcpu<'_>, frame: &mut GuestFrame) -> Next {
    // None if it has gone meanwhile.
    let Some(id) = gic::acknowledge() else { return Next::Resume };
    gic::drop_priority(id);
    let Interrupts { virtual_timer, physical_timer, maintenance, console } = vcpu.interrupts;
    if id == virtual_timer {
        return vcpu.forward(id, layout::VIRTUAL_TIMER_INTID);
    }
    if id == physical_timer {
        return vcpu.forward(id, layout::PHYSICAL_TIMER_INTID);
    }
    let next = if id == maintenance {
        vcpu.maintain();
        Next::Resume
    } else if Some(id) == console {
        vcpu.keys(frame)
    } else {
        warn!("unexpected interrupt {id}");
        Next::Resume
    };
    gic::deactivate(id);
    next
}

/// An SError while the guest ran. Guests have no devices, so it is the machine's memory that failed, and nobody can
/// tell what is wrong now.
#[unsafe(no_mangle)]
extern "C" fn lacuna_guest_serror(vcpu: &mut Vcpu<'_>, frame: &mut GuestFrame) -> Next {
    vcpu.stop(frame, format!("SError, ESR_EL2 {:#x}", ESR_EL2.get()))
}

impl<'d> Vcpu<'d> {
    /// Runs vCPU `id` of `domain` on this CPU, which has no other guest, until the domain ends. What there is to
    /// report on it pays with `complaints`; `speculation` is what this CPU needs.
    pub fn run(
        domain: &'d Domain,
        id: VcpuId,
        interrupts: Interrupts,
        speculation: &'d Speculation,
        complaints: &'d mut Complaints,
    ) -> End {
        let regime = GuestRegime {
            vtcr: domain.stage2().config().vtcr(),
            vttbr: domain.vttbr(),
            mpidr: Affinity::of(id).mpidr(),
            virtual_offset: cpu::ticks(),
        };
        let mut vcpu =
            Vcpu { domain, id, lists: CpuInterface::start(), interrupts, complaints, speculation, end: None };
        keyboard::resume();
        block().set_virtual_offset(regime.virtual_offset);
        block().set_running(Some((domain.id(), id)));
        // SAFETY: the tables of `domain` map its own memory, and it lives until this CPU has left the guest. No other
        // guest is here: this function ends by leaving it.
        unsafe { virtualization::enter(&regime) };
        let (entry, tree) = (domain.placement().kernel.start, domain.placement().tree.start);
        let hardening = speculation.at_exit().map(|AtExit { function, rounds }| Hardening { function, rounds });
        // SAFETY: what EL2 controls of EL1 was just set. The handlers take a `Vcpu`, which lives on this stack until
        // this returns. Interrupts are masked at EL2 from the first instruction on. What is called at exits the
        // firmware has.
        let serror =
            unsafe { lacuna_boot::run_guest((&raw mut vcpu).cast(), entry.get(), PSTATE_START, tree.get(), hardening) };
        virtualization::leave();
        block().set_running(None);
        keyboard::stop(domain.name());
        let Vcpu { mut lists, end, .. } = vcpu;
        // What was forwarded to the guest and not ended by it is still active in the machine's GIC, until here.
        let kick = domain.devices().lock().vgic.reset(id, &mut lists);
        domain.kick(kick);
        lists.stop();
        // What it did last has failed by now, or will not.
        if serror != 0 {
            return End::Stopped(format!("SError as it ended, ESR_EL2 {serror:#x}"));
        }
        end.unwrap_or_else(|| unreachable!("a vCPU is left only for a reason"))
    }

    /// Makes the physical interrupt of a timer the guest's. It stays active until the guest ends its own.
    #[inline]
    fn forward(&mut self, physical: PhysIntid, id: Intid) -> Next {
        let kick = self.domain.devices().lock().vgic.forward(self.id, id, physical, &mut self.lists);
        self.domain.kick(kick);
        Next::Resume
    }

    /// Looks after the list registers.
    fn maintain(&mut self) {
        let mut devices = self.domain.devices().lock();
        let kick = devices.resample_timers(self.id, &mut self.lists) | devices.vgic.maintain(self.id, &mut self.lists);
        drop(devices);
        self.domain.kick(kick);
    }

    /// HVC and SMC: a call by the SMC Calling Convention, if the immediate is 0 (DEN0028, 2.5).
    #[inline(never)]
    fn call(&mut self, frame: &mut GuestFrame, esr: u64) -> Next {
        if esr & 0xffff != 0 {
            frame.pc = frame.pc.wrapping_sub(INSTRUCTION_BYTES);
            return self.undefined(frame, &Syndrome::new(esr).class());
        }
        let [x0, x1, x2, x3, ..] = frame.x;
        match psci::call(&[x0, x1, x2, x3], self.speculation, |affinity| self.domain.cpu_state(affinity)) {
            CallAnswer::Return(value) => {
                frame.x[0] = value;
                Next::Resume
            }
            answer => self.act(frame, answer),
        }
    }

    /// Waits until there is something to do, as WFI does in the guest: for an interrupt of the machine, unless one of
    /// the guest's is waiting already. It may have that one disabled; but the timer behind it would not interrupt
    /// again, and standby may end for no reason (DEN0022, 5.4).
    fn wait(&mut self) {
        let mut devices = self.domain.devices().lock();
        let kick = devices.resample_timers(self.id, &mut self.lists);
        let has_pending = devices.vgic.in_use(self.id, &self.lists).any(|interrupt| interrupt.state.is_pending());
        drop(devices);
        self.domain.kick(kick);
        if !has_pending {
            asm::wfi();
        }
    }

    /// The calls that do more than to return something.
    #[cold]
    fn act(&mut self, frame: &mut GuestFrame, answer: CallAnswer) -> Next {
        let end = match answer {
            CallAnswer::Off => End::Off,
            CallAnswer::Reset => End::Reset,
            CallAnswer::CpuOff => End::Stopped("it switched off the only CPU that it has".into()),
            CallAnswer::Suspend => {
                self.wait();
                frame.x[0] = 0;
                return Next::Resume;
            }
            CallAnswer::Workaround { function } => {
                if self.speculation.is_forwarded(function) {
                    firmware::call(function, 0);
                }
                frame.x[0] = 0;
                return Next::Resume;
            }
            #[cfg(feature = "selftest")]
            CallAnswer::NotSupported { id: FAULT_AT_EL2 } => {
                frame.x[0] = if fixup::provoke().is_some() { 0 } else { psci::NOT_SUPPORTED };
                return Next::Resume;
            }
            CallAnswer::NotSupported { id } => {
                if log_enabled!(Level::Debug) {
                    self.tell(Level::Debug, frame, format_args!("call {id:#x} is not supported"));
                }
                frame.x[0] = psci::NOT_SUPPORTED;
                return Next::Resume;
            }
            // Of the CPUs that a guest has, none is off.
            CallAnswer::CpuOn { .. } => {
                frame.x[0] = psci::NOT_SUPPORTED;
                return Next::Resume;
            }
            CallAnswer::Return(value) => {
                frame.x[0] = value;
                return Next::Resume;
            }
        };
        self.end = Some(end);
        Next::Leave
    }

    /// A system register that is trapped.
    #[inline(never)]
    fn system_register(&mut self, frame: &mut GuestFrame, esr: u64) -> Next {
        let trap = Trap::decode(Syndrome::new(esr));
        let value = trap.operand.index().map_or(0, |register| frame.x[register]);
        let read = match handling(trap.register, trap.access) {
            Handling::Sgi(register) => {
                let kick = self.domain.devices().lock().vgic.send_sgi(self.id, register, value, &mut self.lists);
                self.domain.kick(kick);
                0
            }
            Handling::Deactivate => {
                let id = value as u32;
                let kick = self.domain.devices().lock().vgic.deactivate(self.id, Intid::new(id), &mut self.lists);
                self.domain.kick(kick);
                0
            }
            Handling::Interface(register) => self.lists.access(register, trap.access, value),
            Handling::Value(value) => value,
            Handling::Id(id) => filtered(id, cpu::id_register(id), self.domain.stage2().config().ipa_bits()),
            Handling::Undefined => return self.undefined(frame, &trap),
        };
        if trap.access == Direction::Read
            && let Some(register) = trap.operand.index()
        {
            frame.x[register] = read;
        }
        frame.pc = frame.pc.wrapping_add(INSTRUCTION_BYTES);
        Next::Resume
    }
}
