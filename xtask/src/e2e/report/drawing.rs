//! The drawing of one round: what was at the path, a lane per daemon, a lane of clients, and numbered marks for what was
//! done.

use std::fmt::Write;

use super::super::timeline::{Call, Deed, Lane, Timeline};
use super::axis::Axis;
use super::escape;

const LEFT: f64 = 132.0;
const WIDTH: f64 = 850.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 30.0;
const ROW: f64 = 34.0;
const BAR: f64 = 20.0;
/// Numbers of ticks are this wide.
const TICK: f64 = 62.0;
/// How many files have a colour of their own; what comes after has the first again.
const COLOURS: usize = 4;

/// One round as an SVG element.
pub(super) fn draw(timeline: &Timeline, title: &str) -> String {
    let drawing = Drawing { axis: Axis::over(timeline, WIDTH), timeline };
    let rows = 2 + timeline.lanes.len();
    let bottom = TOP + ROW * f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
    let (width, height) = (LEFT + WIDTH + RIGHT, bottom + 24.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n",
        title = escape(title)
    );
    svg.push_str(&drawing.ticks(bottom));
    svg.push_str(&drawing.path_row());
    for (index, lane) in timeline.lanes.iter().enumerate() {
        svg.push_str(&drawing.lane(lane, row_y(1 + index)));
    }
    svg.push_str(&drawing.clients(row_y(1 + timeline.lanes.len())));
    svg.push_str(&drawing.marks(bottom));
    svg.push_str("</svg>\n");
    svg
}

fn row_y(row: usize) -> f64 {
    TOP + ROW * f64::from(u32::try_from(row).unwrap_or(u32::MAX))
}

struct Drawing<'a> {
    axis: Axis,
    timeline: &'a Timeline,
}

impl Drawing<'_> {
    fn x(&self, ms: f64) -> f64 {
        LEFT + self.axis.x(ms)
    }

    fn ticks(&self, bottom: f64) -> String {
        let ticks = self.axis.ticks(TICK).into_iter().map(|(ms, place)| {
            let x = LEFT + place;
            format!(
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\n",
                bottom + 15.0,
                time(ms)
            )
        });
        ticks.collect()
    }

    fn path_row(&self) -> String {
        let y = row_y(0);
        let mut row = label(y, "at the path", "daemon.lock");
        let changes = &self.timeline.at_path;
        for (index, change) in changes.iter().enumerate() {
            let to = changes.get(index + 1).map_or(self.axis.end_ms(), |next| next.at_ms);
            let words = if change.what.chars().all(|sign| sign.is_ascii_digit()) {
                format!("inode {}", change.what)
            } else {
                change.what.clone()
            };
            let style = format!("path {}", colour(change.file));
            row.push_str(&self.bar(change.at_ms, to, y, &style, &words));
        }
        row
    }

    /// A daemon: solid while it was the owner, hatched while it held a lock that no longer counted.
    fn lane(&self, lane: &Lane, y: f64) -> String {
        let name = format!("{} · process {}", lane.name, lane.pid);
        let mut drawn = label(y, &name, lane.ended.as_deref().unwrap_or("still there"));
        let end = lane.gone_ms.unwrap_or(self.axis.end_ms());
        let colour = colour(lane.file);
        for (from, to, owner) in self.reign(lane, end) {
            let (style, words) = if owner {
                (format!("owner {colour}"), format!("owner, holds inode {}", lane.inode))
            } else {
                (format!("orphan {colour}"), format!("orphan, holds inode {}", lane.inode))
            };
            drawn.push_str(&self.bar(from, to, y, &style, &words));
        }
        for said in lane.said.iter().filter(|said| said.event != "ready") {
            let x = self.x(said.at_ms.clamp(lane.from_ms, end));
            let words = format!("{} at {}: {}", said.event, time(said.at_ms), said.text);
            let (top, bottom) = (y - 3.0, y + BAR + 3.0);
            let event = escape(&said.event);
            write_into(
                &mut drawn,
                format_args!(
                    "<line class=\"said {event}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\">\
                     <title>{}</title></line>\n",
                    escape(&words)
                ),
            );
        }
        if let Some(gone) = lane.gone_ms {
            let (x, middle) = (self.x(gone), y + BAR / 2.0);
            write_into(
                &mut drawn,
                format_args!(
                    "<circle class=\"gone\" cx=\"{x:.1}\" cy=\"{middle}\" r=\"4.5\"><title>gone at {}</title></circle>\n",
                    time(gone)
                ),
            );
        }
        drawn
    }

    /// The pieces of a life: whether the inode at the path was the one that it held.
    fn reign(&self, lane: &Lane, end: f64) -> Vec<(f64, f64, bool)> {
        let mut pieces: Vec<(f64, f64, bool)> = Vec::new();
        let changes = &self.timeline.at_path;
        for (index, change) in changes.iter().enumerate() {
            let next = changes.get(index + 1).map_or(f64::INFINITY, |next| next.at_ms);
            let (from, to) = (change.at_ms.max(lane.from_ms), next.min(end));
            let owner = change.file.is_some() && change.file == lane.file;
            match pieces.last_mut() {
                _ if from >= to => {}
                Some(last) if last.2 == owner => last.1 = to,
                _ => pieces.push((from, to, owner)),
            }
        }
        pieces
    }

    fn clients(&self, y: f64) -> String {
        let count = self.timeline.calls.len();
        let mut row = label(y, "clients", &format!("{count} calls"));
        for call in &self.timeline.calls {
            let Call { from_ms, to_ms, text, status } = call;
            let status = status.map_or_else(|| "killed".to_owned(), |status| format!("status {status}"));
            let style = if call.status == Some(0) { "call" } else { "call refused" };
            let words = format!("{text}: {status}, {} long, from {}", time(to_ms - from_ms), time(*from_ms));
            row.push_str(&self.bar(*from_ms, *to_ms, y, style, &words));
        }
        row
    }

    /// What was done, as numbered lines over all lanes; the numbers are explained beside the drawing.
    fn marks(&self, bottom: f64) -> String {
        let mut drawn = String::new();
        for (index, mark) in self.timeline.marks.iter().enumerate() {
            let x = self.x(mark.at_ms);
            let style = deed_class(mark.deed);
            write_into(
                &mut drawn,
                format_args!(
                    "<g class=\"mark {style}\"><title>{}</title>\
                     <line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"18\" y2=\"{bottom}\"/>\
                     <circle cx=\"{x:.1}\" cy=\"12\" r=\"9\"/><text x=\"{x:.1}\" y=\"16\">{}</text></g>\n",
                    escape(&mark.text),
                    index + 1
                ),
            );
        }
        drawn
    }

    fn bar(&self, from: f64, to: f64, y: f64, style: &str, words: &str) -> String {
        let x = self.x(from);
        // A life of microseconds is still a life: it gets a visible width.
        let width = (self.x(to) - x).max(2.0);
        let words = escape(words);
        // Seven units a letter; a text that does not fit is left to the tooltip.
        let fits = width > 7.0 * f64::from(u32::try_from(words.len()).unwrap_or(u32::MAX));
        let text = if fits && !style.starts_with("call") {
            format!("<text class=\"in\" x=\"{:.1}\" y=\"{:.1}\">{words}</text>", x + 6.0, y + 14.0)
        } else {
            String::new()
        };
        format!(
            "<g class=\"bar {style}\"><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"3\">\
             <title>{words}</title></rect>{text}</g>\n"
        )
    }
}

/// The colour of a file, by the order in which files came to the path.
fn colour(file: Option<usize>) -> String {
    file.map_or_else(|| "none".to_owned(), |number| format!("inode{}", number % COLOURS))
}

fn label(y: f64, name: &str, below: &str) -> String {
    format!(
        "<text class=\"name\" x=\"0\" y=\"{:.1}\">{}</text><text class=\"below\" x=\"0\" y=\"{:.1}\">{}</text>\n",
        y + 10.0,
        escape(name),
        y + 22.0,
        escape(below)
    )
}

pub(super) fn deed_class(deed: Deed) -> &'static str {
    match deed {
        Deed::Fault => "fault",
        Deed::Harmless => "harmless",
        Deed::Message => "message",
        Deed::Repair => "repair",
    }
}

/// A time with the digits that mean something.
pub(super) fn time(ms: f64) -> String {
    match ms {
        _ if ms >= 1000.0 => format!("{:.2} s", ms / 1e3),
        _ if ms >= 100.0 => format!("{ms:.0} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

fn write_into(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::super::super::timeline::PathChange;
    use super::*;

    #[test]
    fn a_reign_ends_when_the_path_leads_elsewhere() {
        let change = |at_ms, what: &str, file| PathChange { at_ms, what: what.to_owned(), file };
        let lane = Lane {
            name: "A",
            pid: 7,
            inode: "11".to_owned(),
            file: Some(0),
            from_ms: 2.0,
            gone_ms: Some(9.0),
            ended: None,
            said: Vec::new(),
        };
        let at_path = vec![
            change(0.0, "nothing", None),
            change(1.0, "11", Some(0)),
            change(5.0, "nothing", None),
            change(7.0, "11", Some(1)),
        ];
        let timeline = Timeline { at_path, ..Timeline::default() };
        let drawing = Drawing { axis: Axis::over(&timeline, WIDTH), timeline: &timeline };
        assert_eq!(drawing.reign(&lane, 9.0), [(2.0, 5.0, true), (5.0, 9.0, false)]);
    }
}
