//! The fields of each ID register that guests see, by their lowest bit, and a rule for each. Unlisted fields read as 0;
//! the reason stands above the register.
//!
//! All of MMFR3, MMFR4, ISAR3 and PFR2 is hidden, because their features need HCRX_EL2 or are too new to be known; all
//! of ZFR0, SMFR0 and FPFR0, because they belong to SVE and SME; and the ID registers of AArch32, because there is no
//! AArch32.

use super::NOT_IMPLEMENTED;
use super::Rule::{self, AddressWidth, Says, SignedUpTo, UpTo};

/// A register of which all stays.
pub(super) const WHOLE: &[(u32, Rule)] = &{
    let mut fields = [(0, UpTo(15)); 16];
    let mut index = 1;
    while index < fields.len() {
        fields[index].0 = fields[index - 1].0 + 4;
        index += 1;
    }
    fields
};

/// ID_AA64PFR0_EL1.
///
/// Exception levels: AArch64 only, since the state of AArch32 is not kept, and two of them: guests do not nest, and an
/// SMC ends at the hypervisor. RAS, since errors are the hypervisor's; SVE, whose state is not kept; SEL2, MPAM, AMU
/// and RME, which are not for EL1: hidden. SCXTNUM_EL1 and EL0 stay trapped (HCR_EL2.EnSCXT): their accesses go to EL3
/// unless SCR_EL3.EnSCXT is set, which EL2 cannot see. What else CSV2 of 3 says, SMCCC_ARCH_FEATURES tells a guest.
pub(super) const PFR0: &[(u32, Rule)] = &[
    (0, Says(1)),        // EL0: AArch64 only
    (4, Says(1)),        // EL1: the same, as HCR_EL2.RW says
    (16, SignedUpTo(1)), // FP
    (20, SignedUpTo(1)), // AdvSIMD
    (24, UpTo(1)),       // GIC: the vGIC's CPU interface is that of GICv3; 3 is GICv4.1
    (48, UpTo(1)),       // DIT
    (56, UpTo(1)),       // CSV2: without SCXTNUM_EL0 and EL1
    (60, UpTo(1)),       // CSV3
];

/// ID_AA64PFR1_EL1.
///
/// MTE needs tagged memory in stage 2 and HCR_EL2.ATA; SME's state is not kept; RNDR_trap is EL3's; the vGIC has no
/// NMI; GCS and THE need HCRX_EL2; PFAR and DF2 go with RAS, and each other `_frac` with what it refines.
pub(super) const PFR1: &[(u32, Rule)] = &[
    (0, UpTo(1)),  // BT
    (4, UpTo(2)),  // SSBS
    (32, UpTo(1)), // CSV2_frac: without SCXTNUM_EL0 and EL1
];

/// How many breakpoints there are: the fewest that the architecture allows.
pub(in super::super) const BREAKPOINTS: u8 = 2;
/// The same of watchpoints.
pub(in super::super) const WATCHPOINTS: u8 = 2;

/// ID_AA64DFR0_EL1.
///
/// The least that there can be, of which one breakpoint, CTX_CMPs, compares contexts. Neither counters (PMUVer, MTPMU,
/// HPMN0), nor profiles (PMSVer), nor traces (TraceVer, TraceFilt, TraceBuffer, ExtTrcBuff, BRBE) are kept for a guest.
pub(super) const DFR0: &[(u32, Rule)] = &[
    (0, Says(6)),                       // DebugVer: Armv8.0, the least there is
    (12, Says(BREAKPOINTS as u64 - 1)), // BRPs: one less than there are
    (20, Says(WATCHPOINTS as u64 - 1)), // WRPs: one less than there are
    (36, Says(NOT_IMPLEMENTED)),        // DoubleLock
];

/// ID_AA64ISAR0_EL1.
///
/// TME is hidden: a transaction would end at each trap.
pub(super) const ISAR0: &[(u32, Rule)] = &[
    (4, UpTo(2)),  // AES
    (8, UpTo(1)),  // SHA1
    (12, UpTo(2)), // SHA2
    (16, UpTo(1)), // CRC32
    (20, UpTo(3)), // Atomic
    (28, UpTo(1)), // RDM
    (32, UpTo(1)), // SHA3
    (36, UpTo(1)), // SM3
    (40, UpTo(1)), // SM4
    (44, UpTo(1)), // DP
    (48, UpTo(1)), // FHM
    (52, UpTo(2)), // TS
    (56, UpTo(2)), // TLB: outer shareable and by range
    (60, UpTo(1)), // RNDR
];

/// ID_AA64ISAR1_EL1.
///
/// LS64 needs HCRX_EL2.EnALS.
pub(super) const ISAR1: &[(u32, Rule)] = &[
    (0, UpTo(2)),  // DPB
    (4, UpTo(5)),  // APA: pointer authentication, here and below
    (8, UpTo(5)),  // API
    (12, UpTo(1)), // JSCVT
    (16, UpTo(1)), // FCMA
    (20, UpTo(3)), // LRCPC
    (24, UpTo(1)), // GPA
    (28, UpTo(1)), // GPI
    (32, UpTo(1)), // FRINTTS
    (36, UpTo(1)), // SB
    (40, UpTo(2)), // SPECRES
    (44, UpTo(2)), // BF16
    (48, UpTo(1)), // DGH
    (52, UpTo(1)), // I8MM
    (56, UpTo(1)), // XS
];

/// ID_AA64ISAR2_EL1.
///
/// WFxT is hidden, because a WFIT that is trapped would need its deadline kept. MOPS needs HCRX_EL2.MSCEn; SYSREG_128
/// and SYSINSTR_128 need registers of 128 bits to be kept; PRFMSLC, LUT and ATS1A are too new.
pub(super) const ISAR2: &[(u32, Rule)] = &[
    (4, UpTo(1)),  // RPRES
    (8, UpTo(1)),  // GPA3
    (12, UpTo(5)), // APA3
    (20, UpTo(1)), // BC
    (24, UpTo(1)), // PAC_frac
    (28, UpTo(1)), // CLRBHB
    (48, UpTo(1)), // RPRFM
    (52, UpTo(1)), // CSSC
];

/// ID_AA64MMFR0_EL1.
///
/// SNSMem: the guest has no Secure memory. TGran16_2, TGran64_2, TGran4_2: stage 2 is not the guest's. FGT is EL2's.
/// ECV: its registers would be trapped, or need an offset that is set at EL2.
pub(super) const MMFR0: &[(u32, Rule)] = &[
    (0, AddressWidth),   // PARange
    (4, UpTo(2)),        // ASIDBits
    (8, UpTo(1)),        // BigEnd
    (16, UpTo(1)),       // BigEndEL0
    (20, UpTo(1)),       // TGran16: without the 52-bit format, as the guest's addresses have at most 48
    (24, SignedUpTo(0)), // TGran64
    (28, SignedUpTo(0)), // TGran4: without the 52-bit format
    (44, UpTo(1)),       // ExS
];

/// ID_AA64MMFR1_EL1.
///
/// VMIDBits, VH, XNX and HCX are EL2's. HCR_EL2.TLOR traps LO. TWED, TIDCP1 and CMOW refine traps of EL2 or go with
/// HCRX_EL2.
pub(super) const MMFR1: &[(u32, Rule)] = &[
    (0, UpTo(2)),  // HAFDBS: 3 needs TCR2_EL1, see MMFR3
    (12, UpTo(2)), // HPDS
    (20, UpTo(3)), // PAN
    (24, UpTo(1)), // SpecSEI: a warning
    (36, UpTo(3)), // ETS
    (44, UpTo(1)), // AFP
    (48, UpTo(1)), // nTLBPA
    (60, UpTo(1)), // ECBHB
];

/// ID_AA64MMFR2_EL1.
///
/// LSM is of AArch32, IESB goes with RAS, NV would be nesting, FWB and EVT are EL2's.
pub(super) const MMFR2: &[(u32, Rule)] = &[
    (0, UpTo(1)),  // CnP
    (4, UpTo(1)),  // UAO
    (16, UpTo(1)), // VARange
    (20, UpTo(1)), // CCIDX
    (28, UpTo(1)), // ST
    (32, UpTo(1)), // AT
    (36, UpTo(1)), // IDS
    (48, UpTo(1)), // TTL
    (52, UpTo(2)), // BBM
    (60, UpTo(1)), // E0PD
];
