//! The plan for other programs. Field names are a promise; all numbers are integers, addresses and sizes in bytes.

use crate::model::{Candidate, Model, Planned};
use lacuna::base::addr::{Frames, Mfn};
use serde::Serialize;
use std::ops::Range;

#[derive(Serialize)]
struct Report {
    banks: Vec<Bank>,
    kinds: Kinds,
    auto: &'static str,
}

#[derive(Serialize)]
struct Bank {
    start: u64,
    size: u64,
}

#[derive(Serialize)]
struct Kinds {
    none: Kind,
    mask: Kind,
    offset: Kind,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Kind {
    Planned {
        ok: bool,
        max_pdx: u64,
        base_pdx: u64,
        groups_valid: u64,
        groups_span: u64,
        frametable_bytes: u64,
        contiguous_bytes: u64,
        chunks: Vec<Chunk>,
        bank_pdx: Vec<u64>,
    },
    Refused {
        ok: bool,
        reason: String,
    },
}

#[derive(Serialize)]
struct Chunk {
    first_pdx: u64,
    end_pdx: u64,
    bytes: u64,
}

/// One JSON object, on lines of its own.
pub fn render(model: &Model<'_>) -> Result<String, serde_json::Error> {
    let banks = model.banks();
    let report = Report {
        banks: banks.iter().map(|bank| Bank { start: bank.start.address().get(), size: bank.bytes() }).collect(),
        kinds: Kinds {
            none: kind(&model.none, banks),
            mask: kind(&model.mask, banks),
            offset: kind(&model.offset, banks),
        },
        auto: model.auto,
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn kind(candidate: &Candidate, banks: &[Range<Mfn>]) -> Kind {
    let planned @ Planned { plan, .. } = match candidate {
        Ok(planned) => planned,
        Err(reason) => {
            return Kind::Refused { ok: false, reason: reason.to_string() };
        }
    };
    let chunks = plan.chunks().iter();
    Kind::Planned {
        ok: true,
        max_pdx: plan.groups().max_pdx().get(),
        base_pdx: plan.groups().base().get(),
        groups_valid: plan.groups().count_valid(),
        groups_span: plan.groups().span(),
        frametable_bytes: plan.frametable_bytes(),
        contiguous_bytes: plan.contiguous_bytes(),
        chunks: chunks
            .map(|chunk| Chunk { first_pdx: chunk.first.get(), end_pdx: chunk.end.get(), bytes: chunk.bytes })
            .collect(),
        bank_pdx: planned.bank_pdx(banks),
    }
}
