//! The machine's inventory: from its device tree to the memory map and the renumbering of its frames.
//!
//! The image and `lacuna-plan` run this same code, with the same warnings in the same order. Facts that no device tree
//! contains come from a [`Machine`]: the image's own, or [`Paper`].

use crate::base::addr::Mfn;
use crate::devtree::{Blob, Facts, FactsError, Owned};
use crate::memory_map::absent::{self, Probe};
use crate::memory_map::{MemoryMap, MemoryMapError, PhysLimit};
use crate::options::Options;
use crate::pdx::PdxMap;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Display;
use log::{LevelFilter, warn};
use thiserror::Error;

/// What only the machine itself can say or do.
pub trait Machine {
    /// Why the console that the tree names cannot be used.
    type ConsoleError: Display;

    /// Starts the console of `facts`, and learns how to end the machine. It is called before anything can go wrong with the
    /// facts: if they are incomplete, the console and PSCI are among them all the same.
    fn start_console(&mut self, facts: &Facts<'_>) -> Result<(), Self::ConsoleError>;

    /// Makes `log` print lines of `level` and more important ones.
    fn set_log_level(&mut self, level: LevelFilter);

    /// The limit of the CPU's physical addresses.
    fn address_limit(&self) -> PhysLimit;

    /// What occupies memory without standing in the tree: the image, and the tree itself.
    fn occupied(&self) -> Vec<Owned>;

    /// Runs `with` on what tries whether memory answers.
    fn probed<R>(&mut self, with: impl FnOnce(&mut dyn Probe) -> R) -> R;

    /// Notes that `stage` has ended well.
    fn end_stage(&mut self, stage: Stage);
}

/// A part of the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The tree was read, and makes sense.
    DeviceTree,
    /// The console works, if there is one.
    Console,
    /// Banks, owners and page indexes are known.
    MemoryMap,
}

impl Stage {
    /// Its name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceTree => "device tree",
            Self::Console => "console",
            Self::MemoryMap => "memory map",
        }
    }
}

/// Why the memory of a machine cannot be known, or contradicts itself.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InventoryError {
    /// The tree lacks something, or says what cannot be.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// Banks and owners are no memory map.
    #[error(transparent)]
    Map(#[from] MemoryMapError),
}

/// What a machine has.
#[derive(Debug)]
pub struct Inventory<'a> {
    /// What the tree says; its reservations are on the memory map instead.
    pub facts: Facts<'a>,
    /// What the command line chooses.
    pub options: Options,
    /// Banks and owners, without RAM that the machine lacks.
    pub memory: MemoryMap,
    /// How frames are renumbered.
    pub pdx: PdxMap,
}

impl<'a> Inventory<'a> {
    /// Takes the inventory of `machine` by its device tree, and logs what is odd.
    ///
    /// # Errors
    ///
    /// [`InventoryError`]. What was odd before is logged then, too.
    pub fn take(blob: &'a Blob<'a>, machine: &mut impl Machine) -> Result<Self, InventoryError> {
        let mut facts = Facts::default();
        let read = blob.read(&mut facts);
        let console = machine.start_console(&facts);
        read?;
        machine.end_stage(Stage::DeviceTree);

        let (options, ignored) = Options::parse(facts.bootargs.unwrap_or_default());
        machine.set_log_level(options.log_level);
        log_all(&facts.warnings);
        log_all(console.err().as_slice());
        log_all(&ignored);
        machine.end_stage(Stage::Console);

        let mut owned = core::mem::take(&mut facts.reservations);
        owned.extend(machine.occupied());
        let memory = MemoryMap::new(&facts.banks, owned, machine.address_limit())?;
        log_all(memory.warnings());
        let told = memory.warnings().len();
        let absent = machine.probed(|probe| absent::find(&memory, probe));
        let memory = memory.without(&absent, &facts.banks)?;
        if let Some(what) = machine.probed(|probe| absent::silent_owner(&memory, probe)) {
            return Err(MemoryMapError::Silent { what: what.clone() }.into());
        }
        log_all(memory.warnings().get(told..).unwrap_or_default());
        let (pdx, refusal) = PdxMap::choose(options.pdx, memory.banks());
        log_all(refusal.as_slice());
        machine.end_stage(Stage::MemoryMap);
        Ok(Self { facts, options, memory, pdx })
    }
}

/// Logs what is odd, but ends nothing.
fn log_all<W: Display>(warnings: &[W]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

/// A machine on paper: its console works, and all of its RAM is there.
#[derive(Clone, Debug)]
pub struct Paper {
    /// The limit of the CPU's physical addresses.
    pub limit: PhysLimit,
    /// The image and the tree, where they are known.
    pub occupied: Vec<Owned>,
}

impl Machine for Paper {
    type ConsoleError = Infallible;

    fn start_console(&mut self, _: &Facts<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_log_level(&mut self, level: LevelFilter) {
        log::set_max_level(level);
    }

    fn address_limit(&self) -> PhysLimit {
        self.limit
    }

    fn occupied(&self) -> Vec<Owned> {
        self.occupied.clone()
    }

    fn probed<R>(&mut self, with: impl FnOnce(&mut dyn Probe) -> R) -> R {
        with(&mut AllThere)
    }

    fn end_stage(&mut self, _: Stage) {}
}

/// RAM of which every frame answers, for itself alone.
struct AllThere;

impl Probe for AllThere {
    fn answers(&mut self, _: Mfn) -> bool {
        true
    }

    fn reads(&mut self, _: Mfn) -> bool {
        true
    }

    fn mirrors(&mut self, _: Mfn, _: Mfn) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
