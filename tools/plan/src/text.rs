//! The plan for a person at a terminal.

use crate::model::{Candidate, Model, summary};
use lacuna::base::addr::{Bytes, Frames};
use lacuna::devtree::Owner;
use std::fmt::{self, Write};

pub fn render(model: &Model<'_>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, model);
    out
}

fn write(out: &mut String, model: &Model<'_>) -> fmt::Result {
    writeln!(out, "memory   {}", summary(model.map))?;
    let digits = model.banks().last().map_or(0, |bank| format!("{:x}", bank.end.address().get()).len());
    for bank in model.banks() {
        let (start, end) = (bank.start.address().get(), bank.end.address().get());
        writeln!(out, "         [0x{start:0digits$x}, 0x{end:0digits$x})  {:>10}", Bytes(bank.bytes()).to_string())?;
    }
    for owned in model.map.reserved().iter().filter(|owned| owned.owner != Owner::FrameZero) {
        writeln!(out, "         {owned} is reserved")?;
    }
    for (name, candidate) in model.kinds() {
        writeln!(out)?;
        write_kind(out, name, candidate)?;
    }
    writeln!(out)?;
    writeln!(out, "auto     takes {}", model.auto)?;
    if model.taken == model.auto { Ok(()) } else { writeln!(out, "bootargs take {}", model.taken) }
}

fn write_kind(out: &mut String, name: &str, candidate: &Candidate) -> fmt::Result {
    let planned = match candidate {
        Ok(planned) => planned,
        Err(reason) => return writeln!(out, "{name:8} does not apply: {reason}"),
    };
    let (plan, groups) = (&planned.plan, planned.plan.groups());
    writeln!(out, "{name:8} {}", planned.pdx.kind())?;
    writeln!(out, "groups   {groups}   {} of {} valid", groups.count_valid(), groups.span())?;
    let count = plan.chunks().len();
    let noun = if count == 1 { "chunk" } else { "chunks" };
    let (size, contiguous) = (Bytes(plan.frametable_bytes()), Bytes(plan.contiguous_bytes()));
    writeln!(out, "frames   {count} {noun}, {size} (contiguous: {contiguous})")?;
    let digits = format!("{:x}", groups.max_pdx().get()).len();
    for chunk in plan.chunks() {
        let (first, end) = (chunk.first.get(), chunk.end.get());
        writeln!(out, "         pdx [0x{first:0digits$x}, 0x{end:0digits$x})  {:>10}", Bytes(chunk.bytes).to_string())?;
    }
    Ok(())
}
