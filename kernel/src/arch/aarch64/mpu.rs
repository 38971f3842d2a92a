//! The registers of the EL2 MPU, PMSAv8-64.
//!
//! Names are those of aarch64-cpu's next release, which has most of them; its present one has none. Encodings are from DDI
//! 0600, G1.3, written as numbers because an assembler knows the names only with `+v8r`.

use crate::arch::pmsa::{Prbar, Prlar, RegionIdx, RegionRegisters};
use crate::base::mair;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{MAIR_EL2, ReadWriteable, Readable, SCTLR_EL2, Writeable};
use core::arch::asm;

/// Defines system registers by their `S<op0>_<op1>_C<n>_C<m>_<op2>` names.
macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident, $type:ident, $encoding:literal;)*) => {$(
        $(#[$doc])*
        pub const $name: $type = $type;

        #[doc = concat!("Type of [`", stringify!($name), "`].")]
        #[derive(Debug)]
        pub struct $type;

        impl Readable for $type {
            type T = u64;
            type R = ();

            #[inline(always)]
            fn get(&self) -> u64 {
                let value;
                // SAFETY: reading a register of the MPU changes nothing. Without `nomem` it stays among the barriers.
                unsafe { asm!(concat!("mrs {}, ", $encoding), out(reg) value, options(nostack, preserves_flags)) };
                value
            }
        }
    )*};
}

/// Makes registers writable, for this module.
macro_rules! writable {
    ($($type:ident, $encoding:literal;)*) => {$(
        impl Writeable for $type {
            type T = u64;
            type R = ();

            #[inline(always)]
            fn set(&self, value: u64) {
                // SAFETY: what a write does to the memory that Rust knows is up to whoever made `Mpu`, see there. Without
                // `nomem` the compiler keeps memory accesses on their side of it.
                unsafe { asm!(concat!("msr ", $encoding, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
            }
        }
    )*};
}

registers! {
    /// How many regions the EL2 MPU has, in bits 7:0 (REGION).
    MPUIR_EL2, MpuirEl2, "S3_4_C0_C0_4";
    /// The enable bits of regions 0 to 31 at once.
    PRENR_EL2, PrenrEl2, "S3_4_C6_C1_1";
    /// Which region the others mean, in bits 7:0 (REGION): all of it for PRBAR_EL2 and PRLAR_EL2, bits 7:4 for the direct
    /// forms with a number. UNKNOWN at reset.
    PRSELR_EL2, PrselrEl2, "S3_4_C6_C2_1";
    /// Base, access and shareability of the region that PRSELR_EL2 selects.
    PRBAR_EL2, PrbarEl2, "S3_4_C6_C8_0";
    /// Limit, memory type and enable bit of the region that PRSELR_EL2 selects.
    PRLAR_EL2, PrlarEl2, "S3_4_C6_C8_1";
    /// VMID of the stage 2 MPU, in bits 63:48.
    VSCTLR_EL2, VsctlrEl2, "S3_4_C2_C0_0";
}

writable! {
    PrselrEl2, "S3_4_C6_C2_1";
}

/// Writes PRBAR and PRLAR of the region `n`, 0 to 15, of the group that PRSELR_EL2.REGION\[7:4\] selects, by its direct
/// form. That of region 0 is PRBAR_EL2, PRLAR_EL2 itself, which uses all of PRSELR_EL2.REGION, of which bits 3:0 stay 0.
macro_rules! write_direct {
    ($n:expr, $value:expr, $($number:literal => $encoding:literal),* $(,)?) => {
        match $n {
            $(
                // SAFETY: what a region does to the memory that Rust knows is up to whoever made `Mpu`, see there. Without
                // `nomem` the compiler keeps memory accesses on their side of it.
                $number => unsafe {
                    asm!(concat!("msr ", $encoding, ", {}"), in(reg) $value, options(nostack, preserves_flags))
                },
            )*
            _ => unreachable!("a group has 16 regions"),
        }
    };
}

/// Regions in a group.
const GROUP: u8 = 16;

/// The EL2 MPU of this CPU.
#[derive(Debug)]
pub struct Mpu {
    count: u8,
    /// The group that PRSELR_EL2 selects.
    group: u8,
}

impl Mpu {
    /// Takes the MPU over.
    ///
    /// # Safety
    ///
    /// - The CPU must have PMSAv8-64 at EL2 (ID_AA64MMFR0_EL1.MSA and MSA_frac say so), or something that emulates it.
    /// - There must be one `Mpu` for each CPU, used on that CPU alone, and nothing else may write these registers.
    /// - While the MPU is on, whoever writes through it must keep all memory that Rust code may use accessible.
    pub unsafe fn new() -> Self {
        let mut mpu = Self { count: MPUIR_EL2.get() as u8, group: 0 };
        mpu.select(0);
        mpu
    }

    /// What the hardware holds for `slot`, read through the indirect registers.
    pub fn read_back(&self, slot: RegionIdx) -> (Prbar, Prlar) {
        select_region(slot.get());
        let registers = (Prbar::from_bits(PRBAR_EL2.get()), Prlar::from_bits(PRLAR_EL2.get()));
        select_region(self.group * GROUP);
        registers
    }

    fn select(&mut self, group: u8) {
        select_region(group * GROUP);
        self.group = group;
    }

    /// Selects the group of `slot` if it is not selected, and returns the number in it.
    #[inline]
    fn within_group(&mut self, slot: RegionIdx) -> u8 {
        let group = slot.get() / GROUP;
        if group != self.group {
            self.select(group);
        }
        slot.get() % GROUP
    }
}

/// Writes PRSELR_EL2, for the next access to another register to see.
fn select_region(region: u8) {
    PRSELR_EL2.set(region.into());
    // SAFETY: a barrier changes no state of the program.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

impl RegionRegisters for Mpu {
    #[inline]
    fn count(&self) -> u8 {
        self.count
    }

    #[inline]
    fn write_base(&mut self, slot: RegionIdx, base: Prbar) {
        let number = self.within_group(slot);
        write_direct!(number, base.bits(),
            0 => "S3_4_C6_C8_0", 1 => "S3_4_C6_C8_4", 2 => "S3_4_C6_C9_0", 3 => "S3_4_C6_C9_4",
            4 => "S3_4_C6_C10_0", 5 => "S3_4_C6_C10_4", 6 => "S3_4_C6_C11_0", 7 => "S3_4_C6_C11_4",
            8 => "S3_4_C6_C12_0", 9 => "S3_4_C6_C12_4", 10 => "S3_4_C6_C13_0", 11 => "S3_4_C6_C13_4",
            12 => "S3_4_C6_C14_0", 13 => "S3_4_C6_C14_4", 14 => "S3_4_C6_C15_0", 15 => "S3_4_C6_C15_4",
        );
    }

    #[inline]
    fn write_limit(&mut self, slot: RegionIdx, limit: Prlar) {
        let number = self.within_group(slot);
        write_direct!(number, limit.bits(),
            0 => "S3_4_C6_C8_1", 1 => "S3_4_C6_C8_5", 2 => "S3_4_C6_C9_1", 3 => "S3_4_C6_C9_5",
            4 => "S3_4_C6_C10_1", 5 => "S3_4_C6_C10_5", 6 => "S3_4_C6_C11_1", 7 => "S3_4_C6_C11_5",
            8 => "S3_4_C6_C12_1", 9 => "S3_4_C6_C12_5", 10 => "S3_4_C6_C13_1", 11 => "S3_4_C6_C13_5",
            12 => "S3_4_C6_C14_1", 13 => "S3_4_C6_C14_5", 14 => "S3_4_C6_C15_1", 15 => "S3_4_C6_C15_5",
        );
    }

    #[inline]
    fn synchronise(&mut self) {
        // SAFETY: barriers change no state of the program. Without `nomem` the compiler keeps accesses where they are.
        unsafe { asm!("dsb sy", "isb", options(nostack, preserves_flags)) };
    }
}

/// Turns on the MPU, the caches and write-implies-never-executable. What no region covers cannot be accessed: SCTLR_EL2.BR,
/// which would let EL2 see the background region there, stays 0 (DDI 0600, G1.3).
///
/// # Safety
///
/// - The regions must cover the running code, its stack and all it refers to, and no two enabled ones may overlap.
/// - The MPU and the data cache must be off, and nothing may have been left dirty in the cache.
pub unsafe fn enable() {
    MAIR_EL2.set(mair::MAIR_EL2);
    // The instruction cache may hold what was there before the image (DDI 0487, D7.5.9).
    // SAFETY: what is dropped from the instruction cache is fetched again.
    unsafe { asm!("ic iallu", "dsb sy", "isb", options(nostack, preserves_flags)) };
    // Everything at once: a cache without the MPU would see all memory as it pleases.
    SCTLR_EL2.modify(SCTLR_EL2::M::Enable + SCTLR_EL2::C::Cacheable + SCTLR_EL2::I::Cacheable + SCTLR_EL2::WXN::Enable);
    barrier::isb(barrier::SY);
}
