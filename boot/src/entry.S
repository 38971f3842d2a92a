// The arm64 Image header and the way from the first instruction to Rust.
//
// Entered as Documentation/arch/arm64/booting.rst of Linux says: MMU and data cache off, x0 = physical address of the
// device tree (0 if the loader has none), the image clean to the point of coherency, at EL2 or, where there is no
// firmware, at EL3. At EL1 nothing can be done but to say so. What a board without firmware leaves undone is done by the
// macros of entry.rs, which are empty for other boards.
//
// x19: device tree   x20: exception level of entry   x21: counter at entry   x22: address the image was loaded at
// x23: whether semihosting answers, in an image that would use it

    .section .head.text, "ax"
    .global _start
_start:
    .cfi_startproc
    .cfi_undefined x30                  // nobody called this
    b       entry
    .word   0
    .quad   0                           // text_offset: anywhere in a 2 MiB block
    .quad   __image_size
    .quad   0xa                         // flags: little endian, 4 KiB pages, any physical address
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .word   0

entry:
    park_other_cores
    msr     daifset, #0xf
    mov     x19, x0
    mrs     x20, CurrentEL
    lsr     x20, x20, #2                // CurrentEL.EL is bits [3:2] (DDI 0487, C5.2.1)
    adrp    x22, __image_start
    msr     tpidr_el0, xzr              // no exception is expected
    adr     x0, early_vectors
    cmp     x20, #2
    b.eq    at_el2
.if HAS_EL3
    b.hi    at_el3
.endif

    // EL1: keep an exception from running into the void, and go on to the message.
    msr     vbar_el1, x0
    isb
    mrs     x21, cntvct_el0
    b       prepare

at_el2:
    mov_q   x1, SCTLR_EL2_OFF
    msr     sctlr_el2, x1
    mov     x1, #(1 << 31)              // HCR_EL2: RW, E2H = 0, nothing trapped (DDI 0487, D24.2.49)
    msr     hcr_el2, x1
    isb
    msr     vbar_el2, x0
    msr     spsel, #1
    mov     x1, #3                      // CNTHCTL_EL2: EL1 may use the physical counter and timer (E2H = 0)
    msr     cnthctl_el2, x1
    msr     cntvoff_el2, xzr
    set_counter_frequency
    isb
    mrs     x21, cntpct_el0

prepare:
    probe_semihosting
    set_up_uart
    stage   'a'
    // Lines that the loader left dirty over BSS, stacks and pool could be evicted onto what is written from here on.
    adrp    x0, __bss_start
    adrp    x1, __image_end
    bl      invalidate_data_cache

    adrp    x0, __bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b
2:  keep_semihosting
    stage   'b'

    // Static PIE: every relocation is "load address + addend" (R_AARCH64_RELATIVE, ELF for the Arm 64-bit Architecture).
    adrp    x0, __rela_start
    add     x0, x0, :lo12:__rela_start
    adrp    x1, __rela_end
    add     x1, x1, :lo12:__rela_end
1:  cmp     x0, x1
    b.hs    2f
    ldp     x2, x3, [x0], #16
    ldr     x4, [x0], #8
    cmp     w3, #1027
    b.ne    dead
    add     x4, x4, x22
    str     x4, [x2, x22]
    b       1b
2:  stage   'c'

    adrp    x0, __stack_top
    mov     sp, x0
    cmp     x20, #2
    b.lo    1f
    adrp    x0, lacuna_boot_cpu
    add     x0, x0, :lo12:lacuna_boot_cpu
    adrp    x1, __stack_bottom
    adrp    x2, __fault_stack_bottom
    stp     x1, x2, [x0]                // VectorState of lib.rs
    msr     tpidr_el2, x0               // before these vectors are in use, which rely on it
    adr     x0, vectors
    msr     vbar_el2, x0
    isb
1:  stage   'd'
    mov     x29, xzr                    // ends every backtrace
    mov     x30, xzr
    mov     x0, x19
    mov     x1, x20
    mov     x2, x21
    bl      lacuna_main
    b       dead
    .cfi_endproc

// Invalidates the data cache to the point of coherency over [x0, x1); x0 must be aligned to a cache line.
// Uses x0 to x3, as Rust may call it too.
    .global invalidate_data_cache
invalidate_data_cache:
    .cfi_startproc
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4             // DminLine: log2 of words in the smallest line
    mov     x3, #4
    lsl     x2, x3, x2
1:  cmp     x0, x1
    b.hs    2f
    dc      ivac, x0
    add     x0, x0, x2
    b       1b
2:  dsb     sy
    ret
    .cfi_endproc
