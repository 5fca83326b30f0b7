//! Lines over two axes, both with round marks, each line named at its end. Draws only.

use plotters::backend::SVGBackend;
use plotters::prelude::{Circle, Color, IntoDrawingArea, PathElement, RGBColor};
use plotters::style::ShapeStyle;
use plotters::style::text_anchor::{HPos, VPos};

use super::{BAR, Drawn, LINE, MARKED, REST, WIDTH, decimal, steps, to_pixel, told, write};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is of.
    pub name: String,
    /// Its points, by the lower axis.
    pub points: Vec<(f64, f64)>,
}

/// Lines and their axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// Lines, at most five are told apart by colour.
    pub lines: Vec<Line>,
    /// What the lower axis counts.
    pub across: String,
    /// What the left axis counts.
    pub up: String,
    /// Whether the left axis is in per cent of one.
    pub shares: bool,
}

const COLOURS: [RGBColor; 5] =
    [BAR, MARKED, RGBColor(0x2E, 0x8B, 0x57), RGBColor(0x7C, 0x4D, 0xA0), REST];

/// Text is read from some steps away.
const TEXT: f64 = 17.0;
/// About how many pixels a letter of it takes.
const LETTER: i32 = 8;

const TOP: i32 = 38;
const PLAIN: i32 = 300;
const LEFT: i32 = 70;
/// Between two names.
const APART: i32 = 20;
/// From the last mark to its line's name.
const LEADER: i32 = 26;

/// Draws.
pub(super) fn draw(svg: &mut String, plot: &Lines) -> Drawn {
    let width = i32::try_from(WIDTH).unwrap_or(0);
    let longest = plot.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let names = i32::try_from(longest).unwrap_or(0).saturating_mul(LETTER);
    let right = (width - LEADER - 8 - names).max(width / 2);
    let count = i32::try_from(plot.lines.len()).unwrap_or(0);
    // Names stand one below the other, however many there are.
    let bottom = TOP + PLAIN.max(count.saturating_mul(APART));
    let size = (WIDTH, (bottom + 62).unsigned_abs());
    let sheet = SVGBackend::with_string(svg, size).into_drawing_area();
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let most = points().map(|(_, y)| *y).filter(|y| y.is_finite()).fold(0.0, f64::max);
    // Five spans rather than four, so that shares up to one are told by fifths.
    let (step, _) = steps(most * 0.8);
    let ceiling = (most / step).ceil().max(1.0) * step;
    // The values of the lower axis stand at equal distances: they are a choice, not a scale.
    let mut stops: Vec<f64> = points().map(|(x, _)| *x).filter(|x| x.is_finite()).collect();
    stops.sort_by(f64::total_cmp);
    stops.dedup();
    let gaps = f64::from(u32::try_from(stops.len()).unwrap_or(1).saturating_sub(1).max(1));
    let x = |value: f64| {
        let at = stops.iter().position(|stop| *stop == value).unwrap_or(0);
        let at = f64::from(u32::try_from(at).unwrap_or(0));
        LEFT + to_pixel(at / gaps * f64::from(right - LEFT))
    };
    let y = |value: f64| bottom - to_pixel(value / ceiling * f64::from(bottom - TOP));
    let mut mark = 0.0;
    while mark <= ceiling + step / 2.0 {
        let at = y(mark);
        sheet.draw(&PathElement::new(vec![(LEFT, at), (right, at)], LINE)).map_err(told)?;
        let text =
            if plot.shares { format!("{} %", decimal(mark * 100.0, 3)) } else { decimal(mark, 4) };
        write(&sheet, &text, (LEFT - 8, at), (HPos::Right, VPos::Center), TEXT)?;
        mark += step;
    }
    write(&sheet, &plot.up, (8, 4), (HPos::Left, VPos::Top), TEXT)?;
    for stop in &stops {
        let below = (x(*stop), bottom + 8);
        write(&sheet, &decimal(*stop, 4), below, (HPos::Center, VPos::Top), TEXT)?;
    }
    let middle = (LEFT + (right - LEFT) / 2, bottom + 34);
    write(&sheet, &plot.across, middle, (HPos::Center, VPos::Top), TEXT)?;
    let mut ends = Vec::new();
    for (line, colour) in plot.lines.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<(i32, i32)> = line
            .points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|(at, value)| (x(*at), y(*value)))
            .collect();
        ends.push(path.iter().copied().max_by_key(|(across, _)| *across));
        let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: 3 };
        for place in &path {
            sheet.draw(&Circle::new(*place, 5, colour.filled())).map_err(told)?;
        }
        if path.len() > 1 {
            sheet.draw(&PathElement::new(path, style)).map_err(told)?;
        }
    }
    let heights =
        spread(&ends.iter().map(|end| end.map_or(bottom, |end| end.1)).collect::<Vec<_>>());
    for ((line, end), height) in plot.lines.iter().zip(ends).zip(heights) {
        let Some((across, up)) = end else { continue };
        let to = (right + LEADER - 4, height);
        sheet.draw(&PathElement::new(vec![(across + 7, up), to], LINE)).map_err(told)?;
        let place = (right + LEADER, height);
        write(&sheet, &line.name, place, (HPos::Left, VPos::Center), TEXT)?;
    }
    sheet.present().map_err(told)
}

/// Heights near these, in their order and far enough from each other to be read.
fn spread(wanted: &[i32]) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|at| wanted.get(*at).copied());
    // Runs of names that touch, each around the middle of what its names want: sum, number, highest.
    let mut runs: Vec<(i32, i32)> = Vec::new();
    let top = |(sum, count): (i32, i32)| sum / count - (count - 1) * APART / 2;
    for at in &order {
        let mut run = (wanted.get(*at).copied().unwrap_or(0), 1);
        while let Some(before) = runs.last().copied() {
            if top(before) + before.1 * APART <= top(run) {
                break;
            }
            runs.pop();
            run = (run.0 + before.0, run.1 + before.1);
        }
        runs.push(run);
    }
    let placed = runs.into_iter().flat_map(|run| (0..run.1).map(move |nth| top(run) + nth * APART));
    let mut heights = vec![0; wanted.len()];
    for (at, height) in order.into_iter().zip(placed) {
        if let Some(place) = heights.get_mut(at) {
            *place = height;
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(lines: Vec<Line>) -> String {
        let mut text = String::new();
        let plot = Lines { lines, across: "k".to_owned(), up: "loss".to_owned(), shares: true };
        draw(&mut text, &plot).unwrap();
        text
    }

    #[test]
    fn names_stand_apart_inside_the_picture_and_near_their_lines() {
        assert_eq!(spread(&[10, 100, 50]), [10, 100, 50]);
        assert_eq!(spread(&[100, 100, 101]), [80, 100, 120]);
        assert_eq!(spread(&[300, 100, 110, 105]), [300, 85, 125, 105]);
        assert!(spread(&[]).is_empty());
        let names: Vec<String> =
            (0..4).map(|n| format!("up to {n}2.75 % of rows left out")).collect();
        let line =
            |name: &String| Line { name: name.clone(), points: vec![(2.0, 0.3), (9.0, 0.3)] };
        let text = svg(names.iter().map(line).collect());
        let texts: Vec<(i32, i32, usize)> = text
            .split("<text ")
            .skip(1)
            .map(|part| {
                let number = |key: &str| -> i32 {
                    part.split(key).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
                };
                let words = part.split(">\n").nth(1).unwrap().split('\n').next().unwrap();
                (number("x=\""), number("y=\""), words.chars().count())
            })
            .collect();
        let named: Vec<_> = texts.iter().filter(|(_, _, letters)| *letters > 20).collect();
        assert_eq!(named.len(), 4, "{text}");
        for (at, (x, y, letters)) in named.iter().enumerate() {
            assert!(x + i32::try_from(*letters).unwrap() * 7 <= 860, "clipped: {named:?}");
            assert!(at == 0 || y - named[at - 1].1 >= APART, "{named:?}");
        }
    }

    #[test]
    fn lines_have_marks_a_legend_and_no_number_that_is_none() {
        let line = |name: &str, points: &[(f64, f64)]| Line {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        let text = svg(vec![
            line("none <suppressed>", &[(2.0, 0.1), (50.0, 0.4), (5.0, f64::NAN)]),
            line("5 %", &[(2.0, 0.05), (5.0, 0.2)]),
        ]);
        assert!(text.contains("&lt;suppressed&gt;") && text.contains("40 %"), "{text}");
        assert!(!text.contains("NaN"), "{text}");
        assert_eq!(text.matches("<circle").count(), 4);
        assert!(svg(vec![line("", &[])]).contains("</svg>"), "a line without a point is no line");
        // The page's style turns these colours into those of light and dark.
        let style = include_str!("../write/page.css");
        for colour in COLOURS {
            let RGBColor(red, green, blue) = colour;
            let named = format!("#{red:02X}{green:02X}{blue:02X}");
            assert!(style.contains(&format!("polyline[stroke=\"{named}\"]")), "{named}");
            assert!(style.contains(&format!("circle[fill=\"{named}\"]")), "{named}");
        }
        assert!(svg(vec![]).starts_with("<svg"));
    }
}
