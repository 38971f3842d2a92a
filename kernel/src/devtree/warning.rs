//! Things that are left out of a device tree, and the cost of that.

use super::error::Oddity;
use super::owned::{Owned, Owner};
use super::refusal::{FactsError, GicError, InterruptError};
use crate::base::addr::Span;
use crate::base::id::Mpidr;
use alloc::string::String;
use thiserror::Error;

/// Something in the device tree that is left out and that somebody may miss.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum TreeWarning {
    #[error("/chosen has no stdout-path: no console")]
    NoStdout,
    #[error("stdout-path '{path}' names no node: no console")]
    StdoutNotFound { path: String },
    #[error("stdout-path names alias '{alias}', which is '{value}' instead of a path: no console")]
    StdoutAlias { alias: String, value: String },
    #[error("stdout-path names {node}, which is disabled: no console")]
    StdoutDisabled { node: String },
    #[error("stdout-path names {node}, a '{compatible}', for which there is no driver: no console")]
    StdoutUnknown { node: String, compatible: String },
    #[error("stdout-path names {node}, whose {property} is {value}: no console")]
    StdoutAccess { node: String, property: &'static str, value: u64 },
    #[error("stdout-path names {node}, whose registers have no address that the CPU can use: no console")]
    StdoutUnreachable { node: String },
    #[error(
        "stdout-path names {node}, whose registers {registers} are not {bytes:#x} bytes in words of {width}: no console"
    )]
    StdoutRegisters { node: String, registers: Span, bytes: u64, width: u64 },
    #[error("{node} wants a range of {size} bytes anywhere: ignored, only ranges with an address are reserved")]
    Dynamic { node: String, size: u64 },
    #[error("{owner} has an empty range at {start:#x}: ignored")]
    EmptyRange { owner: Owner, start: u64 },
    #[error("{what}, {size:#x} bytes, reaches past the end of the address space: cut")]
    Wraps { what: Owned, size: u64 },
    #[error("{error}: left out")]
    LeftOut { error: FactsError },
    #[error("/reserved-memory has no #address-cells and #size-cells: ignored with all its children")]
    ReservedCells,
    #[error("linux,usable-memory-range of /chosen: RAM is used in {range} only")]
    UsableRange { range: Span },
    #[error("{property} has {bytes} bytes instead of 4 or 8: no initrd")]
    InitrdLength { property: &'static str, bytes: usize },
    #[error("initrd starts at {start:#x} but ends at {end:#x}: no initrd")]
    InitrdOrder { start: u64, end: u64 },
    #[error("/chosen has {property} alone: no initrd")]
    InitrdHalf { property: &'static str },
    #[error("{what} is reserved and not shared: guests share no memory")]
    SharedMemory { what: Owned },
    #[error("{node} shares {size:#x} bytes of any memory: ignored, guests share no memory")]
    SharedAnywhere { node: String, size: u64 },
    #[error(transparent)]
    Blob(#[from] Oddity),
    #[error("{node} has neither a range nor a size: ignored")]
    NoRange { node: String },
    #[error("method '{method}' of {node} is neither smc nor hvc: no PSCI")]
    PsciMethod { node: String, method: String },
    #[error("{node} has no affinity that a CPU could have in reg: left out")]
    CpuReg { node: String },
    #[error("{node} has affinity {mpidr}, and so has {other}: left out")]
    CpuTwice { node: String, other: String, mpidr: Mpidr },
    #[error("bootargs of /chosen belong to {module}: ignored, the hypervisor's are xen,xen-bootargs")]
    ForeignBootargs { module: String },
    #[error("{property} of /chosen is not text: ignored")]
    NotText { property: &'static str },
    #[error("{0}: no GIC")]
    Gic(#[from] GicError),
    #[error("{0}: ignored")]
    Interrupt(#[from] InterruptError),
    #[error("{module} is the kernel of a dom0, which is not supported: not started")]
    Dom0 { module: String },
    #[error("{node} describes a guest, but not right below /chosen: not started")]
    GuestPlace { node: String },
    #[error("{node} is disabled: not started until somebody starts it at the prompt")]
    GuestDisabled { node: String },
    #[error("{node} has no cpus, which Xen requires: it gets 1")]
    NoCpus { node: String },
    #[error("{property} of {node} is ignored: {why}")]
    Ignored { node: String, property: String, why: &'static str },
    #[error("{node} is ignored: {why}")]
    IgnoredNode { node: String, why: &'static str },
    #[error("{property} of {node} is unknown: ignored")]
    UnknownProperty { node: String, property: String },
    #[error("{node} is of an unknown kind: ignored")]
    UnknownNode { node: String },
    #[error("xen,static-heap of /chosen is ignored: all free RAM serves as heap")]
    StaticHeap,
}
