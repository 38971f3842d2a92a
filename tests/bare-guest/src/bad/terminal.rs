//! What a guest prints to make somebody believe that another speaks, or to make the terminal type something.

use super::Steps;
use super::expect::Verdict;
use crate::console;
use crate::registers::read;
use crate::timer;

/// Words that only the guest prints, wherever it gets them on the screen.
const TRICKS: [&[u8]; 22] = [
    // Lines of the hypervisor's, at the start of a row: by a newline, a carriage return, backspaces, or a full row.
    b"\nlacuna: forged: switched off\r\n",
    b"\rlacuna: forged: switched off\r\n",
    b"\r\rlacuna: fatal: forged\n\rlacuna: panic: forged\n\r",
    b"\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08lacuna: forged\n",
    b"                                                                               lacuna: forged\n",
    b"\t\t\t\t\t\t\t\t\t\tlacuna: forged\n",
    // The next row, or the one above: VT, FF, IND, NEL, RI, and the same as 8-bit controls, alone and in UTF-8.
    b"\x0blacuna: forged\x0clacuna: forged\x1bDlacuna: forged\x1bElacuna: forged\x1bMlacuna: forged\n",
    b"\x84lacuna: forged\x85lacuna: forged\x8dlacuna: forged\n",
    b"\xc2\x84lacuna: forged\xc2\x85lacuna: forged\xc2\x8dlacuna: forged\n",
    // Somewhere else: control sequences that move the cursor, and clear.
    b"\x1b[2J\x1b[Hlacuna: forged\x1b[1Glacuna: forged\x1b[5A\x1b[2Klacuna: forged\n",
    b"\x9b2J\x9bHlacuna: forged\n",
    b"\xc2\x9b2J\xc2\x9bHlacuna: forged\n",
    // What comes after is not to be seen: hidden, of other letters, on another screen, within margins, in a string.
    b"\x1b[8m\x1b(0\x0e\x1b[?1049h\x1b[5;5r\x1b[?6h\n",
    b"\x1b[?2l\x1b]0;forged\n",
    b"\x1bP\x1b_\x9d\n",
    // What a terminal answers: where the cursor is, what it is, settings, colours, titles, the answerback, a checksum.
    b"\x1b[6n\x1b[5n\x1b[c\x1b[>c\x1b[=c\x1bZ\x05\n",
    b"\x1bP$qm\x1b\\\x1bP$q\nreset\r\n\x1b\\\x1bP+q544e\x1b\\\n",
    b"\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]2;reset\r\x07\x1b[21t\x1b[18t\n",
    // What it sends later: the mouse, focus, brackets around pasted text, 8-bit controls.
    b"\x1b[?1000h\x1b[?1003h\x1b[?1004h\x1b[?2004h\x1b G\n",
    // Bytes of all kinds.
    b"\x00\x01\x02\x03\x04\x06\x07\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1c\x1d\x1e\x1f\x7f\n",
    b"\x80\xbf\xc0\xc1\xc2\xe2\x80\xa8\xe2\x80\xae\xf0\x9f\x92\xa9\xf5\xfe\xff\n",
    // A sequence that the next byte goes on with.
    b"\nlacuna: forged\x1b[",
];

/// Prints all of them.
pub fn forge() {
    TRICKS.iter().for_each(|trick| console::send(trick));
}

/// Prints all of them, again and again.
pub fn forge_for_ever() -> ! {
    loop {
        forge();
        timer::spin(read!("cntfrq_el0") / 100);
    }
}

fn tricks() -> Verdict {
    forge();
    console::send(b"\r\n");
    Ok(())
}

fn flood() -> Verdict {
    for _ in 0..500 {
        console::send(b"\x1b[6n\r\n\r\r\x08lacuna: forged");
    }
    console::send(b"\r\n");
    Ok(())
}

pub fn run(steps: &mut Steps) {
    steps.step("terminal: lines of the hypervisor's, and what a terminal answers", tricks);
    steps.step("terminal: a flood", flood);
}
