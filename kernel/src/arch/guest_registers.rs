//! The registers of EL1 and EL0 that hold a guest's state. EL2 initialises them when a guest starts, and switches them
//! between vCPUs that share a CPU.
//!
//! This is the only list of them: `aarch64/el1.rs` and `aarch64/context.rs` expand it to accessors, and the table of all
//! registers that a guest can name (`guest::sysreg::table`) to rows. An initial value is the register's architectural
//! reset value, and 0 where the architecture says UNKNOWN.

/// SCTLR_EL1 after reset: MMU and caches off, little endian, with the bits that are RES1 in Armv8.0: LSMAOE, nTLSMD, SPAN,
/// EIS, TSCXT and EOS (DDI 0487, D24.2.131).
pub const SCTLR_EL1: u64 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11;

/// Calls `$with` with groups of registers: the feature that they need, or `Always`; and each as
/// `NAME module read write op0 op1 crn crm op2`, where the accessors are of that module. All start as 0. Not in the list
/// is SCTLR_EL1, which is written last. The compare value of a timer comes before its control: a timer that is on must
/// not see another's value.
macro_rules! guest_registers {
    ($with:ident) => {
        $with! {
            Always {
                CPACR_EL1 el1 read_cpacr_el1 write_cpacr_el1 3 0 1 0 2,
                TTBR0_EL1 el1 read_ttbr0_el1 write_ttbr0_el1 3 0 2 0 0,
                TTBR1_EL1 el1 read_ttbr1_el1 write_ttbr1_el1 3 0 2 0 1,
                TCR_EL1 el1 read_tcr_el1 write_tcr_el1 3 0 2 0 2,
                SPSR_EL1 el1 read_spsr_el1 write_spsr_el1 3 0 4 0 0,
                ELR_EL1 el1 read_elr_el1 write_elr_el1 3 0 4 0 1,
                SP_EL0 own read_sp_el0 write_sp_el0 3 0 4 1 0,
                AFSR0_EL1 el1 read_afsr0_el1 write_afsr0_el1 3 0 5 1 0,
                AFSR1_EL1 el1 read_afsr1_el1 write_afsr1_el1 3 0 5 1 1,
                ESR_EL1 el1 read_esr_el1 write_esr_el1 3 0 5 2 0,
                FAR_EL1 el1 read_far_el1 write_far_el1 3 0 6 0 0,
                PAR_EL1 el1 read_par_el1 write_par_el1 3 0 7 4 0,
                MAIR_EL1 el1 read_mair_el1 write_mair_el1 3 0 10 2 0,
                AMAIR_EL1 el1 read_amair_el1 write_amair_el1 3 0 10 3 0,
                VBAR_EL1 el1 read_vbar_el1 write_vbar_el1 3 0 12 0 0,
                CONTEXTIDR_EL1 el1 read_contextidr_el1 write_contextidr_el1 3 0 13 0 1,
                TPIDR_EL1 el1 read_tpidr_el1 write_tpidr_el1 3 0 13 0 4,
                CNTKCTL_EL1 el1 read_cntkctl_el1 write_cntkctl_el1 3 0 14 1 0,
                CSSELR_EL1 el1 read_csselr_el1 write_csselr_el1 3 2 0 0 0,
                TPIDR_EL0 el0 read_tpidr_el0 write_tpidr_el0 3 3 13 0 2,
                TPIDRRO_EL0 el0 read_tpidrro_el0 write_tpidrro_el0 3 3 13 0 3,
                CNTP_CVAL_EL0 el0 read_cntp_cval_el0 write_cntp_cval_el0 3 3 14 2 2,
                CNTP_CTL_EL0 el0 read_cntp_ctl_el0 write_cntp_ctl_el0 3 3 14 2 1,
                CNTV_CVAL_EL0 el0 read_cntv_cval_el0 write_cntv_cval_el0 3 3 14 3 2,
                CNTV_CTL_EL0 el0 read_cntv_ctl_el0 write_cntv_ctl_el0 3 3 14 3 1,
                MDSCR_EL1 el1 read_mdscr_el1 write_mdscr_el1 2 0 0 2 2,
                SP_EL1 el1 read_sp_el1 write_sp_el1 3 4 4 1 0,
            }
            PointerAuthentication {
                APIAKeyLo_EL1 el1 read_apiakeylo_el1 write_apiakeylo_el1 3 0 2 1 0,
                APIAKeyHi_EL1 el1 read_apiakeyhi_el1 write_apiakeyhi_el1 3 0 2 1 1,
                APIBKeyLo_EL1 own read_apibkeylo_el1 write_apibkeylo_el1 3 0 2 1 2,
                APIBKeyHi_EL1 own read_apibkeyhi_el1 write_apibkeyhi_el1 3 0 2 1 3,
                APDAKeyLo_EL1 own read_apdakeylo_el1 write_apdakeylo_el1 3 0 2 2 0,
                APDAKeyHi_EL1 own read_apdakeyhi_el1 write_apdakeyhi_el1 3 0 2 2 1,
                APDBKeyLo_EL1 own read_apdbkeylo_el1 write_apdbkeylo_el1 3 0 2 2 2,
                APDBKeyHi_EL1 own read_apdbkeyhi_el1 write_apdbkeyhi_el1 3 0 2 2 3,
                APGAKeyLo_EL1 own read_apgakeylo_el1 write_apgakeylo_el1 3 0 2 3 0,
                APGAKeyHi_EL1 own read_apgakeyhi_el1 write_apgakeyhi_el1 3 0 2 3 1,
            }
            // With HCR_EL2.AMO set a guest's DISR_EL1 is VDISR_EL2; an error that is deferred by ESB comes from VSESR_EL2.
            Ras {
                DISR_EL1 el1 read_disr_el1 write_disr_el1 3 0 12 1 1,
                VDISR_EL2 el2 read_vdisr_el2 write_vdisr_el2 3 4 12 1 1,
                VSESR_EL2 el2 read_vsesr_el2 write_vsesr_el2 3 4 5 2 3,
            }
            // Trapped where there are fine-grained traps, but not each CPU with SME has these.
            Sme {
                SMPRI_EL1 own read_smpri_el1 write_smpri_el1 3 0 1 2 4,
                TPIDR2_EL0 own read_tpidr2_el0 write_tpidr2_el0 3 3 13 0 5,
            }
            // Trapped, but until then what they hold says to which partition a guest's accesses belong.
            Mpam {
                MPAM1_EL1 own read_mpam1_el1 write_mpam1_el1 3 0 10 5 0,
                MPAM0_EL1 own read_mpam0_el1 write_mpam0_el1 3 0 10 5 1,
            }
        }
    };
}
pub(crate) use guest_registers;
