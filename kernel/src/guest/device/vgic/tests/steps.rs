//! What may happen to a guest with two vCPUs, in any order.

use proptest::prelude::*;
use std::vec;

/// The interrupts that the test is about.
pub(super) const IDS: [u32; 14] = [0, 3, 15, 16, 27, 30, 32, 33, 34, 35, 40, 47, 62, 63];
/// Of these, the ones with a device's line, and the ones that are forwarded.
pub(super) const LINES: [u32; 5] = [30, 33, 34, 35, 63];
pub(super) const FORWARDED: [u32; 4] = [16, 27, 40, 47];
pub(super) const CPUS: usize = 2;

/// Which guest there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// An end deactivates. The hardware counts the ends of what is not listed, and does not tell their names.
    Together,
    /// With EOImode = 1, deactivations come in any order: DIR is trapped while something active is not listed.
    Split,
}

/// A step: what happens, on which vCPU, to which interrupt, with some number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) cpu: usize,
    pub(super) id: usize,
    pub(super) number: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Field(&'static str),
    Priority,
    Config,
    Group,
    Route,
    Control,
    /// The guest lets one of the groups through at its CPU interface, or keeps it out.
    LetThrough,
    Sgi,
    Line,
    Forward,
    Withdraw,
    Acknowledge,
    End,
    /// Ends one, and acknowledges the next before the hypervisor hears of it.
    EndAndTake,
    Deactivate,
    Maintain,
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    use What::{Acknowledge, Config, Control, Deactivate, End, Field, Forward, Line, Maintain, Priority, Route, Sgi};
    let what = prop_oneof![
        4 => Just(Field("ISENABLER")),
        1 => Just(Field("ICENABLER")),
        4 => Just(Field("ISPENDR")),
        1 => Just(Field("ICPENDR")),
        1 => Just(Field("ISACTIVER")),
        1 => Just(Field("ICACTIVER")),
        3 => Just(Priority),
        1 => Just(Config),
        2 => Just(What::Group),
        1 => Just(Route),
        1 => Just(Control),
        2 => Just(What::LetThrough),
        2 => Just(Sgi),
        4 => Just(Line),
        4 => Just(Forward),
        1 => Just(What::Withdraw),
        8 => Just(Acknowledge),
        6 => Just(End),
        2 => Just(What::EndAndTake),
        4 => Just(Deactivate),
        1 => Just(Maintain),
    ];
    (what, 0..CPUS, 0..IDS.len(), any::<u8>()).prop_map(|(what, cpu, id, number)| Step { what, cpu, id, number })
}
