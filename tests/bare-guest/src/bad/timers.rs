//! The virtual timer at its edges. Its interrupt is a level: there while the condition is met, enabled and not masked.

use super::Steps;
use super::expect::{Verdict, claim, count, value};
use crate::gic::Gic;
use crate::interrupts::{self, count as taken};
use crate::registers::{barrier, mask_interrupts, now, read, unmask_interrupts, write};
use crate::timer::{self, ENABLE, INTERRUPT, MASK, STATUS};

/// Ticks in which an interrupt arrives that will.
const SOON: u64 = 10_000_000;

/// Very far. QEMU 7.2 adds CNTVOFF_EL2 without a look at overflow, and never comes back from a later time than this.
const FAR: u64 = u64::MAX - (1 << 50);

pub fn run(steps: &mut Steps, gic: &Gic) {
    steps.step("timer: in the past", || {
        for time in [0, 1, now() - 1, now()] {
            arrives(time)?;
        }
        Ok(())
    });
    steps.step("timer: in the near future, and never early", || {
        for ahead in [1, 10, 100, 1000, 10_000] {
            let time = now() + ahead;
            arrives(time)?;
            claim(interrupts::last() >= time, "it came early")?;
        }
        Ok(())
    });
    steps.step("timer: in the far future", || {
        for time in [1 << 55, u64::MAX >> 1, FAR] {
            stays_away(time)?;
        }
        Ok(())
    });
    steps.step("timer: by TVAL, forwards and back", || {
        const AHEAD: u64 = 1 << 30;
        write!("cntv_tval_el0", AHEAD);
        let ahead = read!("cntv_cval_el0").wrapping_sub(now());
        claim(ahead <= AHEAD, "CVAL is not the counter and TVAL")?;
        write!("cntv_tval_el0", 0xffff_ffff);
        claim(read!("cntv_cval_el0") < now(), "TVAL is not signed")
    });
    steps.step("timer: status follows the condition", || {
        write!("cntv_cval_el0", 0);
        timer::control(ENABLE | MASK);
        claim(timer::status() & STATUS != 0, "not set though expired")?;
        for _ in 0..100 {
            write!("cntv_cval_el0", u64::MAX >> 1);
            claim(timer::status() & STATUS == 0, "set though in the future")?;
            write!("cntv_cval_el0", 0);
            claim(timer::status() & STATUS != 0, "not set though expired again")?;
        }
        timer::stop();
        Ok(())
    });
    steps.step("timer: masked, it does not interrupt; unmasked, it does", || {
        let before = taken(INTERRUPT);
        unmask_interrupts();
        write!("cntv_cval_el0", 0);
        timer::control(ENABLE | MASK);
        timer::spin(5000);
        let meanwhile = taken(INTERRUPT);
        timer::control(ENABLE);
        let has_come = timer::await_interrupt(INTERRUPT, before, SOON);
        mask_interrupts();
        value(0, meanwhile.into(), before.into())?;
        claim(has_come, "unmasked, it did not")
    });
    steps.step("timer: stopped while its interrupt is pending", || withdrawn(gic, timer::stop));
    steps.step("timer: masked while its interrupt is pending", || withdrawn(gic, || timer::control(ENABLE | MASK)));
    steps.step("timer: moved ahead while its interrupt is pending", || {
        withdrawn(gic, || write!("cntv_cval_el0", u64::MAX >> 1))
    });
    steps.step("timer: a condition that lasts interrupts again", || {
        const TIMES: u32 = 5;
        let before = taken(INTERRUPT);
        interrupts::leave_timer_alone(TIMES);
        unmask_interrupts();
        timer::expire_at(0);
        let has_come = timer::await_interrupt(INTERRUPT, before + TIMES, SOON);
        timer::spin(1000);
        mask_interrupts();
        timer::stop();
        interrupts::leave_timer_alone(0);
        claim(has_come, "not as often as it was left alone")?;
        count("interrupts taken", (taken(INTERRUPT) - before).into(), u64::from(TIMES) + 1, u64::from(TIMES) + 1)
    });
    steps.step("timer: disabled in the controller, it waits there", || {
        let before = taken(INTERRUPT);
        gic.disable(INTERRUPT);
        unmask_interrupts();
        timer::expire_at(now());
        timer::spin(5000);
        let meanwhile = taken(INTERRUPT);
        let was_pending = gic.is_pending(INTERRUPT);
        gic.enable(INTERRUPT);
        let has_come = timer::await_interrupt(INTERRUPT, before, SOON);
        mask_interrupts();
        timer::stop();
        value(0, meanwhile.into(), before.into())?;
        claim(was_pending, "GICR_ISPENDR0 does not say that it waits")?;
        claim(has_come, "enabled, it did not come")
    });
    steps.step("timer: a thousand in a row, none lost", || (0..1000).try_for_each(|n| arrives(now() + n % 50)));
    steps.step("timer: the counter never goes back", || {
        let mut last = now();
        for _ in 0..10_000 {
            let time = now();
            claim(time >= last, "it did")?;
            last = time;
        }
        Ok(())
    });
}

/// The timer interrupts once when set to `time`.
pub fn arrives(time: u64) -> Verdict {
    let before = taken(INTERRUPT);
    unmask_interrupts();
    timer::expire_at(time);
    let has_come = timer::await_interrupt(INTERRUPT, before, SOON);
    timer::spin(200);
    mask_interrupts();
    timer::stop();
    claim(has_come, "it did not come")?;
    value(time, taken(INTERRUPT).into(), u64::from(before) + 1)
}

fn stays_away(time: u64) -> Verdict {
    let before = taken(INTERRUPT);
    unmask_interrupts();
    timer::expire_at(time);
    timer::spin(5000);
    mask_interrupts();
    timer::stop();
    value(time, taken(INTERRUPT).into(), before.into())
}

/// An interrupt that was pending, and is not any more when interrupts are let in.
///
/// A hypervisor is not told when a timer's line falls: the controller has to be asked before the interrupt is let in.
fn withdrawn(gic: &Gic, withdraw: impl Fn()) -> Verdict {
    let before = taken(INTERRUPT);
    timer::expire_at(now());
    timer::spin(5000);
    let was_pending = gic.is_pending(INTERRUPT);
    withdraw();
    barrier();
    timer::spin(1000);
    let is_pending = gic.is_pending(INTERRUPT);
    unmask_interrupts();
    timer::spin(5000);
    mask_interrupts();
    timer::stop();
    claim(was_pending, "GICR_ISPENDR0 does not say that it waits")?;
    claim(!is_pending, "GICR_ISPENDR0 says that it still waits")?;
    value(0, taken(INTERRUPT).into(), before.into())
}
