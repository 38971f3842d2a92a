//! Trying whether there is memory where the device tree says so.
//!
//! A page is mapped as Device memory for as long as it is tried, so that nothing is speculated there and no cache answers
//! instead. A read that nobody answers ends in an external abort, at once or as an SError, and some machines give any value
//! instead: so a word is written, read back and written as it was.

use crate::arch;
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr};
use crate::base::attributes::Attributes;
use crate::cpu::fixup;
use crate::memory_map::absent::Probe;
use crate::vmap::{Mapping, Vmap};
use aarch64_cpu::asm::barrier;
use core::ops::Range;

/// Tries frames of memory that nobody uses, but for a part of it.
pub struct Prober<'a> {
    vmap: &'a Vmap,
    /// Frames that EL2 uses already, and that are not to be touched.
    in_use: Option<&'a Range<Mfn>>,
}

impl<'a> Prober<'a> {
    /// Tries frames by mapping them; those of `in_use` answer untried.
    pub fn new(vmap: &'a Vmap, in_use: Option<&'a Range<Mfn>>) -> Self {
        Self { vmap, in_use }
    }

    fn is_in_use(&self, mfn: Mfn) -> bool {
        self.in_use.is_some_and(|frames| frames.contains(&mfn))
    }

    /// The frame, with no line of it in the caches; `None` if it cannot be mapped.
    fn map(&self, mfn: Mfn) -> Option<Mapping<'a>> {
        self.vmap.map_bytes(mfn.address(), PAGE_SIZE, Attributes::DEVICE).ok()
    }
}

impl Probe for Prober<'_> {
    fn answers(&mut self, mfn: Mfn) -> bool {
        if self.is_in_use(mfn) {
            return true;
        }
        // What cannot be mapped cannot be tried, and is refused by whoever has to map it.
        let Some(mapping) = self.map(mfn) else { return true };
        let word = mapping.as_ptr().cast::<u64>().as_ptr();
        let probe = || {
            clean(word);
            let found = read(word);
            [!found, found].iter().all(|value| {
                write(word, *value);
                read(word) == *value
            })
        };
        // SAFETY: the closure owns nothing, and what it leaves half done if it faults is a word of memory that is not there.
        unsafe { fixup::catch(probe) }.unwrap_or(false)
    }

    fn reads(&mut self, mfn: Mfn) -> bool {
        let Some(mapping) = self.map(mfn) else { return true };
        let word = mapping.as_ptr().cast::<u64>().as_ptr();
        // SAFETY: the closure owns nothing and changes nothing.
        unsafe { fixup::catch(|| read(word)) }.is_ok()
    }

    fn mirrors(&mut self, mfn: Mfn, of: Mfn) -> bool {
        if self.is_in_use(mfn) || self.is_in_use(of) {
            return false;
        }
        let (Some(there), Some(here)) = (self.map(mfn), self.map(of)) else { return false };
        let [there, here] = [there, here].each_ref().map(|mapping| mapping.as_ptr().cast::<u64>().as_ptr());
        let probe = || {
            clean(here);
            clean(there);
            let found = read(here);
            // Only read there: it may be memory that somebody uses.
            let follows = [!found, found].map(|value| {
                write(here, value);
                read(there) == value
            });
            follows == [true; 2]
        };
        // SAFETY: the closure owns nothing; both words were seen to answer, and if one faults now, what is left half done is a
        // word of free memory.
        unsafe { fixup::catch(probe) }.unwrap_or(false)
    }
}

/// Checks that there is memory in all of `frames`, which nobody uses, at steps of `STEP_BYTES`.
///
/// # Errors
///
/// [`SilentError`] at the first place where there is none.
#[inline(never)]
pub fn check(vmap: &Vmap, frames: &Range<Mfn>) -> Result<(), SilentError> {
    let mut prober = Prober::new(vmap, None);
    let places =
        (frames.start.get()..frames.end.get()).step_by((STEP_BYTES / PAGE_SIZE) as usize).chain([frames.end.get() - 1]);
    let mut silent = places.filter_map(Mfn::new).filter(|mfn| !prober.answers(*mfn));
    vmap.briefly(|| silent.next()).map_or(Ok(()), |mfn| Err(SilentError { at: mfn.address() }))
}

/// Bytes between any two places where memory is tried that EL2 itself is to use.
const STEP_BYTES: u64 = 256 << 10;

/// EL2 cannot use memory that it has chosen for itself.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no memory answers at {at}, which the device tree says is RAM")]
pub struct SilentError {
    /// The first byte of the page.
    pub at: PhysAddr,
}

/// Drops the line of a word from the caches, in case a boot loader left it there.
fn clean(word: *mut u64) {
    // SAFETY: the word is mapped, in memory that nobody uses.
    arch::clean_and_invalidate(unsafe { core::slice::from_raw_parts_mut(word.cast(), size_of::<u64>()) });
}

fn read(word: *mut u64) -> u64 {
    // SAFETY: the word is mapped, any value is a valid one, and an abort is expected.
    let value = unsafe { word.read_volatile() };
    complete();
    value
}

fn write(word: *mut u64, value: u64) {
    // SAFETY: the word is mapped, in memory that nobody uses, and an abort is expected.
    unsafe { word.write_volatile(value) };
    complete();
}

/// Has an external abort that comes late come now: the DSB waits for the access, and an SError that is pending and not masked is
/// taken at a context synchronisation event at the latest (DDI 0487, D1.3.6).
fn complete() {
    barrier::dsb(barrier::SY);
    barrier::isb(barrier::SY);
}
