//! What a device tree says that the boot needs, as typed facts.

use super::error::Oddity;
use super::gic::{Gic, GicError};
use super::guests::{Guest, GuestError};
use super::interrupts::{Interrupt, InterruptError};
use super::owned::{Owned, Owner};
use crate::addr::{PhysAddr, Span};
use crate::uart::{Access, Model};
use alloc::string::String;
use alloc::vec::Vec;
use thiserror::Error;

/// What a device tree says that the boot needs.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// All ranges of all memory nodes, in the order of the tree, unchecked against each other. At least one.
    pub banks: Vec<Bank>,
    /// All memory that belongs to somebody, but for the image and the blob itself. None is empty.
    pub reservations: Vec<Owned>,
    /// The UART that `stdout-path` names, if there is a driver for it.
    pub console: Option<Console>,
    /// CPUs that can be used: the one that runs this, and those that are left where firmware holds them.
    pub cpus: usize,
    /// How to call PSCI.
    pub psci: Option<Conduit>,
    /// The GIC, if there is one of version 3.
    pub gic: Option<Gic>,
    /// The interrupt of the virtual timer, if there is a GIC. Private to each CPU.
    pub virtual_timer: Option<Interrupt>,
    /// The interrupt of the physical timer that is not Secure, likewise.
    pub physical_timer: Option<Interrupt>,
    /// The guests to be started, in the order of the tree.
    pub guests: Vec<Guest>,
    /// The hypervisor's command line.
    pub bootargs: Option<&'a str>,
    /// What was left out, and why.
    pub warnings: Vec<Warning>,
}

/// One range of a memory node, as it stands there: nothing about its end is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    /// Path of the memory node, or whatever else names the bank in a message.
    pub node: String,
    /// First byte.
    pub start: PhysAddr,
    /// Length in bytes.
    pub size: u64,
}

/// The instruction that calls PSCI firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `smc`, answered by EL3.
    Smc,
    /// `hvc`, answered by a hypervisor below this one.
    Hvc,
}

/// Where to print, and perhaps to read what is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Path of the UART's node as `stdout-path` or its alias gives it.
    pub node: String,
    /// What it is.
    pub device: Device,
    /// The UART's interrupt, if the tree says where it goes and there is a GIC.
    pub interrupt: Option<Interrupt>,
}

/// The device of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A UART with registers in memory.
    Memory {
        /// Which driver it takes.
        model: Model,
        /// The registers, as the CPU sees them.
        registers: Span,
        /// How they are accessed.
        access: Access,
    },
    /// The debug communications channel of the CPU, which has no registers in memory.
    DebugChannel,
}

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
    Guest(#[from] GuestError),
}

/// Something in the device tree that is left out and that somebody may miss.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum Warning {
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
    #[error("{what} is reserved, but shared with nobody: guests share no memory")]
    SharedMemory { what: Owned },
    #[error("{node} shares {size:#x} bytes of any memory: ignored, guests share no memory")]
    SharedAnywhere { node: String, size: u64 },
    #[error(transparent)]
    Blob(#[from] Oddity),
    #[error("{node} has neither a range nor a size: ignored")]
    NoRange { node: String },
    #[error("method '{method}' of {node} is neither smc nor hvc: no PSCI")]
    PsciMethod { node: String, method: String },
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
    #[error("{node} is disabled: not started")]
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

impl Owned {
    /// `size` bytes of `owner`, which must not be empty.
    pub(super) fn new(owner: Owner, start: u64, size: u64) -> Result<Self, FactsError> {
        if size == 0 {
            return Err(FactsError::Empty { owner, start });
        }
        match Span::sized(PhysAddr::new(start), size) {
            Some(span) => Ok(Self { owner, span }),
            None => Err(FactsError::Wraps { owner, start, size }),
        }
    }
}

impl Facts<'_> {
    /// Adds a reservation of `size` bytes, which must not be empty.
    pub(super) fn reserve(&mut self, owner: Owner, start: u64, size: u64) -> Result<(), FactsError> {
        self.reservations.push(Owned::new(owner, start, size)?);
        Ok(())
    }

    /// What there is; what cannot be used is missing, with a warning.
    pub(super) fn or_warning<T, E: Into<Warning>>(&mut self, found: Result<Option<T>, E>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.warnings.push(error.into());
            None
        })
    }
}
