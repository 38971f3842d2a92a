//! What is typed comes back, by interrupt.

use crate::console::{self, say};
use crate::machine::Machine;
use crate::{interrupts, registers};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};

/// Bytes of a line; what is longer is cut.
const ROOM: usize = 512;

static LINE: [AtomicU8; ROOM] = [const { AtomicU8::new(0) }; ROOM];
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Waits for interrupts until the line `quit`.
pub fn run(machine: &Machine) {
    let Some(gic) = machine.gic else { return say!("FAIL no GICv3") };
    gic.start();
    gic.enable(interrupts::UART);
    console::enable_receive_interrupt();
    registers::unmask_interrupts();
    say!("echo, until quit");
    // The UART interrupts even between the question and WFI: masked, it still ends WFI.
    loop {
        registers::mask_interrupts();
        if IS_OVER.load(Relaxed) {
            break;
        }
        registers::wait_for_interrupt();
        registers::unmask_interrupts();
    }
}

/// Called when the UART interrupts.
pub fn receive() {
    console::acknowledge();
    while let Some(byte) = console::receive() {
        let length = LENGTH.load(Relaxed);
        match byte {
            b'\r' | b'\n' => line(length),
            _ if length < ROOM => {
                LINE[length].store(byte, Relaxed);
                LENGTH.store(length + 1, Relaxed);
            }
            _ => {}
        }
    }
}

fn line(length: usize) {
    let mut bytes = [0; ROOM];
    for (byte, stored) in bytes.iter_mut().zip(&LINE[..length]) {
        *byte = stored.load(Relaxed);
    }
    LENGTH.store(0, Relaxed);
    let text = str::from_utf8(&bytes[..length]).unwrap_or("not UTF-8");
    say!("echo {text}");
    if text == "quit" {
        IS_OVER.store(true, Relaxed);
    }
}
