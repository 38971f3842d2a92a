// Entered at EL3, because there is no firmware: what firmware would have done for EL2, and the little that stays at EL3.
//
// EL2 gets all that this CPU has: for each feature that EL3 would have to allow, its bit, where the ID registers announce
// the feature (it is RES0 elsewhere). What a feature's bit would only let EL2 trap, or lend to others, stays off.
//
// Two things need EL3 afterwards. Interrupts belong to the Secure state until it gives them away, and where the controller
// is, the device tree says, which EL2 reads: so EL2 makes one call, and is the last to make any. And whatever else is
// trapped to EL3, since a newer CPU has more to allow, becomes an exception to EL2, which reports it, or injects it into
// the guest that caused it, as if it had trapped it itself.
//
// Nothing here uses memory: SP_EL3 and TPIDR_EL3 are scratch registers.

// Sets bit \bit of x1 if the 4 bits of x2 from \field on are at least \least. Uses x3.
.macro allow bit, field, least=1
    ubfx    x3, x2, #\field, #4
    cmp     x3, #\least
    cset    x3, hs
    orr     x1, x1, x3, lsl #\bit
.endm

.if HAS_EL3
    .section .text.el3, "ax"
at_el3:
    mov_q   x1, SCTLR_EL2_OFF           // RES1 are the same at EL2 and EL3
    msr     sctlr_el3, x1
    msr     sctlr_el2, x1               // UNKNOWN at reset, and must not have M set when EL2 starts
    msr     vbar_el3, x0
    set_counter_frequency               // CNTFRQ_EL0 can be written at the highest level alone

    // SCR_EL3: NS | RES1 [5:4] | HCE | RW (DDI 0487, D24.2.125); and SMD where EL2 makes no call.
    mov     x1, #(0x531 | ((1 - GUESTS) << 7))
    mrs     x2, id_aa64isar1_el1
    allow   36, 60, 3                   // EnAS0: LS64_ACCDATA
    allow   37, 60, 3                   // ADEn: LS64_ACCDATA
    and     x3, x2, #0xff0              // APA, API
    and     x2, x2, #0xff000000         // GPA, GPI
    orr     x3, x3, x2
    mrs     x2, S3_0_C0_C6_2            // ID_AA64ISAR2_EL1
    and     x4, x2, #0xff00             // GPA3, APA3
    orr     x4, x3, x4
    cbz     x4, 1f
    orr     x1, x1, #(3 << 16)          // APK, API: pointer authentication
1:  allow   55, 32                      // EnIDCP128: SYSREG_128
    mrs     x2, id_aa64pfr0_el1
    allow   35, 44, 2                   // AMVOFFEN: AMU 1.1
    allow   25, 56, 2                   // EnSCXT: CSV2_2
    mrs     x2, id_aa64pfr1_el1
    allow   25, 32, 2                   // EnSCXT: CSV2_1p2, in CSV2_frac
    allow   26, 8, 2                    // ATA: MTE2
    allow   39, 44                      // GCSEn: GCS
    allow   41, 24                      // EnTP2: SME
    allow   42, 48                      // RCWMASKEn: THE
    allow   53, 60                      // PFAREn: PFAR
    mrs     x2, S3_0_C0_C4_2            // ID_AA64PFR2_EL1
    allow   50, 32                      // EnFPM: FPMR
    mrs     x2, id_aa64mmfr0_el1
    allow   27, 56                      // FGTEn: FGT
    allow   59, 56, 2                   // FGTEn2: FGT2
    allow   28, 60                      // ECVEn: ECV
    mrs     x2, id_aa64mmfr1_el1
    allow   38, 40                      // HXEn: HCX
    mrs     x2, S3_0_C0_C7_3            // ID_AA64MMFR3_EL1
    allow   43, 0                       // TCR2En: TCR2
    allow   44, 4                       // SCTLR2En: SCTLR2
    allow   45, 8                       // PIEn: S1PIE
    allow   45, 12                      // PIEn: S2PIE
    allow   45, 16                      // PIEn: S1POE
    allow   45, 20                      // PIEn: S2POE
    allow   46, 24                      // AIEn: AIE
    allow   47, 32                      // D128En: D128
    msr     scr_el3, x1

    // MDCR_EL3: SDD, no debug exceptions from the Secure state; nothing is trapped (DDI 0487, D24.3.18).
    mov     x1, #(1 << 16)
    mrs     x2, id_aa64dfr0_el1
    allow   12, 32                      // NSPB, 0b11: the profiling buffer is Non-secure
    allow   13, 32
    allow   24, 44                      // NSTB, 0b11: so is the trace buffer
    allow   25, 44
    allow   32, 52                      // SBRBE, 0b01: so are branch records
    msr     mdcr_el3, x1

    // CPTR_EL3: nothing is trapped, with SVE and SME allowed (DDI 0487, D24.2.36).
    mov     x1, xzr
    mrs     x2, id_aa64pfr0_el1
    allow   8, 32                       // EZ: SVE
    mrs     x2, id_aa64pfr1_el1
    allow   12, 24                      // ESM: SME
    msr     cptr_el3, x1
    isb
    mov     x2, #0xf                    // LEN: vectors as long as they can be
    tbz     x1, #8, 1f
    msr     S3_6_C1_C2_0, x2            // ZCR_EL3
1:  tbz     x1, #12, 1f
    msr     S3_6_C1_C2_6, x2            // SMCR_EL3
1:  mrs     x2, id_aa64pfr0_el1
    mov     x1, xzr
    allow   0, 40                       // MPAM, of version 1, or 0 with a fraction
    mrs     x2, id_aa64pfr1_el1
    allow   0, 16
    cbz     x1, 1f
    msr     S3_6_C10_C5_0, xzr          // MPAM3_EL3.TRAPLOWER is 1 at reset
1:  mrs     x1, id_aa64pfr0_el1
    ubfx    x1, x1, #24, #4             // GIC: system register interface present?
    cbz     x1, 1f
    mov     x1, #0xf                    // ICC_SRE_EL3: Enable | DIB | DFB | SRE (IHI 0069, 12.2.22)
    msr     S3_6_C12_C12_5, x1
    isb
    mov     x1, #0xff                   // ICC_PMR_EL1: below 0x80, the Non-secure state could not change it
    msr     S3_0_C4_C6_0, x1
1:  mov     x1, #0x3c9                  // SPSR_EL3: EL2h, D, A, I and F masked
    msr     spsr_el3, x1
    adr     x1, at_el2
    msr     elr_el3, x1
    return_from_exception

// A synchronous exception from below EL3: the call of EL2, or something for EL2 to report.
    .global from_below_el3
from_below_el3:
    msr     tpidr_el3, x0
    mov     sp, x1
    mrs     x0, esr_el3
    lsr     x1, x0, #26                 // EC
.if GUESTS
    cmp     x1, #0x17                   // SMC; that of a guest is EL2's, by HCR_EL2.TSC
    b.eq    call_of_el2
.endif
    msr     esr_el2, x0
    mrs     x0, far_el3
    msr     far_el2, x0
    mrs     x0, elr_el3
    msr     elr_el2, x0
    mrs     x0, spsr_el3
    msr     spsr_el2, x0
    // Where EL2 takes it (DDI 0487, D1.3.2): from a lower level in AArch32 or AArch64, or from itself with either SP.
    mov     x1, #0x600
    tbnz    x0, #4, 1f                  // M[4]: AArch32
    mov     x1, #0x400
    tbz     x0, #3, 1f                  // M[3:2] is 0b10 for EL2, 0b01 and 0b00 below
    ubfiz   x1, x0, #9, #1              // M[0]: SP_EL2
1:  mrs     x0, vbar_el2
    add     x0, x0, x1
    msr     elr_el3, x0
    mov     x0, #0x3c9                  // as an exception to EL2 would: EL2h, D, A, I and F masked
    msr     spsr_el3, x0
    mov     x1, sp
    mrs     x0, tpidr_el3
    return_from_exception

.if GUESTS
// call_of_el2(GIVE_INTERRUPTS, distributor, redistributor): puts every interrupt of the distributor and of the redistributor
// of this CPU at these physical addresses into group 1 of the Non-secure state, and wakes the latter. Returns 0, or -1 for
// another number (SMCCC, DEN0028, 5.2). x4 to x17 may change. It is the last call: SMC is UNDEFINED from then on.
call_of_el2:
    mov     x1, sp
    mrs     x0, tpidr_el3
    mov_q   x3, GIVE_INTERRUPTS
    cmp     x0, x3
    mov     x0, #-1
    b.ne    4f

    // Affinity routing for both states. It may change only with all groups disabled (IHI 0069, 12.9.4).
    str     wzr, [x1]                   // GICD_CTLR
    dsb     sy
1:  ldr     w3, [x1]
    tbnz    w3, #31, 1b                 // RWP
    mov     w3, #0x30                   // ARE_S | ARE_NS
    str     w3, [x1]
    dsb     sy
1:  ldr     w3, [x1]
    tbnz    w3, #31, 1b

    ldr     w3, [x1, #0x4]              // GICD_TYPER
    ands    w3, w3, #0x1f               // ITLinesNumber: 32 SPIs each, from INTID 32 on
    b.eq    2f
1:  add     x4, x1, w3, uxtw #2
    str     w0, [x4, #0x80]             // GICD_IGROUPR<n>
    str     wzr, [x4, #0xd00]           // GICD_IGRPMODR<n>
    subs    w3, w3, #1
    b.ne    1b

2:  ldr     w3, [x2, #0x14]             // GICR_WAKER
    and     w3, w3, #~(1 << 1)          // ProcessorSleep
    str     w3, [x2, #0x14]
3:  ldr     w3, [x2, #0x14]
    tbnz    w3, #2, 3b                  // ChildrenAsleep
    add     x4, x2, #0x10, lsl #12      // its frame of SGIs and PPIs
    str     w0, [x4, #0x80]             // GICR_IGROUPR0
    str     wzr, [x4, #0xd00]           // GICR_IGRPMODR0
    dsb     sy

    mrs     x3, scr_el3
    orr     x3, x3, #(1 << 7)           // SMD
    msr     scr_el3, x3
    mov     x0, xzr
4:  return_from_exception
.endif
.endif
