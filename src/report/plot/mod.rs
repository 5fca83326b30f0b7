//! Plots as SVG, drawn by plotters, to stand inside a page: no font, style or address from elsewhere. Colours
//! are marks that the page's style turns into those of light and dark.

use chrono::DateTime;
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::prelude::{
    Color, DrawingArea, EmptyElement, IntoDrawingArea, PathElement, RGBColor, Rectangle, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, IntoFont, TextStyle};

mod lines;

pub use lines::{Line, Lines};

use super::page::{decimal, thousands};
use crate::error::{Code, Error, Result};

/// A plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Its headline.
    pub title: String,
    /// What it shows, in a sentence, for who cannot see it.
    pub alt: String,
    /// What is drawn.
    pub shape: Shape,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A bar a name, lying, the first on top.
    Bars(Vec<Bar>),
    /// A value a span of time, standing: seconds since 1970 and how much.
    Time {
        /// The spans, in order.
        points: Vec<(i64, f64)>,
        /// How long a span is, in seconds.
        span: i64,
    },
    /// Lines over a choice of values.
    Lines(Lines),
}

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Its length.
    pub value: f64,
    /// What stands at its end.
    pub told: String,
    /// How much of it is marked, from its beginning.
    pub marked: f64,
    /// Whether it stands for many: drawn paler.
    pub rest: bool,
}

/// The bars of a plot: the `top` largest, and one for all others.
pub fn bars(named: impl Iterator<Item = (String, u64)>, top: usize) -> Vec<Bar> {
    let mut all: Vec<_> = named.collect();
    all.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
    let total: u64 = all.iter().map(|(_, count)| count).sum();
    let rest = all.split_off(top.min(all.len()));
    let told = |count: u64| {
        let percent = if total == 0 { 0.0 } else { count as f64 * 100.0 / total as f64 };
        format!("{} ({percent:.1} %)", thousands(&count.to_string()))
    };
    let bar = |name: String, count: u64, rest: bool| Bar {
        name,
        value: count as f64,
        told: told(count),
        marked: 0.0,
        rest,
    };
    let mut bars: Vec<_> = all.into_iter().map(|(name, count)| bar(name, count, false)).collect();
    if !rest.is_empty() {
        let name = format!("{} others", thousands(&rest.len().to_string()));
        bars.push(bar(name, rest.iter().map(|(_, count)| count).sum(), true));
    }
    bars
}

// Marks that the style of the page replaces; they are colours of their own where there is none.
const BAR: RGBColor = RGBColor(0x2F, 0x6D, 0xB5);
const MARKED: RGBColor = RGBColor(0xC2, 0x41, 0x0C);
const REST: RGBColor = RGBColor(0x9A, 0xA7, 0xB8);
const INK: RGBColor = RGBColor(0x1F, 0x29, 0x37);
const LINE: RGBColor = RGBColor(0xD5, 0xDA, 0xE1);

const WIDTH: u32 = 860;
const ROW: u32 = 24;
const TEXT: f64 = 15.0;

type Sheet<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Plot {
    /// The plot as an `svg` element, without a name space: it stands inside a page.
    ///
    /// # Errors
    /// [`Code::Internal`] when it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let named =
            format!("<svg role=\"img\" aria-label=\"{}\"", super::write::html::escaped(&self.alt));
        let name_space = " xmlns=\"http://www.w3.org/2000/svg\"";
        Ok(self.drawn()?.replacen("<svg", &named, 1).replacen(name_space, "", 1))
    }

    /// The plot as a file of its own, with headline and sentence, so that it can be shown alone.
    ///
    /// # Errors
    /// [`Code::Internal`] when it cannot be drawn.
    pub fn file(&self) -> Result<String> {
        const LETTERS: usize = 128;
        let lines = super::write::text::wrapped(&self.alt, LETTERS, "", "");
        let drawn = self.drawn()?;
        let lost = || Error::new(Code::Internal, "a plot has no beginning");
        let (first, rest) = drawn.split_once('>').ok_or_else(lost)?;
        let height = first.split("height=\"").nth(1).and_then(|rest| rest.split('"').next());
        let height = height.and_then(|height| height.parse::<u32>().ok()).ok_or_else(lost)?;
        let escaped = super::write::html::escaped;
        let (title, alt) = (escaped(&self.title), escaped(&self.alt));
        let mut below = 36;
        let mut sentence = String::new();
        for line in lines.lines() {
            below += 18;
            sentence.push_str(&format!("<tspan x=\"8\" y=\"{below}\">{}</tspan>", escaped(line)));
        }
        let head = below + 20;
        let all = height + head + 8;
        let font = "font-family=\"Helvetica, Arial, sans-serif\"";
        Ok(format!(
            "<svg width=\"{WIDTH}\" height=\"{all}\" viewBox=\"0 0 {WIDTH} {all}\" \
             xmlns=\"http://www.w3.org/2000/svg\">\n<title>{title}</title>\n<desc>{alt}</desc>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n\
             <text x=\"8\" y=\"30\" {font} font-size=\"20\" font-weight=\"600\" fill=\"#1F2937\">{title}</text>\n\
             <text {font} font-size=\"13\" fill=\"#566072\">{sentence}</text>\n\
             <g transform=\"translate(0 {head})\">{}</g>\n</svg>\n",
            rest.trim_end().strip_suffix("</svg>").ok_or_else(lost)?
        ))
    }

    fn drawn(&self) -> Result<String> {
        let mut text = String::new();
        let drawn = match &self.shape {
            Shape::Bars(bars) => draw_bars(&mut text, bars),
            Shape::Time { points, span } => draw_time(&mut text, points, *span),
            Shape::Lines(plot) => lines::draw(&mut text, plot),
        };
        drawn
            .map_err(|why| Error::new(Code::Internal, format!("a plot cannot be drawn: {why}")))?;
        Ok(text)
    }
}

type Drawn = Result<(), String>;

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn write(sheet: &Sheet<'_>, text: &str, at: (i32, i32), anchor: (HPos, VPos), size: f64) -> Drawn {
    let font = ("sans-serif", size).into_font().transform(FontTransform::None);
    let style = TextStyle::from(font).color(&INK).pos(Pos::new(anchor.0, anchor.1));
    let element = EmptyElement::at(at) + Text::new(text.to_owned(), (0, 0), style);
    sheet.draw(&element).map_err(told)
}

fn fill(sheet: &Sheet<'_>, corners: [(i32, i32); 2], colour: RGBColor) -> Drawn {
    sheet.draw(&Rectangle::new(corners, colour.filled())).map_err(told)
}

fn draw_bars(svg: &mut String, bars: &[Bar]) -> Drawn {
    let rows = u32::try_from(bars.len().max(1)).map_err(told)?;
    let height = rows * ROW + 8;
    let sheet = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    let longest = bars.iter().map(|bar| shortened(&bar.name).chars().count()).max().unwrap_or(0);
    let left = i32::try_from(longest).unwrap_or(0).saturating_mul(8).clamp(40, 260) + 12;
    let room = f64::from(i32::try_from(WIDTH).unwrap_or(0) - left - 150);
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let length = |value: f64| -> i32 {
        if most <= 0.0 || value <= 0.0 {
            return 0;
        }
        // What is there is seen.
        to_pixel(value / most * room).max(1)
    };
    let mut top = 4;
    for bar in bars {
        let middle = top + 12;
        let end = left + length(bar.value);
        write(
            &sheet,
            &shortened(&bar.name),
            (left - 8, middle),
            (HPos::Right, VPos::Center),
            TEXT,
        )?;
        fill(&sheet, [(left, top + 3), (end, top + 21)], if bar.rest { REST } else { BAR })?;
        if bar.marked > 0.0 {
            let end = left + length(bar.marked);
            fill(&sheet, [(left, top + 3), (end, top + 21)], MARKED)?;
        }
        write(&sheet, &bar.told, (end + 6, middle), (HPos::Left, VPos::Center), TEXT - 1.0)?;
        top += 24;
    }
    sheet.present().map_err(told)
}

#[expect(clippy::cast_possible_truncation, reason = "cut to the range before")]
fn to_pixel(value: f64) -> i32 {
    value.clamp(-20_000.0, 20_000.0).round() as i32
}

/// A name that fits beside its bar.
fn shortened(name: &str) -> String {
    const MOST: usize = 32;
    match name.chars().count() {
        count if count <= MOST => name.to_owned(),
        _ => name.chars().take(MOST - 1).chain(['\u{2026}']).collect(),
    }
}

fn draw_time(svg: &mut String, points: &[(i64, f64)], span: i64) -> Drawn {
    const HEIGHT: i32 = 240;
    const TOP: i32 = 12;
    const BOTTOM: i32 = HEIGHT - 34;
    const LEFT: i32 = 72;
    let right = i32::try_from(WIDTH).unwrap_or(0) - 16;
    let sheet = SVGBackend::with_string(svg, (WIDTH, 240)).into_drawing_area();
    let first = points.iter().map(|(at, _)| *at).min().unwrap_or(0);
    let last = points.iter().map(|(at, _)| *at).max().unwrap_or(0).saturating_add(span.max(1));
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let (step, ceiling) = steps(most);
    let width = (last - first).max(1) as f64;
    let x = |at: i64| LEFT + to_pixel((at - first) as f64 / width * f64::from(right - LEFT));
    let y = |value: f64| BOTTOM - to_pixel(value / ceiling * f64::from(BOTTOM - TOP));
    let mut mark = 0.0;
    while mark <= ceiling + step / 2.0 {
        let at = y(mark);
        sheet.draw(&PathElement::new(vec![(LEFT, at), (right, at)], LINE)).map_err(told)?;
        write(&sheet, &decimal(mark, 2), (LEFT - 8, at), (HPos::Right, VPos::Center), TEXT - 1.0)?;
        mark += step;
    }
    for (at, value) in points {
        let (from, to) = (x(*at), x(at.saturating_add(span)));
        // A gap between bars where there is room for one.
        let to = if to - from > 3 { to - 1 } else { to.max(from + 1) };
        fill(&sheet, [(from, y(*value).min(BOTTOM - 1)), (to, BOTTOM)], BAR)?;
    }
    for part in 0..=5_i64 {
        let at = first + (last - first) / 5 * part;
        let place = x(at);
        let form = if last - first > 4 * 86_400 { "%Y-%m-%d" } else { "%m-%d %H:%M" };
        let when = DateTime::from_timestamp(at, 0).map(|when| when.format(form).to_string());
        let side = match part {
            0 => HPos::Left,
            5 => HPos::Right,
            _ => HPos::Center,
        };
        let below = (place, BOTTOM + 10);
        write(&sheet, &when.unwrap_or_default(), below, (side, VPos::Top), TEXT - 1.0)?;
    }
    sheet.present().map_err(told)
}

/// The distance between marks of an axis, and where it ends: one, two or five times a power of ten.
fn steps(most: f64) -> (f64, f64) {
    if most <= 0.0 || !most.is_finite() {
        return (1.0, 1.0);
    }
    let rough = most / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= rough)
        .unwrap_or(power * 10.0);
    (step, (most / step).ceil() * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(shape: Shape) -> String {
        Plot { title: "T".to_owned(), alt: "a <b>".to_owned(), shape }.svg().unwrap()
    }

    #[test]
    fn the_largest_have_a_bar_each_and_the_others_one_together() {
        let named = (0..25_u64).map(|n| (format!("u{n:02}"), n));
        let bars = bars(named, 20);
        assert_eq!(bars.len(), 21);
        assert_eq!((bars[0].name.as_str(), bars[0].told.as_str()), ("u24", "24 (8.0 %)"));
        assert_eq!((bars[20].name.as_str(), bars[20].value), ("5 others", 10.0));
        assert!(bars[20].rest && !bars[19].rest);
    }

    #[test]
    fn a_plot_needs_nothing_from_elsewhere_and_escapes_names() {
        let bar = |name: &str| Bar {
            name: name.to_owned(),
            value: 3.0,
            told: "3".to_owned(),
            marked: 1.0,
            rest: false,
        };
        let svg = plot(Shape::Bars(vec![bar("<script>alert(1)</script>")]));
        assert!(!svg.contains("http") && !svg.contains("<script"), "{svg}");
        assert!(svg.contains("&lt;script&gt;"), "{svg}");
        assert!(svg.contains("role=\"img\" aria-label=\"a &lt;b&gt;\""), "{svg}");
        let time = plot(Shape::Time { points: vec![(0, 1.0), (86_400, 7.0)], span: 86_400 });
        assert!(time.contains("01-01 00:00") && !time.contains("NaN"), "{time}");
        let bars = Shape::Bars(vec![bar("one")]);
        let file =
            Plot { title: "A & B".to_owned(), alt: "c".to_owned(), shape: bars }.file().unwrap();
        assert!(file.contains("A &amp; B</text>") && file.matches("</svg>").count() == 1, "{file}");
        for empty in [Shape::Bars(vec![]), Shape::Time { points: vec![], span: 0 }] {
            assert!(plot(empty).starts_with("<svg"));
        }
    }

    #[test]
    fn axes_have_round_marks() {
        assert_eq!(steps(7.0), (2.0, 8.0));
        assert_eq!(steps(100.0), (50.0, 100.0));
        assert_eq!(steps(0.0), (1.0, 1.0));
    }
}
