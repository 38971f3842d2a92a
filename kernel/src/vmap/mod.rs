//! The one door to memory that EL2 has not owned from the start.
//!
//! EL2 maps its image, its heap and the frametable, and nothing else: there is no direct map of RAM. All other memory,
//! such as a device tree, a device or a guest's RAM, is mapped here first, for as long as it is used. A [`Mapping`]
//! ends when it is dropped.
//!
//! The common part of MMU and MPU is here; each one's own part is a [`Backend`]: [`over_mmu`] and [`over_mpu`]. Both
//! are built and tested on the host; the image has one, by Cargo feature.

mod backend;
mod error;
pub mod over_mmu;
pub mod over_mpu;
pub mod space;

pub use backend::{Backend, Shortage};
pub use error::VmapError;

use crate::base::addr::{Frames, Mfn, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use crate::heap::Heap;
use core::fmt;
use core::ops::{Range, RangeInclusive};
use core::ptr::NonNull;
#[cfg(not(feature = "mpu"))]
use over_mmu::OverMmu as Chosen;
#[cfg(feature = "mpu")]
use over_mpu::OverMpu as Chosen;

/// The most that a frametable may span, holes included, in bytes.
pub const FRAMETABLE_SPAN: u64 = <Chosen as Backend>::FRAMETABLE_SPAN;

/// How many frames heap and tables grow by: the largest contiguous block that is free, within these bounds.
pub const GROWTH_FRAMES: RangeInclusive<u64> = <Chosen as Backend>::GROWTH_FRAMES;

/// EL2's address space.
pub struct Vmap<B: Backend = Chosen> {
    backend: B,
}

/// Frames that are mapped for as long as this lives.
pub struct Mapping<'v, B: Backend = Chosen> {
    vmap: &'v Vmap<B>,
    held: B::Held,
    /// From the first page to what was asked for.
    offset: u64,
    bytes: u64,
}

impl<B: Backend> Vmap<B> {
    /// The address space that `backend` makes.
    pub fn new(backend: B) -> Self {
        Self { backend }
    }

    /// Maps the `count` frames from `first`: on an MMU at consecutive addresses with an unmapped page before and after, on
    /// an MPU where they are.
    ///
    /// # Errors
    ///
    /// [`VmapError`] if there are no such frames; on an MMU, if there are no addresses or no memory for page tables left;
    /// on an MPU, if there is no region left, or the frames are mapped otherwise or in part.
    #[inline]
    pub fn vmap_contig(
        &self,
        first: Mfn,
        count: u64,
        attributes: Attributes,
    ) -> Result<Mapping<'_, B>, VmapError<B::Error>> {
        if count == 0 {
            return Err(VmapError::Empty);
        }
        let (start, bytes) = (first.address(), count.saturating_mul(PAGE_SIZE));
        first.checked_add(count).ok_or(VmapError::Physical { start, bytes })?;
        let held = self.backend.map(first, count, attributes).map_err(VmapError::Backend)?;
        Ok(Mapping { vmap: self, held, offset: 0, bytes })
    }

    /// Maps `frames` at consecutive addresses: in any order and place on an MMU, consecutive ones on an MPU.
    ///
    /// # Errors
    ///
    /// [`MpuError::Scattered`](over_mpu::MpuError::Scattered) on an MPU if they are not consecutive, else as for [`Vmap::vmap_contig`].
    pub fn vmap(&self, frames: &[Mfn], attributes: Attributes) -> Result<Mapping<'_, B>, VmapError<B::Error>> {
        if frames.is_empty() {
            return Err(VmapError::Empty);
        }
        let held = self.backend.map_scattered(frames, attributes).map_err(VmapError::Backend)?;
        Ok(Mapping { vmap: self, held, offset: 0, bytes: frames.len() as u64 * PAGE_SIZE })
    }

    /// Maps the registers at `start`, `bytes` long and aligned to nothing, as device memory.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn ioremap(&self, start: PhysAddr, bytes: u64) -> Result<Mapping<'_, B>, VmapError<B::Error>> {
        self.map_bytes(start, bytes, Attributes::DEVICE)
    }

    /// Maps registers for as long as the machine runs, and says where they are. No other mapping ever changes how, so an
    /// exception handler may use them.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`], and on an MPU as for [`Vmap::map_identity`].
    ///
    /// # Panics
    ///
    /// If they are at address 0, which can be on an MPU.
    pub fn ioremap_for_good(&self, start: PhysAddr, bytes: u64) -> Result<NonNull<u8>, VmapError<B::Error>> {
        let page = self.backend.map_registers(&touched(start, bytes)?).map_err(VmapError::Backend)?;
        Ok(pointer(VirtAddr::new(page.get() + start.get() % PAGE_SIZE)))
    }

    /// Maps the `bytes` from `start`, aligned to nothing: all pages they touch. The mapping keeps the offset in the page.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::vmap_contig`].
    pub fn map_bytes(
        &self,
        start: PhysAddr,
        bytes: u64,
        attributes: Attributes,
    ) -> Result<Mapping<'_, B>, VmapError<B::Error>> {
        let frames = touched(start, bytes)?;
        let mapping = self.vmap_contig(frames.start, frames.count(), attributes)?;
        Ok(mapping.narrowed(start.get() % PAGE_SIZE, bytes))
    }

    /// Ends the mapping that starts at `va`, and returns how many pages it had; the newest, if several start there, as can
    /// be on an MPU.
    ///
    /// On an MPU the memory stays accessible as long as there is a mapping of the region it lies in: of what was mapped
    /// first, in one piece, where now this mapping was.
    ///
    /// # Errors
    ///
    /// [`VmapError::Backend`] if no mapping starts there; nothing has changed then.
    #[inline]
    pub fn vunmap(&self, va: VirtAddr) -> Result<u64, VmapError<B::Error>> {
        self.backend.unmap(va).map_err(VmapError::Backend)
    }

    /// How many pages the mapping that starts at `va` has, or `None` if none starts there.
    pub fn vmap_size(&self, va: VirtAddr) -> Option<u64> {
        self.backend.size(va)
    }

    /// Maps memory of EL2's own at its physical address, for good.
    ///
    /// # Errors
    ///
    /// [`VmapError::Backend`] if something is there, if mappings or the frametable may be there, or if no region is left.
    pub fn map_identity(&self, range: &Range<Mfn>, attributes: Attributes) -> Result<(), VmapError<B::Error>> {
        self.backend.map_identity(range, attributes).map_err(VmapError::Backend)
    }

    /// Maps frames of the frametable for good, and says where: on an MMU `offset` bytes into its window, on an MPU where they
    /// are.
    ///
    /// # Errors
    ///
    /// As for [`Vmap::map_identity`].
    ///
    /// # Panics
    ///
    /// If they are at address 0, which can be on an MPU.
    pub fn map_frametable(&self, offset: u64, range: &Range<Mfn>) -> Result<NonNull<u8>, VmapError<B::Error>> {
        self.backend.map_frametable(offset, range).map(pointer).map_err(VmapError::Backend)
    }

    /// What is mapped at `va`, and as what.
    pub fn translate(&self, va: VirtAddr) -> Option<(PhysAddr, Attributes)> {
        self.backend.translate(va)
    }

    /// How `range` is mapped, for people.
    pub fn describe(&self, range: Range<VirtAddr>) -> B::Layout {
        self.backend.describe(range)
    }

    /// Runs `code`, whose mappings end before it does. Their addresses may be used again at once: nobody keeps a pointer there
    /// that should fault, and later mappings stay together, in few tables.
    pub fn briefly<R>(&self, code: impl FnOnce() -> R) -> R {
        self.backend.briefly(code)
    }

    /// What there is too little of for a mapping of `pages` pages, if anything.
    #[inline]
    pub fn shortage(&self, pages: u64) -> Option<Shortage> {
        self.backend.shortage(pages)
    }

    /// Whether more memory for page tables would end `error`. On an MPU nothing does: it runs short of regions.
    pub fn is_shortage(error: &VmapError<B::Error>) -> bool {
        matches!(error, VmapError::Backend(error) if B::is_shortage(error))
    }

    /// How many frames would end `shortage`: at least, and better.
    pub fn frames_wanted(&self, shortage: Shortage) -> RangeInclusive<u64> {
        match shortage {
            Shortage::Tables => B::GROWTH_FRAMES,
            Shortage::Records => {
                let bytes = B::record_bytes(2 * self.backend.records()) as u64;
                let frames = bytes.div_ceil(PAGE_SIZE).next_power_of_two();
                frames..=frames
            }
        }
    }

    /// Ends `shortage` with `memory`, some of which may go to `heap`.
    ///
    /// # Safety
    ///
    /// `memory` must be mapped read-write at its physical address, for good, and be used by nothing else.
    pub unsafe fn relieve(&self, shortage: Shortage, memory: Range<PhysAddr>, heap: &Heap) {
        match shortage {
            // SAFETY: the caller gives this memory away, and it is mapped for good.
            Shortage::Tables => unsafe { self.backend.add_tables(memory) },
            Shortage::Records => {
                let bytes = memory.end.get() - memory.start.get();
                // SAFETY: the caller gives this memory away, and it is mapped for good.
                unsafe { heap.add(memory.start.get() as usize, bytes as usize) };
                self.backend.move_records(2 * self.backend.records());
            }
        }
    }
}

/// The frames that the `bytes` from `start` touch.
fn touched<E>(start: PhysAddr, bytes: u64) -> Result<Range<Mfn>, VmapError<E>> {
    if bytes == 0 {
        return Err(VmapError::Empty);
    }
    let end = start.checked_add(bytes).and_then(|end| end.align_up(PAGE_SIZE)).and_then(Mfn::containing);
    match (Mfn::containing(start), end) {
        (Some(first), Some(end)) => Ok(first..end),
        _ => Err(VmapError::Physical { start, bytes }),
    }
}

/// `va` as a pointer to what is mapped there.
fn pointer(va: VirtAddr) -> NonNull<u8> {
    let pointer = core::ptr::with_exposed_provenance_mut(va.get() as usize);
    NonNull::new(pointer).expect("there is no pointer to address 0")
}

impl<B: Backend> Mapping<'_, B> {
    /// The same mapping, of which only `bytes` bytes from `offset` on were asked for.
    fn narrowed(mut self, offset: u64, bytes: u64) -> Self {
        (self.offset, self.bytes) = (offset, bytes);
        self
    }

    /// The address of what was asked for. On an MPU it may be 0.
    pub fn address(&self) -> VirtAddr {
        VirtAddr::new(B::first_page(self.held).get() + self.offset)
    }

    /// The address of what was asked for, as a pointer.
    ///
    /// # Panics
    ///
    /// If the address is 0: an MPU can map frame 0 like any other, but Rust has no use for a pointer to it.
    pub fn as_ptr(&self) -> NonNull<u8> {
        pointer(self.address())
    }

    /// Length in bytes of what was asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps the mapping until [`Vmap::vunmap`] is called with the start of its first page, which is returned.
    pub fn leak(self) -> VirtAddr {
        let va = B::first_page(self.held);
        core::mem::forget(self);
        va
    }
}

impl<B: Backend> Drop for Mapping<'_, B> {
    #[inline]
    fn drop(&mut self) {
        if let Err(error) = self.vmap.backend.release(self.held) {
            panic!("a mapping that lives cannot be unmapped: {error}");
        }
    }
}

impl<B: Backend> fmt::Debug for Mapping<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping of {:#x} bytes at {}", self.bytes, self.address())
    }
}
