//! Memory for a guest's tables: taken, filled, published, and given back.

use crate::arch::tlb::TlbOps;
use crate::arch::{self, Tlb};
use crate::base::addr::{Bytes, GuestAddr, Mfn, PAGE_SHIFT, PAGE_SIZE, PhysAddr};
use crate::frames::frametable::page_info::FrameOwner;
use crate::frames::page_alloc::PageError;
use crate::guest::isolation::stage2::build::{self, Translation};
use crate::guest::isolation::stage2::format::{Config, Vmid, vttbr};
use crate::guest::isolation::stage2::plan::{Stage2Leaves, Stage2Plan};
use crate::guest::memory::frames::blocks;
use crate::guest::memory::window::Window;
use crate::memory::HostMemory;
use crate::vmap::VmapError;
use core::ops::Range;

/// Why there are no tables. No frame is kept then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stage2Error {
    /// No memory in one piece.
    #[error("no memory for {} of stage 2 tables: {source}", Bytes(tables * PAGE_SIZE))]
    Memory {
        /// How many tables there would be.
        tables: u64,
        /// Why not.
        source: PageError,
    },
    /// The tables cannot be written.
    #[error("stage 2 tables: {0}")]
    Window(#[from] VmapError),
}

/// The tables of one guest. They stay until [`Stage2::release`].
#[must_use = "its frames come back by `release` only"]
#[derive(Debug)]
pub struct Stage2 {
    config: Config,
    leaves: Stage2Leaves,
    first: Mfn,
    tables: u64,
}

impl Stage2 {
    /// Builds the tables of `plan`, ready to be walked by any CPU.
    ///
    /// They take [`Stage2Plan::tables`] pages, from one block whose rest goes back at once.
    ///
    /// # Errors
    ///
    /// [`Stage2Error`].
    pub fn build(host: &HostMemory, plan: &Stage2Plan) -> Result<Self, Stage2Error> {
        let tables = plan.tables();
        // A block is aligned to its size, so the root's tables, with which it begins, are aligned to theirs.
        let order = tables.next_power_of_two().ilog2();
        let first =
            host.alloc(order, FrameOwner::HYPERVISOR).map_err(|source| Stage2Error::Memory { tables, source })?;
        let stage2 = Self { config: plan.config(), leaves: plan.leaves(), first, tables };
        give_back(host, frames(first, tables, 1 << order));
        match stage2.window(host) {
            Ok(mut window) => {
                arch::zero(window.bytes_mut());
                build::fill(plan, stage2.root(), window.tables_mut());
                // The stores are there before anything that makes a CPU use the tables.
                Tlb.publish();
                Ok(stage2)
            }
            Err(error) => {
                stage2.release(host);
                Err(error.into())
            }
        }
    }

    /// Gives the frames back.
    ///
    /// The guest must be dead: no CPU has the tables in VTTBR_EL2, and their TLB entries are gone (TLBI VMALLS12E1IS with
    /// their VMID, DDI 0487, D8 "TLB maintenance").
    pub fn release(self, host: &HostMemory) {
        give_back(host, frames(self.first, 0, self.tables));
    }

    /// The first table, for VTTBR_EL2.
    pub const fn root(&self) -> PhysAddr {
        self.first.address()
    }

    /// How wide the guest's addresses are, and the value of VTCR_EL2.
    pub const fn config(&self) -> Config {
        self.config
    }

    /// The value of VTTBR_EL2 for the guest `vmid`.
    pub const fn vttbr(&self, vmid: Vmid) -> u64 {
        vttbr(self.root(), vmid)
    }

    /// Bytes of memory that the tables take.
    pub const fn bytes(&self) -> u64 {
        self.tables << PAGE_SHIFT
    }

    /// How many leaves of each size there are.
    pub const fn leaves(&self) -> Stage2Leaves {
        self.leaves
    }

    /// Where `ipa` leads, from the tables themselves.
    ///
    /// # Errors
    ///
    /// As for [`HostMemory::vmap_contig`].
    pub fn translate(&self, host: &HostMemory, ipa: GuestAddr) -> Result<Option<Translation>, VmapError> {
        Ok(build::translate(self.window(host)?.tables_mut(), self.root(), ipa))
    }

    /// All tables.
    fn window(&self, host: &HostMemory) -> Result<Window<'_>, VmapError> {
        // SAFETY: the frames are the tables' own, allocated in `build`, and no window outlives the call that opens it.
        // CPUs that walk the tables of a running guest only read them, and after `build` so does EL2.
        unsafe { Window::open(host, self.first, self.tables) }
    }
}

/// The frames `from` to `to` of those that start at `first` and were allocated.
fn frames(first: Mfn, from: u64, to: u64) -> Range<Mfn> {
    let frame = |index| first.checked_add(index).unwrap_or_else(|| unreachable!("it was allocated"));
    frame(from)..frame(to)
}

fn give_back(host: &HostMemory, range: Range<Mfn>) {
    for block in blocks(range) {
        if let Err(error) = host.free(block.first, block.order) {
            panic!("stage 2 tables are the hypervisor's alone: {error}");
        }
    }
}
