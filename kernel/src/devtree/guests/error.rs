//! Why a guest cannot be started as it is described.

use super::super::interrupts::MAX_SPIS;
use super::modules::Role;
use crate::addr::{PAGE_SIZE, Span};
use alloc::string::String;
use thiserror::Error;

/// Why a guest cannot be started as it is described.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum GuestError {
    #[error("{property} of {node} has {bytes} bytes instead of {legal}")]
    Length { node: String, property: &'static str, bytes: usize, legal: &'static str },
    #[error("memory of {node} is {kib} KiB, not a multiple of 4 KiB above 0 and below 2^54")]
    Memory { node: String, kib: u64 },
    #[error("{node} asks for {cpus} CPUs, this version gives a guest 1")]
    Cpus { node: String, cpus: u32 },
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
    TwoModules { role: Role, first: String, second: String },
    #[error("{node} does not say what it is, which only a kernel and a ramdisk need not")]
    Untold { node: String },
    #[error("reg of {node} has {count} ranges instead of one")]
    ModuleRanges { node: String, count: usize },
    #[error("{property} of {node} is not text")]
    NotText { node: String, property: &'static str },
}
