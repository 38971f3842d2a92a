//! The few shapes that the picture is made of.

use std::fmt::Write;

const STYLE: &str = "
  text { font: 12px 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif; fill: #22303c; }
  .page { fill: #ffffff; }
  .headline { font-size: 22px; font-weight: bold; }
  .summary { font-size: 14px; fill: #5b6b78; }
  .name { font-size: 16px; font-weight: bold; }
  .total { font-size: 14px; font-weight: bold; fill: #12674f; }
  .badge { font-size: 11px; font-weight: bold; fill: #12674f; text-anchor: end; }
  .note { font-size: 11px; fill: #5b6b78; }
  .strong { font-weight: bold; }
  .faint { fill: #5b6b78; }
  .middle { text-anchor: middle; }
  .on-dark { fill: #ffffff; }
  .address { font: 11px 'DejaVu Sans Mono', Menlo, Consolas, monospace; text-anchor: end; }
  .pdx { font: 11px 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #3b5a52; }
  .hole-text { font-size: 11px; font-style: italic; fill: #6b7a86; }
  .chosen { fill: #eff8f4; stroke: #8cc9b3; rx: 8px; }
  .bank { fill: #2f5f8f; }
  .bank-mark { fill: #2f5f8f; }
  .chunk { fill: #bfe3d6; stroke: #2a8f72; }
  .hole { fill: #f4f6f8; stroke: #b4c0ca; stroke-dasharray: 3 3; }
  .tear { fill: none; stroke: #8596a4; stroke-width: 1.5; }
  .group-full { fill: #2a8f72; stroke: #ffffff; stroke-width: 0.5; }
  .group-some { fill: #8fcbb8; stroke: #ffffff; stroke-width: 0.5; }
  .group-none { fill: #e3e8ec; stroke: #ffffff; stroke-width: 0.5; }
";

/// Width and height of a tooth of a torn edge, in pixels.
const TOOTH: (u64, u64) = (10, 4);

/// An SVG document in the making. Coordinates are in pixels, from the top left.
pub struct Canvas {
    document: String,
}

impl Canvas {
    pub fn new(width: u64, height: u64) -> Self {
        let document = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n"
        );
        let mut canvas = Self { document };
        canvas.rect("page", 0, 0, width, height);
        canvas
    }

    pub fn rect(&mut self, class: &str, x: u64, y: u64, width: u64, height: u64) {
        self.element(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
    }

    /// A line of text whose baseline starts, ends or is centred at a point, as the class says.
    pub fn text(&mut self, class: &str, x: u64, y: u64, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.element(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    /// An empty stretch of the axis, with torn edges if the axis is broken there.
    pub fn hole(&mut self, x: u64, y: u64, width: u64, height: u64, is_torn: bool) {
        self.rect("hole", x, y, width, height);
        if is_torn {
            self.tear(x, y + TOOTH.1, width);
            self.tear(x, y + height - 2 * TOOTH.1, width);
        }
    }

    /// A jagged line from the left to the right.
    fn tear(&mut self, x: u64, y: u64, width: u64) {
        let (tooth, depth) = TOOTH;
        let points = (0..=width / tooth).map(|i| format!("{},{}", x + i * tooth, y + i % 2 * depth));
        let points = points.collect::<Vec<_>>().join(" ");
        self.element(format_args!("<polyline class=\"tear\" points=\"{points}\"/>"));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.document, "{element}");
    }

    pub fn finish(mut self) -> String {
        self.document.push_str("</svg>\n");
        self.document
    }
}
