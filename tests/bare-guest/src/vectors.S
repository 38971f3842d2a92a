// The exception vectors of EL1. Each reads the counter as its second instruction: that is when the handler was reached.

.equ FRAME,         38 * 8              // Frame of exceptions.rs
.equ FRAME_SP,      31 * 8
.equ FRAME_SPSR,    33 * 8
.equ FRAME_FAR,     35 * 8

.macro vector kind
    .balign 0x80
    stp     x0, x1, [sp, #-FRAME]!
    mrs     x0, cntvct_el0
    mov     x1, #\kind
    b       save_and_dispatch
.endm

    .section .text.vectors, "ax"
    .balign 0x800
vectors:
    vector  0                           // EL1 with SP_EL0: everything but handlers
    vector  1
    vector  2
    vector  3
    vector  4                           // EL1 with SP_EL1: a handler
    vector  5
    vector  6
    vector  7
    vector  8                           // EL0, AArch64
    vector  9
    vector  10
    vector  11
    vector  12                          // EL0, AArch32
    vector  13
    vector  14
    vector  15

    .balign 0x80
save_and_dispatch:
    stp     x2, x3, [sp, #8 * 2]
    stp     x4, x5, [sp, #8 * 4]
    stp     x6, x7, [sp, #8 * 6]
    stp     x8, x9, [sp, #8 * 8]
    stp     x10, x11, [sp, #8 * 10]
    stp     x12, x13, [sp, #8 * 12]
    stp     x14, x15, [sp, #8 * 14]
    stp     x16, x17, [sp, #8 * 16]
    stp     x18, x19, [sp, #8 * 18]
    stp     x20, x21, [sp, #8 * 20]
    stp     x22, x23, [sp, #8 * 22]
    stp     x24, x25, [sp, #8 * 24]
    stp     x26, x27, [sp, #8 * 26]
    stp     x28, x29, [sp, #8 * 28]
    str     x30, [sp, #8 * 30]
    mrs     x2, sp_el0
    mrs     x3, elr_el1
    mrs     x4, spsr_el1
    mrs     x5, esr_el1
    mrs     x6, far_el1
    stp     x2, x3, [sp, #FRAME_SP]
    stp     x4, x5, [sp, #FRAME_SPSR]
    stp     x6, x0, [sp, #FRAME_FAR]
    mov     x0, sp
    bl      guest_exception

    ldp     x2, x3, [sp, #FRAME_SP]
    ldr     x4, [sp, #FRAME_SPSR]
    msr     sp_el0, x2
    msr     elr_el1, x3
    msr     spsr_el1, x4
    ldp     x2, x3, [sp, #8 * 2]
    ldp     x4, x5, [sp, #8 * 4]
    ldp     x6, x7, [sp, #8 * 6]
    ldp     x8, x9, [sp, #8 * 8]
    ldp     x10, x11, [sp, #8 * 10]
    ldp     x12, x13, [sp, #8 * 12]
    ldp     x14, x15, [sp, #8 * 14]
    ldp     x16, x17, [sp, #8 * 16]
    ldp     x18, x19, [sp, #8 * 18]
    ldp     x20, x21, [sp, #8 * 20]
    ldp     x22, x23, [sp, #8 * 22]
    ldp     x24, x25, [sp, #8 * 24]
    ldp     x26, x27, [sp, #8 * 26]
    ldp     x28, x29, [sp, #8 * 28]
    ldr     x30, [sp, #8 * 30]
    ldp     x0, x1, [sp], #FRAME
    eret
