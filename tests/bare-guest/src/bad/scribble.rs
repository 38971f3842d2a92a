//! Numbers by chance into every register of the interrupt controller and the UART.

use super::expect::{DATA_ABORT, UNKNOWN, Verdict};
use super::{Steps, is_nobodys, timers};
use crate::code::{Code, word};
use crate::gic::{self, Gic};
use crate::machine::Machine;
use crate::registers::{mask_interrupts, now};
use crate::{interrupts, timer};
use core::ops::Range;

/// The seed is the same every time.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The software-generated interrupt that is tried afterwards.
const SGI: u32 = 3;

/// Xorshift (Marsaglia 2003): a number after the other.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

pub fn run(steps: &mut Steps, machine: &Machine, gic: &Gic) {
    let places = [
        gic.distributor..gic.distributor + 0x1_0000,
        gic.redistributor..gic.redistributor + 0x1_0000,
        gic.redistributor + 0x1_0000..gic.redistributor + 0x2_0000,
    ];
    let names = [
        ["scribble: distributor", "scribble: redistributor", "scribble: private interrupts"],
        ["scribble again: distributor", "scribble again: redistributor", "scribble again: private interrupts"],
    ];
    let mut random = Random(SEED);
    for names in names {
        for (name, place) in names.into_iter().zip(places.clone()) {
            steps.step(name, || scribble(place, &mut random));
        }
        steps.step("scribble: read it all", || places.iter().cloned().try_for_each(read));
        steps.step("scribble: the controller works when started again", || {
            mask_interrupts();
            timer::stop();
            gic.start();
            gic.enable(timer::INTERRUPT);
            gic.enable(SGI);
            timers::arrives(now() + 1000)?;
            let before = interrupts::count(SGI);
            crate::registers::unmask_interrupts();
            gic::send(gic::to_self(SGI.into()));
            let has_come = timer::await_interrupt(SGI, before, 100_000);
            mask_interrupts();
            super::expect::claim(has_come, "an SGI did not come")
        });
    }
    // Not the data register: what is printed by chance is nobody's fault.
    let registers = machine.uart + 4..machine.uart + 0x1000;
    steps.step("scribble: the UART", || scribble(registers.clone(), &mut random));
    steps.step("scribble: read the UART", || read(registers.clone()));
}

fn all(word: u32, size: u64, place: Range<u64>, mut value: impl FnMut() -> u64) -> Verdict {
    let code = Code::new(&[word]);
    for address in place.step_by(size as usize) {
        assert!(is_nobodys(address), "{address:#x} is memory of the program");
        // SAFETY: checked just now; devices here access no memory by themselves.
        let run = unsafe { code.run([address, value(), 0, 0]) };
        run.expect_none_or(address, &[DATA_ABORT, UNKNOWN])?;
    }
    Ok(())
}

fn scribble(place: Range<u64>, random: &mut Random) -> Verdict {
    let sizes = [
        (word!("strb w1, [x0]"), 1),
        (word!("strh w1, [x0]"), 2),
        (word!("str w1, [x0]"), 4),
        (word!("str x1, [x0]"), 8),
    ];
    sizes.into_iter().try_for_each(|(word, size)| {
        let start = place.start.next_multiple_of(size);
        all(word, size, start..place.end, || random.next())
    })
}

fn read(place: Range<u64>) -> Verdict {
    let sizes = [
        (word!("ldrb w1, [x0]"), 1),
        (word!("ldrh w1, [x0]"), 2),
        (word!("ldr w1, [x0]"), 4),
        (word!("ldr x1, [x0]"), 8),
    ];
    sizes.into_iter().try_for_each(|(word, size)| {
        let start = place.start.next_multiple_of(size);
        all(word, size, start..place.end, || 0)
    })
}
