//! Why a readable device tree, or a part of it, cannot be used.

use super::owned::Owner;
use super::parts::ModuleRole;
use crate::base::addr::{PAGE_SIZE, Span};
use crate::base::id::MAX_VCPUS;
use crate::base::interrupt::MAX_SPIS;
use alloc::string::String;
use thiserror::Error;

/// Registers of the GIC come in frames of this size, in bytes (Arm IHI 0069, section 12.1).
pub(super) const FRAME: u64 = 64 << 10;

/// A redistributor has at least two frames.
pub(super) const REDISTRIBUTOR: u64 = 2 * FRAME;

/// Why a readable device tree does not describe a machine that can be booted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum FactsError {
    #[error("device tree has no usable memory node")]
    NoMemory,
    #[error("{node} is addressed by {address} address and {size} size cells, only 1 and 2 can be read")]
    Cells { node: String, address: usize, size: usize },
    #[error("{property} of {node} has {bytes} bytes, not a multiple of its {entry}-byte entries")]
    Length { node: String, property: &'static str, bytes: usize, entry: usize },
    #[error("{node} has no {property}")]
    Missing { node: String, property: &'static str },
    #[error("{owner} at {start:#x} is empty")]
    Empty { owner: Owner, start: u64 },
    #[error("{owner} at {start:#x}, {size:#x} bytes, reaches past the end of the address space")]
    Wraps { owner: Owner, start: u64, size: u64 },
    #[error("linux,usable-memory-range of /chosen, {first} and what follows, has no RAM")]
    NothingUsable { first: Span },
    #[error("{property} of {node} has {bytes} bytes instead of an address and a size, or two addresses and a size")]
    SharedLength { node: String, property: &'static str, bytes: usize },
    #[error(transparent)]
    Guest(#[from] GuestNodeError),
}

/// Why a GIC cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum GicError {
    #[error("{node} has interrupts of {cells} cells instead of 3 or 4")]
    Cells { node: String, cells: u32 },
    #[error("{property} of {node} has {bytes} bytes instead of 4 or 8")]
    Length { node: String, property: &'static str, bytes: usize },
    #[error("{property} of {node} is {value:#x}")]
    Value { node: String, property: &'static str, value: u64 },
    #[error("{node} has no registers of a distributor and {regions} redistributor regions that the CPU can use")]
    Unreachable { node: String, regions: u64 },
    #[error("{node} has registers {span}, not in pages and frames of {FRAME:#x} bytes")]
    Frames { node: String, span: Span },
    #[error("{node} has a redistributor region {span} of less than {REDISTRIBUTOR:#x} bytes")]
    Small { node: String, span: Span },
}

/// Why an interrupt of a device is not known.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum InterruptError {
    #[error("interrupt {index} of {node} does not go to {controller} directly")]
    Elsewhere { node: String, index: usize, controller: String },
    #[error("{property} of {node} has {bytes} bytes, interrupt {index} would be behind their end")]
    Cut { node: String, property: &'static str, bytes: usize, index: usize },
    #[error("interrupt {index} of {node} is of type {kind}, only 0 (SPI) and 1 (PPI) can be read")]
    Kind { node: String, index: usize, kind: u32 },
    #[error("interrupt {index} of {node} has number {number}, its type ends below {limit}")]
    Number { node: String, index: usize, number: u32, limit: u32 },
    #[error("interrupt {index} of {node} has flags {flags:#x}, neither one edge nor one level")]
    Flags { node: String, index: usize, flags: u32 },
    #[error("interrupt {index} of {node} is {id}, shared by all CPUs, instead of one of 16 to 31")]
    Shared { node: String, index: usize, id: u32 },
}

/// Why a guest cannot be started as it is described.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum GuestNodeError {
    #[error("{property} of {node} has {bytes} bytes instead of {legal}")]
    Length { node: String, property: &'static str, bytes: usize, legal: &'static str },
    #[error("memory of {node} is {kib} KiB, not a multiple of 4 KiB above 0 and below 2^54")]
    Memory { node: String, kib: u64 },
    #[error("{node} asks for {cpus} CPUs, a guest has 1 to {MAX_VCPUS}")]
    Cpus { node: String, cpus: u32 },
    #[error("id of {node} is {id}, {guest} has {cpus} vCPUs, from 0 on")]
    VcpuId { node: String, id: u32, guest: String, cpus: u32 },
    #[error("{first} and {second} are both for vCPU {id}")]
    TwoVcpus { first: String, second: String, id: u32 },
    #[error("hard-affinity of {node} is '{value}' instead of CPU numbers such as 0-3,5")]
    HardAffinity { node: String, value: String },
    #[error("domain-cpupool of {node} names phandle {phandle:#x}, which no CPU pool has")]
    NoSuchPool { node: String, phandle: u32 },
    #[error("cpupool-cpus of {pool} names phandle {phandle:#x}, which no CPU has that can be used")]
    PoolCpu { pool: String, phandle: u32 },
    #[error("{cpu} is in {first} and in {second}")]
    TwoPools { cpu: String, first: String, second: String },
    #[error("lacuna,restart of {node} is '{value}' instead of never, on-failure or always")]
    Restart { node: String, value: String },
    #[error("nr_spis of {node} is {spis}, a GIC has at most {MAX_SPIS}")]
    Spis { node: String, spis: u32 },
    #[error("trap-unmapped-accesses of {node} is {value} instead of 0 or 1")]
    Unmapped { node: String, value: u32 },
    #[error("{node} has direct-map without xen,static-mem: there is no memory to map directly")]
    DirectMap { node: String },
    #[error("xen,static-mem of {node} has {span}, not whole pages of {PAGE_SIZE} bytes")]
    StaticUnaligned { node: String, span: Span },
    #[error("xen,static-mem of {node} is {given:#x} bytes, its memory {memory:#x}")]
    StaticSum { node: String, given: u64, memory: u64 },
    #[error("{property} of {node} is not supported: {why}")]
    Unsupported { node: String, property: String, why: &'static str },
    #[error("{node} is not supported: {why}")]
    UnsupportedNode { node: String, why: &'static str },
    #[error("{node} has no kernel module")]
    NoKernel { node: String },
    #[error("{second} is a second {role} beside {first}")]
    TwoModules { role: ModuleRole, first: String, second: String },
    #[error("{node} does not say what it is, which only a kernel and a ramdisk need not")]
    Untold { node: String },
    #[error("reg of {node} has {count} ranges instead of one")]
    ModuleRanges { node: String, count: usize },
    #[error("{property} of {node} is not text")]
    NotText { node: String, property: &'static str },
}
