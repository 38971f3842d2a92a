//! The facts of a device tree that the boot needs, as types.

use super::owned::{Owned, Owner};
use super::parts::{Bank, Console, CpuFacts, CpuPool, GicFacts, Guest, GuestStart, PsciFacts};
use super::refusal::FactsError;
use super::warning::TreeWarning;
use crate::base::addr::{PhysAddr, Span};
use crate::base::interrupt::Interrupt;
use alloc::vec::Vec;

/// What a device tree says that the boot needs.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// All ranges of all memory nodes, in the order of the tree, unchecked against each other. At least one.
    pub banks: Vec<Bank>,
    /// All memory that belongs to somebody, but for the image and the blob itself. None is empty.
    pub reservations: Vec<Owned>,
    /// The UART that `stdout-path` names, if there is a driver for it.
    pub console: Option<Console>,
    /// CPUs that are neither disabled nor broken, in the order of the tree.
    pub cpus: Vec<CpuFacts>,
    /// How to call PSCI.
    pub psci: Option<PsciFacts>,
    /// The GIC, if there is one of version 3.
    pub gic: Option<GicFacts>,
    /// The interrupt of the virtual timer, if there is a GIC. Private to each CPU.
    pub virtual_timer: Option<Interrupt>,
    /// The interrupt of the physical timer that is not Secure, likewise.
    pub physical_timer: Option<Interrupt>,
    /// The interrupt of EL2's physical timer, likewise.
    pub hypervisor_timer: Option<Interrupt>,
    /// The guests, in the order of the tree.
    pub guests: Vec<Guest>,
    /// The CPU pools, in the order of the tree.
    pub pools: Vec<CpuPool>,
    /// The hypervisor's command line.
    pub bootargs: Option<&'a str>,
    /// What was left out, and why.
    pub warnings: Vec<TreeWarning>,
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
    /// Number of guests that start when the machine does.
    pub fn guests_at_boot(&self) -> usize {
        self.guests.iter().filter(|guest| guest.start == GuestStart::AtBoot).count()
    }

    /// Adds a reservation of `size` bytes, which must not be empty.
    pub(super) fn reserve(&mut self, owner: Owner, start: u64, size: u64) -> Result<(), FactsError> {
        self.reservations.push(Owned::new(owner, start, size)?);
        Ok(())
    }

    /// What there is; what cannot be used is missing, with a warning.
    pub(super) fn or_warning<T, E: Into<TreeWarning>>(&mut self, found: Result<Option<T>, E>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.warnings.push(error.into());
            None
        })
    }
}
