//! The identity of the CPU, and its counter.

#[cfg(feature = "mmu")]
use crate::arch::aarch64::own;
#[cfg(feature = "mmu")]
use crate::arch::id_register::IdRegister;
use crate::base::id::Mpidr;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, ID_AA64MMFR0_EL1, MIDR_EL1, MPIDR_EL1, Readable, TPIDR_EL2};
#[cfg(feature = "mmu")]
use aarch64_cpu::registers::{
    ID_AA64DFR0_EL1, ID_AA64ISAR0_EL1, ID_AA64ISAR1_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1, ID_AA64PFR0_EL1,
    ID_AA64PFR1_EL1,
};
use core::time::Duration;

#[cfg(feature = "mmu")]
use arm_sysregs::el1::accessors::read_id_aa64isar2_el1;

/// Bits of a physical address that this CPU implements, at most 48.
///
/// The page tables of the 4 KiB granule without FEAT_LPA2 hold 48 bits, whatever the CPU could do (DDI 0487, D8.3.1).
pub fn physical_address_bits() -> u32 {
    // ID_AA64MMFR0_EL1.PARange, in the order of its encoding (DDI 0487, D24.2.80).
    const BITS: [u32; 8] = [32, 36, 40, 42, 44, 48, 52, 56];
    let range = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange) as usize;
    BITS.get(range).copied().unwrap_or(48).min(48)
}

/// Whether stage 1 at EL2 can use 4 KiB pages: ID_AA64MMFR0_EL1.TGran4 is not 0b1111.
pub fn has_4k_granule() -> bool {
    ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::TGran4) != 0b1111
}

/// TPIDR_EL2, which the architecture gives no meaning: where this CPU's block is.
#[inline]
pub fn thread_pointer() -> u64 {
    TPIDR_EL2.get()
}

/// The affinity of this CPU, from MPIDR_EL1.
pub fn affinity() -> Mpidr {
    Mpidr::of_register(MPIDR_EL1.get())
}

/// MIDR_EL1: who made the CPU, and which it is.
pub fn identity() -> u64 {
    MIDR_EL1.get()
}

/// Tells the CPU that it waits for another (DDI 0487, C6.2 "YIELD").
#[inline(always)]
pub fn pause() {
    // SAFETY: a hint changes nothing.
    unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Waits for an event of another CPU, unless one came since the last time (DDI 0487, D1.6.1).
#[cfg(feature = "cpus")]
#[inline(always)]
pub fn wait_for_event() {
    // SAFETY: a hint changes nothing. Without `nomem` the compiler keeps loads where they are.
    unsafe { core::arch::asm!("wfe", options(nostack, preserves_flags)) };
}

/// Wakes all CPUs that wait for an event, once earlier stores are there for them to see.
#[cfg(feature = "cpus")]
#[inline(always)]
pub fn send_event() {
    barrier::dsb(barrier::ISHST);
    // SAFETY: a hint changes nothing. Without `nomem` the compiler keeps stores before it.
    unsafe { core::arch::asm!("sev", options(nostack, preserves_flags)) };
}

/// Ticks of the physical counter.
///
/// The ISB keeps the read from being done early (DDI 0487, D12.2.1).
pub fn ticks() -> u64 {
    barrier::isb(barrier::SY);
    CNTPCT_EL0.get()
}

/// Ticks of the counter in `time`. Where firmware has not set CNTFRQ_EL0, as many as a counter of 100 MHz has, so that nobody
/// gives up early.
pub fn ticks_in(time: Duration) -> u64 {
    let frequency = match CNTFRQ_EL0.get() {
        0 => 100_000_000,
        frequency => frequency,
    };
    let whole = time.as_secs().saturating_mul(frequency);
    whole.saturating_add(u64::from(time.subsec_micros()) * frequency / 1_000_000)
}

/// Nanoseconds in a second.
const NANOSECONDS: u64 = 1_000_000_000;

/// Nanoseconds that `ticks` of the counter take; 0 if the firmware has not set CNTFRQ_EL0.
pub fn nanoseconds(ticks: u64) -> u64 {
    let frequency = CNTFRQ_EL0.get();
    if frequency == 0 {
        return 0;
    }
    // Seconds and the rest apart, so that no product exceeds 64 bits: the frequency is at most 1 GHz (DDI 0487, D12.1.2).
    let (seconds, rest) = (ticks / frequency, ticks % frequency);
    seconds * NANOSECONDS + rest * NANOSECONDS / frequency
}

/// ID_AA64MMFR0_EL1.
pub fn memory_model_features() -> u64 {
    ID_AA64MMFR0_EL1.get()
}

/// What an ID register says of this CPU.
#[cfg(feature = "mmu")]
pub fn id_register(register: IdRegister) -> u64 {
    match register {
        IdRegister::Revision => own::read_revidr_el1(),
        IdRegister::Auxiliary => own::read_aidr_el1(),
        IdRegister::Pfr0 => ID_AA64PFR0_EL1.get(),
        IdRegister::Pfr1 => ID_AA64PFR1_EL1.get(),
        IdRegister::Dfr0 => ID_AA64DFR0_EL1.get(),
        IdRegister::Isar0 => ID_AA64ISAR0_EL1.get(),
        IdRegister::Isar1 => ID_AA64ISAR1_EL1.get(),
        IdRegister::Isar2 => read_id_aa64isar2_el1().bits(),
        IdRegister::Mmfr0 => ID_AA64MMFR0_EL1.get(),
        IdRegister::Mmfr1 => ID_AA64MMFR1_EL1.get(),
        IdRegister::Mmfr2 => ID_AA64MMFR2_EL1.get(),
    }
}
