// The exception vectors of EL2, and those for the time before Rust can run.
//
// Every exception is taken on SP_EL2. Its handler runs on the stack in use, one of the two, if that has room, else on the
// fault stack from its top: so a stack overflow, which faults in the guard page, can still be reported.

.equ FRAME,         36 * 8              // ExceptionFrame of lib.rs
.equ FRAME_SP,      31 * 8
.equ FRAME_ELR,     32 * 8
.equ FRAME_ESR,     34 * 8

.macro vector kind
    .balign 0x80
    msr     tpidr_el2, x0
    mov     x0, sp
    msr     sp_el0, x0                  // EL2 does not use SP_EL0: a second scratch register
    adrp    x0, __stack_bottom
    sub     x0, sp, x0
    sub     x0, x0, #FRAME
    cmp     x0, #0x8, lsl #12           // the stack's size
    b.ls    1f
    adrp    x0, __fault_stack_bottom
    sub     x0, sp, x0
    sub     x0, x0, #FRAME
    cmp     x0, #0x4, lsl #12           // the fault stack's size
    b.ls    1f
    adrp    x0, __fault_stack_top
    mov     sp, x0
1:  sub     sp, sp, #FRAME
    stp     x1, x2, [sp, #8]
    mov     x1, #\kind
    b       save_and_dispatch
.endm

    .section .text.vectors, "ax"
    .balign 0x800
vectors:
    vector  0                           // EL2 with SP_EL0
    vector  1
    vector  2
    vector  3
    vector  4                           // EL2 with SP_EL2
    vector  5
    vector  6
    vector  7
    vector  8                           // lower level, AArch64
    vector  9
    vector  10
    vector  11
    vector  12                          // lower level, AArch32
    vector  13
    vector  14
    vector  15

    .balign 0x80
save_and_dispatch:
    mrs     x0, tpidr_el2
    str     x0, [sp]
    stp     x3, x4, [sp, #8 * 3]
    stp     x5, x6, [sp, #8 * 5]
    stp     x7, x8, [sp, #8 * 7]
    stp     x9, x10, [sp, #8 * 9]
    stp     x11, x12, [sp, #8 * 11]
    stp     x13, x14, [sp, #8 * 13]
    stp     x15, x16, [sp, #8 * 15]
    stp     x17, x18, [sp, #8 * 17]
    stp     x19, x20, [sp, #8 * 19]
    stp     x21, x22, [sp, #8 * 21]
    stp     x23, x24, [sp, #8 * 23]
    stp     x25, x26, [sp, #8 * 25]
    stp     x27, x28, [sp, #8 * 27]
    stp     x29, x30, [sp, #8 * 29]
    mrs     x2, sp_el0
    mrs     x3, elr_el2
    mrs     x4, spsr_el2
    mrs     x5, esr_el2
    mrs     x6, far_el2
    str     x2, [sp, #FRAME_SP]
    stp     x3, x4, [sp, #FRAME_ELR]
    stp     x5, x6, [sp, #FRAME_ESR]
    mov     x0, sp
    bl      lacuna_exception

    // The handler may have changed the frame: also where to go on, and on which stack.
    ldp     x3, x4, [sp, #FRAME_ELR]
    msr     elr_el2, x3
    msr     spsr_el2, x4
    ldr     x0, [sp]
    msr     tpidr_el2, x0
    ldp     x1, x2, [sp, #8]
    ldp     x3, x4, [sp, #8 * 3]
    ldp     x5, x6, [sp, #8 * 5]
    ldp     x7, x8, [sp, #8 * 7]
    ldp     x9, x10, [sp, #8 * 9]
    ldp     x11, x12, [sp, #8 * 11]
    ldp     x13, x14, [sp, #8 * 13]
    ldp     x15, x16, [sp, #8 * 15]
    ldp     x17, x18, [sp, #8 * 17]
    ldp     x19, x20, [sp, #8 * 19]
    ldp     x21, x22, [sp, #8 * 21]
    ldp     x23, x24, [sp, #8 * 23]
    ldp     x25, x26, [sp, #8 * 25]
    ldp     x27, x28, [sp, #8 * 27]
    ldp     x29, x30, [sp, #8 * 29]
    ldr     x0, [sp, #FRAME_SP]
    mov     sp, x0
    mrs     x0, tpidr_el2
    eret

// Before relocation no Rust can run. Whatever happens then, and whatever happens at EL1, ends here.
    .balign 0x800
early_vectors:
    .rept 16
    .balign 0x80
    b       dead
    .endr

    .balign 0x80
    .global dead
dead:
    stage   '!'
    end_machine
1:  wfe
    b       1b
