//! The events of a guest with two vCPUs, in any order.
use crate::base::id::VcpuId;

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
    pub(super) cpu: VcpuId,
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
    /// The vCPU leaves its CPU to another for a while, or could.
    Part,
}

/// What may happen, and how often of 56 times.
const WEIGHTS: [(u8, What); 22] = [
    (4, What::Field("ISENABLER")),
    (1, What::Field("ICENABLER")),
    (4, What::Field("ISPENDR")),
    (1, What::Field("ICPENDR")),
    (1, What::Field("ISACTIVER")),
    (1, What::Field("ICACTIVER")),
    (3, What::Priority),
    (1, What::Config),
    (2, What::Group),
    (1, What::Route),
    (1, What::Control),
    (2, What::LetThrough),
    (2, What::Sgi),
    (4, What::Line),
    (4, What::Forward),
    (1, What::Withdraw),
    (8, What::Acknowledge),
    (6, What::End),
    (2, What::EndAndTake),
    (4, What::Deactivate),
    (1, What::Maintain),
    (2, What::Part),
];

impl From<[u8; 4]> for Step {
    /// The step that any four bytes stand for.
    fn from([what, cpu, id, number]: [u8; 4]) -> Self {
        let mut left = what % WEIGHTS.iter().map(|(weight, _)| weight).sum::<u8>();
        let chosen = WEIGHTS.iter().find(|(weight, _)| match left.checked_sub(*weight) {
            Some(less) => {
                left = less;
                false
            }
            None => true,
        });
        let what = chosen.expect("less is left than all of the weights").1;
        Self { what, cpu: VcpuId::new(u16::from(cpu) % CPUS as u16), id: usize::from(id) % IDS.len(), number }
    }
}
