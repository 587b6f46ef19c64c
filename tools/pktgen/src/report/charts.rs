//! Charts of a report, as SVG that stands in the page itself.

use std::error::Error;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoFont, LineSeries, RGBColor, Rectangle, SVGBackend,
};

/// Colours that the page's style sheet replaces where the reader prefers a dark page.
const TEXT: RGBColor = RGBColor(0x57, 0x60, 0x6A);
const EDGE: RGBColor = RGBColor(0x76, 0x7F, 0x89);
const GRID: RGBColor = RGBColor(0xD5, 0xD9, 0xDE);
const MEASURED: RGBColor = RGBColor(0xE8, 0xF1, 0xFB);
/// Of the lines, in their order.
pub(crate) const LINES: [RGBColor; 2] = [RGBColor(0x0B, 0x5C, 0xAD), RGBColor(0x9A, 0x34, 0x12)];

/// Widths and heights: for a desk and for a phone. Text is as large in both, so the page shows one of
/// them.
const SIZES: [(&str, (u32, u32)); 2] = [("wide", (860, 300)), ("narrow", (340, 240))];

/// plotters divides by 1.24: this is 12 pixels.
const FONT_SIZE: f64 = 12.0 * 1.24;

/// Pixels around the lines.
const MARGIN_TOP: u32 = 10;
const MARGIN_RIGHT: u32 = 28;
const NAMES_BELOW: u32 = 42;
const NAMES_LEFT: u32 = 56;

/// A chart, which has a point at least.
pub(crate) struct Chart {
    /// Of its elements in the page.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// What there is to be seen, for those who do not see it.
    pub(crate) description: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Names and points of its lines.
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
    /// The part of the x axis that was measured.
    pub(crate) measured: Option<Range<f64>>,
}

pub(crate) struct Axis {
    pub(crate) name: &'static str,
    pub(crate) range: Range<f64>,
    /// Places on it, and what they are called.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// The axis on so many pixels, without the ticks whose names would touch: a name takes these.
    fn on(&self, pixels: u32, of_name: impl Fn(&str) -> f64) -> Scale {
        let scale = f64::from(pixels) / (self.range.end - self.range.start);
        let mut free_from = f64::NEG_INFINITY;
        let mut ticks = self.ticks.clone();
        ticks.retain(|(at, name)| {
            let (middle, half) = ((at - self.range.start) * scale, of_name(name) / 2.0);
            let ends_at = f64::from(pixels + MARGIN_RIGHT);
            let has_room = middle - half >= free_from && middle + half <= ends_at;
            if has_room {
                free_from = middle + half;
            }
            has_room
        });
        Scale { range: self.range.clone(), ticks }
    }

    /// From 0 to at least `max`, in steps of 1, 2 or 5 times a power of ten.
    pub(crate) fn from_zero(name: &'static str, max: f64) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = step_of(max);
        let end = (max / step).ceil();
        let ticks = std::iter::successors(Some(0.0), |at| Some(at + 1.0))
            .take_while(|at| *at <= end)
            .map(|at| (at * step, short(at * step)))
            .collect();
        Self { name, range: 0.0..end * step, ticks }
    }

    /// From 0 to exactly `max`.
    pub(crate) fn up_to(name: &'static str, max: f64) -> Self {
        let mut axis = Self::from_zero(name, max);
        axis.range.end = max.max(f64::MIN_POSITIVE);
        axis.ticks.retain(|(at, _)| *at <= max);
        axis
    }

    /// The decadic logarithm of times in microseconds, between steps of 1, 2 and 5.
    pub(crate) fn of_times(name: &'static str, min: f64, max: f64) -> Self {
        let steps: Vec<(f64, f64)> = (-3..10)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
            .map(|us| (us, us.log10()))
            .collect();
        let begin = steps.iter().rfind(|(us, _)| *us <= min).map_or(-3.0, |(_, at)| *at);
        let end =
            steps.iter().find(|(us, at)| *us >= max && *at > begin).map_or(9.0, |(_, at)| *at);
        // With many decades there is room for their names alone.
        let is_long = end - begin > 2.5;
        let ticks = steps
            .into_iter()
            .filter(|(_, at)| (begin..=end).contains(at) && (!is_long || at.fract().abs() < 1e-9))
            .map(|(us, at)| (at, time(us)))
            .collect();
        Self { name, range: begin..end, ticks }
    }

    /// Percentiles, by how many nines they have: 90 % is at 1, 99 % at 2.
    pub(crate) fn of_percentiles(name: &'static str, max: f64) -> Self {
        let end = max.max(0.5);
        let names = ["90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for (nines, name) in (1_u8..).zip(names) {
            ticks.push((f64::from(nines), name.to_owned()));
        }
        ticks.insert(0, (nines(0.5), "50 %".to_owned()));
        ticks.retain(|(at, _)| *at <= end);
        Self { name, range: 0.0..end, ticks }
    }
}

/// An axis as plotters takes it.
struct Scale {
    range: Range<f64>,
    ticks: Vec<(f64, String)>,
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels of a small picture")]
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value - self.range.start) / (self.range.end - self.range.start);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _hint: H) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let name = self.ticks.iter().find(|(at, _)| at == value).map(|(_, name)| name.clone());
        name.unwrap_or_default()
    }
}

/// Where a part of all is on the axis of percentiles.
pub(crate) fn nines(part: f64) -> f64 {
    -(1.0 - part).log10()
}

/// A step that makes three to six of `max`.
fn step_of(max: f64) -> f64 {
    let power = 10_f64.powf((max / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    steps.into_iter().find(|step| max / step <= 5.0).unwrap_or(power * 10.0)
}

/// A number with at most a prefix's worth of digits.
fn short(amount: f64) -> String {
    for (size, prefix) in [(1e9, " G"), (1e6, " M"), (1e3, " k")] {
        if amount >= size {
            return format!("{}{prefix}", rounded(amount / size));
        }
    }
    rounded(amount)
}

pub(crate) fn time(us: f64) -> String {
    match us {
        1e6.. => format!("{} s", rounded(us / 1e6)),
        1e3.. => format!("{} ms", rounded(us / 1e3)),
        1.0.. => format!("{} µs", rounded(us)),
        _ => format!("{} ns", rounded(us * 1e3)),
    }
}

/// Without zeros that say nothing.
fn rounded(amount: f64) -> String {
    let text = format!("{amount:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Chart {
    /// The chart with its heading and key.
    ///
    /// # Errors
    /// What cannot be drawn.
    pub(crate) fn render(&self) -> Result<Markup, String> {
        let drawings = SIZES
            .iter()
            .map(|(name, size)| self.drawing(name, *size))
            .collect::<Result<Vec<Markup>, String>>()?;
        Ok(html! {
            figure {
                figcaption {
                    h3 { (self.title) }
                    @if self.lines.len() > 1 {
                        ul.key { @for (at, (name, _)) in self.lines.iter().enumerate() {
                            li.{ "line" (at) } { (name) }
                        } }
                    }
                }
                @for drawing in drawings { (drawing) }
            }
        })
    }

    fn drawing(&self, name: &str, size: (u32, u32)) -> Result<Markup, String> {
        let mut svg = String::new();
        self.draw(&mut svg, size).map_err(|error| format!("the chart {}: {error}", self.id))?;
        // The drawing's own element has no place for a name.
        let body = svg.split_once('>').map_or("", |(_, rest)| rest);
        let (title, desc) =
            (format!("{}-{name}-title", self.id), format!("{}-{name}-desc", self.id));
        let (width, height) = size;
        Ok(html! {
            (PreEscaped(format!(
                "<svg class=\"{name}\" role=\"img\" aria-labelledby=\"{title} {desc}\" \
                 viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\">"
            )))
            title id=(title) { (self.title) }
            desc id=(desc) { (self.description) }
            (PreEscaped(body))
        })
    }

    fn draw(&self, svg: &mut String, size: (u32, u32)) -> Result<(), Box<dyn Error>> {
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        let (width, height) =
            (size.0 - NAMES_LEFT - MARGIN_RIGHT, size.1 - NAMES_BELOW - MARGIN_TOP);
        #[expect(clippy::cast_precision_loss, reason = "a few characters")]
        let of_word = |name: &str| name.chars().count() as f64 * 7.0 + 8.0;
        let (x, y) = (self.x.on(width, of_word), self.y.on(height, |_| 18.0));
        let text = ("sans-serif", FONT_SIZE).into_font().color(&TEXT);
        let mut chart = ChartBuilder::on(&area)
            .margin_top(MARGIN_TOP)
            .margin_right(MARGIN_RIGHT)
            .x_label_area_size(NAMES_BELOW)
            .y_label_area_size(NAMES_LEFT)
            .build_cartesian_2d(x, y)?;
        if let Some(measured) = &self.measured {
            let corners = [(measured.start, self.y.range.start), (measured.end, self.y.range.end)];
            chart.draw_series([Rectangle::new(corners, MEASURED.filled())])?;
        }
        chart
            .configure_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(EDGE)
            .x_label_style(text.clone())
            .y_label_style(text.clone())
            .axis_desc_style(text)
            .x_desc(self.x.name)
            .draw()?;
        for ((_, points), color) in self.lines.iter().zip(LINES) {
            chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
        }
        area.present()?;
        Ok(())
    }
}
