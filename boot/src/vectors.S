// The exception vectors of EL2, and those for the time before Rust can run.
//
// Every exception is taken on SP_EL2. The handler of one from EL2 itself runs on the stack in use, one of the CPU's two,
// if that has room, else on the fault stack from its top: so a stack overflow, which faults in the guard page, can still
// be reported. An exception from a guest finds SP_EL2 where run_guest left it, with room.
//
// An exception from EL2 itself returns whatever it interrupted, also between two exits of a guest: so it may change no
// register, of EL2 or of a guest. All general registers hold something, and the stack pointer may point nowhere, so
// before anything is stored one system register has to lend its place. CNTVOFF_EL2 does: it has 64 bits on every CPU,
// EL2 never reads the virtual counter, the guest does not run meanwhile, and what it holds stands in the CPU's block as
// well. A virtual timer that looks due for those instructions raises a level that falls again before EL2 unmasks or
// leaves. TPIDR_EL2 always points to the block.

    .cfi_sections .debug_frame          // for debuggers; the image has none of it

.equ FRAME,         36 * 8              // ExceptionFrame of lib.rs
.equ FRAME_SP,      31 * 8
.equ FRAME_ELR,     32 * 8
.equ FRAME_ESR,     34 * 8

.equ CPU_STACKS,    0                   // VectorState of lib.rs: the stack, the fault stack
.equ CPU_OFFSET,    2 * 8
.equ CPU_X1,        3 * 8
.equ CPU_X2_X3,     4 * 8

.macro vector kind
    .balign 0x80
    msr     cntvoff_el2, x0
    mrs     x0, tpidr_el2
    str     x1, [x0, #CPU_X1]
    mov     x1, #\kind
    b       save_and_dispatch
.endm

// What a guest's exception saves, and gets back unless its handler says that the guest is to be left.
//
// The layout is GuestFrame of lib.rs; behind it on the stack lies what run_guest put there, and behind that the frame
// record of run_guest's caller, with which backtraces go on. A handler is given that context, the frame and, after a
// synchronous exception, ESR_EL2 and SPSR_EL2. FAR_EL2 and HPFAR_EL2 the handler reads itself, before it does anything
// that may fault: an exception of EL2's own overwrites them.
.equ GUEST_ELR,     31 * 8
.equ GUEST_FRAME,   34 * 8
.equ GUEST_CONTEXT, GUEST_FRAME
.equ GUEST_DAIF,    GUEST_FRAME + 8
.equ GUEST_HARDEN,  GUEST_FRAME + 16    // Hardening of lib.rs: function, rounds
.equ GUEST_BUFFER,  GUEST_FRAME + 24    // where the frame goes when the guest is left
.equ GUEST_ENTERED, 32                  // bytes from GUEST_CONTEXT on
.equ ENTER_FRAME,   8 * 12              // what a function must preserve: x19 to x30

// SPSR_EL2.BTYPE. The instruction behind one that EL2 carries out, an HVC too, is no target of a branch: so the frame's
// PSTATE has 0 there after a synchronous exception. PSTATE.SS needs no such care: MDSCR_EL1.SS is 0, and so SS is.
.equ BTYPE,         0x3 << 10

.macro save_guest
    stp     x0, x1, [sp, #-GUEST_FRAME]!
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
    mrs     x2, elr_el2
    stp     x30, x2, [sp, #8 * 30]
.endm

.macro handle_guest handler
    mrs     x3, spsr_el2
.ifc \handler, synchronous
    and     x4, x3, #~BTYPE
    str     x4, [sp, #8 * 32]
    mrs     x2, esr_el2
.else
    str     x3, [sp, #8 * 32]
.endif
    add     x29, sp, #GUEST_CONTEXT + GUEST_ENTERED
    ldr     x0, [sp, #GUEST_CONTEXT]
    mov     x1, sp
    bl      lacuna_guest_\handler
    b       return_to_guest
.endm

// For debuggers: whoever called run_guest called the handler too, in a sense, and that frame record is still there.
.macro guest_is_callee
    .cfi_def_cfa sp, GUEST_FRAME + GUEST_ENTERED + ENTER_FRAME
    .cfi_offset x29, -ENTER_FRAME
    .cfi_offset x30, 8 - ENTER_FRAME
.endm

// The ways from a guest: as fast as can be, or hardened.
.macro fast handler
    .balign 0x80
    .cfi_startproc
    .cfi_def_cfa sp, GUEST_ENTERED + ENTER_FRAME
    save_guest
    guest_is_callee
    handle_guest \handler
    .cfi_endproc
.endm

.macro hardened handler
    .balign 0x80
    .cfi_startproc
    .cfi_def_cfa sp, GUEST_ENTERED + ENTER_FRAME
    save_guest
    guest_is_callee
    b       harden_\handler
    .cfi_endproc
.endm

// Takes from the branch predictor what the guest may have taught it, before the first branch that is predicted by that:
// calls the firmware's workaround, if it is to be called, then clears the history of branches by CLRBHB, where there is
// FEAT_CLRBHB, and by the taken branches of so many rounds (Arm, "Spectre-BHB", 2022). The firmware keeps all but x0 to
// x3. Should the CPU speculate on the other way at either conditional branch, it gets no farther than the DSB and ISB.
.macro harden
    ldr     w0, [sp, #GUEST_HARDEN]
    ldr     w4, [sp, #GUEST_HARDEN + 4]
    cbz     w0, 1f
    smc     #0
1:  hint    #22                         // CLRBHB
2:  b       3f
3:  subs    w4, w4, #1
    b.ne    2b
    dsb     nsh
    isb
.endm

// A table of vectors. The first half of it, and of the second that for AArch32, is alike in both: those for exceptions
// from a lower level are, where there are no guests, as from EL2. Nobody sends FIQs. Those for AArch32 are of a guest
// with AArch32 at EL1, which none has (HCR_EL2.RW): its EL0 comes to the others (DDI 0487, D1.3.1.5).
.macro vector_table name, way
    .balign 0x800
\name:
    vector  0                           // EL2 with SP_EL0
    vector  1
    vector  2
    vector  3
    vector  4                           // EL2 with SP_EL2
    vector  5
    vector  6
    vector  7
.if GUESTS
    \way    synchronous
    \way    interrupt
    vector  10
    \way    serror
.else
    vector  8
    vector  9
    vector  10
    vector  11
.endif
    vector  12
    vector  13
    vector  14
    vector  15
.endm

    .section .text.vectors, "ax"
    vector_table vectors, fast
.if GUESTS
    vector_table hardened_vectors, hardened
    .balign 0x80
    .irp handler, synchronous, interrupt, serror
harden_\handler:
    .cfi_startproc
    guest_is_callee
    harden
    handle_guest \handler
    .cfi_endproc
    .endr
.endif

    .balign 0x80
// x0: the CPU's block, x1: the vector. x0's own value is in CNTVOFF_EL2, that of x1 in the block. Stores to the block
// cannot fault; those to the stack come once it is known to have room.
save_and_dispatch:
    .cfi_startproc
    .cfi_signal_frame
    stp     x2, x3, [x0, #CPU_X2_X3]
    ldp     x2, x3, [x0, #CPU_STACKS]
    sub     x2, sp, x2
    sub     x2, x2, #FRAME
    cmp     x2, #(STACK_BYTES >> 12), lsl #12
    mov     x2, sp
    b.ls    1f
    sub     x3, x2, x3
    sub     x3, x3, #FRAME
    cmp     x3, #(FAULT_STACK_BYTES >> 12), lsl #12
    b.ls    1f
    ldr     x3, [x0, #CPU_STACKS + 8]
    add     x3, x3, #(FAULT_STACK_BYTES >> 12), lsl #12
    mov     sp, x3
1:  sub     sp, sp, #FRAME
    .cfi_def_cfa sp, FRAME              // the interrupted stack pointer, unless it was on another stack
    str     x2, [sp, #FRAME_SP]
    mrs     x2, cntvoff_el2
    ldr     x3, [x0, #CPU_X1]
    stp     x2, x3, [sp]
    ldr     x2, [x0, #CPU_OFFSET]
    msr     cntvoff_el2, x2
    ldp     x2, x3, [x0, #CPU_X2_X3]
    stp     x2, x3, [sp, #8 * 2]
    stp     x4, x5, [sp, #8 * 4]
    str     x6, [sp, #8 * 6]
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
    mrs     x3, elr_el2
    mrs     x4, spsr_el2
    mrs     x5, esr_el2
    mrs     x6, far_el2
    stp     x3, x4, [sp, #FRAME_ELR]
    stp     x5, x6, [sp, #FRAME_ESR]
    // What was interrupted is the caller: its x29 and, in the place of a return address, its program counter.
    .cfi_offset x29, 29 * 8 - FRAME
    .cfi_offset x30, FRAME_ELR - FRAME
    mov     x0, sp
    bl      lacuna_exception

    // The handler may have changed the frame: also where to go on, and on which stack. Nothing from here on faults: both
    // stacks are EL2's own and present. x0 and x1 go last and by way of the stack gone on with, onto the 16 bytes below
    // its pointer, which nobody uses: if it is this stack, those are the frame's ESR and FAR, which are done with.
    ldp     x3, x4, [sp, #FRAME_ELR]
    msr     elr_el2, x3
    msr     spsr_el2, x4
    ldp     x1, x2, [sp]
    ldr     x0, [sp, #FRAME_SP]
    stp     x1, x2, [x0, #-16]!
    ldr     x2, [sp, #8 * 2]
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
    mov     sp, x0
    ldp     x0, x1, [sp], #16
    return_from_exception
    .cfi_endproc

.if GUESTS
    .balign 0x80
return_to_guest:
    .cfi_startproc
    guest_is_callee
    cbnz    w0, leave_guest
    ldp     x2, x3, [sp, #GUEST_ELR]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    ldr     x30, [sp, #8 * 30]
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
    ldp     x0, x1, [sp], #GUEST_FRAME
    return_from_exception
    .cfi_endproc

// run_guest(context, frame, function, rounds): runs a guest with the registers in `frame`, a GuestFrame, until a handler,
// which is given `context`, returns something other than 0; `frame` then has the registers as they are. Its exits are
// hardened unless there are 0 rounds. Returns 0, or ESR_EL2 of an SError that the guest left pending.
    .global run_guest
run_guest:
    .cfi_startproc
    stp     x29, x30, [sp, #-ENTER_FRAME]!
    .cfi_def_cfa_offset ENTER_FRAME
    .cfi_offset x29, -ENTER_FRAME
    .cfi_offset x30, 8 - ENTER_FRAME
    stp     x19, x20, [sp, #8 * 2]
    stp     x21, x22, [sp, #8 * 4]
    stp     x23, x24, [sp, #8 * 6]
    stp     x25, x26, [sp, #8 * 8]
    stp     x27, x28, [sp, #8 * 10]
    mrs     x6, daif
    stp     x0, x6, [sp, #-GUEST_ENTERED]!
    .cfi_def_cfa_offset ENTER_FRAME + GUEST_ENTERED
    stp     w2, w3, [sp, #GUEST_HARDEN - GUEST_CONTEXT]
    str     x1, [sp, #GUEST_BUFFER - GUEST_CONTEXT]
    adr     x6, vectors
    adr     x7, hardened_vectors
    cmp     w3, #0
    csel    x6, x6, x7, eq
    msr     vbar_el2, x6                // for EL2's own exceptions both tables do; the ERET synchronises
    ldp     x2, x3, [x1, #GUEST_ELR]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    ldp     x2, x3, [x1, #8 * 2]
    ldp     x4, x5, [x1, #8 * 4]
    ldp     x6, x7, [x1, #8 * 6]
    ldp     x8, x9, [x1, #8 * 8]
    ldp     x10, x11, [x1, #8 * 10]
    ldp     x12, x13, [x1, #8 * 12]
    ldp     x14, x15, [x1, #8 * 14]
    ldp     x16, x17, [x1, #8 * 16]
    ldp     x18, x19, [x1, #8 * 18]
    ldp     x20, x21, [x1, #8 * 20]
    ldp     x22, x23, [x1, #8 * 22]
    ldp     x24, x25, [x1, #8 * 24]
    ldp     x26, x27, [x1, #8 * 26]
    ldp     x28, x29, [x1, #8 * 28]
    ldr     x30, [x1, #8 * 30]
    ldp     x0, x1, [x1]
    return_from_exception

leave_guest:
    .cfi_def_cfa_offset ENTER_FRAME + GUEST_ENTERED + GUEST_FRAME
    ldr     x1, [sp, #GUEST_BUFFER]
    .irp    word, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32
    ldp     x2, x3, [sp, #8 * \word]
    stp     x2, x3, [x1, #8 * \word]
    .endr
    ldr     x1, [sp, #GUEST_DAIF]
    add     sp, sp, #GUEST_FRAME + GUEST_ENTERED
    .cfi_def_cfa_offset ENTER_FRAME
    mov     x0, xzr
    // What the guest accessed may fail only now. Taken up to serror_window_end, an SError is the guest's, and its
    // ESR_EL2 is put into x0; taken later, when they are masked or not as before the guest, it would be EL2's.
    msr     daifclr, #4
    .global serror_window
serror_window:
    dsb     sy
    hint    #16                         // ESB, where there is FEAT_RAS (DDI 0487, D1.3.5)
    isb
    .global serror_window_end
serror_window_end:
    msr     daif, x1
    ldp     x19, x20, [sp, #8 * 2]
    ldp     x21, x22, [sp, #8 * 4]
    ldp     x23, x24, [sp, #8 * 6]
    ldp     x25, x26, [sp, #8 * 8]
    ldp     x27, x28, [sp, #8 * 10]
    ldp     x29, x30, [sp], #ENTER_FRAME
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
.endif

// Before relocation no Rust can run. Whatever happens then, and whatever happens at EL1, ends here, unless it is expected.
// EL3 keeps these vectors: only below it there is something from where exceptions can come.
    .balign 0x800
early_vectors:
    .irp    from_below, 0,0,0,0, 0,0,0,0, 1,0,0,0, 1,0,0,0
    .balign 0x80
    .if \from_below && HAS_EL3
    b       from_below_el3
    .else
    b       early_exception
    .endif
    .endr

    .balign 0x80
early_exception:
    recover_early
    .global dead
dead:
    stage   '!'
    end_machine
1:  wfe
    b       1b
