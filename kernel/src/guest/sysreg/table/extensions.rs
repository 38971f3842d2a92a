//! The registers that extensions after Armv8.0 added, except for debug.

use super::Fate::{Pstate, Trapped, Varies};
use super::Row;
use super::TrapBit::{Clear, Set};
use crate::arch::controls::Control::{Cptr, Hcr, Hcrx, Hfgrtr, Hfgrtr2, Mpam2};

/// HCR_EL2.TERR, and ATA of 0; TLOR.
const TERR: super::Fate = Trapped(Set(Hcr, 36));
const ATA: super::Fate = Trapped(Clear(Hcr, 56));
const TLOR: super::Fate = Trapped(Set(Hcr, 35));
/// CPTR_EL2.TZ and TSM.
const TZ: super::Fate = Trapped(Set(Cptr, 8));
const TSM: super::Fate = Trapped(Set(Cptr, 12));
/// HFGRTR_EL2.nGCS_EL1 and nGCS_EL0.
const NGCS_EL1: super::Fate = Trapped(Clear(Hfgrtr, 53));
const NGCS_EL0: super::Fate = Trapped(Clear(Hfgrtr, 52));
/// HCRX_EL2.SRMASKEn.
const SRMASKEN: super::Fate = Trapped(Clear(Hcrx, 26));

pub(super) const ROWS: &[Row] = &[
    // FEAT_RAS, version 2 and what announces the address of an error.
    Row::one("ERRIDR_EL1", [3, 0, 5, 3, 0], TERR),
    Row::one("ERRSELR_EL1", [3, 0, 5, 3, 1], TERR),
    Row::one("ERXGSR_EL1", [3, 0, 5, 3, 2], Trapped(Clear(Hfgrtr2, 1))),
    Row::several("ERXFR, ERXCTLR, ERXSTATUS and ERXADDR_EL1", [3, 0, 5, 4, 0], 4, TERR),
    Row::several("ERXPFGF, ERXPFGCTL and ERXPFGCDN_EL1", [3, 0, 5, 4, 4], 3, Trapped(Clear(Hcr, 47))),
    Row::several("ERXMISC<n>_EL1", [3, 0, 5, 5, 0], 4, TERR),
    Row::one("PFAR_EL1", [3, 0, 6, 0, 5], Trapped(Clear(Hfgrtr2, 0))),
    // FEAT_LOR.
    Row::several("LORSA, LOREA, LORN and LORC_EL1", [3, 0, 10, 4, 0], 4, TLOR),
    Row::one("LORID_EL1", [3, 0, 10, 4, 7], TLOR),
    // FEAT_MPAM.
    Row::one("MPAMIDR_EL1", [3, 0, 10, 4, 4], Trapped(Set(Mpam2, 58))),
    Row::one("MPAMSM_EL1", [3, 0, 10, 5, 3], Trapped(Clear(Mpam2, 50))),
    // FEAT_SVE and FEAT_SME. What else SME has is reset, and trapped by HFGRTR_EL2.
    Row::one("ZCR_EL1", [3, 0, 1, 2, 0], TZ),
    Row::one("SMCR_EL1", [3, 0, 1, 2, 6], TSM),
    Row::one("SVCR", [3, 3, 4, 2, 2], TSM),
    Row::one("SMIDR_EL1", [3, 1, 0, 0, 6], Trapped(Set(Hcr, 16))),
    Row::one("FPMR", [3, 3, 4, 4, 2], Trapped(Clear(Hcrx, 23))),
    // FEAT_MTE.
    Row::one("RGSR_EL1", [3, 0, 1, 0, 5], ATA),
    Row::one("GCR_EL1", [3, 0, 1, 0, 6], ATA),
    Row::one("TFSR_EL1", [3, 0, 5, 6, 0], ATA),
    Row::one("TFSRE0_EL1", [3, 0, 5, 6, 1], ATA),
    Row::one("GMID_EL1", [3, 1, 0, 0, 4], Trapped(Set(Hcr, 58))),
    Row::one("TCO", [3, 3, 4, 2, 7], Pstate),
    // FEAT_NMI and FEAT_EBEP. HCRX_EL2.TALLINT traps writes of ALLINT; nothing but EL2's vectors would trap reads.
    Row::one("ALLINT", [3, 0, 4, 3, 0], Pstate),
    Row::one("PM", [3, 0, 4, 3, 1], Pstate),
    // FEAT_CSV2_2: HCR_EL2.EnSCXT.
    Row::one("SCXTNUM_EL1", [3, 0, 13, 0, 7], Trapped(Clear(Hcr, 53))),
    Row::one("SCXTNUM_EL0", [3, 3, 13, 0, 7], Trapped(Clear(Hcr, 53))),
    // FEAT_RNG.
    Row::one("RNDR", [3, 3, 2, 4, 0], Varies("random")),
    Row::one("RNDRRS", [3, 3, 2, 4, 1], Varies("random")),
    // FEAT_TCR2, SCTLR2, AIE, S1PIE, S1POE and S2POE.
    Row::one("SCTLR2_EL1", [3, 0, 1, 0, 3], Trapped(Clear(Hcrx, 15))),
    Row::one("TCR2_EL1", [3, 0, 2, 0, 3], Trapped(Clear(Hcrx, 14))),
    Row::one("MAIR2_EL1", [3, 0, 10, 2, 1], Trapped(Clear(Hfgrtr, 62))),
    Row::one("PIRE0_EL1", [3, 0, 10, 2, 2], Trapped(Clear(Hfgrtr, 57))),
    Row::one("PIR_EL1", [3, 0, 10, 2, 3], Trapped(Clear(Hfgrtr, 58))),
    Row::one("POR_EL1", [3, 0, 10, 2, 4], Trapped(Clear(Hfgrtr, 60))),
    Row::one("S2POR_EL1", [3, 0, 10, 2, 5], Trapped(Clear(Hfgrtr, 61))),
    Row::one("POR_EL0", [3, 3, 10, 2, 4], Trapped(Clear(Hfgrtr, 59))),
    Row::one("AMAIR2_EL1", [3, 0, 10, 3, 1], Trapped(Clear(Hfgrtr, 63))),
    // FEAT_THE. With FEAT_D128 these, TTBR<n>_EL1 and PAR_EL1 have 128 bits: HCRX_EL2.D128En of 0 traps MRRS and MSRR.
    Row::one("RCWSMASK_EL1", [3, 0, 13, 0, 3], Trapped(Clear(Hfgrtr2, 2))),
    Row::one("RCWMASK_EL1", [3, 0, 13, 0, 6], Trapped(Clear(Hfgrtr, 56))),
    // FEAT_LS64_ACCDATA.
    Row::one("ACCDATA_EL1", [3, 0, 13, 0, 5], Trapped(Clear(Hfgrtr, 50))),
    // FEAT_GCS.
    Row::one("GCSCR_EL1", [3, 0, 2, 5, 0], NGCS_EL1),
    Row::one("GCSPR_EL1", [3, 0, 2, 5, 1], NGCS_EL1),
    Row::one("GCSCRE0_EL1", [3, 0, 2, 5, 2], NGCS_EL0),
    Row::one("GCSPR_EL0", [3, 3, 2, 5, 1], NGCS_EL0),
    // FEAT_SRMASK, which came after Armv9.5.
    Row::several("*MASK_EL1 and *ALIAS_EL1 of SCTLR, SCTLR2, CPACR and ACTLR", [3, 0, 1, 4, 0], 8, SRMASKEN),
    Row::several("TCRMASK_EL1, TCR2MASK_EL1", [3, 0, 2, 7, 2], 2, SRMASKEN),
    Row::several("TCRALIAS_EL1, TCR2ALIAS_EL1", [3, 0, 2, 7, 6], 2, SRMASKEN),
];
