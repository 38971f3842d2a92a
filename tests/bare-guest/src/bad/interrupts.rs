//! Floods of interrupts, and waiting for what is there already.

use super::Steps;
use super::expect::{Verdict, claim, count, value};
use crate::gic::{self, Gic};
use crate::interrupts::count as taken;
use crate::registers::{barrier, mask_interrupts, now, read, unmask_interrupts, wait_for_interrupt, write};
use crate::timer;
use core::arch::asm;

/// The software-generated interrupt that is sent here.
const SGI: u32 = 5;

/// How many make a flood.
const FLOOD: u32 = 10_000;

/// Ticks in which an interrupt arrives that will.
const SOON: u64 = 100_000;

pub fn run(steps: &mut Steps, gic: &Gic) {
    steps.step("interrupts: the controller starts", || {
        gic.start();
        for interrupt in (0..gic::SGIS).chain([timer::INTERRUPT]) {
            gic.enable(interrupt);
        }
        value(0, read!("S3_0_C12_C12_7") & 1, 1)
    });
    steps.step("interrupts: each SGI arrives once", each_once);
    steps.step("interrupts: a flood of SGIs, let in", flood_open);
    steps.step("interrupts: a flood of SGIs, kept out, is one of each", flood_masked);
    steps.step("interrupts: SGIs to everybody else and to nobody", || {
        let before = total();
        unmask_interrupts();
        for round in 0..FLOOD {
            let sgi = u64::from(round % gic::SGIS);
            // To all others; to this cluster's CPUs but this one; to clusters that are not there.
            let target =
                [gic::to_others(sgi), sgi << 24 | 0xfffe, sgi << 24 | 0xff << 16 | 0xffff, !(1 << 40) & !0xffff];
            gic::send(target[round as usize % 4]);
        }
        timer::spin(1000);
        mask_interrupts();
        value(0, total(), before)
    });
    steps.step("interrupts: an SGI that is disabled waits", || disabled(gic));
    steps.step("interrupts: the end of one that was never taken", || {
        for interrupt in [0, 5, 27, 31, 32, 1019, 1020, 1023, 8192, 0xff_ffff] {
            gic::end(interrupt);
        }
        each_once()
    });
    steps.step("interrupts: none to take is number 1023", || value(0, gic::acknowledge().into(), 1023));
    steps.step("interrupts: priority masks all", || {
        write!("S3_0_C4_C6_0", 0);
        let before = taken(SGI);
        gic::send(gic::to_self(SGI.into()));
        unmask_interrupts();
        timer::spin(1000);
        let meanwhile = taken(SGI);
        write!("S3_0_C4_C6_0", 0xff);
        let has_come = timer::await_interrupt(SGI, before, SOON);
        mask_interrupts();
        value(0, meanwhile.into(), before.into())?;
        claim(has_come, "it never came after that")
    });
    steps.step("waiting: WFI with a masked interrupt pending", || {
        for _ in 0..100 {
            gic::send(gic::to_self(SGI.into()));
            barrier();
            wait_for_interrupt();
        }
        drain()
    });
    steps.step("waiting: WFI until the timer, masked", || {
        timer::expire_at(now() + 10_000);
        wait_for_interrupt();
        while timer::status() & timer::STATUS == 0 {
            wait_for_interrupt();
        }
        timer::stop();
        drain()
    });
    steps.step("waiting: WFE with an event, and until an interrupt", || {
        // SAFETY: the event of the first two is there; the third waits for the timer, unless an event comes first.
        unsafe { asm!("sevl", "wfe", "sev", "wfe", options(nostack)) };
        let before = taken(timer::INTERRUPT);
        unmask_interrupts();
        timer::expire_at(now() + 10_000);
        while taken(timer::INTERRUPT) == before {
            // SAFETY: as above.
            unsafe { asm!("wfe", options(nostack)) };
        }
        mask_interrupts();
        Ok(())
    });
    steps.step("waiting: a thousand times for nothing but time", || {
        unmask_interrupts();
        for _ in 0..1000 {
            // SAFETY: a yield changes nothing; events are there when it is waited for one.
            unsafe { asm!("yield", "sevl", "wfe", options(nostack)) };
        }
        mask_interrupts();
        Ok(())
    });
}

fn total() -> u64 {
    (0..gic::SGIS).map(|interrupt| u64::from(taken(interrupt))).sum()
}

fn each_once() -> Verdict {
    unmask_interrupts();
    let verdict = (0..gic::SGIS).try_for_each(|interrupt| {
        let before = taken(interrupt);
        gic::send(gic::to_self(interrupt.into()));
        claim(timer::await_interrupt(interrupt, before, SOON), "one never came")?;
        timer::spin(100);
        value(interrupt.into(), taken(interrupt).into(), u64::from(before) + 1)
    });
    mask_interrupts();
    verdict
}

fn flood_open() -> Verdict {
    let before = taken(SGI);
    unmask_interrupts();
    for _ in 0..FLOOD {
        gic::send(gic::to_self(SGI.into()));
    }
    timer::await_interrupt(SGI, before, SOON);
    timer::spin(1000);
    mask_interrupts();
    count("interrupts taken", (taken(SGI) - before).into(), 1, FLOOD.into())
}

fn flood_masked() -> Verdict {
    let before = total();
    for round in 0..FLOOD {
        gic::send(gic::to_self((round % gic::SGIS).into()));
    }
    unmask_interrupts();
    timer::spin(10_000);
    mask_interrupts();
    value(0, total() - before, gic::SGIS.into())
}

fn disabled(gic: &Gic) -> Verdict {
    let before = taken(SGI);
    gic.disable(SGI);
    unmask_interrupts();
    gic::send(gic::to_self(SGI.into()));
    timer::spin(1000);
    let meanwhile = taken(SGI);
    let was_pending = gic.is_pending(SGI);
    gic.enable(SGI);
    let has_come = timer::await_interrupt(SGI, before, SOON);
    mask_interrupts();
    value(0, meanwhile.into(), before.into())?;
    claim(was_pending, "GICR_ISPENDR0 does not say that it waits")?;
    claim(has_come, "it never came after that")
}

/// Takes what is pending.
fn drain() -> Verdict {
    unmask_interrupts();
    timer::spin(1000);
    mask_interrupts();
    Ok(())
}
