//! A guest's errors: reported in words, and answered as hardware would answer.
//!
//! The guest takes the exception that the architecture defines. Where that is impossible, the guest is stopped. No
//! error here is the hypervisor's.

use crate::arch::aarch64::{cpu, el1};
use crate::arch::id_register::IdRegister;
use crate::arch::syndrome::{Class, Direction, Syndrome};
use crate::devtree::Unmapped;
use crate::guest::device::{uart, vgic};
use crate::guest::exit::inject::{Before, Cause, ExceptionEntry};
use crate::guest::exit::mmio::{Abort, FaultRegisters, Load, MmioRequest, Store};
use crate::guest::exit::step::{self, AARCH32};
use crate::guest::life::End;
use crate::guest::vcpu::{Next, Vcpu};
use aarch64_cpu::registers::{ESR_EL2, FAR_EL2, HPFAR_EL2, Readable};
use alloc::format;
use alloc::string::String;
use core::fmt;
use lacuna_boot::GuestFrame;
use log::{Level, log, warn};

/// The vectors of EL1 take so many bytes from VBAR_EL1 on (DDI 0487, D1.3.1.5).
const VECTORS_BYTES: u64 = 0x800;

/// What the fault left behind. It stays there until the next one, which only a guest that runs can take.
#[inline]
pub(super) fn fault_registers(esr: u64) -> FaultRegisters {
    FaultRegisters { esr: Syndrome::new(esr), far: FAR_EL2.get(), hpfar: HPFAR_EL2.get() }
}

/// Why a device does not take an access.
#[derive(Debug, thiserror::Error)]
pub enum AccessRefusal {
    /// The guest has no such device.
    #[error("this guest has no such device")]
    Absent,
    /// The interrupt controller refuses.
    #[error(transparent)]
    Vgic(#[from] vgic::GicRejected),
    /// The UART refuses.
    #[error(transparent)]
    Uart(#[from] uart::UartRejected),
}

/// An access, in words: `4-byte read`.
struct Wanted<'a>(&'a Abort);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.0.access {
            Direction::Read => "read",
            Direction::Write => "write",
        };
        match self.0.request {
            MmioRequest::Load(Load { size, .. }) | MmioRequest::Store(Store { size, .. }) => {
                write!(f, "{}-byte {access}", size.bytes())
            }
            MmioRequest::NoSyndrome => write!(f, "{access} by an instruction that is not emulated (a pair, say)"),
            MmioRequest::CacheMaintenance => f.write_str("cache maintenance"),
            MmioRequest::TableWalk => f.write_str("walk of its own page tables"),
            MmioRequest::Other(class) => write!(f, "{class}"),
        }
    }
}

/// Where a vCPU is, for the start of a line: `domU1: vCPU 0 at 0x40000000`.
pub(super) struct At<'a> {
    name: &'a str,
    vcpu: usize,
    pc: u64,
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: vCPU {} at {:#x}", self.name, self.vcpu, self.pc)
    }
}

impl Vcpu<'_> {
    /// An access to an address where the guest has neither memory nor a device, or in a way that no device takes.
    #[cold]
    pub(super) fn nothing_there(&mut self, frame: &mut GuestFrame, esr: u64) -> Next {
        let abort = &Abort::decode(&fault_registers(esr));
        // It has nothing to clean or to invalidate there.
        if abort.request == MmioRequest::CacheMaintenance {
            return self.go_on(frame, esr);
        }
        let nearest = self.domain.map().nearest(abort.address);
        if self.domain.unmapped() == Unmapped::ReadAsOnes && self.domain.map().region_of(abort.address).is_none() {
            match abort.request {
                MmioRequest::Load(load) => {
                    if let Some(register) = load.register.index() {
                        frame.x[register] = load.result(u64::MAX);
                    }
                    return self.go_on(frame, esr);
                }
                MmioRequest::Store(_) => return self.go_on(frame, esr),
                _ => (),
            }
        }
        self.complain(frame, format_args!("{}: {nearest}; injected an external abort", Wanted(abort)));
        self.external_abort(frame, abort)
    }

    /// An access that a device does not take.
    #[cold]
    pub(super) fn refuse(&mut self, frame: &mut GuestFrame, esr: u64, why: &AccessRefusal) -> Next {
        // Beyond its redistributors is nothing, either.
        if matches!(why, AccessRefusal::Absent | AccessRefusal::Vgic(vgic::GicRejected::Outside { .. })) {
            return self.nothing_there(frame, esr);
        }
        let abort = &Abort::decode(&fault_registers(esr));
        self.complain(frame, format_args!("{}: {why}; injected an external abort", Wanted(abort)));
        self.external_abort(frame, abort)
    }

    fn external_abort(&mut self, frame: &mut GuestFrame, abort: &Abort) -> Next {
        self.inject(frame, Cause::DataAbort { access: abort.access, address: FAR_EL2.get() })
    }

    /// The guest goes on behind the instruction that EL2 has carried out.
    #[cold]
    pub(super) fn go_on(&self, frame: &mut GuestFrame, esr: u64) -> Next {
        (frame.pc, frame.pstate) = step::behind(frame.pc, frame.pstate, esr);
        Next::Resume
    }

    /// A fetch from where the guest has no memory, or has put no tables. BTYPE stays what it was, as after every exception
    /// that is taken before the instruction is known (DDI 0487, AArch64.TakeException).
    #[cold]
    pub(super) fn instruction_abort(&mut self, frame: &mut GuestFrame, esr: u64, pstate: u64) -> Next {
        frame.pstate = pstate;
        let abort = &Abort::decode(&fault_registers(esr));
        let (class, walk) = (Syndrome::new(esr).class(), Wanted(abort));
        let what: &dyn fmt::Display = if abort.request == MmioRequest::TableWalk { &walk } else { &class };
        let nearest = self.domain.map().nearest(abort.address);
        if frame.pc.wrapping_sub(el1::vector_base() & !(VECTORS_BYTES - 1)) < VECTORS_BYTES {
            return self.stop(frame, format!("its exception vectors are not in memory: {what}, {nearest}"));
        }
        self.complain(frame, format_args!("{what}: {nearest}; injected an external abort"));
        self.inject(frame, Cause::InstructionAbort { address: FAR_EL2.get() })
    }

    /// Something that the guest may not do, or that nobody knows.
    #[cold]
    pub(super) fn undefined(&mut self, frame: &mut GuestFrame, what: &dyn fmt::Display) -> Next {
        self.complain(frame, format_args!("{what}; injected an undefined-instruction exception"));
        self.inject(frame, Cause::Undefined)
    }

    /// An exception of a class that no trap of ours leads to.
    #[cold]
    pub(super) fn unexpected(&mut self, frame: &mut GuestFrame, esr: u64, pstate: u64) -> Next {
        frame.pstate = pstate;
        if pstate & AARCH32 != 0 {
            return self.trapped_in_aarch32(frame, esr);
        }
        match Syndrome::new(esr).class() {
            // Illegal execution state, or misalignment of PC or SP: those are the guest's own, and EL1 gets them itself.
            class @ (Class::IllegalState | Class::PcAlignment | Class::SpAlignment | Class::SystemError) => {
                self.stop(frame, format!("{class} at EL2, ESR_EL2 {esr:#x}"))
            }
            class => self.undefined(frame, &class),
        }
    }

    /// A trapped instruction of AArch32 code, which the guest's ID registers do not offer, but some CPUs have at EL0.
    fn trapped_in_aarch32(&mut self, frame: &mut GuestFrame, esr: u64) -> Next {
        if !step::is_executed(frame.pstate, esr) {
            return self.go_on(frame, esr);
        }
        let class = Syndrome::new(esr).class();
        self.undefined(frame, &format_args!("{class} in AArch32, which this guest does not have"))
    }

    /// Lets the guest go on in its exception handler.
    fn inject(&mut self, frame: &mut GuestFrame, cause: Cause) -> Next {
        let before = Before {
            pc: frame.pc,
            pstate: frame.pstate,
            vbar: el1::vector_base(),
            sctlr: el1::control(),
            pfr1: cpu::id_register(IdRegister::Pfr1),
        };
        let entry = ExceptionEntry::new(&before, cause);
        // SAFETY: the guest goes on at the vector for this exception.
        unsafe { el1::set_exception(entry.esr, entry.elr, entry.spsr) };
        if let Some(far) = entry.far {
            // SAFETY: the exception that the guest takes is one with a fault address, which FAR_EL1 holds from then on.
            unsafe { el1::set_fault_address(far) };
        }
        (frame.pc, frame.pstate) = (entry.pc, entry.pstate);
        Next::Resume
    }

    /// Ends the guest, and says why and where it was.
    #[cold]
    pub(super) fn stop(&mut self, frame: &GuestFrame, why: String) -> Next {
        warn!("{}: {why}", self.at(frame));
        crate::println!("  PSTATE {:#x}  ESR_EL2 {:#x}  FAR_EL2 {:#x}", frame.pstate, ESR_EL2.get(), FAR_EL2.get());
        for (row, registers) in frame.x.chunks(4).enumerate() {
            let mut line = String::new();
            for (column, value) in registers.iter().enumerate() {
                line += &format!("  x{:<2} {value:#018x}", row * 4 + column);
            }
            crate::println!("{line}");
        }
        crate::println!("{}", el1::snapshot());
        self.domain.end(End::Stopped(why));
        Next::Leave
    }

    /// Reports what the guest did, unless it has been reported on too often of late.
    pub(super) fn complain(&mut self, frame: &GuestFrame, what: fmt::Arguments<'_>) {
        self.tell(Level::Warn, frame, what);
    }

    /// Reports what the guest did at this level, which is printed, as [`complain`](Self::complain) does.
    #[cold]
    pub(super) fn tell(&mut self, level: Level, frame: &GuestFrame, what: fmt::Arguments<'_>) {
        if self.slot.complaints().lock().has_room(self.domain.name(), cpu::nanoseconds(cpu::ticks())) {
            log!(level, "{}: {what}", self.at(frame));
        }
    }

    pub(super) fn at(&self, frame: &GuestFrame) -> At<'_> {
        At { name: self.domain.name(), vcpu: self.id.index(), pc: frame.pc }
    }
}
