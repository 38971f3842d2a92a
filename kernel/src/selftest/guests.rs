//! The parts of a guest, tested on this CPU without a guest.

use super::{Subject, Verdict};
use crate::arch::aarch64::virtualization::{self, GuestRegime};
use crate::arch::aarch64::{controls, cpu};
use crate::arch::controls::{Sharing, hcr};
use crate::base::addr::{GuestAddr, PAGE_SIZE};
use crate::base::id::DomainId;
use crate::frames::frametable::page_info::FrameOwner;
use crate::guest::isolation::stage2::{Config, Stage2, Stage2Plan, Vmid};
use crate::guest::memory::{FrameSource, GuestMemory};
use crate::memory::HostMemory;
use alloc::format;
use alloc::string::{String, ToString};
use core::ops::Range;

tests!(guests: hardware_translates_as_planned memory_is_given_zeroed);

/// The guest that these tests pretend.
const NUMBER: u8 = 200;

/// Two banks, neither of them a number of blocks.
fn banks() -> [Range<GuestAddr>; 2] {
    let bank = |start, bytes| GuestAddr::new(start)..GuestAddr::new(start + bytes);
    [bank(0x4000_0000, (4 << 20) + 5 * PAGE_SIZE), bank(0x2_0000_0000, 17 * PAGE_SIZE)]
}

fn memory(host: &HostMemory) -> Result<GuestMemory, String> {
    GuestMemory::new(host, FrameOwner::guest(DomainId::new(NUMBER.into())), &banks(), FrameSource::PageAllocator)
        .map_err(|error| error.to_string())
}

fn hardware_translates_as_planned(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let memory = memory(host)?;
    let plan = Stage2Plan::new(Config::new(cpu::physical_address_bits()), memory.extents());
    let tables = plan
        .map_err(|error| error.to_string())
        .and_then(|plan| Stage2::build(host, &plan).map_err(|error| error.to_string()));
    let verdict = tables.and_then(|tables| {
        let verdict = compare(&memory, &tables);
        tables.release(host);
        verdict
    });
    memory.release(host).map_err(|error| error.to_string())?;
    verdict
}

/// Has the CPU translate every page of both banks, and those before and after.
fn compare(memory: &GuestMemory, tables: &Stage2) -> Verdict {
    let id = controls::id_registers();
    let regime = GuestRegime {
        vtcr: tables.config().vtcr(),
        vttbr: tables.vttbr(Vmid::of(DomainId::new(NUMBER.into()), 8).ok_or("no VMID")?),
        hcr: hcr(&id, Sharing::Alone),
        mpidr: 1 << 31,
        virtual_offset: 0,
    };
    // SAFETY: the tables map memory that is this test's, and live until it has left. There is no guest on this CPU.
    unsafe { virtualization::enter(&id, &regime) };
    let verdict = banks().iter().try_for_each(|bank| {
        let around = bank.start.get() - PAGE_SIZE..bank.end.get() + 2 * PAGE_SIZE;
        around.step_by(PAGE_SIZE as usize).try_for_each(|address| {
            let planned = memory.frame(GuestAddr::new(address)).map(|frame| frame.address());
            let found = virtualization::translate(address);
            ensure!(found == planned, "guest address {address:#x} is at {found:?} and should be at {planned:?}");
            Ok(())
        })
    });
    virtualization::leave();
    verdict
}

fn memory_is_given_zeroed(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let mut verdict = Ok(());
    // Twice: what the first leaves may be what the second gets.
    for _ in 0..2 {
        let mut memory = memory(host)?;
        for bank in banks() {
            let bytes = bank.end.get() - bank.start.get();
            let mut window = memory.window(host, bank.start, bytes).map_err(|error| error.to_string())?;
            let dirty = window.bytes_mut().iter().position(|byte| *byte != 0);
            verdict = verdict.and(dirty.map_or(Ok(()), |at| Err(format!("byte {at:#x} of {} is not 0", bank.start))));
            window.bytes_mut().fill(0xa5);
        }
        memory.release(host).map_err(|error| error.to_string())?;
    }
    verdict
}
