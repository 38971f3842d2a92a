//! The messages of the boot, for the person at the other end of the cable and for scripts.

use crate::arch::aarch64::cpu;
use crate::arch::memory_system::MemorySystem;
use crate::base::addr::{Bytes, Frames, Mfn};
use crate::frames::frametable::plan::FrametablePlan;
use crate::memory::HostMemory;
use crate::memory_map::MemoryMap;
use crate::pdx::PdxKind;
use crate::println;
use crate::stopwatch::Stopwatch;
use core::fmt;
use core::ops::Range;
use lacuna_boot::Layout;
use log::info;

/// Says of each guest that it is not started, since that takes stage 2 of an MMU; and how that went.
#[cfg(not(feature = "guests"))]
pub fn no_guests(guests: &[crate::devtree::Guest]) -> crate::base::outcome::Outcome {
    use crate::base::outcome::Outcome;
    for guest in guests {
        log::error!("{} is not started: guests need an MMU at EL2, and this image is built for an MPU", guest.node);
    }
    if guests.is_empty() { Outcome::Success } else { Outcome::Failure }
}

/// Everything that the report is about.
pub struct Report<'a> {
    /// The image.
    pub layout: &'a Layout,
    /// CPUs in the device tree, this one included.
    pub cpus: usize,
    /// How many of them run, where this image starts others.
    pub running: Option<usize>,
    /// Banks and their owners.
    pub memory: &'a MemoryMap,
    /// The frametable as planned.
    pub plan: &'a FrametablePlan,
    /// The memory of its chunks.
    pub chunks: &'a [Range<Mfn>],
    /// The memory as it is now.
    pub host: &'a HostMemory,
    /// How long it took.
    pub clock: &'a Stopwatch,
}

impl Report<'_> {
    /// Prints it: for people at level `info`, and the line for scripts at any.
    pub fn print(&self) {
        if log::log_enabled!(log::Level::Info) {
            self.machine();
            self.frametable();
            self.times();
        }
        self.script_line();
    }

    fn machine(&self) {
        let image = self.layout.image();
        let version = env!("CARGO_PKG_VERSION");
        let memory = match MemorySystem::of_image() {
            MemorySystem::Mmu => "mmu",
            MemorySystem::Mpu => "mpu",
        };
        info!("lacuna {version} ({memory}) at EL2, image [{:#x}, {:#x})", image.start, image.end);
        info!("cpu     MIDR {:#x}, {} physical address bits", cpu::identity(), cpu::physical_address_bits());
        match self.running {
            Some(running) if self.cpus > 1 => info!("cpus    {running} of {} run", self.cpus),
            None if self.cpus > 1 => {
                info!("cpus    {}: all but this one stay where firmware holds them", self.cpus);
            }
            _ => (),
        }
        let (banks, memory) = (self.memory.banks(), self.memory);
        let (ram, span) = (Bytes(memory.ram_bytes()), Bytes(memory.span_bytes()));
        info!("memory  {} of RAM in {} over {span} of addresses", ram, Count(banks.len(), "bank"));
        for bank in banks {
            let span = bank.span();
            info!("        [{:#012x}, {:#012x})  {:>9}", span.start.get(), span.end.get(), Bytes(bank.bytes()));
        }
        for owned in memory.reserved() {
            let span = owned.span;
            let size = Bytes(span.bytes());
            info!("        [{:#012x}, {:#012x})  {size:>9}  {}", span.start.get(), span.end.get(), owned.owner);
        }
    }

    fn frametable(&self) {
        let groups = self.plan.groups();
        info!("pdx     {}", self.host.table().pdx().kind());
        info!("groups  {groups}  {} of {} valid", groups.count_valid(), groups.span());
        let (size, whole) = (Bytes(self.plan.frametable_bytes()), Bytes(self.plan.contiguous_bytes()));
        info!("frames  {size} of frametable in {} (contiguous: {whole})", Count(self.chunks.len(), "chunk"));
        for (chunk, frames) in self.plan.chunks().iter().zip(self.chunks) {
            let addresses = self.host.table().addresses(chunk);
            let size = Bytes(chunk.bytes);
            let how = self.host.vmap().describe(addresses.clone());
            info!("        {} -> {:#012x}  {size:>9}  {how}", addresses.start, frames.start.address().get());
        }
        info!("free    {}", Bytes(self.host.free_bytes()));
    }

    fn times(&self) {
        for (stage, nanoseconds) in self.clock.laps() {
            info!("time    {stage:<15}{:>8} us", nanoseconds.div_ceil(1000));
        }
    }

    fn script_line(&self) {
        let kind = match self.host.table().pdx().kind() {
            PdxKind::None => "none",
            PdxKind::Mask { .. } => "mask",
            PdxKind::Offset { .. } => "offset",
        };
        let groups = self.plan.groups();
        println!(
            "lacuna: memory banks={} ram_kib={} span_kib={} pdx={kind} groups={}/{} chunks={} frametable_kib={} \
             contiguous_kib={} free_kib={}",
            self.memory.banks().len(),
            self.memory.ram_bytes() >> 10,
            self.memory.span_bytes() >> 10,
            groups.count_valid(),
            groups.span(),
            self.chunks.len(),
            self.plan.frametable_bytes() >> 10,
            self.plan.contiguous_bytes() >> 10,
            self.host.free_bytes() >> 10,
        );
    }
}

/// A number of things, in English.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, thing) = self;
        write!(f, "{count} {thing}{}", if *count == 1 { "" } else { "s" })
    }
}
