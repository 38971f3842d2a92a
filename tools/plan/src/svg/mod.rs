//! The plan as a picture.
//!
//! Physical addresses run down the page, one row for each bank and each hole, not to scale: on a real machine a hole is
//! easily a thousand times as large as a bank. Beside it stands a column for each compression, on the same rows, so that
//! one sees which banks share a chunk of the frametable and what has become of the holes between them.

mod canvas;

use crate::model::{Candidate, Model, Planned, summary};
use canvas::Canvas;
use lacuna::base::addr::{Bytes, Frames, Mfn, PAGE_SIZE};
use lacuna::pdx::Groups;
use std::ops::Range;

// All lengths in pixels.
const MARGIN: u64 = 32;
const TITLE_HEIGHT: u64 = 84;
const HEADER_HEIGHT: u64 = 148;
const HOLE_HEIGHT: u64 = 38;
const ADDRESS_WIDTH: u64 = 140;
const RAM_WIDTH: u64 = 170;
const COLUMN_WIDTH: u64 = 252;
const GAP: u64 = 20;
const FOOTER_HEIGHT: u64 = 56;
const RAM_X: u64 = MARGIN + ADDRESS_WIDTH;
const ROWS_Y: u64 = MARGIN + TITLE_HEIGHT + HEADER_HEIGHT;
const WIDTH: u64 = column_x(2) + COLUMN_WIDTH + MARGIN;

/// Characters of body text in a line as wide as a column.
const LINE_CHARS: usize = 38;

/// Left edge of the column of the compression at `position`.
const fn column_x(position: u64) -> u64 {
    RAM_X + RAM_WIDTH + GAP + position * (COLUMN_WIDTH + GAP)
}

/// A bank or a hole, and where it stands on the page.
struct Row {
    frames: Range<Mfn>,
    /// Position of the bank, `None` for a hole.
    bank: Option<usize>,
    y: u64,
    height: u64,
}

impl Row {
    fn middle(&self) -> u64 {
        self.y + self.height / 2
    }

    fn bottom(&self) -> u64 {
        self.y + self.height
    }
}

/// An SVG document.
pub fn render(model: &Model<'_>) -> String {
    let rows = rows(model.banks());
    let end = rows.last().map_or(ROWS_Y, Row::bottom);
    let mut canvas = Canvas::new(WIDTH, end + FOOTER_HEIGHT);
    title(&mut canvas, model);
    ram(&mut canvas, &rows);
    for (position, (name, candidate)) in (0..).zip(model.kinds()) {
        let x = column_x(position);
        if name == model.auto {
            let (top, margin) = (MARGIN + TITLE_HEIGHT - 4, GAP / 2);
            canvas.rect("chosen", x - margin, top, COLUMN_WIDTH + 2 * margin, end - top + margin);
        }
        header(&mut canvas, x, name, candidate, name == model.auto);
        if let Ok(planned) = candidate {
            chunks(&mut canvas, x, &rows, planned);
        }
    }
    let note = "Rows are not to scale; a jagged line marks a hole larger than all RAM. \
                A chunk is memory for page metadata; pdx is the number a frame has there.";
    canvas.text("note", MARGIN, end + FOOTER_HEIGHT - 20, note);
    canvas.finish()
}

/// Banks and the holes below each, from address 0 up. Larger banks get somewhat more room.
fn rows(banks: &[Range<Mfn>]) -> Vec<Row> {
    let smallest = banks.iter().map(Frames::bytes).min().unwrap_or(1);
    let (base, most) = if banks.len() > 8 { (46, 58) } else { (52, 104) };
    let mut rows: Vec<Row> = Vec::new();
    let mut y = ROWS_Y;
    let mut below = Mfn::new(0);
    for (position, bank) in banks.iter().enumerate() {
        let hole = below.unwrap_or(bank.start)..bank.start;
        if hole.count() > 0 {
            rows.push(Row { frames: hole, bank: None, y, height: HOLE_HEIGHT });
            y += HOLE_HEIGHT;
        }
        let doublings = u64::from((bank.bytes() / smallest.max(1)).max(1).ilog2());
        let height = (base + 8 * doublings).min(most);
        rows.push(Row { frames: bank.clone(), bank: Some(position), y, height });
        y += height;
        below = Some(bank.end);
    }
    rows
}

fn title(canvas: &mut Canvas, model: &Model<'_>) {
    let table = model.chosen().map_or(0, |planned| planned.plan.frametable_bytes());
    let naive = model.none.as_ref().map_or(0, |planned| planned.plan.contiguous_bytes());
    let headline = match naive.saturating_sub(table) {
        0 => format!("{} of page metadata: no hole to save on", Bytes(table)),
        saved => {
            format!("{} of page metadata instead of {}: {} saved", Bytes(table), Bytes(naive), percent(saved, naive))
        }
    };
    canvas.text("headline", MARGIN, MARGIN + 22, &headline);
    let group = Bytes(model.shape.group.pages() * PAGE_SIZE);
    let summary =
        format!("{}; {} bytes for each frame, in groups of {group}", summary(model.map), model.shape.entry_bytes);
    canvas.text("summary", MARGIN, MARGIN + 46, &summary);
}

/// `part` of `whole` with as many digits as show that it is not all of it.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// The address axis: what the machine has.
fn ram(canvas: &mut Canvas, rows: &[Row]) {
    let header = ROWS_Y - HEADER_HEIGHT;
    canvas.text("name", RAM_X, header + 20, "RAM");
    canvas.text("body", RAM_X, header + 42, "physical addresses");
    let total: u64 = rows.iter().filter(|row| row.bank.is_some()).map(|row| row.frames.bytes()).sum();
    for row in rows {
        let size = Bytes(row.frames.bytes());
        let middle = RAM_X + RAM_WIDTH / 2;
        match row.bank {
            Some(position) => {
                canvas.rect("bank", RAM_X, row.y, RAM_WIDTH, row.height);
                canvas.text("on-dark strong middle", middle, row.middle() - 3, &format!("bank {position}"));
                canvas.text("on-dark middle", middle, row.middle() + 14, &size.to_string());
                let label = |address: u64| format!("{address:#x}");
                let (start, end) = (row.frames.start.address().get(), row.frames.end.address().get());
                canvas.text("address", RAM_X - 10, row.y + 12, &label(start));
                canvas.text("address faint", RAM_X - 10, row.bottom() - 4, &label(end));
            }
            None => {
                let torn = row.frames.bytes() > total;
                canvas.hole(RAM_X, row.y, RAM_WIDTH, row.height, torn);
                canvas.text("hole-text middle", middle, row.middle() + 4, &format!("hole {size}"));
            }
        }
    }
}

/// What a compression is and what it costs, above its column.
fn header(canvas: &mut Canvas, x: u64, name: &str, candidate: &Candidate, is_auto: bool) {
    let y = ROWS_Y - HEADER_HEIGHT;
    canvas.text("name", x, y + 20, name);
    if is_auto {
        canvas.text("badge", x + COLUMN_WIDTH, y + 20, "chosen by auto");
    }
    let planned = match candidate {
        Ok(planned) => planned,
        Err(reason) => {
            canvas.text("body strong", x, y + 42, "does not apply");
            for (y, line) in (y + 62..).step_by(16).zip(wrapped(&reason.to_string())) {
                canvas.text("body faint", x, y, &line);
            }
            return;
        }
    };
    let (plan, groups) = (&planned.plan, planned.plan.groups());
    for (y, line) in (y + 42..).step_by(15).zip(wrapped(&planned.pdx.kind().to_string()).into_iter().take(2)) {
        canvas.text("body faint", x, y, &line);
    }
    let count = plan.chunks().len();
    let noun = if count == 1 { "chunk" } else { "chunks" };
    canvas.text("total", x, y + 84, &format!("{} in {count} {noun}", Bytes(plan.frametable_bytes())));
    canvas.text("body", x, y + 102, &format!("in one piece it would be {}", Bytes(plan.contiguous_bytes())));
    draw_groups(canvas, x, y + 110, groups);
    let valid = format!("{} of {} groups have RAM", groups.count_valid(), groups.span());
    canvas.text("note", x, y + 135, &valid);
}

/// The group bitmap, drawn from the characters that the boot report shows.
fn draw_groups(canvas: &mut Canvas, x: u64, y: u64, groups: &Groups) {
    let map = groups.to_string();
    let count = map.len().max(1) as u64;
    for (cell, shown) in (0..).zip(map.chars()) {
        let class = match shown {
            '#' => "group-full",
            '+' => "group-some",
            _ => "group-none",
        };
        let (left, right) = (cell * COLUMN_WIDTH / count, (cell + 1) * COLUMN_WIDTH / count);
        canvas.rect(class, x + left, y, right - left, 10);
    }
}

/// The chunks of a frametable, each as high as the banks that it describes, and what lies between them.
fn chunks(canvas: &mut Canvas, x: u64, rows: &[Row], planned: &Planned) {
    let chunk_of = |row: &Row| planned.chunk_of(&row.frames);
    let banks: Vec<&Row> = rows.iter().filter(|row| row.bank.is_some()).collect();
    for (position, chunk) in planned.plan.chunks().iter().enumerate() {
        let mut own = banks.iter().filter(|row| chunk_of(row) == Some(position));
        let Some(first) = own.next() else { continue };
        let last = own.next_back().unwrap_or(first);
        canvas.rect("chunk", x, first.y, COLUMN_WIDTH, last.bottom() - first.y);
        let groups = (chunk.end.get() - chunk.first.get()).div_ceil(planned.plan.shape().group.pages());
        let noun = if groups == 1 { "group" } else { "groups" };
        let text = format!("chunk {position}: {}, {groups} {noun}", Bytes(chunk.bytes));
        canvas.text("strong", x + 18, first.middle() - 3, &text);
    }
    for row in &banks {
        canvas.rect("bank-mark", x, row.y, 6, row.height);
        let pdx = planned.pdx.pdx(row.frames.start).get();
        canvas.text("pdx", x + 18, row.middle() + 14, &format!("pdx {pdx:#x} to {:#x}", pdx + row.frames.count()));
    }
    for pair in banks.windows(2) {
        if let [below, above] = pair {
            let y = (below.bottom() + above.y) / 2 + 4;
            canvas.text("hole-text middle", x + COLUMN_WIDTH / 2, y, &fate_of_hole(planned, below, above));
        }
    }
}

/// What has become of the hole between two neighbouring banks.
fn fate_of_hole(planned: &Planned, below: &Row, above: &Row) -> String {
    let chunk = |row: &Row| planned.chunk_of(&row.frames).and_then(|chunk| planned.plan.chunks().get(chunk));
    let (Some(lower), Some(upper)) = (chunk(below), chunk(above)) else {
        return String::new();
    };
    let skipped = upper.first.get().saturating_sub(lower.end.get());
    let entry_bytes = planned.plan.shape().entry_bytes;
    if skipped > 0 {
        return format!("{} not spent", Bytes(skipped * entry_bytes));
    }
    let start = planned.pdx.pdx(below.frames.start).get() + below.frames.count();
    match planned.pdx.pdx(above.frames.start).get() - start {
        0 => "hole removed".into(),
        left => format!("{} for the rest of the hole", Bytes(left * entry_bytes)),
    }
}

/// `text` in lines that fit a column.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= LINE_CHARS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}
