// Where CPUs arrive that this image starts, by PSCI or by a spin table: with the MMU and the data cache off.
//
// They are started one at a time: `pending` holds the address of what the CPU that is being started needs (CpuStart of
// lib.rs), with the affinity of that CPU. Any other CPU that arrives, late or because several wait at one release address,
// waits here for its turn. Everything is read past the caches, so the CPU that boots cleans it first.

.equ START_AFFINITY,    0               // CpuStart of lib.rs
.equ START_MAIR_TCR,    8
.equ START_TTBR0_SCTLR, 24
.equ START_BLOCK_STACK, 40
.equ START_REFUSAL,     56

.equ REFUSED_LEVEL,     1               // Refusal of lib.rs
.equ REFUSED_VHE,       2
.equ REFUSED_GRANULE,   3
.equ REFUSED_RANGE,     4

.if CPUS
    .section .text.secondary, "ax"
    .global secondary_entry
secondary_entry:
    .cfi_startproc
    .cfi_undefined x30                  // nobody called this
    msr     daifset, #0xf
    mrs     x1, mpidr_el1
    mov_q   x2, 0xff00ffffff            // Aff3, Aff2, Aff1, Aff0
    and     x1, x1, x2
    adrp    x3, {pending}
    add     x3, x3, :lo12:{pending}
1:  ldr     x19, [x3]
    cbz     x19, 2f
    ldr     x2, [x19, #START_AFFINITY]
    cmp     x2, x1
    b.eq    3f
2:  wfe
    b       1b

    // What this CPU lacks it says before it needs it: with the MMU on, a granule that it does not have would be a fault
    // without end.
3:  mrs     x2, CurrentEL
    mov     x1, #REFUSED_LEVEL
    cmp     x2, #(2 << 2)
    b.ne    refuse
    mov_q   x1, SCTLR_EL2_OFF           // UNKNOWN at reset
    msr     sctlr_el2, x1
    mov     x1, #(1 << 31)              // HCR_EL2: RW, E2H = 0, as in entry.S
    msr     hcr_el2, x1
    isb
    msr     tpidr_el0, xzr              // no exception is expected
    adr     x0, early_vectors
    msr     vbar_el2, x0
    msr     spsel, #1
    mov     x1, #3                      // CNTHCTL_EL2: EL1 may use the physical counter and timer (E2H = 0)
    msr     cnthctl_el2, x1
    msr     cntvoff_el2, xzr            // as the CPU's block says
    isb
    mrs     x2, hcr_el2
    mov     x1, #REFUSED_VHE
    tbnz    x2, #34, refuse             // E2H is RES1 without FEAT_E2H0
    mrs     x2, id_aa64mmfr0_el1
    ldp     x4, x5, [x19, #START_MAIR_TCR]
    mov     x1, #REFUSED_GRANULE
    ubfx    x3, x2, #28, #4             // TGran4
    cmp     x3, #0xf
    b.eq    refuse
    mov     x1, #REFUSED_RANGE
    ubfx    x3, x2, #0, #4              // PARange, which TCR_EL2.PS must not exceed (DDI 0487, D24.2.197)
    ubfx    x6, x5, #16, #3
    cmp     x3, x6
    b.lo    refuse

    // The same translation as on the CPU that boots. No translation and no instruction from before may be left in this
    // CPU's TLB and instruction cache (DDI 0487, D8.17, D7.5.9).
    ldp     x6, x7, [x19, #START_TTBR0_SCTLR]
    msr     mair_el2, x4
    msr     tcr_el2, x5
    msr     ttbr0_el2, x6
    tlbi    alle2
    ic      iallu
    dsb     sy
    isb
    msr     sctlr_el2, x7
    isb

    ldp     x0, x1, [x19, #START_BLOCK_STACK]
    mov     sp, x1
    msr     tpidr_el2, x0               // before these vectors are in use, which rely on it
    adr     x0, vectors
    msr     vbar_el2, x0
    isb
    mov     x29, xzr                    // ends every backtrace
    mov     x30, xzr
    mov     x0, x19
    bl      lacuna_secondary
    b       dead

// x1: why; x2: what the register that says so holds.
refuse:
    stp     x1, x2, [x19, #START_REFUSAL]
    dsb     sy
    sev
1:  wfe
    b       1b
    .cfi_endproc
.endif
