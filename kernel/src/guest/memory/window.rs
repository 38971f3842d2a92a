//! EL2's look into frames that it holds for a guest: the only `unsafe` code of a guest's memory and tables.
//!
//! On the host no hardware walks EL2's page tables, and a frame is memory of the process at its own address
//! (`crate::testing`). So a window over consecutive frames can be looked into there as well; one over scattered frames is
//! only mapped.

use crate::base::addr::{Mfn, PAGE_SIZE, Span};
use crate::base::attributes::Attributes;
use crate::memory::HostMemory;
use crate::mmu::descriptor::Table;
use crate::vmap::{Mapping, VmapError};
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Memory of a guest, mapped read-write and cacheable at EL2, for as long as this lives.
#[derive(Debug)]
pub struct Window<'m> {
    /// Held for its end.
    _mapping: Mapping<'static>,
    start: NonNull<u8>,
    bytes: usize,
    memory: PhantomData<&'m mut [u8]>,
}

impl<'m> Window<'m> {
    /// Maps the `count` frames from `first`.
    ///
    /// # Safety
    ///
    /// For all of `'m`, the frames must be RAM and the caller's, and neither another window nor anything that runs on a CPU
    /// may use them.
    ///
    /// # Errors
    ///
    /// As for [`HostMemory::vmap_contig`].
    pub unsafe fn open(host: &HostMemory, first: Mfn, count: u64) -> Result<Self, VmapError> {
        let mapping = host.vmap_contig(first, count, Attributes::DATA)?;
        let start = place(&mapping, first);
        Ok(Self { bytes: mapping.bytes() as usize, start, _mapping: mapping, memory: PhantomData })
    }

    /// Maps `frames`, in any order and place, at consecutive addresses.
    ///
    /// # Safety
    ///
    /// As for [`Window::open`], and no frame may be there twice.
    ///
    /// # Errors
    ///
    /// As for [`HostMemory::vmap_frames`].
    pub unsafe fn open_scattered(host: &HostMemory, frames: &[Mfn]) -> Result<Self, VmapError> {
        let mapping = host.vmap_frames(frames, Attributes::DATA)?;
        Ok(Self { bytes: mapping.bytes() as usize, start: mapping.as_ptr(), _mapping: mapping, memory: PhantomData })
    }

    /// The window without what comes before `offset` and after `bytes` more; no more than there is.
    pub fn cut(mut self, offset: u64, bytes: u64) -> Self {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes);
        self.bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.bytes - offset);
        // An address within the mapping, so nothing saturates.
        self.start = self.start.map_addr(|start| start.saturating_add(offset));
        self
    }

    /// Where EL2 sees the first byte.
    pub const fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    /// The memory.
    pub const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes are mapped from `start` on, and whoever opened the window promised that nothing else uses
        // them while it is open; any bytes are valid.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }

    /// The memory as translation tables; what is left of a last page that is not whole is left out.
    ///
    /// # Panics
    ///
    /// If the window was cut and does not begin with a page.
    pub fn tables_mut(&mut self) -> &mut [Table] {
        let tables = self.start.cast::<Table>();
        assert!(tables.addr().get().is_multiple_of(PAGE_SIZE as usize), "a table at {tables:?}");
        // SAFETY: as in `bytes_mut`; the memory is aligned, and any bytes are valid as numbers.
        unsafe { core::slice::from_raw_parts_mut(tables.as_ptr(), self.bytes / PAGE_SIZE as usize) }
    }
}

/// A boot module, mapped for reading as long as this lives.
#[derive(Debug)]
pub struct ModuleWindow(Mapping<'static>);

impl ModuleWindow {
    /// Maps the module at `span`.
    ///
    /// # Safety
    ///
    /// As long as the window lives, the memory must be RAM that nobody writes.
    ///
    /// # Errors
    ///
    /// As for [`HostMemory::map_bytes`].
    pub unsafe fn open(host: &HostMemory, span: &Span) -> Result<Self, VmapError> {
        host.map_bytes(span.start, span.bytes(), Attributes::CONSTANTS).map(Self)
    }

    /// The module.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped as long as `self` lives, which the slice borrows, and whoever opened the window
        // promised that nobody writes them; any bytes are valid.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().as_ptr(), self.0.bytes() as usize) }
    }
}

/// Where the memory of `mapping`, of consecutive frames from `first` on, is seen.
#[cfg(target_os = "none")]
fn place(mapping: &Mapping<'_>, _first: Mfn) -> NonNull<u8> {
    mapping.as_ptr()
}

/// Where the frames from `first` on are: memory of this process.
#[cfg(not(target_os = "none"))]
fn place(_mapping: &Mapping<'_>, first: Mfn) -> NonNull<u8> {
    let pointer = core::ptr::with_exposed_provenance_mut(first.address().get() as usize);
    NonNull::new(pointer).unwrap_or_else(|| unreachable!("no memory of a process is at address 0"))
}
