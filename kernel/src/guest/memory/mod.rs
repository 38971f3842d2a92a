//! A guest's RAM: frames with the guest as their owner, at the guest's addresses.
//!
//! They come from the page allocator, in the largest blocks that fit, or from host memory that the device tree sets
//! aside for this guest (`xen,static-mem`), which the page allocator never sees. Either way each frame has the guest as
//! owner and one reference, which is the guest's, and [`GuestMemory::release`] frees them all. A direct map is the
//! second kind with banks that are the host ranges themselves.
//!
//! A block of the page allocator is mapped at guest addresses of the same alignment. Banks start at a multiple of 1
//! GiB, so stage 2 can use leaves as large as the blocks.
//!
//! # Scrubbing, and guests that start with their caches off
//!
//! A guest gets zeroes, and leaves zeroes behind. EL2 writes them through the caches, but a guest starts with its MMU
//! and caches off (DDI 0487, D24.2 "SCTLR_EL1": M and C reset to 0) and reads past them: as stage 1 is off its accesses
//! are Device memory, and the write-back of stage 2 cannot make them cacheable again. The guest would read the last
//! owner's data from memory, and lines of zeroes that are written back later would overwrite its stores. So before a
//! guest gets memory, each line of it is cleaned and invalidated by address, once, after zeroing. The other ways:
//!
//! - FEAT_S2FWB lets stage 2 force write-back, and nothing would need to be cleaned; Cortex-A72 and older lack it, so
//!   it could only be a second way.
//! - HCR_EL2.DC makes a guest without MMU use the caches. But it turns stage 1 off as well, so it has to go when the
//!   guest turns its MMU on, which takes a trap of each write to SCTLR_EL1, TTBR0_EL1 and their like until then, for
//!   each vCPU and each restart, and is a memory system that no kernel's boot code has ever seen.
//! - Set and way operations see the caches of one CPU, and none beyond.
//!
//! After a guest's end its memory is only zeroed: the next owner is EL2, which reads through the caches, or a guest,
//! for which the memory is cleaned again. A loader that writes after [`GuestMemory::new`] must itself clean its writes
//! ([`arch::clean_to_poc`]), and invalidate them in the instruction cache.

mod error;
pub mod extent;
pub mod frames;
mod source;
pub mod window;

pub use error::{MemoryError, Unreleased};
pub use source::FrameSource;

use crate::arch;
use crate::base::addr::{GuestAddr, Mfn, PAGE_SHIFT, PAGE_SIZE};
use crate::frames::frametable::page_info::FrameOwner;
use crate::frames::page_alloc::MAX_ORDER;
use crate::guest::memory::extent::Extent;
use crate::guest::memory::window::Window;
use crate::memory::HostMemory;
use crate::vmap::VmapError;
use alloc::vec::Vec;
use core::ops::Range;

/// Frames in the largest window: what one leaf of EL2 maps.
const WINDOW_FRAMES: u64 = 1 << MAX_ORDER;

/// The RAM of one guest.
///
/// Whoever lets a CPU run the guest promises that no [`Window`] is open meanwhile; a window borrows the memory, and a running
/// guest should be made to borrow it too.
#[must_use = "its frames come back by `release` only"]
#[derive(Debug)]
pub struct GuestMemory {
    /// In the order of the banks; no two overlap, in the guest or in the machine.
    extents: Vec<Extent>,
    origin: source::Origin,
    costs: Costs,
}

/// How long it took to scrub a guest's RAM before it got it, in ticks of the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Zeroing it.
    pub zero: u64,
    /// Writing the zeroes back from the caches.
    pub clean: u64,
}

impl GuestMemory {
    /// Takes frames for `banks` from `source`, in the order of both, and scrubs them; `owner` is the guest.
    ///
    /// Static memory must be kept from the page allocator, as the memory map does with what is reserved.
    ///
    /// # Errors
    ///
    /// [`MemoryError`]; nothing is taken then. Banks that overlap are found by whoever plans their translation.
    pub fn new(
        host: &HostMemory,
        owner: FrameOwner,
        banks: &[Range<GuestAddr>],
        source: FrameSource<'_>,
    ) -> Result<Self, MemoryError> {
        if let Some(bank) = banks.iter().find(|bank| !is_whole(bank)) {
            return Err(MemoryError::Bank { bank: bank.clone() });
        }
        let mut memory = Self { extents: Vec::new(), origin: source.origin(), costs: Costs::default() };
        let taken = match source {
            FrameSource::PageAllocator => source::allocate(host, owner, banks, &mut memory.extents),
            FrameSource::Static(given) => source::claim(host, owner, banks, given, &mut memory.extents),
        };
        match taken.and_then(|()| memory.scrub(host)) {
            Ok(()) => Ok(memory),
            Err(error) => {
                memory.abandon(host);
                Err(error)
            }
        }
    }

    /// Zeroes all of it, also for who reads past the caches, and notes what that costs.
    fn scrub(&mut self, host: &HostMemory) -> Result<(), MemoryError> {
        let start = arch::ticks();
        self.zero(host)?;
        let zeroed = arch::ticks();
        self.clean_and_invalidate(host)?;
        self.costs = Costs { zero: zeroed - start, clean: arch::ticks() - zeroed };
        Ok(())
    }

    /// What it took to scrub it.
    pub fn costs(&self) -> Costs {
        self.costs
    }

    /// What the guest has, in the order of its banks, for [`Stage2Plan`](crate::guest::isolation::stage2::Stage2Plan).
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Bytes of RAM.
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(Extent::bytes).sum()
    }

    /// The frame behind a guest address.
    pub fn frame(&self, ipa: GuestAddr) -> Option<Mfn> {
        let (extent, offset) = self.find(ipa)?;
        extent.mfn.checked_add(offset >> PAGE_SHIFT)
    }

    /// Zeroes all of it, in windows of up to 1 GiB, of which each takes 18 instructions for eight blocks of DC ZVA.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Window`].
    pub fn zero(&mut self, host: &HostMemory) -> Result<(), MemoryError> {
        Ok((0..self.extents.len()).try_for_each(|index| self.for_each_window(host, index, arch::zero))?)
    }

    /// Writes all of it back and drops it from the caches (module text): 18 instructions for eight lines.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Window`].
    pub fn clean_and_invalidate(&mut self, host: &HostMemory) -> Result<(), MemoryError> {
        let clean = |memory: &mut [u8]| arch::clean_and_invalidate(memory);
        Ok((0..self.extents.len()).try_for_each(|index| self.for_each_window(host, index, clean))?)
    }

    /// Maps the `bytes` from guest address `start` in one piece, whatever frames are behind them.
    ///
    /// If they are not consecutive that takes a page table of EL2 for each 2 MiB. [`GuestMemory::write`] does without.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Outside`] if a byte is not RAM of the guest or there are none, [`MemoryError::Heap`] or
    /// [`MemoryError::Window`].
    pub fn window(&mut self, host: &HostMemory, start: GuestAddr, bytes: u64) -> Result<Window<'_>, MemoryError> {
        let outside = MemoryError::Outside { start, bytes };
        let first = start.align_down(PAGE_SIZE);
        let Some(end) = start.checked_add(bytes).filter(|end| *end > start) else { return Err(outside) };
        let Some(pages) = end.align_up(PAGE_SIZE).and_then(|end| end.offset_from(first)) else { return Err(outside) };
        let count = pages >> PAGE_SHIFT;
        let Some((extent, offset)) = self.find(first) else { return Err(outside) };
        let window = if pages <= extent.bytes() - offset {
            let Some(mfn) = extent.mfn.checked_add(offset >> PAGE_SHIFT) else { return Err(outside) };
            // SAFETY: the frames are RAM of this guest, which is borrowed mutably for as long as the window lives: there
            // is no other window, and no CPU runs the guest (type text).
            unsafe { Window::open(host, mfn, count) }?
        } else {
            let frames = self.frames(host, first, count).ok_or(outside)??;
            // SAFETY: the frames are RAM of this guest, borrowed mutably for as long as the window lives, and no CPU runs the
            // guest. No frame is there twice, because no two extents share one.
            unsafe { Window::open_scattered(host, &frames) }?
        };
        Ok(window.cut(start.get() - first.get(), bytes))
    }

    /// Writes `data` at guest address `start`, piece by piece. Nothing of it is cleaned.
    ///
    /// # Errors
    ///
    /// As for [`GuestMemory::window`]; a part may have been written then.
    pub fn write(&mut self, host: &HostMemory, start: GuestAddr, data: &[u8]) -> Result<(), MemoryError> {
        let (mut at, mut rest) = (start, data);
        while !rest.is_empty() {
            let outside = MemoryError::Outside { start: at, bytes: rest.len() as u64 };
            let Some((extent, offset)) = self.find(at) else { return Err(outside) };
            let bytes = (extent.bytes() - offset).min(rest.len() as u64);
            let Some(next) = at.checked_add(bytes) else { return Err(outside) };
            let (piece, others) = rest.split_at(bytes as usize);
            self.window(host, at, bytes)?.bytes_mut().copy_from_slice(piece);
            (at, rest) = (next, others);
        }
        Ok(())
    }

    /// Zeroes all of it and gives it back, to the page allocator or to nobody.
    ///
    /// The guest must be dead, and no CPU's TLB translate for it any more.
    ///
    /// # Errors
    ///
    /// [`Unreleased`] with what is left, if EL2 cannot map some of it or somebody else has a reference to a frame.
    pub fn release(mut self, host: &HostMemory) -> Result<(), Unreleased> {
        // The guest may have written past the caches: first that, then zeroes.
        arch::drain();
        // The last one first, which leaves the others where they are.
        while let Some(index) = self.extents.len().checked_sub(1) {
            if let Err(error) = self.for_each_window(host, index, arch::zero) {
                return Err(Unreleased { memory: self, reason: error.into() });
            }
            if let Err((done, reason)) = self.origin.give_back(host, &self.extents[index]) {
                self.extents[index] = source::without(self.extents[index], done);
                return Err(Unreleased { memory: self, reason });
            }
            self.extents.truncate(index);
        }
        Ok(())
    }

    /// Gives back what no guest has had.
    fn abandon(self, host: &HostMemory) {
        for extent in &self.extents {
            if let Err((_, error)) = self.origin.give_back(host, extent) {
                panic!("nobody knows of frames that were just taken: {error}");
            }
        }
    }

    /// Runs `act` on all of an extent, in windows that do not cross a multiple of 1 GiB, so that a whole one is one leaf.
    fn for_each_window(&mut self, host: &HostMemory, index: usize, act: impl Fn(&mut [u8])) -> Result<(), VmapError> {
        let Extent { mfn: mut at, frames: mut left, .. } = self.extents[index];
        while left > 0 {
            let count = (WINDOW_FRAMES - at.get() % WINDOW_FRAMES).min(left);
            // SAFETY: the frames are RAM of this guest, which is borrowed mutably while the window lives: there is no
            // other window, and no CPU runs the guest (type text).
            let mut window = unsafe { Window::open(host, at, count) }?;
            act(window.bytes_mut());
            left -= count;
            at = at.checked_add(count).unwrap_or_else(|| unreachable!("the guest has a frame past the last"));
        }
        Ok(())
    }

    /// The extent that `ipa` is in, and the bytes from its start.
    fn find(&self, ipa: GuestAddr) -> Option<(Extent, u64)> {
        self.extents.iter().find_map(|extent| {
            let offset = ipa.offset_from(extent.ipa).filter(|offset| *offset < extent.bytes())?;
            Some((*extent, offset))
        })
    }

    /// The `count` frames from `first`; `None` if there are not so many.
    fn frames(&self, host: &HostMemory, first: GuestAddr, count: u64) -> Option<Result<Vec<Mfn>, MemoryError>> {
        // A count that is larger than the guest must not reserve heap.
        let in_all = usize::try_from(count.min(self.bytes() >> PAGE_SHIFT)).ok()?;
        if let Err(shortage) = host.reserve_heap((in_all * size_of::<Mfn>()) as u64) {
            return Some(Err(shortage.into()));
        }
        let mut frames = Vec::with_capacity(in_all);
        let mut at = first;
        while (frames.len() as u64) < count {
            let (extent, offset) = self.find(at)?;
            let offset = offset >> PAGE_SHIFT;
            let here = (extent.frames - offset).min(count - frames.len() as u64);
            for index in offset..offset + here {
                frames.push(extent.mfn.checked_add(index)?);
            }
            at = at.checked_add(here << PAGE_SHIFT)?;
        }
        Some(Ok(frames))
    }
}

fn is_whole(bank: &Range<GuestAddr>) -> bool {
    bank.start < bank.end && bank.start.is_aligned(PAGE_SIZE) && bank.end.is_aligned(PAGE_SIZE)
}

#[cfg(test)]
mod tests;
