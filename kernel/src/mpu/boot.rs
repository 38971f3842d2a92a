//! The regions that EL2 starts with.
//!
//! They are collected, checked and written while the MPU and the caches are off, when there is neither a heap nor a lock.

use super::RegionError;
use super::handles::List;
use super::region::{Region, RegionKind};
use super::table::{RegionTable, check_range};
use crate::arch::pmsa::{GRANULE, Prbar, Prlar, RegionIdx, RegionRegisters};
use crate::base::addr::Span;
use crate::base::attributes::Attributes;
use crate::base::sort;
use arrayvec::ArrayVec;

/// The most regions at boot.
pub const MAX_BOOT_REGIONS: usize = 16;

/// Regions that will be there, locked, once the MPU is on.
#[derive(Debug)]
pub struct BootRegions<R> {
    registers: R,
    regions: ArrayVec<Region, MAX_BOOT_REGIONS>,
}

impl<R: RegionRegisters> BootRegions<R> {
    /// No regions yet.
    pub fn new(registers: R) -> Self {
        Self { registers, regions: ArrayVec::new() }
    }

    /// Adds a region of whole granules, which is [`RegionKind::Boot`]; an empty one is left out.
    ///
    /// # Errors
    ///
    /// [`RegionError`] if the range makes no sense, overlaps another, or is one too many for this MPU.
    pub fn add(&mut self, span: Span, attributes: Attributes) -> Result<(), RegionError> {
        if span.bytes() == 0 {
            return Ok(());
        }
        check_range(span, GRANULE)?;
        if let Some(region) = self.regions.iter().find(|region| region.span.overlaps(&span)) {
            return Err(RegionError::Overlap { span, region: *region });
        }
        let (used, max) = (self.regions.len(), usize::from(self.registers.count()));
        if used >= max {
            return Err(RegionError::Exhausted { used, max, wanted: 1 });
        }
        // Below `max`, so below 255.
        let slot = RegionIdx::new(used as u8);
        let region = Region { span, attributes, kind: RegionKind::Boot, list: List::EMPTY, slot };
        self.regions.try_push(region).map_err(|_| RegionError::TooManyAtBoot { span, max: MAX_BOOT_REGIONS })
    }

    /// Writes every slot of the MPU, which must be off: the regions, and all others disabled, for what they hold after a
    /// reset is UNKNOWN (DDI 0600, G1.3).
    pub fn program(&mut self) {
        for region in &self.regions {
            self.registers.write_base(region.slot, Prbar::new(region.span.start, region.attributes));
            self.registers.write_limit(region.slot, Prlar::new(region.span.end, region.attributes.memory()));
        }
        for slot in (self.regions.len() as u8..self.registers.count()).map(RegionIdx::new) {
            self.registers.write_limit(slot, Prlar::DISABLED);
            self.registers.write_base(slot, Prbar::PARKED);
        }
        self.registers.synchronise();
    }

    /// The table of a running MPU, with what [`program`](Self::program) has written. Takes memory from the heap.
    pub fn into_table(mut self) -> RegionTable<R> {
        sort::by_key(&mut self.regions, |region| region.span);
        RegionTable::new(self.registers, &self.regions)
    }
}
