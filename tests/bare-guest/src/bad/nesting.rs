//! Interrupts that nest, more deeply than a CPU interface has list registers, and what their handlers change before they
//! end. Nothing is let in here: an interrupt is acknowledged when the step wants it.

use super::Steps;
use super::expect::{Verdict, claim, value};
use super::timers::arrives;
use crate::gic::{self, Gic, Group, SPURIOUS};
use crate::registers::{now, read, write};
use crate::timer;

/// How deeply interrupts nest: SGIs from 0 on, each more urgent than the one before. GICs have 16 list registers at most,
/// and QEMU's has 4; and with 5 bits of priority, this many levels are there.
const DEPTH: u32 = 12;

/// The SGI that plays no part in the nesting.
const OTHER: u32 = 15;

/// Ticks in which an interrupt arrives that will.
const SOON: u64 = 10_000_000;

/// The priority of most.
const MIDDLE: u8 = 0xa0;

pub fn run(steps: &mut Steps, gic: &Gic) {
    steps.step("interrupts: the controller starts for those that nest", || {
        gic.start();
        for interrupt in (0..gic::SGIS).chain([timer::INTERRUPT]) {
            gic.enable(interrupt);
        }
        Ok(())
    });
    steps.step("interrupts: a timer whose handler changes its priority lives on", || {
        timer_lives_on(gic, |round| gic.set_priority(timer::INTERRUPT, 0x10 + 8 * round))
    });
    steps.step("interrupts: a timer whose handler changes its group lives on", || {
        let verdict = timer_lives_on(gic, |_| gic.set_group(timer::INTERRUPT, Group::Zero));
        gic.set_group(timer::INTERRUPT, Group::One);
        verdict
    });
    steps.step("interrupts: they nest, and end the other way round", || nested(gic, || (), |_| ()));
    steps.step("interrupts: an end does not end what software made active", || {
        let verdict = nested(
            gic,
            || {
                gic.set_priority(OTHER, 0);
                gic.activate(OTHER);
            },
            |_| (),
        );
        let is_active = gic.is_active(OTHER);
        gic.make_inactive(OTHER);
        gic.set_priority(OTHER, MIDDLE);
        verdict?;
        claim(is_active, "the other is not active any more")
    });
    steps.step("interrupts: the end of what software made inactive ends nothing", || {
        nested(gic, || (), |interrupt| gic.make_inactive(interrupt))
    });
    steps.step("interrupts: handlers change the priority of those that they interrupt", || {
        nested(gic, || (), |interrupt| gic.set_priority(interrupt, 8 * interrupt as u8))
    });
    steps.step("interrupts: split ends, and deactivation in any order", || {
        gic::split_ends(true);
        let verdict = split(gic);
        gic::split_ends(false);
        verdict
    });
    steps.step("interrupts: a deactivation without split ends does nothing", || {
        gic::send(gic::to_self(1));
        let taken = gic::acknowledge();
        gic::deactivate(1);
        let is_active = gic.is_active(1);
        gic::end(1);
        value(0, taken.into(), 1)?;
        claim(is_active && !gic.is_active(1), "it is not active, or stays so")
    });
    steps.step("interrupts: those of a group that is kept out keep no others out", || {
        let verdict = kept_out(gic);
        for interrupt in 0..gic::SGIS {
            gic.set_group(interrupt, Group::One);
            gic.set_priority(interrupt, MIDDLE);
        }
        Group::Zero.let_through(false);
        Group::One.let_through(true);
        verdict
    });
}

/// Takes interrupt `wanted`, and nothing else.
fn take(group: Group, wanted: u32) -> Verdict {
    let end = now() + SOON;
    loop {
        match group.acknowledge() {
            SPURIOUS.. if now() < end => {}
            taken => return value(wanted.into(), taken.into(), wanted.into()),
        }
    }
}

/// The timer interrupts again and again though `change` changes something of it each time, before its interrupt ends.
fn timer_lives_on(gic: &Gic, change: impl Fn(u8)) -> Verdict {
    for round in 0..10 {
        timer::expire_at(now());
        take(Group::One, timer::INTERRUPT)?;
        change(round);
        timer::stop();
        gic::end(timer::INTERRUPT);
        claim(!gic.is_active(timer::INTERRUPT), "it stays active")?;
        gic.set_group(timer::INTERRUPT, Group::One);
    }
    gic.set_priority(timer::INTERRUPT, MIDDLE);
    arrives(now())
}

/// Takes SGIs, each in the handler of the one before.
fn take_nested(gic: &Gic) -> Verdict {
    (0..DEPTH).try_for_each(|sgi| {
        gic.set_priority(sgi, 0xf0 - 8 * sgi as u8);
        gic::send(gic::to_self(sgi.into()));
        take(Group::One, sgi)
    })
}

/// Which of the SGIs are active.
fn active(gic: &Gic) -> u64 {
    (0..DEPTH).filter(|sgi| gic.is_active(*sgi)).fold(0, |bits, sgi| bits | 1 << sgi)
}

/// Takes SGIs that nest, does `inside` in the innermost handler, and `before` the end of each: none ends but the one that
/// is ended.
fn nested(gic: &Gic, inside: impl Fn(), before: impl Fn(u32)) -> Verdict {
    let verdict = take_nested(gic).and_then(|()| {
        inside();
        value(0, active(gic), (1 << DEPTH) - 1)?;
        (0..DEPTH).rev().try_for_each(|sgi| {
            before(sgi);
            gic::end(sgi);
            value(sgi.into(), active(gic), (1 << sgi) - 1)
        })
    });
    for sgi in 0..DEPTH {
        gic.make_inactive(sgi);
        gic.set_priority(sgi, MIDDLE);
    }
    verdict?;
    gic::send(gic::to_self(3));
    take(Group::One, 3)?;
    gic::end(3);
    Ok(())
}

/// The CPU interface's registers say what they should, and each SGI is active until it is deactivated.
fn split(gic: &Gic) -> Verdict {
    take_nested(gic)?;
    // ICC_RPR_EL1, ICC_PMR_EL1 and ICC_CTLR_EL1 with EOImode and without CBPR.
    for sgi in (0..DEPTH).rev() {
        value(sgi.into(), read!("S3_0_C12_C11_3"), 0xf0 - 8 * u64::from(sgi))?;
        gic::end(sgi);
    }
    value(0, read!("S3_0_C12_C11_3"), 0xff)?;
    value(0, active(gic), (1 << DEPTH) - 1)?;
    let mask = read!("S3_0_C4_C6_0");
    write!("S3_0_C4_C6_0", 0x40);
    let masked = read!("S3_0_C4_C6_0");
    gic::send(gic::to_self(OTHER.into()));
    let meanwhile = gic::acknowledge();
    write!("S3_0_C4_C6_0", 0xff);
    value(0, masked, 0x40)?;
    value(0, read!("S3_0_C4_C6_0"), mask)?;
    claim(meanwhile >= SPURIOUS, "the priority mask masks nothing")?;
    value(0, read!("S3_0_C12_C12_4") & 0b11, 0b10)?;
    take(Group::One, OTHER)?;
    gic::end(OTHER);
    gic::deactivate(OTHER);
    let mut left = (1 << DEPTH) - 1;
    for step in 0..DEPTH {
        // 5 has no common divisor with the number of SGIs.
        let sgi = (3 + 5 * step) % DEPTH;
        gic::deactivate(sgi);
        left &= !(1 << sgi);
        value(sgi.into(), active(gic), left)?;
    }
    for sgi in 0..DEPTH {
        gic.set_priority(sgi, MIDDLE);
    }
    Ok(())
}

/// More SGIs than there are list registers are pending in a group that the CPU interface keeps out, when they are sent or
/// later, and then lets through. On QEMU 7.2 a hypervisor is not told that group 0 is kept out from now on (its
/// ICH_MISR_EL2.VGrp0D looks at group 1), and without a hypervisor, what is kept out keeps the others out.
fn kept_out(gic: &Gic) -> Verdict {
    for (out, other, let_through) in
        [(Group::Zero, Group::One, false), (Group::One, Group::Zero, false), (Group::One, Group::Zero, true)]
    {
        for sgi in 0..DEPTH {
            gic.set_group(sgi, out);
            gic.set_priority(sgi, 0x40);
        }
        gic.set_group(OTHER, other);
        other.let_through(true);
        out.let_through(let_through);
        for sgi in 0..DEPTH {
            out.send(gic::to_self(sgi.into()));
        }
        other.send(gic::to_self(OTHER.into()));
        out.let_through(false);
        take(other, OTHER)?;
        other.end(OTHER);
        out.let_through(true);
        for sgi in 0..DEPTH {
            take(out, sgi)?;
            out.end(sgi);
        }
        claim(out.acknowledge() >= SPURIOUS && other.acknowledge() >= SPURIOUS, "there is one more")?;
    }
    // And the other way round: the one that is let through later goes first.
    Group::Zero.let_through(false);
    gic.set_priority(OTHER, 0x20);
    for sgi in 0..DEPTH {
        gic::send(gic::to_self(sgi.into()));
    }
    Group::Zero.send(gic::to_self(OTHER.into()));
    Group::Zero.let_through(true);
    take(Group::Zero, OTHER)?;
    Group::Zero.end(OTHER);
    (0..DEPTH).try_for_each(|sgi| {
        take(Group::One, sgi)?;
        gic::end(sgi);
        Ok(())
    })
}
