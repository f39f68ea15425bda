//! Small drawings for `docs/bench`: one kind of chart, with a logarithmic scale on both axes, as SVG of its own.

use std::fmt::Write;

/// A drawing, and the file it is written to.
pub(super) struct Plot {
    pub(super) file: String,
    pub(super) title: String,
    pub(super) svg: String,
}

/// Points that belong together, in the order of their `x`.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What a chart shows.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    pub(super) lines: Vec<Line>,
}

const SIZE: (f64, f64) = (640.0, 360.0);
/// Left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (70.0, 34.0, 616.0, 310.0);
/// Okabe and Ito's, which most colour-blind people can tell apart.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// A drawing begins on white: pages may be dark.
pub(super) fn open(width: f64, height: f64, title: &str) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#222\">\n<title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"14\">{title}</text>\n"
    )
}

pub(super) fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    put(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n", escape(words)),
    );
}

pub(super) fn stroke(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    put(
        svg,
        format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\n",
            from.0, from.1, to.0, to.1
        ),
    );
}

pub(super) fn put(svg: &mut String, arguments: std::fmt::Arguments<'_>) {
    svg.write_fmt(arguments).expect("writing to a string does not fail");
}

pub(super) fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A logarithmic axis in whole decades, from one coordinate of the drawing to another.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    low: i32,
    high: i32,
    from: f64,
    to: f64,
}

impl Axis {
    /// Over all values, which are positive.
    pub(super) fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let low = decade(low.log10().floor());
        Self { low, high: decade(high.log10().ceil()).max(low + 1), from, to }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    pub(super) fn decades(&self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|power| 10_f64.powi(power))
    }
}

/// Whole already.
#[expect(clippy::cast_possible_truncation, reason = "a decade of something that was measured")]
fn decade(power: f64) -> i32 {
    if power.is_finite() { power as i32 } else { 0 }
}

/// 1000 as `1k`: there is little room.
pub(super) fn short(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{}M", value / 1e6),
        _ if value >= 1e3 => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}

/// The chart as a file's content.
pub(super) fn draw(chart: &Chart<'_>) -> String {
    let (left, top, right, bottom) = FRAME;
    let all = || chart.lines.iter().flat_map(|line| &line.points);
    let x = Axis::over(all().map(|point| point.0), left, right);
    let y = Axis::over(all().map(|point| point.1), bottom, top);
    let mut svg = open(SIZE.0, SIZE.1, chart.title);
    for value in x.decades() {
        stroke(&mut svg, (x.place(value), top), (x.place(value), bottom), "#ddd");
        text(&mut svg, (x.place(value), bottom + 16.0), "middle", &short(value));
    }
    for value in y.decades() {
        stroke(&mut svg, (left, y.place(value)), (right, y.place(value)), "#ddd");
        text(&mut svg, (left - 6.0, y.place(value) + 4.0), "end", &short(value));
    }
    text(&mut svg, (f64::midpoint(left, right), bottom + 36.0), "middle", chart.x);
    put(
        &mut svg,
        format_args!(
            "<text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
            f64::midpoint(top, bottom),
            escape(chart.y)
        ),
    );
    let mut row = top + 16.0;
    for (line, colour) in chart.lines.iter().zip(COLOURS.iter().cycle()) {
        let places: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x.place(*a), y.place(*b))).collect();
        put(
            &mut svg,
            format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
                places.join(" ")
            ),
        );
        for (a, b) in &line.points {
            put(
                &mut svg,
                format_args!(
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n",
                    x.place(*a),
                    y.place(*b)
                ),
            );
        }
        put(
            &mut svg,
            format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n",
                left + 12.0,
                row - 4.0
            ),
        );
        text(&mut svg, (left + 22.0, row), "start", &line.name);
        row += 16.0;
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decade_takes_the_same_room_everywhere() {
        let axis = Axis::over([3.0, 700.0].into_iter(), 0.0, 300.0);
        assert_eq!(axis.decades().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1000.0]);
        for (value, place) in [(1.0, 0.0), (10.0, 100.0), (1000.0, 300.0)] {
            assert!((axis.place(value) - place).abs() < 1e-9);
        }
        assert_eq!(
            Axis::over([5.0].into_iter(), 0.0, 1.0).decades().count(),
            2,
            "one value has a decade too"
        );
    }

    #[test]
    fn every_point_is_drawn_and_words_are_escaped() {
        let points = vec![(1.0, 2.0), (10.0, 2.0), (100.0, 3.0)];
        let lines = vec![Line { name: "a < b".to_owned(), points }];
        let svg = draw(&Chart { title: "t", x: "x", y: "y", lines });
        assert_eq!(svg.matches("<circle").count(), 4, "three points and the legend's");
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
    }
}
