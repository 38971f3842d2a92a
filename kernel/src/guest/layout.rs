//! Where a guest finds its RAM and its devices.
//!
//! The addresses are those that Xen documents for its guests (xen/include/public/arch-arm.h): a guest that was built for
//! them, as bare-metal ones are, runs here unchanged. Linux reads them from its device tree.
//!
//! Everything here is a number. Which of it a certain guest has is for [`GuestMap`](super::map::GuestMap) to say.

use crate::base::addr::{Bytes, GuestAddr, PAGE_SIZE};
use crate::base::id::Intid;
use crate::guest::device::vgic::{DISTRIBUTOR_BYTES, MAX_CPUS, REDISTRIBUTOR_BYTES};
use arrayvec::ArrayVec;
use core::fmt;
use core::ops::Range;
use thiserror::Error;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Registers of the interrupt controller's distributor (GICv3).
pub const DISTRIBUTOR: Range<GuestAddr> = window(0x0300_1000, 64 * KIB);

/// Room for the registers of all redistributors. A guest has as many as it has CPUs: [`redistributors`].
pub const REDISTRIBUTORS: Range<GuestAddr> = window(0x0302_0000, 16 * MIB);

pub use crate::base::id::MAX_VCPUS;

const _: () = assert!(MAX_CPUS as u64 * REDISTRIBUTOR_BYTES <= size(&REDISTRIBUTORS), "each has a redistributor");
const _: () = assert!(DISTRIBUTOR_BYTES == size(&DISTRIBUTOR));

/// Registers of the UART, a PL011; a guest should use only the registers that SBSA requires.
pub const UART: Range<GuestAddr> = window(0x2200_0000, 4 * KIB);

/// Room for RAM bank 0, where RAM starts.
pub const BANK_0: Range<GuestAddr> = window(0x4000_0000, 3 * GIB);

/// Room for RAM bank 1, which holds what bank 0 does not.
pub const BANK_1: Range<GuestAddr> = window(0x2_0000_0000, 1016 * GIB);

/// The UART's interrupt: SPI 0.
pub const UART_INTID: Intid = Intid::new(FIRST_SPI);

/// The virtual timer's interrupt.
pub const VIRTUAL_TIMER_INTID: Intid = Intid::new(27);

/// The interrupt of EL2's physical timer, which no guest has; a device tree has to name one all the same, as some kernels
/// insist on four.
pub const HYPERVISOR_TIMER_INTID: Intid = Intid::new(26);

/// The physical timer's interrupt in Secure state, which no guest is in; a device tree has to name one all the same.
pub const SECURE_TIMER_INTID: Intid = Intid::new(29);

/// The physical timer's interrupt.
pub const PHYSICAL_TIMER_INTID: Intid = Intid::new(30);

/// The first INTID of a private peripheral interrupt (IHI 0069, 2.2).
pub const FIRST_PPI: u32 = 16;

/// The first INTID of a shared peripheral interrupt (IHI 0069, 2.2).
pub const FIRST_SPI: u32 = 32;

/// The `size` bytes from `start`. Evaluated when this is compiled, where an overflow is an error.
const fn window(start: u64, size: u64) -> Range<GuestAddr> {
    GuestAddr::new(start)..GuestAddr::new(start + size)
}

// In ascending order and without an overlap.
const _: () = {
    let windows = [DISTRIBUTOR, REDISTRIBUTORS, UART, BANK_0, BANK_1];
    let mut next = 0;
    while next < windows.len() {
        assert!(windows[next].start.get() < windows[next].end.get());
        assert!(windows[next].start.is_aligned(PAGE_SIZE) && windows[next].end.is_aligned(PAGE_SIZE));
        assert!(next == 0 || windows[next - 1].end.get() <= windows[next].start.get());
        next += 1;
    }
};

/// Why memory cannot be laid out for a guest.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum LayoutError {
    #[error("a guest without memory cannot run")]
    NoMemory,
    #[error("memory of {memory:#x} bytes is not made of whole pages of {PAGE_SIZE} bytes")]
    Unaligned { memory: u64 },
    #[error("memory of {} is more than the {} that a guest has addresses for", Bytes(*memory), Bytes(*most))]
    TooLarge { memory: u64, most: u64 },
    #[error(
        "memory of {} needs guest addresses up to {end}, but {ipa_bits} bits, which end at {limit:#x}, are all that this \
         CPU translates",
        Bytes(*memory)
    )]
    Unreachable { memory: u64, end: GuestAddr, ipa_bits: u32, limit: u64 },
}

/// The banks of a guest with `memory` bytes of RAM whose addresses have at most `ipa_bits` bits: one or two, in ascending
/// order, bank 1 only where bank 0 is full.
pub fn banks(memory: u64, ipa_bits: u32) -> Result<ArrayVec<Range<GuestAddr>, 2>, LayoutError> {
    if memory == 0 {
        return Err(LayoutError::NoMemory);
    }
    if !memory.is_multiple_of(PAGE_SIZE) {
        return Err(LayoutError::Unaligned { memory });
    }
    let mut banks = ArrayVec::new();
    let mut left = memory;
    for room in [BANK_0, BANK_1] {
        let size = left.min(size(&room));
        if size > 0 {
            // Inside `room`, so it does not overflow.
            banks.push(room.start..GuestAddr::new(room.start.get() + size));
        }
        left -= size;
    }
    if left > 0 {
        return Err(LayoutError::TooLarge { memory, most: size(&BANK_0) + size(&BANK_1) });
    }
    let end = banks.last().map_or(BANK_0.start, |bank: &Range<GuestAddr>| bank.end);
    match 1u64.checked_shl(ipa_bits) {
        Some(limit) if end.get() > limit => Err(LayoutError::Unreachable { memory, end, ipa_bits, limit }),
        _ => Ok(banks),
    }
}

/// The redistributors of `vcpus` CPUs, or `None` for more than [`MAX_VCPUS`].
pub fn redistributors(vcpus: u32) -> Option<Range<GuestAddr>> {
    let start = REDISTRIBUTORS.start;
    let end = start.checked_add(u64::from(vcpus).checked_mul(REDISTRIBUTOR_BYTES)?)?;
    (vcpus <= MAX_VCPUS).then_some(start..end)
}

/// Bytes of a range; 0 if its end is not above its start.
pub const fn size(range: &Range<GuestAddr>) -> u64 {
    range.end.get().saturating_sub(range.start.get())
}

/// A range that prints as `[0x40000000, 0x50000000)`.
pub struct HalfOpen<'a>(
    /// The range.
    pub &'a Range<GuestAddr>,
);

impl fmt::Display for HalfOpen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.0.start, self.0.end)
    }
}

#[cfg(test)]
mod tests {
    use super::{GIB, MAX_VCPUS, MIB, banks, redistributors, size};
    use proptest::prelude::{any, proptest};
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn bounds(memory: u64, ipa_bits: u32) -> Vec<(u64, u64)> {
        let banks = banks(memory, ipa_bits).unwrap();
        banks.iter().map(|bank| (bank.start.get(), bank.end.get())).collect()
    }

    fn refusal(memory: u64, ipa_bits: u32) -> String {
        banks(memory, ipa_bits).unwrap_err().to_string()
    }

    #[test]
    fn ram_starts_at_1_gib_and_goes_on_at_8_gib_when_bank_0_is_full() {
        assert_eq!(bounds(256 * MIB, 40), [(0x4000_0000, 0x5000_0000)]);
        assert_eq!(bounds(3 * GIB, 32), [(0x4000_0000, 0x1_0000_0000)]);
        assert_eq!(bounds(3 * GIB + 0x1000, 40), [(0x4000_0000, 0x1_0000_0000), (0x2_0000_0000, 0x2_0000_1000)]);
        assert_eq!(bounds(1019 * GIB, 40)[1], (0x2_0000_0000, 1 << 40));
    }

    #[test]
    fn memory_that_has_no_addresses_is_refused_with_its_size() {
        assert_eq!(refusal(0, 40), "a guest without memory cannot run");
        assert_eq!(refusal(0x1800, 40), "memory of 0x1800 bytes is not made of whole pages of 4096 bytes");
        assert_eq!(
            refusal(1020 * GIB, 48),
            "memory of 1020.0 GiB is more than the 1019.0 GiB that a guest has addresses for"
        );
        assert_eq!(
            refusal(32 * GIB, 35),
            "memory of 32.0 GiB needs guest addresses up to 0x940000000, but 35 bits, which end at 0x800000000, are all \
             that this CPU translates"
        );
    }

    #[test]
    fn each_cpu_has_a_redistributor_or_is_refused() {
        let end = |vcpus| redistributors(vcpus).map(|range| range.end.get());
        assert_eq!(end(1), Some(0x0304_0000));
        assert_eq!(end(MAX_VCPUS), Some(0x0382_0000));
        assert_eq!((end(MAX_VCPUS + 1), end(u32::MAX)), (None, None));
    }

    proptest! {
        #[test]
        fn banks_hold_all_memory_and_nothing_else(memory in any::<u64>(), shift in 0u32..64, ipa_bits in 0u32..70) {
            let memory = (memory >> shift) & !0xfff;
            if let Ok(banks) = banks(memory, ipa_bits) {
                assert_eq!(banks.iter().map(size).sum::<u64>(), memory);
                assert!(banks.iter().all(|bank| ipa_bits >= 64 || bank.end.get() <= 1 << ipa_bits));
            }
        }
    }
}
