//! What one life of a guest leaves in system registers for the next, found by a guest that tries every encoding.

use lacuna::arch::controls::Control;
use lacuna::arch::syndrome::Direction;
use lacuna::guest::sysreg::table::{self, Fate, TrapBit};
use lacuna::guest::sysreg::{Handling, SystemRegister, handling};
use lacuna_tests::{Boot, Outcome, own_guest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Tens of thousands of exceptions in each life.
const LIMIT: Duration = Duration::from_secs(120);

/// HCR_EL2.TIDCP, which QEMU has since 8.1 alone: before, what it has of the implementation's own registers can be
/// reached, constants all of them. That they hold nothing is seen by comparing lives.
const IMPLEMENTATION: TrapBit = TrapBit::Set(Control::Hcr, 20);

/// The lines of a guest's life.
#[derive(Debug, Default)]
struct Life {
    /// What could be read, and what it was.
    read: BTreeMap<String, String>,
    /// What could be written.
    written: BTreeSet<String>,
    /// The vector registers, combined.
    vectors: Option<String>,
}

fn lives(outcome: &Outcome) -> Vec<Life> {
    let mut lives: Vec<Life> = vec![];
    for line in outcome.guest_lines("domU1") {
        let words: Vec<_> = line.split_whitespace().collect();
        match (words.as_slice(), lives.last_mut()) {
            (["guest:", "start", ..], _) => lives.push(Life::default()),
            (["guest:", "read", name, value], Some(life)) => {
                life.read.insert((*name).into(), (*value).into());
            }
            (["guest:", "wrote", name, _], Some(life)) => {
                life.written.insert((*name).into());
            }
            (["guest:", "vectors", value], Some(life)) => life.vectors = Some((*value).into()),
            _ => {}
        }
    }
    lives
}

/// `S3_0_C1_C0_0`, as a register.
fn register(name: &str) -> SystemRegister {
    let fields: Vec<u8> = name.split('_').map(|field| field.trim_start_matches(['S', 'C']).parse().unwrap()).collect();
    let [op0, op1, crn, crm, op2] = fields[..] else { panic!("{name} is no register") };
    SystemRegister::new(op0, op1, crn, crm, op2)
}

/// What is wrong with a register that a guest could read or write.
fn complaint(name: &str, access: Direction) -> Option<String> {
    let register = register(name);
    let Some(row) = table::row(register) else { return Some(format!("{name} has no row in the table")) };
    let wrong = match (row.fate, access) {
        (Fate::Absent(why), _) => format!("although it is absent: {why}"),
        (Fate::Trapped(IMPLEMENTATION), _) => return None,
        (Fate::Trapped(trap), _) if handling(register, access) == Handling::Undefined => {
            format!("although {trap:?} traps it")
        }
        (Fate::Constant, Direction::Write) => "although it is constant".into(),
        _ => return None,
    };
    Some(format!("{name} ({}): {access:?} does not fail, {wrong}", row.name))
}

/// Runs two lives and compares them; `machine` is options of QEMU's machine.
#[track_caller]
fn expect_nothing_left(cpu: &str, machine: &str) {
    let guest = own_guest("mode=lives").memory("16M");
    let mut running = Boot::virt().cpu(cpu).option("-M", machine).guest(guest).within(LIMIT).start();
    running.expect("guest: all written");
    running.expect("lacuna: domU1: reset 1");
    running.expect("guest: all read");
    let outcome = running.quit();
    outcome.expect_quiet_end();
    let lives = lives(&outcome);
    let (cold, next) = (&lives[0], &lives[1]);

    let mut wrong: Vec<String> = vec![];
    for name in cold.read.keys().chain(next.read.keys()).collect::<BTreeSet<_>>() {
        wrong.extend(complaint(name, Direction::Read));
        let varies = table::row(register(name)).is_some_and(|row| matches!(row.fate, Fate::Varies(_)));
        let (before, after) = (cold.read.get(name), next.read.get(name));
        if before.is_some() != after.is_some() || !varies && before != after {
            let row = table::row(register(name));
            wrong.push(format!("{name} ({row:?}) is {before:?} in the first life, {after:?} in the next"));
        }
    }
    wrong.extend(cold.written.iter().filter_map(|name| complaint(name, Direction::Write)));
    if (cold.vectors.as_deref(), next.vectors.as_deref()) != (Some("0x0"), Some("0x0")) {
        wrong.push(format!("vector registers are {:?}, then {:?}", cold.vectors, next.vectors));
    }
    // What every CPU has was tried, or the guest did not do its work.
    for row in table::rows().filter(|row| row.fate == Fate::Reset(None)) {
        let is_row = |name: &&String| table::row(register(name)).is_some_and(|found| found == row);
        if !next.read.keys().any(|name| is_row(&name)) {
            wrong.push(format!("{} was not read", row.name));
        }
    }
    if cold.written.len() < 50 {
        wrong.push(format!("{} registers were written", cold.written.len()));
    }
    if !wrong.is_empty() {
        outcome.fail(&wrong.join("\n"));
    }
}

#[test]
fn a_life_leaves_nothing_on_an_old_cpu() {
    expect_nothing_left("cortex-a57", "virt");
}

#[test]
fn a_life_leaves_nothing_on_the_newest_cpu() {
    expect_nothing_left("max", "virt");
}

#[test]
fn a_life_leaves_nothing_where_memory_has_tags() {
    expect_nothing_left("max", "mte=on");
}
