//! Where each figure stands between what the machine allows and what a daemon that looks every 5 s can promise.

use super::plot::{self, Axis, Plot};

/// How long a daemon that only polls takes at worst, as the reference implementation does: every 5 s, in microseconds.
const POLL: f64 = 5e6;

/// A time of ours beside the limit of the same run, in microseconds.
pub(super) struct Standing {
    pub(super) what: String,
    /// The raw limit, where something was measured beside it.
    pub(super) limit: Option<f64>,
    pub(super) ours: f64,
}

const LEFT: f64 = 300.0;
const RIGHT: f64 = 790.0;
const TOP: f64 = 44.0;
const ROW: f64 = 22.0;

/// One row for each; nothing where there is none.
pub(super) fn draw(standings: &[Standing]) -> Option<Plot> {
    let first = standings.first()?;
    let smallest =
        standings.iter().fold(first.ours, |low, row| low.min(row.ours).min(row.limit.unwrap_or(low)));
    let axis = Axis::over([smallest, POLL].into_iter(), LEFT, RIGHT);
    let title = "Between the raw limit and a poll every 5 s";
    let bottom = TOP + ROW * f64::from(u32::try_from(standings.len()).unwrap_or(u32::MAX)) + 6.0;
    let mut svg = plot::open(RIGHT + 40.0, bottom + 44.0, title);
    for value in axis.decades() {
        plot::stroke(&mut svg, (axis.place(value), TOP), (axis.place(value), bottom), "#ddd");
        plot::text(&mut svg, (axis.place(value), bottom + 16.0), "middle", &named(value));
    }
    plot::stroke(&mut svg, (axis.place(POLL), TOP - 8.0), (axis.place(POLL), bottom), "#d55e00");
    plot::text(&mut svg, (axis.place(POLL), TOP - 12.0), "middle", "poll, 5 s");
    let mut y = TOP + ROW / 2.0;
    for Standing { what, limit, ours } in standings {
        plot::text(&mut svg, (LEFT - 10.0, y + 4.0), "end", what);
        let ours = axis.place(*ours);
        if let Some(limit) = limit.map(|limit| axis.place(limit)) {
            plot::stroke(&mut svg, (limit, y), (ours, y), "#0072b2");
            circle(&mut svg, limit, y, "#fff");
        }
        circle(&mut svg, ours, y, "#0072b2");
        y += ROW;
    }
    let legend = "hollow: the limit that was measured in the same run; full: ours";
    plot::text(&mut svg, (LEFT, bottom + 36.0), "start", legend);
    svg.push_str("</svg>\n");
    Some(Plot { file: "standing.svg".to_owned(), title: title.to_owned(), svg })
}

fn circle(svg: &mut String, x: f64, y: f64, fill: &str) {
    plot::put(
        svg,
        format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{fill}\" stroke=\"#0072b2\" stroke-width=\"1.5\"/>\n"
        ),
    );
}

/// A power of ten of microseconds.
fn named(micros: f64) -> String {
    match micros {
        _ if micros >= 1e6 => format!("{} s", micros / 1e6),
        _ if micros >= 1e3 => format!("{} ms", micros / 1e3),
        _ => format!("{micros} µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_row_and_its_limit() {
        let row = |what: &str, limit, ours| Standing { what: what.to_owned(), limit, ours };
        let plot = draw(&[row("one", Some(50.0), 100.0), row("two", None, 5000.0)]).expect("two rows");
        assert_eq!(plot.svg.matches("<circle").count(), 3);
        for words in ["one", "two", "10 µs", "10 s", "poll, 5 s"] {
            assert!(plot.svg.contains(words), "no {words}");
        }
        assert!(draw(&[]).is_none());
    }
}
