//! The machine that the image runs on, as far as its device tree does not describe it.

use super::console::{ConsoleError, start};
use super::probe::Prober;
use super::tree::DeviceTree;
use crate::arch::aarch64::el3;
use crate::base::addr::{Mfn, PhysAddr, Span};
use crate::console;
use crate::cpu::power;
use crate::devtree::{Facts, Owned, Owner};
use crate::inventory::{Machine, Stage};
use crate::memory_map::PhysLimit;
use crate::memory_map::absent::Probe;
use crate::stopwatch::Stopwatch;
use crate::trap::exceptions;
use crate::vmap::Vmap;
use alloc::vec::Vec;
use core::ops::Range;
use lacuna_boot::Layout;
use log::LevelFilter;

/// The machine, once EL2 has an address space.
pub struct Hardware<'a> {
    /// EL2's address space.
    pub vmap: &'static Vmap,
    /// The image.
    pub layout: &'a Layout,
    /// The device tree.
    pub tree: &'a DeviceTree<'a>,
    /// The early pool, which is in use already.
    pub pool: Option<&'a Range<Mfn>>,
    /// The limit of the CPU's physical addresses.
    pub limit: PhysLimit,
    /// Measures the stages.
    pub clock: &'a mut Stopwatch,
}

impl Machine for Hardware<'_> {
    type ConsoleError = ConsoleError;

    fn start_console(&mut self, facts: &Facts<'_>) -> Result<(), ConsoleError> {
        // At EL3, where the image was entered there, nobody answers.
        facts.psci.filter(|_| !el3::is_ours()).inspect(|psci| power::set_conduit(psci.conduit));
        start(self.vmap, facts.console.as_ref())
    }

    fn set_log_level(&mut self, level: LevelFilter) {
        console::set_level(level);
        // What firmware left pending can be reported from here on.
        exceptions::unmask_serror();
    }

    fn address_limit(&self) -> PhysLimit {
        self.limit
    }

    fn occupied(&self) -> Vec<Owned> {
        let image = self.layout.image();
        let image = Span { start: PhysAddr::new(image.start), end: PhysAddr::new(image.end) };
        let mut owned = Vec::from([Owned { owner: Owner::Image, span: image }]);
        owned.extend(self.tree.span().map(|span| Owned { owner: Owner::DeviceTree, span }));
        owned
    }

    fn probed<R>(&mut self, with: impl FnOnce(&mut dyn Probe) -> R) -> R {
        let mut prober = Prober::new(self.vmap, self.pool);
        self.vmap.briefly(|| with(&mut prober))
    }

    fn end_stage(&mut self, stage: Stage) {
        if stage == Stage::DeviceTree {
            console::letter(b'f');
        }
        self.clock.lap(stage.name());
    }
}
