//! Lines over two axes, both with round marks, a legend below. Draws only.

use plotters::backend::SVGBackend;
use plotters::prelude::{Circle, Color, IntoDrawingArea, PathElement, RGBColor};
use plotters::style::ShapeStyle;
use plotters::style::text_anchor::{HPos, VPos};

use super::{BAR, Drawn, LINE, MARKED, REST, TEXT, WIDTH, decimal, steps, to_pixel, told, write};

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
    /// Lines, at most five are told apart.
    pub lines: Vec<Line>,
    /// What the lower axis counts.
    pub across: String,
    /// What the left axis counts.
    pub up: String,
    /// Whether the left axis is in per cent of one.
    pub shares: bool,
}

const COLOURS: [RGBColor; 5] =
    [BAR, MARKED, REST, RGBColor(0x2E, 0x8B, 0x57), RGBColor(0x7C, 0x4D, 0xA0)];

const HEIGHT: i32 = 320;
const TOP: i32 = 30;
const BOTTOM: i32 = HEIGHT - 74;
const LEFT: i32 = 76;

/// Draws.
pub(super) fn draw(svg: &mut String, plot: &Lines) -> Drawn {
    let right = i32::try_from(WIDTH).unwrap_or(0) - 24;
    let sheet = SVGBackend::with_string(svg, (WIDTH, HEIGHT.unsigned_abs())).into_drawing_area();
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let most = points().map(|(_, y)| *y).filter(|y| y.is_finite()).fold(0.0, f64::max);
    let (step, ceiling) = steps(most);
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
    let y = |value: f64| BOTTOM - to_pixel(value / ceiling * f64::from(BOTTOM - TOP));
    let mut mark = 0.0;
    while mark <= ceiling + step / 2.0 {
        let at = y(mark);
        sheet.draw(&PathElement::new(vec![(LEFT, at), (right, at)], LINE)).map_err(told)?;
        let text =
            if plot.shares { format!("{} %", decimal(mark * 100.0, 3)) } else { decimal(mark, 4) };
        write(&sheet, &text, (LEFT - 8, at), (HPos::Right, VPos::Center), TEXT - 1.0)?;
        mark += step;
    }
    write(&sheet, &plot.up, (LEFT, 2), (HPos::Left, VPos::Top), TEXT - 1.0)?;
    for stop in &stops {
        let below = (x(*stop), BOTTOM + 8);
        write(&sheet, &decimal(*stop, 4), below, (HPos::Center, VPos::Top), TEXT - 1.0)?;
    }
    write(&sheet, &plot.across, (right, BOTTOM + 26), (HPos::Right, VPos::Top), TEXT - 1.0)?;
    let mut legend = LEFT;
    for (line, colour) in plot.lines.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<(i32, i32)> = line
            .points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|(at, value)| (x(*at), y(*value)))
            .collect();
        let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: 2 };
        for place in &path {
            sheet.draw(&Circle::new(*place, 4, colour.filled())).map_err(told)?;
        }
        if path.len() > 1 {
            sheet.draw(&PathElement::new(path, style)).map_err(told)?;
        }
        let low = BOTTOM + 54;
        sheet
            .draw(&PathElement::new(vec![(legend, low), (legend + 22, low)], style))
            .map_err(told)?;
        write(&sheet, &line.name, (legend + 28, low), (HPos::Left, VPos::Center), TEXT - 1.0)?;
        let wide = i32::try_from(line.name.chars().count()).unwrap_or(0).saturating_mul(8);
        legend = legend.saturating_add(48).saturating_add(wide);
    }
    sheet.present().map_err(told)
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
