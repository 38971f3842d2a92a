//! The metadata of one frame, in 8 bytes.

use crate::base::id::DomainId;
use core::fmt;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// Who may use a frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct FrameOwner(u16);

impl FrameOwner {
    /// Nobody. A frame without an owner cannot be referenced.
    pub const NONE: Self = Self(0);

    /// The hypervisor itself.
    pub const HYPERVISOR: Self = Self(1);

    /// A guest.
    pub const fn guest(id: DomainId) -> Self {
        Self(2 + id.index() as u16)
    }

    /// The owner with number `id`; 0 is [`FrameOwner::NONE`] and 1 [`FrameOwner::HYPERVISOR`].
    pub const fn new(id: u16) -> Self {
        Self(id)
    }
}

impl fmt::Debug for FrameOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("nobody"),
            Self::HYPERVISOR => f.write_str("the hypervisor"),
            Self(id) => write!(f, "owner {id}"),
        }
    }
}

impl fmt::Display for FrameOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a reference cannot be taken.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefError {
    /// The frame has no page info: it lies in a hole.
    #[error("frame has no page info")]
    NoPageInfo,
    /// The frame is not allocated, so there is nothing to add a reference to. So it is with every ghost.
    #[error("frame is not allocated")]
    NotAllocated,
    /// The frame is somebody else's.
    #[error("frame belongs to {actual}, not to {wanted}")]
    ForeignOwner {
        /// Who asked.
        wanted: FrameOwner,
        /// Who owns the frame.
        actual: FrameOwner,
    },
    /// The count is at its limit.
    #[error("frame has {MAX_REFERENCES} references and can have no more")]
    Overflow,
}

/// The most references that a frame can have.
pub const MAX_REFERENCES: u32 = ALLOCATED - 1;

/// Bit of `state` that says that the frame is allocated; the bits below count references.
const ALLOCATED: u32 = 1 << 31;

/// The metadata of one frame.
///
/// An entry of zeroes is a frame that nobody may reference: not allocated, no references, no owner. So a frametable needs
/// nothing but zeroes to begin with, and so a ghost, a frame with page info but without RAM, is inert for ever: it is
/// never given to the page allocator, and nobody else marks it as allocated.
#[derive(Debug)]
#[repr(C)]
pub struct PageInfo {
    /// [`ALLOCATED`] and the number of references.
    state: AtomicU32,
    owner: AtomicU16,
    /// Not used yet. Zero.
    flags: AtomicU16,
}

const _: () = assert!(size_of::<PageInfo>() == 8, "a GiB of RAM costs one 2 MiB block of frametable");

impl PageInfo {
    /// Makes the frame `owner`'s, with one reference. `false`, and no change, if it is allocated already.
    pub fn allocate(&self, owner: FrameOwner) -> bool {
        if self.state.load(Ordering::Relaxed) != 0 {
            return false;
        }
        self.owner.store(owner.0, Ordering::Relaxed);
        // Whoever sees the reference sees the owner: Release pairs with the Acquire in `get`.
        self.state.store(ALLOCATED | 1, Ordering::Release);
        true
    }

    /// Ends an allocation whose only reference is the caller's. `false`, and no change, if the frame is not allocated or
    /// somebody else holds a reference.
    pub fn release(&self) -> bool {
        let only = self.state.compare_exchange(ALLOCATED | 1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if only {
            self.owner.store(FrameOwner::NONE.0, Ordering::Relaxed);
        }
        only
    }

    /// Takes a reference for `owner`.
    ///
    /// # Errors
    ///
    /// See [`RefError`]; the count has not changed then.
    pub fn get(&self, owner: FrameOwner) -> Result<(), RefError> {
        self.get_many(owner, 1)
    }

    /// Takes `count` references for `owner`, all or none.
    ///
    /// # Errors
    ///
    /// As for [`PageInfo::get`].
    pub fn get_many(&self, owner: FrameOwner, count: u32) -> Result<(), RefError> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let held = state & !ALLOCATED;
            if held == 0 || state & ALLOCATED == 0 {
                return Err(RefError::NotAllocated);
            }
            if count > MAX_REFERENCES - held {
                return Err(RefError::Overflow);
            }
            match self.state.compare_exchange_weak(state, state + count, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // Only now is the owner certain to stay: the frame cannot be released while this reference is held.
        let actual = FrameOwner(self.owner.load(Ordering::Relaxed));
        if actual == owner && owner != FrameOwner::NONE {
            return Ok(());
        }
        self.put_many(count);
        Err(RefError::ForeignOwner { wanted: owner, actual })
    }

    /// Drops a reference; `true` if it was the last, and the frame is the caller's to free.
    ///
    /// # Panics
    ///
    /// If there is no reference to drop: then somebody dropped one that was not theirs.
    pub fn put(&self) -> bool {
        self.put_many(1)
    }

    /// Drops `count` references; `true` if none is left, and the frame is the caller's to free.
    ///
    /// # Panics
    ///
    /// As for [`PageInfo::put`].
    pub fn put_many(&self, count: u32) -> bool {
        let before = self.state.fetch_sub(count, Ordering::AcqRel);
        let held = before & !ALLOCATED;
        assert!(held >= count && before & ALLOCATED != 0, "{count} of {held} references were dropped");
        if held != count {
            return false;
        }
        self.owner.store(FrameOwner::NONE.0, Ordering::Relaxed);
        self.state.store(0, Ordering::Release);
        true
    }

    /// Whether all of the entry is zero, as the frametable begins.
    pub fn is_zero(&self) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        self.state.load(Ordering::Relaxed) == 0 && self.owner() == FrameOwner::NONE && flags == 0
    }

    /// Whether the frame is allocated.
    pub fn is_allocated(&self) -> bool {
        self.state.load(Ordering::Relaxed) & ALLOCATED != 0
    }

    /// The number of references.
    pub fn references(&self) -> u32 {
        self.state.load(Ordering::Relaxed) & !ALLOCATED
    }

    /// The owner, [`FrameOwner::NONE`] while the frame is not allocated.
    pub fn owner(&self) -> FrameOwner {
        FrameOwner(self.owner.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameOwner, MAX_REFERENCES, PageInfo, RefError};
    use core::sync::atomic::{AtomicU16, AtomicU32};

    const ME: FrameOwner = FrameOwner::new(7);
    const YOU: FrameOwner = FrameOwner::new(8);

    fn zeroed() -> PageInfo {
        PageInfo { state: AtomicU32::new(0), owner: AtomicU16::new(0), flags: AtomicU16::new(0) }
    }

    #[test]
    fn a_ghost_refuses_every_reference() {
        let ghost = zeroed();
        assert_eq!(ghost.get(ME), Err(RefError::NotAllocated));
        // Xen compares the missing owner with the missing domain and says yes (xen-unstable, get_page(page, NULL)).
        assert_eq!(ghost.get(FrameOwner::NONE), Err(RefError::NotAllocated));
        assert!(!ghost.release());
    }

    #[test]
    fn references_are_counted_and_the_last_frees() {
        let page = zeroed();
        assert!(page.allocate(ME));
        assert!(!page.allocate(YOU), "allocated twice");
        assert_eq!(page.get(ME), Ok(()));
        assert!(!page.release(), "released while referenced");
        assert!(!page.put());
        assert!(page.put());
        assert_eq!((page.is_allocated(), page.references(), page.owner()), (false, 0, FrameOwner::NONE));
    }

    #[test]
    fn a_foreign_owner_is_refused_and_leaves_no_reference() {
        let page = zeroed();
        assert!(page.allocate(ME));
        assert_eq!(page.get(YOU), Err(RefError::ForeignOwner { wanted: YOU, actual: ME }));
        assert_eq!(page.get(FrameOwner::NONE), Err(RefError::ForeignOwner { wanted: FrameOwner::NONE, actual: ME }));
        assert_eq!(page.references(), 1);
    }

    #[test]
    fn the_count_cannot_overflow() {
        let page = zeroed();
        assert!(page.allocate(ME));
        assert_eq!(page.get_many(ME, MAX_REFERENCES), Err(RefError::Overflow));
        assert_eq!(page.get_many(ME, MAX_REFERENCES - 1), Ok(()));
        assert_eq!(page.get(ME), Err(RefError::Overflow));
        assert_eq!(page.references(), MAX_REFERENCES);
        assert!(page.put_many(MAX_REFERENCES));
    }

    #[test]
    #[should_panic(expected = "1 of 0 references were dropped")]
    fn dropping_what_nobody_holds_is_caught() {
        zeroed().put();
    }
}
