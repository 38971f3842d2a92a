//! The values of EL2's control registers, decided from the CPU's ID registers.
//!
//! A register of a feature that no guest's ID registers announce is trapped if any control can trap it. The registers
//! of fine-grained traps are UNKNOWN at reset, and a control register that a CPU lacks is UNDEFINED. EL2 therefore
//! writes each control register if its ID field announces it, and otherwise leaves it alone. Nothing here depends on a
//! guest: all registers but HCR_EL2 are written once, at start, whether EL2 has an MMU or an MPU.
//!
//! Fields of ID registers are those of DDI 0487, D24.2, by register and lowest bit.

/// The ID registers that decide, as read at EL2, and two that say how many there are of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdRegisters {
    /// ID_AA64PFR0_EL1.
    pub pfr0: u64,
    /// ID_AA64PFR1_EL1.
    pub pfr1: u64,
    /// ID_AA64DFR0_EL1.
    pub dfr0: u64,
    /// ID_AA64ISAR1_EL1.
    pub isar1: u64,
    /// ID_AA64ISAR2_EL1.
    pub isar2: u64,
    /// ID_AA64MMFR0_EL1.
    pub mmfr0: u64,
    /// ID_AA64MMFR1_EL1.
    pub mmfr1: u64,
    /// MPAMIDR_EL1, where there is one.
    pub mpam: u64,
    /// PMCR_EL0, where there is one.
    pub monitors: u64,
}

/// A feature whose registers are reset or trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// FEAT_PAuth: the keys of pointer authentication.
    PointerAuthentication,
    /// FEAT_RAS: error records, DISR_EL1, VDISR_EL2 and VSESR_EL2.
    Ras,
    /// FEAT_AMUv1: activity monitors.
    Amu,
    /// FEAT_MPAM: partitions.
    Mpam,
    /// FEAT_MTE2: memory tags.
    Mte2,
    /// FEAT_SME: TPIDR2_EL0, SMPRI_EL1 and SMIDR_EL1 beside what CPTR_EL2 traps.
    Sme,
    /// FEAT_NMI: PSTATE.ALLINT.
    Nmi,
    /// FEAT_PMUv3: performance monitors.
    Monitors,
    /// FEAT_SPE: profiling.
    Profiling,
    /// FEAT_TRF: the trace filter.
    TraceFilter,
    /// FEAT_TRBE: the trace buffer.
    TraceBuffer,
    /// FEAT_FGT: fine-grained traps.
    FineGrained,
    /// FEAT_FGT2: more of them.
    FineGrained2,
    /// FEAT_LOR: limited ordering regions.
    LimitedOrdering,
    /// FEAT_HCX: HCRX_EL2.
    ExtendedHcr,
}

/// A field of 4 bits.
const fn field(register: u64, shift: u32) -> u64 {
    register >> shift & 0xf
}

impl IdRegisters {
    /// Whether the CPU has `feature`.
    pub const fn has(&self, feature: Feature) -> bool {
        match feature {
            // APA, API, GPA and GPI; and APA3 and GPA3 for another algorithm.
            Feature::PointerAuthentication => self.isar1 & 0xff00_0ff0 | self.isar2 & 0xff00 != 0,
            Feature::Ras => field(self.pfr0, 28) != 0,
            Feature::Amu => field(self.pfr0, 44) != 0,
            // MPAM, and MPAM_frac for version 0.1.
            Feature::Mpam => field(self.pfr0, 40) | field(self.pfr1, 16) != 0,
            Feature::Mte2 => field(self.pfr1, 8) >= 2,
            Feature::Sme => field(self.pfr1, 24) != 0,
            Feature::Nmi => field(self.pfr1, 36) != 0,
            // PMUVer, where 15 is a PMU that is not Arm's.
            Feature::Monitors => field(self.dfr0, 8) != 0 && field(self.dfr0, 8) != 0xf,
            Feature::Profiling => field(self.dfr0, 32) != 0,
            Feature::TraceFilter => field(self.dfr0, 40) != 0,
            // TraceBuffer and ExtTrcBuff.
            Feature::TraceBuffer => field(self.dfr0, 44) | field(self.dfr0, 56) != 0,
            Feature::FineGrained => field(self.mmfr0, 56) != 0,
            Feature::FineGrained2 => field(self.mmfr0, 56) >= 2,
            Feature::LimitedOrdering => field(self.mmfr1, 16) != 0,
            Feature::ExtendedHcr => field(self.mmfr1, 40) != 0,
        }
    }

    /// `bits` if the CPU has `feature`, else none of them.
    const fn bits(&self, feature: Feature, bits: u64) -> u64 {
        if self.has(feature) { bits } else { 0 }
    }
}

/// A control register of EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the architecture's, followed by _EL2")]
pub enum Control {
    Hcr,
    Cptr,
    Mdcr,
    Hstr,
    Cnthctl,
    Hcrx,
    Hfgrtr,
    Hfgwtr,
    Hfgitr,
    Hdfgrtr,
    Hdfgwtr,
    Hafgrtr,
    Hfgrtr2,
    Hfgwtr2,
    Hfgitr2,
    Hdfgrtr2,
    Hdfgwtr2,
    Mpam2,
    Mpamhcr,
}

/// All that is written once; HCR_EL2 changes when a guest is entered and left.
pub const AT_START: [Control; 18] = [
    Control::Cptr,
    Control::Mdcr,
    Control::Hstr,
    Control::Cnthctl,
    Control::Hcrx,
    Control::Hfgrtr,
    Control::Hfgwtr,
    Control::Hfgitr,
    Control::Hdfgrtr,
    Control::Hdfgwtr,
    Control::Hafgrtr,
    Control::Hfgrtr2,
    Control::Hfgwtr2,
    Control::Hfgitr2,
    Control::Hdfgrtr2,
    Control::Hdfgwtr2,
    Control::Mpam2,
    Control::Mpamhcr,
];

/// MPAMIDR_EL1: HAS_HCR, MPAMHCR_EL2 exists; HAS_TIDR, MPAM2_EL2.TIDR exists.
const MPAM_HAS_HCR: u64 = 1 << 17;
const MPAM_HAS_TIDR: u64 = 1 << 58;

impl Control {
    /// What the register holds while a guest runs on a CPU with these ID registers; `None` where it does not exist.
    pub const fn value(self, id: &IdRegisters) -> Option<u64> {
        use Feature::{Amu, ExtendedHcr, FineGrained, FineGrained2, Mpam};
        let (exists, value) = match self {
            Self::Hcr => (true, hcr(id, Sharing::Alone)),
            Self::Cptr => (true, cptr(id)),
            Self::Mdcr => (true, mdcr(id)),
            // It traps what AArch32 alone has.
            Self::Hstr => (true, 0),
            // With E2H = 0, EL1PCEN and EL1PCTEN: physical timer and counter are not trapped (DDI 0487, D24.10.2).
            Self::Cnthctl => (true, 0b11),
            // What it would enable stays trapped or UNDEFINED. TALLINT: writes of ALLINT are trapped.
            Self::Hcrx => (id.has(ExtendedHcr), id.bits(Feature::Nmi, 1 << 6)),
            // Bits whose names start with n trap when they are 0, and those are the features that guests are not told
            // of.
            Self::Hfgrtr | Self::Hfgwtr | Self::Hfgitr | Self::Hdfgwtr => (id.has(FineGrained), 0),
            Self::Hdfgrtr => (id.has(FineGrained), hdfgrtr(id)),
            Self::Hafgrtr => (id.has(FineGrained) && id.has(Amu), 0),
            Self::Hfgrtr2 | Self::Hfgwtr2 | Self::Hfgitr2 | Self::Hdfgrtr2 | Self::Hdfgwtr2 => {
                (id.has(FineGrained2), 0)
            }
            // TRAPMPAM0EL1 and TRAPMPAM1EL1; TIDR where MPAMHCR_EL2 does not trap MPAMIDR_EL1. Partition 0 for EL2.
            Self::Mpam2 => (id.has(Mpam), 0b11 << 48 | id.mpam & MPAM_HAS_TIDR),
            // TRAP_MPAMIDR_EL1.
            Self::Mpamhcr => (id.has(Mpam) && id.mpam & MPAM_HAS_HCR != 0, 1 << 31),
        };
        if exists { Some(value) } else { None }
    }
}

/// Whether a vCPU has its CPU to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// It has: it waits by the CPU's own WFI.
    Alone,
    /// Other vCPUs run there too: a vCPU that waits gives the CPU to them.
    Shared,
}

/// HCR_EL2 while a guest runs (DDI 0487, D24.2.49), bit by bit with its purpose.
pub const fn hcr(id: &IdRegisters, sharing: Sharing) -> u64 {
    const ALWAYS: u64 = 1 << 31 // RW: EL1 is AArch64
        | 1 << 21 // TACR: ACTLR_EL1 is implementation defined, and may be shared with EL2
        | 1 << 20 // TIDCP: so are these encodings
        | 1 << 19 // TSC: SMC comes here, not to the firmware
        | 1 << 18 // TID3: what the guest may know of the CPU's features
        | 0b01 << 10 // BSU: barriers reach at least the inner shareable domain
        | 1 << 9 // FB: so does TLB and instruction cache maintenance
        | 1 << 5 // AMO: SErrors come here
        | 1 << 4 // IMO: interrupts come here, and ICC_* are those of the virtual CPU interface
        | 1 << 3 // FMO: likewise
        | 1 << 2 // PTW: a stage 1 walk through device memory faults
        | 1 << 1 // SWIO: invalidation by set and way also cleans
        | 1; // VM: stage 2
    let waits = match sharing {
        Sharing::Alone => 0,
        Sharing::Shared => 1 << 14 | 1 << 13, // TWE and TWI: WFE and WFI
    };
    ALWAYS
        | waits
        | id.bits(Feature::PointerAuthentication, 1 << 41 | 1 << 40) // API and APK: not trapped
        | id.bits(Feature::LimitedOrdering, 1 << 35) // TLOR
        | id.bits(Feature::Ras, 1 << 36) // TERR: error records
        | id.bits(Feature::Mte2, 1 << 58) // TID5: GMID_EL1; ATA of 0 traps the others
        | id.bits(Feature::Sme, 1 << 16) // TID1: SMIDR_EL1, and with it REVIDR_EL1 and AIDR_EL1
}

/// CPTR_EL2 with E2H = 0 (DDI 0487, D24.2.35): RES1 (13, 9, 7:0); SVE and SME are trapped (TZ, bit 8; TSM, bit 12; both
/// RES1 without), trace registers too (TTA, bit 20), FP and SIMD not (TFP, bit 10); activity monitors (TAM, bit 30).
const fn cptr(id: &IdRegisters) -> u64 {
    1 << 13 | 1 << 9 | 0xff | 1 << 8 | 1 << 12 | 1 << 20 | id.bits(Feature::Amu, 1 << 30)
}

/// MDCR_EL2 (DDI 0487, D24.3.17): TDRA, TDOSA and TDA trap the debug registers, TPM and TPMCR the performance monitors,
/// TTRF the trace filter and TPMS profiling. E2PB and E2TB of 0 trap the buffers of profiling and trace, EnSPM of 0 the
/// system monitors, EnSTEPOP of 0 stepping by opcode. HPMN, the counters that EL1 may have, must not be more than there
/// are: it is PMCR_EL0.N, as at reset.
const fn mdcr(id: &IdRegisters) -> u64 {
    let counters = id.bits(Feature::Monitors, id.monitors >> 11 & 0x1f);
    counters
        | 1 << 11
        | 1 << 10
        | 1 << 9
        | 1 << 6
        | 1 << 5
        | id.bits(Feature::TraceFilter, 1 << 19)
        | id.bits(Feature::Profiling, 1 << 14)
}

/// HDFGRTR_EL2: PMBIDR_EL1 and TRBIDR_EL1 are what MDCR_EL2 does not trap of profiling and trace.
const fn hdfgrtr(id: &IdRegisters) -> u64 {
    id.bits(Feature::Profiling, 1 << 63) | id.bits(Feature::TraceBuffer, 1 << 51)
}

#[cfg(test)]
pub(crate) mod tests;
