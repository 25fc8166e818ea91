//! The backlog's table as a drawing: bars for throughput, CPU and memory of each shipper. Reads the
//! table's JSON; never measures.

use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{
    DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, TextStyle,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

use super::table::OURS;

/// Pixels: the names, each column of bars, the room that a column leaves for figures, and heights.
const NAMES: i32 = 130;
const COLUMN: i32 = 240;
const FIGURES: i32 = 96;
const HEAD: i32 = 40;
const ROW: i32 = 34;
const BAR: i32 = 18;
const FOOT: i32 = 36;
/// Of fonts, of which plotters makes 0.8 pixels each.
const TEXT: i32 = 18;
const SMALL: i32 = 15;

/// No ground is drawn: these show on a white page and on a dark one.
const INK: RGBColor = RGBColor(0x76, 0x7c, 0x85);
const AGENT: RGBColor = RGBColor(0x2f, 0x81, 0xf7);
const PEER: RGBColor = RGBColor(0x8b, 0x94, 0x9e);
const ENGINE: RGBColor = RGBColor(0xd2, 0x99, 0x22);

/// A heading, and of what its bars are made, with digits behind the point.
const COLUMNS: [(&str, &[&str], usize); 3] = [
    ("lines per second", &["lines_per_s"], 0),
    ("CPU seconds, + Docker's", &["cpu_s", "dockerd_s"], 2),
    ("peak resident MiB", &["peak_mib"], 1),
];
/// What the engine spends is below this: nothing but what it did meanwhile.
const NOISE_S: f64 = 0.1;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the table in the file `json` into the file `drawing`.
pub(crate) fn draw(json: &Path, drawing: &Path) {
    let text = fs::read_to_string(json).unwrap_or_else(|error| {
        panic!("{}: {error}; measure first: make bench BENCH_PARTS=backlog", json.display())
    });
    let data: Value = serde_json::from_str(&text).unwrap();
    let rows = data["tables"][0]["rows"].as_array().unwrap();
    let height = HEAD + ROW * i32::try_from(rows.len()).unwrap() + FOOT;
    let width = NAMES + COLUMN * i32::try_from(COLUMNS.len()).unwrap();
    let size = (width.unsigned_abs(), height.unsigned_abs());
    let area = SVGBackend::new(drawing, size).into_drawing_area();
    for (index, row) in rows.iter().enumerate() {
        let (top, name) = (row_top(index), row["name"].as_str().unwrap());
        write(&area, name, TEXT, HPos::Right, (NAMES - 10, top + BAR / 2));
    }
    for (column, left) in COLUMNS.iter().zip((NAMES..).step_by(usize::try_from(COLUMN).unwrap())) {
        draw_column(&area, rows, column, left);
    }
    let machine = &data["machine"];
    let word = |key: &str| machine[key].as_str().unwrap_or_default().to_owned();
    let (processor, cores) = (word("processor"), &machine["cores"]);
    let (engine, agent, day) = (word("engine"), word("agent"), word("date"));
    let foot = format!("{processor}, {cores} cores; Docker Engine {engine}; {agent}; {day}");
    write(&area, &foot, SMALL, HPos::Right, (width - 10, height - FOOT / 2));
    area.present().unwrap();
    println!("drawn into {}", drawing.display());
}

fn draw_column(area: &Area<'_>, rows: &[Value], column: &(&str, &[&str], usize), left: i32) {
    let (title, keys, digits) = *column;
    write(area, title, TEXT, HPos::Left, (left, HEAD / 2));
    let parts = |row: &Value| -> Vec<f64> {
        let figures = keys.iter().filter_map(|key| row["figures"][key].as_f64());
        figures
            .enumerate()
            .filter(|(n, figure)| *n == 0 || *figure > NOISE_S)
            .map(|(_, f)| f)
            .collect()
    };
    let longest = rows.iter().map(|row| parts(row).iter().sum()).fold(f64::MIN_POSITIVE, f64::max);
    for (index, row) in rows.iter().enumerate() {
        let ours = row["name"].as_str().is_some_and(|name| name.starts_with(OURS));
        let colours = [if ours { AGENT } else { PEER }, ENGINE];
        let (top, mut at) = (row_top(index), left);
        let parts = parts(row);
        for (part, colour) in parts.iter().zip(colours) {
            let end = at + pixels(part / longest).max(1);
            let bar = Rectangle::new([(at, top), (end, top + BAR)], colour.filled());
            area.draw(&bar).unwrap();
            at = end;
        }
        let figures: Vec<String> = parts.iter().map(|part| grouped(*part, digits)).collect();
        write(area, &figures.join(" + "), TEXT, HPos::Left, (at + 6, top + BAR / 2));
    }
}

fn row_top(index: usize) -> i32 {
    HEAD + ROW * i32::try_from(index).unwrap() + (ROW - BAR) / 2
}

/// The length of a bar that is so long beside the longest.
#[expect(clippy::cast_possible_truncation, reason = "some hundred pixels")]
fn pixels(share: f64) -> i32 {
    (f64::from(COLUMN - FIGURES) * share).round() as i32
}

fn write(area: &Area<'_>, text: &str, size: i32, across: HPos, place: (i32, i32)) {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&INK);
    area.draw_text(text, &style.pos(Pos::new(across, VPos::Center)), place).unwrap();
}

/// A figure with commas between thousands.
fn grouped(figure: f64, digits: usize) -> String {
    let text = format!("{figure:.digits$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let groups: Vec<&str> = whole
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",") + fraction
}
