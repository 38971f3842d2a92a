//! Self-hosted debug, trace, profiling and counters: all that MDCR_EL2, CPTR_EL2 and the fine-grained traps of debug
//! trap.

use super::Fate::{Absent, Trapped};
use super::Row;
use super::TrapBit::{Clear, Set};
use crate::arch::controls::Control::{Cptr, Hdfgrtr, Hdfgrtr2, Hdfgwtr2, Mdcr};

/// MDCR_EL2.TDA, TDRA and TDOSA.
const TDA: super::Fate = Trapped(Set(Mdcr, 9));
const TDOSA: super::Fate = Trapped(Set(Mdcr, 10));
const TDRA: super::Fate = Trapped(Set(Mdcr, 11));
/// CPTR_EL2.TTA and TAM.
const TTA: super::Fate = Trapped(Set(Cptr, 20));
const TAM: super::Fate = Trapped(Set(Cptr, 30));
/// MDCR_EL2.TPM, TPMS, EnSPM, and the owners of the buffers, E2PB and E2TB.
const TPM: super::Fate = Trapped(Set(Mdcr, 6));
const TPMS: super::Fate = Trapped(Set(Mdcr, 14));
const ENSPM: super::Fate = Trapped(Clear(Mdcr, 15));
const E2PB: super::Fate = Trapped(Clear(Mdcr, 12));
const E2TB: super::Fate = Trapped(Clear(Mdcr, 24));
/// HDFGRTR2_EL2.nPMSSDATA.
const NPMSSDATA: super::Fate = Trapped(Clear(Hdfgrtr2, 6));

pub(super) const ROWS: &[Row] = &[
    // Debug.
    Row::one("OSDTRRX_EL1", [2, 0, 0, 0, 2], TDA),
    Row::by_crm("DBGBVR<n>_EL1", [2, 0, 0, 0, 4], 16, TDA),
    Row::by_crm("DBGBCR<n>_EL1", [2, 0, 0, 0, 5], 16, TDA),
    Row::by_crm("DBGWVR<n>_EL1", [2, 0, 0, 0, 6], 16, TDA),
    Row::by_crm("DBGWCR<n>_EL1", [2, 0, 0, 0, 7], 16, TDA),
    Row::one("MDCCINT_EL1", [2, 0, 0, 2, 0], TDA),
    Row::one("OSDTRTX_EL1", [2, 0, 0, 3, 2], TDA),
    Row::one("MDSELR_EL1", [2, 0, 0, 4, 2], Trapped(Clear(Hdfgrtr2, 5))),
    Row::one("MDSTEPOP_EL1", [2, 0, 0, 5, 2], Trapped(Clear(Mdcr, 50))),
    Row::one("OSECCR_EL1", [2, 0, 0, 6, 2], TDA),
    Row::one("MDRAR_EL1", [2, 0, 1, 0, 0], TDRA),
    Row::one("OSLAR_EL1", [2, 0, 1, 0, 4], TDOSA),
    Row::one("OSLSR_EL1", [2, 0, 1, 1, 4], TDOSA),
    Row::one("OSDLR_EL1", [2, 0, 1, 3, 4], TDOSA),
    Row::one("DBGPRCR_EL1", [2, 0, 1, 4, 4], TDOSA),
    Row::one("DBGCLAIMSET_EL1", [2, 0, 7, 8, 6], TDA),
    Row::one("DBGCLAIMCLR_EL1", [2, 0, 7, 9, 6], TDA),
    Row::one("DBGAUTHSTATUS_EL1", [2, 0, 7, 14, 6], TDA),
    Row::one("MDCCSR_EL0", [2, 3, 0, 1, 0], TDA),
    Row::one("DBGDTR_EL0", [2, 3, 0, 4, 0], TDA),
    Row::one("DBGDTRRX_EL0, DBGDTRTX_EL0", [2, 3, 0, 5, 0], TDA),
    Row::several("of AArch32's debug", [2, 2, 0, 0, 0], 2048, Absent("there is no AArch32, nor Jazelle or ThumbEE")),
    // Trace: TRC* of the trace unit, and the branch records.
    Row::several("TRC*", [2, 1, 0, 0, 0], 1024, TTA),
    Row::several("BRBINF<n>_EL1, BRBSRC<n>_EL1, BRBTGT<n>_EL1", [2, 1, 8, 0, 0], 128, Trapped(Clear(Hdfgrtr, 61))),
    Row::several("BRBCR_EL1, BRBFCR_EL1, BRBTS_EL1", [2, 1, 9, 0, 0], 3, Trapped(Clear(Hdfgrtr, 60))),
    Row::several("BRBINFINJ_EL1, BRBSRCINJ_EL1, BRBTGTINJ_EL1", [2, 1, 9, 1, 0], 3, Trapped(Clear(Hdfgrtr, 61))),
    Row::one("BRBIDR0_EL1", [2, 1, 9, 2, 0], Trapped(Clear(Hdfgrtr, 59))),
    Row::one("TRFCR_EL1", [3, 0, 1, 2, 1], Trapped(Set(Mdcr, 19))),
    Row::one("TRCITECR_EL1", [3, 0, 1, 2, 3], Trapped(Clear(Hdfgrtr2, 20))),
    Row::one("TRBLIMITR_EL1", [3, 0, 9, 11, 0], E2TB),
    Row::one("TRBPTR_EL1", [3, 0, 9, 11, 1], E2TB),
    Row::one("TRBBASER_EL1", [3, 0, 9, 11, 2], E2TB),
    Row::one("TRBSR_EL1", [3, 0, 9, 11, 3], E2TB),
    Row::one("TRBMAR_EL1", [3, 0, 9, 11, 4], E2TB),
    Row::one("TRBMPAM_EL1", [3, 0, 9, 11, 5], E2TB),
    Row::one("TRBTRG_EL1", [3, 0, 9, 11, 6], E2TB),
    Row::one("TRBIDR_EL1", [3, 0, 9, 11, 7], Trapped(Set(Hdfgrtr, 51))),
    // Profiling.
    Row::one("PMSCR_EL1", [3, 0, 9, 9, 0], TPMS),
    Row::one("PMSNEVFR_EL1", [3, 0, 9, 9, 1], TPMS),
    Row::one("PMSICR_EL1", [3, 0, 9, 9, 2], TPMS),
    Row::one("PMSIRR_EL1", [3, 0, 9, 9, 3], TPMS),
    Row::one("PMSFCR_EL1", [3, 0, 9, 9, 4], TPMS),
    Row::one("PMSEVFR_EL1", [3, 0, 9, 9, 5], TPMS),
    Row::one("PMSLATFR_EL1", [3, 0, 9, 9, 6], TPMS),
    Row::one("PMSIDR_EL1", [3, 0, 9, 9, 7], TPMS),
    Row::one("PMBLIMITR_EL1", [3, 0, 9, 10, 0], E2PB),
    Row::one("PMBPTR_EL1", [3, 0, 9, 10, 1], E2PB),
    Row::one("PMBSR_EL1", [3, 0, 9, 10, 3], E2PB),
    Row::one("PMSDSFR_EL1", [3, 0, 9, 10, 4], TPMS),
    Row::one("PMBMAR_EL1", [3, 0, 9, 10, 5], Trapped(Clear(Hdfgrtr2, 24))),
    Row::one("PMBIDR_EL1", [3, 0, 9, 10, 7], Trapped(Set(Hdfgrtr, 63))),
    // Performance monitors.
    Row::one("PMSSCR_EL1", [3, 0, 9, 13, 3], Trapped(Clear(Hdfgrtr2, 7))),
    Row::one("PMINTENSET_EL1", [3, 0, 9, 14, 1], TPM),
    Row::one("PMINTENCLR_EL1", [3, 0, 9, 14, 2], TPM),
    Row::one("PMUACR_EL1", [3, 0, 9, 14, 4], TPM),
    Row::one("PMECR_EL1", [3, 0, 9, 14, 5], TPM),
    Row::one("PMMIR_EL1", [3, 0, 9, 14, 6], TPM),
    Row::one("PMIAR_EL1", [3, 0, 9, 14, 7], TPM),
    Row::one("PMICNTR_EL0", [3, 3, 9, 4, 0], TPM),
    Row::one("PMICFILTR_EL0", [3, 3, 9, 6, 0], TPM),
    Row::one("PMCR_EL0", [3, 3, 9, 12, 0], Trapped(Set(Mdcr, 5))),
    Row::several("PMCNTEN*, PMOVSCLR, PMSWINC, PMSELR and PMCEID<n>_EL0", [3, 3, 9, 12, 1], 7, TPM),
    Row::several("PMCCNTR, PMXEVTYPER and PMXEVCNTR_EL0", [3, 3, 9, 13, 0], 3, TPM),
    Row::one("PMZR_EL0", [3, 3, 9, 13, 4], Trapped(Clear(Hdfgwtr2, 21))),
    Row::one("PMUSERENR_EL0", [3, 3, 9, 14, 0], TPM),
    Row::one("PMOVSSET_EL0", [3, 3, 9, 14, 3], TPM),
    Row::several("PMEVCNTR<n>_EL0", [3, 3, 14, 8, 0], 31, TPM),
    Row::several("PMEVTYPER<n>_EL0, PMCCFILTR_EL0", [3, 3, 14, 12, 0], 32, TPM),
    Row::several("PMEVCNTSVR<n>_EL1, PMCCNTSVR_EL1", [2, 0, 14, 8, 0], 32, NPMSSDATA),
    Row::one("PMICNTSVR_EL1", [2, 0, 14, 12, 0], NPMSSDATA),
    // System performance monitors.
    Row::several("SPMCGCR<n>, SPMACCESSR, SPMIIDR, SPMDEV*, SPMCFGR_EL1", [2, 0, 9, 13, 0], 8, ENSPM),
    Row::several("SPMINTEN*_EL1", [2, 0, 9, 14, 1], 2, ENSPM),
    Row::several("SPMCR, SPMCNTEN*, SPMOVSCLR, SPMZR and SPMSELR_EL0", [2, 3, 9, 12, 0], 6, ENSPM),
    Row::one("SPMOVSSET_EL0", [2, 3, 9, 14, 3], ENSPM),
    Row::several("SPMEVCNTR, SPMEVTYPER, SPMEVFILTR and SPMEVFILT2R<n>_EL0", [2, 3, 14, 0, 0], 64, ENSPM),
    // Activity monitors.
    Row::several("AMCR, AMCFGR, AMCGCR, AMUSERENR, AMCNTEN*0_EL0, AMCG1IDR", [3, 3, 13, 2, 0], 7, TAM),
    Row::several("AMCNTEN*1_EL0", [3, 3, 13, 3, 0], 2, TAM),
    Row::several("AMEVCNTR0<n>_EL0", [3, 3, 13, 4, 0], 16, TAM),
    Row::several("AMEVTYPER0<n>_EL0", [3, 3, 13, 6, 0], 16, TAM),
    Row::several("AMEVCNTR1<n>_EL0", [3, 3, 13, 12, 0], 16, TAM),
    Row::several("AMEVTYPER1<n>_EL0", [3, 3, 13, 14, 0], 16, TAM),
];
