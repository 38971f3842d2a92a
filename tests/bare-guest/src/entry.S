// The arm64 Image header and the way from the first instruction to Rust.
//
// Entered at EL1 as Documentation/arch/arm64/booting.rst of Linux says: MMU and data cache off, x0 = address of the device
// tree. What runs outside exceptions uses SP_EL0, so that not even a bad stack pointer harms the handler, which uses SP_EL1.
//
// x19: device tree   x20: CNTVCT_EL0 at entry   x21: CNTPCT_EL0 then, 0 if trapped   x22: address of the image
// x23 to x30: SCTLR_EL1, VBAR_EL1, ELR_EL1, SPSR_EL1, ESR_EL1, FAR_EL1, SP_EL0 and SP_EL1 at entry

    .section .head.text, "ax"
    .global _start
_start:
    b       entry
    .word   0
    .quad   0                           // text_offset
    .quad   __image_size
    .quad   0xa                         // flags: little endian, 4 KiB pages, any physical address
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .word   0

entry:
    mrs     x23, sctlr_el1
    mrs     x24, vbar_el1
    mrs     x25, elr_el1
    mrs     x26, spsr_el1
    mrs     x27, esr_el1
    mrs     x28, far_el1
    mrs     x29, sp_el0
    mov     x30, sp
    adr     x1, early_vectors
    msr     vbar_el1, x1
    isb
    mrs     x20, cntvct_el0
    mov     x21, xzr
    mrs     x21, cntpct_el0             // early_vectors goes on behind it
    mov     x19, x0
    msr     daifset, #0xf
    adrp    x22, __image_start

    // SCTLR_EL1: RES1 [29:28, 23:22, 20, 11], nTWE, nTWI, SA0, SA; MMU, caches and alignment checks off (DDI 0487, D24.2).
    mov     x1, #0x0818
    movk    x1, #0x30d5, lsl #16
    msr     sctlr_el1, x1
    isb

    adrp    x0, __bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b

    // Static PIE: every relocation is "load address + addend" (R_AARCH64_RELATIVE, ELF for the Arm 64-bit Architecture).
2:  adrp    x0, __rela_start
    add     x0, x0, :lo12:__rela_start
    adrp    x1, __rela_end
    add     x1, x1, :lo12:__rela_end
1:  cmp     x0, x1
    b.hs    2f
    ldp     x2, x3, [x0], #16
    ldr     x4, [x0], #8
    add     x4, x4, x22
    str     x4, [x2, x22]
    b       1b

2:  adrp    x0, {at_entry}
    add     x0, x0, :lo12:{at_entry}
    stp     x23, x24, [x0]
    stp     x25, x26, [x0, #8 * 2]
    stp     x27, x28, [x0, #8 * 4]
    stp     x29, x30, [x0, #8 * 6]
    msr     spsel, #1
    adrp    x0, __exception_stack_top
    mov     sp, x0
    msr     spsel, #0
    adrp    x0, __stack_top
    mov     sp, x0
    adr     x0, vectors
    msr     vbar_el1, x0
    isb
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    mov     x1, x20
    mov     x2, x21
    bl      guest_main
1:  wfi
    b       1b

// Steps over the instruction that trapped. x1 is free then.
    .balign 0x800
early_vectors:
    .rept 16
    .balign 0x80
    mrs     x1, elr_el1
    add     x1, x1, #4
    msr     elr_el1, x1
    eret
    .endr

// Runs code that may go wrong in every way: fn(registers: *mut [u64; 4], code: u64).
//
// x0 to x3 are loaded from the registers and stored back. Either the code returns, or an exception ends it, whose handler
// goes on at guest_resume with the stack pointer from RESUME_SP. The code may use all other registers but x29.
    .text
    .global guest_run
guest_run:
    stp     x29, x30, [sp, #-0x70]!
    stp     x19, x20, [sp, #0x10]
    stp     x21, x22, [sp, #0x20]
    stp     x23, x24, [sp, #0x30]
    stp     x25, x26, [sp, #0x40]
    stp     x27, x28, [sp, #0x50]
    str     x0, [sp, #0x60]
    adrp    x9, {resume_sp}
    mov     x10, sp
    str     x10, [x9, :lo12:{resume_sp}]
    mov     x9, x1
    ldp     x2, x3, [x0, #16]
    ldp     x0, x1, [x0]
    blr     x9
    .global guest_resume
guest_resume:
    ldr     x9, [sp, #0x60]
    stp     x0, x1, [x9]
    stp     x2, x3, [x9, #16]
    ldp     x19, x20, [sp, #0x10]
    ldp     x21, x22, [sp, #0x20]
    ldp     x23, x24, [sp, #0x30]
    ldp     x25, x26, [sp, #0x40]
    ldp     x27, x28, [sp, #0x50]
    ldp     x29, x30, [sp], #0x70
    ret
