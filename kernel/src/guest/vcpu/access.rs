//! Accesses of a guest to its devices.
//!
//! Stage 2 maps no device, so each access is a data abort, whose syndrome describes the load or store. Accesses that
//! only identify a device take the shortest path.

use crate::arch::aarch64::el1::{self, Timer};
use crate::arch::aarch64::gic::list_registers::CpuInterface;
use crate::base::addr::GuestAddr;
use crate::base::id::{Intid, VcpuId};
use crate::guest::device::size::Size;
use crate::guest::device::vgic::{GicAccess, Kick};
use crate::guest::domain::Devices;
use crate::guest::exit::mmio::{Abort, MmioRequest};
use crate::guest::exit::step::{AARCH32, BIG_ENDIAN_EL0, BIG_ENDIAN_EL1, ByteOrder};
use crate::guest::layout;
use crate::guest::vcpu::faults::{AccessRefusal, fault_registers};
use crate::guest::vcpu::{INSTRUCTION_BYTES, Next, Vcpu};
use aarch64_cpu::registers::{Readable, SPSR_EL2};
use core::ops::Range;
use lacuna_boot::GuestFrame;

/// An access to a device, as far as devices tell it apart.
#[derive(Clone, Copy)]
enum EmulatedDevice {
    Distributor(u64),
    Redistributors(u64),
    Uart(u64),
}

impl EmulatedDevice {
    #[inline]
    fn at(address: GuestAddr) -> Option<Self> {
        let within = |range: Range<GuestAddr>| address.get().wrapping_sub(range.start.get());
        let distributor = within(layout::DISTRIBUTOR);
        if distributor < layout::size(&layout::DISTRIBUTOR) {
            return Some(Self::Distributor(distributor));
        }
        let redistributors = within(layout::REDISTRIBUTORS);
        if redistributors < layout::size(&layout::REDISTRIBUTORS) {
            return Some(Self::Redistributors(redistributors));
        }
        let uart = within(layout::UART);
        (uart < layout::size(&layout::UART)).then_some(Self::Uart(uart))
    }
}

/// The order of bytes in the guest's memory, for the instruction that trapped. Nothing has changed SPSR_EL2 since.
#[cold]
#[inline(never)]
fn byte_order() -> ByteOrder {
    ByteOrder::of(SPSR_EL2.get(), el1::control())
}

impl Devices {
    /// Withdraws the interrupts of timers that no longer assert them. A timer's registers are the guest's, so nobody is told
    /// when its line falls; but whenever the state of private interrupts matters, it is looked at.
    pub(super) fn resample_timers(&mut self, vcpu: VcpuId, lists: &mut CpuInterface) -> Kick {
        const TIMERS: [(Timer, Intid); 2] =
            [(Timer::Virtual, layout::VIRTUAL_TIMER_INTID), (Timer::Physical, layout::PHYSICAL_TIMER_INTID)];
        let mut kick = Kick::NONE;
        for (timer, id) in TIMERS {
            if !el1::timer_fires(timer) {
                kick = kick | self.vgic.withdraw(vcpu, id, lists);
            }
        }
        kick
    }
}

impl Vcpu<'_> {
    /// A load or store where stage 2 maps nothing: of a device's register, or of nothing.
    #[inline(never)]
    pub(super) fn data_abort(&mut self, frame: &mut GuestFrame, esr: u64, pstate: u64) -> Next {
        let is_usual = pstate & AARCH32 == 0 && el1::control() & (BIG_ENDIAN_EL1 | BIG_ENDIAN_EL0) == 0;
        if pstate & AARCH32 != 0 {
            // The bits of BTYPE are others then.
            frame.pstate = pstate;
        }
        let abort = Abort::decode(&fault_registers(esr));
        // Which device is asked for last, so that the compiler need not come back to what kind of request it was.
        let done = match abort.request {
            MmioRequest::Load(load) => {
                let Some(device) = EmulatedDevice::at(abort.address) else { return self.nothing_there(frame, esr) };
                self.read(device, load.size).map(|value| {
                    let value = if is_usual { value } else { byte_order().convert(load.size, value) };
                    if let Some(register) = load.register.index() {
                        frame.x[register] = load.result(value);
                    }
                })
            }
            MmioRequest::Store(store) => {
                let Some(device) = EmulatedDevice::at(abort.address) else { return self.nothing_there(frame, esr) };
                let value = store.value(store.register.index().map_or(0, |register| frame.x[register]));
                let value = if is_usual { value } else { byte_order().convert(store.size, value) };
                self.write(device, store.size, value)
            }
            _ => return self.nothing_there(frame, esr),
        };
        match done {
            Ok(()) if is_usual => {
                frame.pc = frame.pc.wrapping_add(INSTRUCTION_BYTES);
                Next::Resume
            }
            Ok(()) => self.go_on(frame, esr),
            Err(refusal) => self.refuse(frame, esr, &refusal),
        }
    }

    #[inline]
    fn read(&mut self, device: EmulatedDevice, size: Size) -> Result<u64, AccessRefusal> {
        let access = GicAccess::Read { size };
        match device {
            EmulatedDevice::Distributor(offset) => self.distributor(offset, access),
            EmulatedDevice::Redistributors(offset) => self.redistributors(offset, access),
            EmulatedDevice::Uart(offset) => {
                let value = self.read_uart(offset, size)?;
                self.listen();
                Ok(value)
            }
        }
    }

    #[inline]
    fn write(&mut self, device: EmulatedDevice, size: Size, value: u64) -> Result<(), AccessRefusal> {
        let access = GicAccess::Write { size, value };
        match device {
            EmulatedDevice::Distributor(offset) => {
                self.distributor(offset, access)?;
                self.listen();
            }
            EmulatedDevice::Redistributors(offset) => {
                self.redistributors(offset, access)?;
            }
            EmulatedDevice::Uart(offset) => {
                self.write_uart(offset, size, value)?;
                self.listen();
            }
        }
        Ok(())
    }

    // Inlined into `read` and `write` each: for a read that is a look at a register, half of the cost would be passing on
    // what kind of access it is.
    #[inline(always)]
    fn distributor(&mut self, offset: u64, access: GicAccess) -> Result<u64, AccessRefusal> {
        let answer = self.domain.devices().lock().vgic.access_distributor(self.id, offset, access, &mut self.lists)?;
        self.domain.kick(answer.kick);
        Ok(answer.value)
    }

    #[inline]
    fn redistributors(&mut self, offset: u64, access: GicAccess) -> Result<u64, AccessRefusal> {
        let mut devices = self.domain.devices().lock();
        let kick = devices.resample_timers(self.id, &mut self.lists);
        let answer = devices.vgic.access_redistributor(self.id, offset, access, &mut self.lists);
        drop(devices);
        self.domain.kick(kick);
        let answer = answer?;
        self.domain.kick(answer.kick);
        Ok(answer.value)
    }

    #[inline(never)]
    fn read_uart(&mut self, offset: u64, size: Size) -> Result<u64, AccessRefusal> {
        let mut devices = self.domain.devices().lock();
        let Devices { vgic, uart: Some(uart) } = &mut *devices else { return Err(AccessRefusal::Absent) };
        let value = uart.read(offset, size)?;
        let kick = vgic.set_line(self.id, layout::UART_INTID, uart.line(), &mut self.lists);
        drop(devices);
        self.domain.kick(kick);
        Ok(value)
    }

    #[inline(never)]
    fn write_uart(&mut self, offset: u64, size: Size, value: u64) -> Result<(), AccessRefusal> {
        let mut devices = self.domain.devices().lock();
        let Devices { vgic, uart: Some(uart) } = &mut *devices else { return Err(AccessRefusal::Absent) };
        let sent = uart.write(offset, size, value)?;
        let kick = vgic.set_line(self.id, layout::UART_INTID, uart.line(), &mut self.lists);
        drop(devices);
        self.domain.kick(kick);
        if let Some(byte) = sent
            && self.slot.print(byte)
        {
            self.services.seats.flush_later();
        }
        Ok(())
    }
}
