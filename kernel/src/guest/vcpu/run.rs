//! A turn of a virtual CPU on its physical CPU: entry, and the handling of each exit.
//!
//! Entered from `boot/src/vectors.S` with the guest's registers on the stack, and left the same way: an exit is save,
//! dispatch, restore. List registers, timers and the rest of EL1 stay in the hardware, so an exit that does not concern
//! them does not touch them. Interrupts are masked while EL2 runs.

use crate::arch::aarch64::context::timer_deadline;
use crate::arch::aarch64::el1::{self, Timer};
use crate::arch::aarch64::{cpu, gic};
use crate::arch::sgi::KICK;
use crate::arch::syndrome::{Direction, Syndrome, WaitInstruction};
use crate::base::id::{Intid, PhysIntid};
use crate::cpu::block::block;
use crate::cpu::crew;
use crate::cpu::firmware;
#[cfg(feature = "selftest")]
use crate::cpu::fixup;
use crate::cpu::last_words::Occupation;
use crate::guest::exit::psci::{self, CallAnswer};
use crate::guest::exit::speculation::AtExit;
use crate::guest::layout;
use crate::guest::life::{End, EntryState, Posted, Refused};
use crate::guest::sysreg::{Handling, Trap, filtered, handling};
use crate::guest::turns::TurnEnd;
use crate::guest::vcpu::seat::{Admission, On};
use crate::guest::vcpu::{CpuServices, INSTRUCTION_BYTES, Next, Vcpu, keyboard, monitor};
use crate::interrupts::Interrupts;
use aarch64_cpu::asm;
use aarch64_cpu::registers::{ESR_EL2, Readable};
use alloc::format;
use arm_psci::ErrorCode;
use lacuna_boot::{GuestFrame, Hardening};
use log::{Level, log_enabled};

/// ESR_EL2.EC, bits 31:26, for what a guest is expected to do (DDI 0487, D24.2.37).
mod exception {
    pub const WAIT: u64 = 0x01;
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

/// Another one: the vCPU gives its turn up, as by a WFE that is trapped. QEMU does not trap WFE. Returns 1 if another vCPU
/// was ready, else 0.
#[cfg(feature = "selftest")]
const GIVE_TURN_UP: u32 = 0x8600_5455;

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
        exception::WAIT => vcpu.trapped_wait(frame, esr),
        _ => vcpu.unexpected(frame, esr, pstate),
    }
}

/// An interrupt of the machine while the guest ran, or waited.
#[unsafe(no_mangle)]
extern "C" fn lacuna_guest_interrupt(vcpu: &mut Vcpu<'_>, frame: &mut GuestFrame) -> Next {
    // None if it has gone meanwhile.
    let Some(id) = gic::acknowledge() else { return Next::Resume };
    gic::drop_priority(id);
    let Interrupts { maintenance, .. } = vcpu.services.interrupts;
    if let Some([virtual_timer, physical_timer]) = vcpu.services.own_timers {
        if id == virtual_timer {
            return vcpu.forward(id, layout::VIRTUAL_TIMER_INTID);
        }
        if id == physical_timer {
            return vcpu.forward(id, layout::PHYSICAL_TIMER_INTID);
        }
    }
    if id == KICK {
        crew::stop_if_asked(Occupation::Guest(vcpu.domain.id(), vcpu.id, frame.pc));
        gic::deactivate(id);
        let next = vcpu.attend(frame);
        return if vcpu.services.seats.is_shared() { vcpu.make_way(next) } else { next };
    }
    if id == maintenance {
        vcpu.maintain();
        gic::deactivate(id);
        return Next::Resume;
    }
    vcpu.other_interrupt(frame, id)
}

/// An SError while the guest ran. Guests have no devices, so it is the machine's memory that failed, and nobody can
/// tell what is wrong now.
#[unsafe(no_mangle)]
extern "C" fn lacuna_guest_serror(vcpu: &mut Vcpu<'_>, frame: &mut GuestFrame) -> Next {
    vcpu.stop(frame, format!("SError, ESR_EL2 {:#x}", ESR_EL2.get()))
}

impl<'d> Vcpu<'d> {
    /// Runs the vCPU of seat `index` of this CPU, which is on, for a turn. Returns how the turn ended.
    pub fn run(services: &'d CpuServices<'d>, index: usize) -> TurnEnd {
        let seats = &services.seats;
        let seat = &seats.all()[index];
        let mut on = seat.on().borrow_mut();
        let Some(on) = &mut *on else { return TurnEnd::Off };
        if on.domain.life().has_ended() {
            return TurnEnd::Off;
        }
        let admission = seats.admit(index, on);
        let On { domain, frame, lists, .. } = on;
        let Some(interface) = lists.take() else { return TurnEnd::Off };
        block().set_running(Some((domain.id(), seat.vcpu())));
        let mut vcpu =
            Vcpu { domain, id: seat.vcpu(), lists: interface, slot: seat.slot(), services, end: TurnEnd::Off };
        let mut next = Next::Resume;
        if admission == Admission::First {
            // What was made pending while it was off.
            vcpu.maintain();
        }
        if domain.life().inbox(vcpu.id).is_filled() {
            next = vcpu.attend(frame);
        }
        if seats.is_shared() {
            seats.arm();
        }
        let hardening =
            services.speculation.at_exit().map(|AtExit { function, rounds }| Hardening { function, rounds });
        let serror = if next == Next::Resume {
            // SAFETY: what EL2 controls of EL1 was set by `admit`. The handlers take a `Vcpu`, which lives on this stack
            // until this returns. Interrupts are masked at EL2 from the first instruction on. What is called at exits the
            // firmware has.
            unsafe { lacuna_boot::run_guest((&raw mut vcpu).cast(), frame, hardening) }
        } else {
            0
        };
        block().set_running(None);
        let Vcpu { lists: interface, end, .. } = vcpu;
        *lists = Some(interface);
        // What it did last has failed by now, or will not.
        if serror != 0 {
            domain.end(End::Stopped(format!("SError as it ended, ESR_EL2 {serror:#x}")));
            return TurnEnd::Off;
        }
        end
    }

    /// Ends the turn if another vCPU of this CPU is to run now.
    #[cold]
    #[inline(never)]
    fn make_way(&mut self, next: Next) -> Next {
        let (seats, now) = (&self.services.seats, cpu::ticks());
        seats.wake(now);
        if next == Next::Leave {
            return next;
        }
        if seats.is_over(now) || seats.has_calls() {
            self.end = TurnEnd::Preempted;
            return Next::Leave;
        }
        seats.arm();
        next
    }

    /// WFI or WFE, which are trapped where vCPUs share a CPU.
    #[inline(never)]
    fn trapped_wait(&mut self, frame: &mut GuestFrame, esr: u64) -> Next {
        let next = self.go_on(frame, esr);
        match WaitInstruction::of(Syndrome::new(esr)) {
            WaitInstruction::Wfi => self.wait(),
            // It waits for another CPU, or for a time that EL2 does not look at. It may end at any moment.
            WaitInstruction::Wfe | WaitInstruction::WithTimeout => self.give_turn_up(),
        };
        if self.end == TurnEnd::Off { next } else { Next::Leave }
    }

    /// Gives the rest of the slice to another vCPU, if one is ready.
    fn give_turn_up(&mut self) {
        if self.services.seats.has_ready() {
            self.end = TurnEnd::Yield;
        }
    }

    /// Looks at what was posted to this vCPU.
    pub(super) fn attend(&mut self, frame: &GuestFrame) -> Next {
        let posted = self.domain.life().inbox(self.id).take();
        if posted == Posted::SGIS {
            let kick = self.domain.devices().lock().vgic.deliver_sgis(self.id, &mut self.lists);
            self.domain.kick(kick);
            return Next::Resume;
        }
        if posted.has(Posted::INTERRUPTS | Posted::SGIS) {
            self.maintain();
        }
        if posted.has(Posted::KEYS | Posted::POWER | Posted::SHOW_STATE | Posted::SHOW_INTERRUPTS) {
            return self.attend_to_people(frame, posted);
        }
        Next::Resume
    }

    #[cold]
    #[inline(never)]
    fn attend_to_people(&mut self, frame: &GuestFrame, posted: Posted) -> Next {
        if posted.has(Posted::SHOW_STATE | Posted::SHOW_INTERRUPTS) {
            self.show(frame, posted);
            monitor::answered();
        }
        if posted.has(Posted::KEYS) {
            self.hand_over();
        }
        if self.domain.life().has_ended() { Next::Leave } else { Next::Resume }
    }

    /// The console's interrupt, or one that nobody expects.
    #[cold]
    #[inline(never)]
    fn other_interrupt(&mut self, frame: &GuestFrame, id: PhysIntid) -> Next {
        let CpuServices { registry, controller, interrupts, seats, .. } = self.services;
        let Interrupts { virtual_timer, physical_timer, hypervisor_timer, .. } = *interrupts;
        for (timer, physical, to) in [
            (Timer::Virtual, virtual_timer, layout::VIRTUAL_TIMER_INTID),
            (Timer::Physical, physical_timer, layout::PHYSICAL_TIMER_INTID),
        ] {
            if id == physical && el1::timer_fires(timer) {
                return self.forward(id, to);
            } else if id == physical {
                // Of the vCPU that was here before.
                gic::deactivate(id);
                return Next::Resume;
            }
        }
        if hypervisor_timer == id {
            self.services.seats.flush();
            gic::deactivate(id);
            return self.make_way(Next::Resume);
        }
        if interrupts.console != Some(id) {
            controller.silence(id);
            gic::deactivate(id);
            return Next::Resume;
        }
        keyboard::typed(registry, &|domain, vcpu, what| {
            if (domain, vcpu) == (self.domain.id(), self.id) {
                self.show(frame, what);
            } else {
                seats.show(domain, vcpu, what);
            }
        });
        gic::deactivate(id);
        let next = self.attend(frame);
        self.make_way(next)
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
        match psci::call(&[x0, x1, x2, x3], &self.services.speculation, |affinity, level| {
            self.domain.power_state(affinity, level)
        }) {
            CallAnswer::Return(value) => {
                frame.x[0] = value;
                Next::Resume
            }
            answer => self.act(frame, answer),
        }
    }

    /// Waits until there is something to do, as WFI does: for an interrupt of the machine, unless one of the guest's is
    /// waiting already. Where another vCPU is ready, it gets the CPU meanwhile.
    fn wait(&mut self) {
        let seats = &self.services.seats;
        let mut devices = self.domain.devices().lock();
        let kick = devices.resample_timers(self.id, &mut self.lists);
        // The guest may have a pending interrupt disabled. But where it is alone, the timer behind it would not interrupt
        // again, and standby may end for no reason (DEN0022, 5.4).
        let has_pending = if seats.is_shared() {
            devices.vgic.has_pending(self.id, &self.lists)
        } else {
            devices.vgic.in_use(self.id, &self.lists).any(|interrupt| interrupt.state.is_pending())
        };
        drop(devices);
        self.domain.kick(kick);
        if has_pending || self.domain.life().inbox(self.id).is_filled() {
            return;
        }
        if seats.has_ready() {
            self.end = TurnEnd::Sleep(timer_deadline(self.domain.virtual_offset()));
        } else {
            asm::wfi();
        }
    }

    /// The calls that do more than to return something.
    #[cold]
    fn act(&mut self, frame: &mut GuestFrame, answer: CallAnswer) -> Next {
        let end = match answer {
            CallAnswer::Off => End::Off,
            CallAnswer::Reset => End::Reset,
            CallAnswer::CpuOff if self.domain.life().switch_off(self.id) => return Next::Leave,
            CallAnswer::CpuOff if self.domain.life().vcpus() == 1 => {
                End::Stopped("it switched off the only CPU that it has".into())
            }
            CallAnswer::CpuOff => End::Stopped("it switched off the last CPU that was on".into()),
            CallAnswer::Suspend => {
                frame.x[0] = 0;
                self.wait();
                return if self.end == TurnEnd::Off { Next::Resume } else { Next::Leave };
            }
            CallAnswer::Workaround { function } => {
                if self.services.speculation.is_forwarded(function) {
                    firmware::call(function, 0);
                }
                frame.x[0] = 0;
                return Next::Resume;
            }
            #[cfg(feature = "selftest")]
            CallAnswer::NotSupported { id: GIVE_TURN_UP } => {
                self.give_turn_up();
                frame.x[0] = (self.end == TurnEnd::Yield).into();
                return if self.end == TurnEnd::Off { Next::Resume } else { Next::Leave };
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
            CallAnswer::CpuOn { affinity, entry, context } => {
                frame.x[0] = self.switch_on(affinity, EntryState { pc: entry, x0: context });
                return Next::Resume;
            }
            CallAnswer::Return(value) => {
                frame.x[0] = value;
                return Next::Resume;
            }
        };
        self.domain.end(end);
        Next::Leave
    }

    /// Has the vCPU with this affinity start, and says how that went, as PSCI does.
    fn switch_on(&self, affinity: u64, entry: EntryState) -> u64 {
        if !self.domain.has_ram_at(entry.pc) {
            return ErrorCode::InvalidAddress.into();
        }
        let Some(target) = self.domain.vcpu_at(affinity) else { return ErrorCode::InvalidParameters.into() };
        match self.domain.life().switch_on(target, entry) {
            Ok(()) => {
                self.domain.post(target, Posted::POWER);
                0
            }
            Err(Refused::Absent) => ErrorCode::InvalidParameters.into(),
            Err(Refused::On) => ErrorCode::AlreadyOn.into(),
            Err(Refused::Pending) => ErrorCode::OnPending.into(),
        }
    }

    /// A system register that is trapped.
    #[inline(never)]
    fn system_register(&mut self, frame: &mut GuestFrame, esr: u64) -> Next {
        let trap = Trap::decode(Syndrome::new(esr));
        let value = trap.operand.index().map_or(0, |register| frame.x[register]);
        let read = match handling(trap.register, trap.access) {
            Handling::Sgi(register) => {
                let kick = self.domain.devices().lock().vgic.send_sgi(self.id, register, value, &mut self.lists);
                self.domain.kick_for_sgi(kick);
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
