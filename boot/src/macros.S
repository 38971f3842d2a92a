// What differs from image to image: constants that Rust computes from the board and the features, and the macros that are
// empty where an image has no use for them.

.equ GUESTS,            {guests}
.equ CPUS,              {cpus}          // whether other CPUs than the one that boots are started
.equ HAS_EL3,           {has_el3}       // whether there may be an EL3 to be entered at
.equ SEMIHOSTING,       {semihosting}
.equ EARLY_UART,        {early_uart}
.equ GIVE_INTERRUPTS,   {give_interrupts}
.equ STACK_BYTES,       {stack_bytes}
.equ FAULT_STACK_BYTES, {fault_stack_bytes}

// SCTLR_EL2 with E2H = 0: all RES1 bits (29, 28, 23, 22, 18, 16, 11, 5, 4), everything else off (DDI 0487, D24.2.132).
.equ SCTLR_EL2_OFF,     0x30c50830

.macro mov_q register, value
    mov     \register, #(\value & 0xffff)
    movk    \register, #((\value >> 16) & 0xffff), lsl #16
    .if (\value >> 32)
    movk    \register, #((\value >> 32) & 0xffff), lsl #32
    .endif
.endm

// Nothing behind an ERET is to be speculated on. SB would do, where there is FEAT_SB.
.macro return_from_exception
    eret
    dsb     nsh
    isb
.endm

// One letter per stage on the board's UART, where the board is known before its device tree is read. It waits for room,
// but not for ever. Uses x0 to x2.
.macro stage letter
    .if EARLY_UART
    mov_q   x1, {uart_status}
    mov     w2, #0xffff
8:
    .if {uart_bytes}
    ldrb    w0, [x1]
    .else
    ldr     w0, [x1]
    .endif
    .if {uart_is_set}
    tbnz    w0, #{uart_bit}, 9f
    .else
    tbz     w0, #{uart_bit}, 9f
    .endif
    subs    w2, w2, #1
    b.ne    8b
9:  mov_q   x1, {uart_transmit}
    mov     w0, #\letter
    .if {uart_bytes}
    strb    w0, [x1]
    .else
    str     w0, [x1]
    .endif
    .endif
.endm

// Makes the early UART usable. Uses x0 to x3.
.macro set_up_uart
    .if {uart_writes}
    adrp    x0, {uart_setup}
    add     x0, x0, :lo12:{uart_setup}
    mov     x1, #{uart_writes}
1:  ldr     x2, [x0]
    ldr     w3, [x0, #8]
    str     w3, [x2]
    add     x0, x0, #16
    subs    x1, x1, #1
    b.ne    1b
    .endif
.endm

// Keeps all cores but that with affinity 0 where they are, if the board starts every one. Uses x1 and x2.
.macro park_other_cores
    .if {park}
    mrs     x1, mpidr_el1               // Aff3 [39:32], Aff2 to Aff0 [23:0] (DDI 0487, D24.2.119)
    and     x2, x1, #0xffffff
    ubfx    x1, x1, #32, #8
    orr     x1, x1, x2
    cbz     x1, 2f
1:  wfe
    b       1b
2:
    .endif
.endm

// Sets CNTFRQ_EL0 if nobody has, on a board that says what it should be. Uses x1.
.macro set_counter_frequency
    .if {counter_hz}
    mrs     x1, cntfrq_el0
    cbnz    x1, 1f
    mov_q   x1, {counter_hz}
    msr     cntfrq_el0, x1
1:
    .endif
.endm

// A semihosting call where nobody may answer. HLT is UNDEFINED then, and `early_vectors`, which are in use, lead to where
// TPIDR_EL0 says: behind the call, with x2 = 0 instead of 1. Uses x0 to x2.
.macro call_semihosting operation, block
    adr     x0, 8f
    msr     tpidr_el0, x0
    mov     w0, #\operation
    adr     x1, \block
    hlt     #0xf000
    mov     x2, #1
    b       9f
8:  mov     x2, #0
9:  msr     tpidr_el0, xzr
.endm

// Finds out whether semihosting answers, and has it in x23, by a call that changes nothing: SYS_ISERROR of 0 (Semihosting
// for AArch32 and AArch64). Uses x0 to x2.
.macro probe_semihosting
    .if SEMIHOSTING
    call_semihosting 0x08, no_error
    mov     x23, x2
    .endif
.endm

// Keeps what was found. Uses x0.
.macro keep_semihosting
    .if SEMIHOSTING
    adrp    x0, {answers}
    strb    w23, [x0, :lo12:{answers}]
    .endif
.endm

// Where `early_vectors` lead: to code that expects the exception, which goes on with the PSTATE that it had but for the
// flags of memory access, none of which matters at EL2 or with the MMU off; or else to the end. Uses x0.
.macro recover_early
    .if SEMIHOSTING
    mrs     x0, tpidr_el0
    cbz     x0, dead
    br      x0
    .endif
.endm

// Ends the machine with a failing status from where no Rust can run, if semihosting answers. Else there is no way that
// works on every machine: the CPU stops, and the last stage's letter tells where.
.macro end_machine
    .if SEMIHOSTING
    call_semihosting 0x20, failure      // SYS_EXIT_EXTENDED (as above, 6.8)
    b       1f
    .balign 8
no_error:
    .quad   0
failure:
    .quad   0x20026, 1                  // ADP_Stopped_ApplicationExit, status 1
1:
    .endif
.endm
