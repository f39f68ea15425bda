//! The page around the drawings: the verdict, the figures, and for each scenario its slowest round and every round that
//! fell short.

use super::super::outcome::{Longest, Outcome, Played, Round, Summary};
use super::super::timeline::Mark;
use super::drawing::{deed_class, draw, time};
use super::{escape, strip};

const STYLE: &str = include_str!("style.css");

/// The whole report.
pub(crate) fn page(outcome: &Outcome) -> String {
    let scenarios: String = outcome.scenarios.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Aileron end to end: who was the daemon when</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         {PATTERNS}<main>\n{}{}{LEGEND}{scenarios}</main>\n</body>\n</html>\n",
        head(outcome),
        figures(outcome)
    )
}

/// The hatching of a lock that no longer counts.
const PATTERNS: &str = "<svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\"><defs>\
    <pattern id=\"hatch\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
    <rect class=\"hatch\" width=\"3\" height=\"7\"/></pattern></defs></svg>\n";

const LEGEND: &str = "<section class=\"legend\"><h2>How to read the drawings</h2><ul>\
    <li><b>Colour is the inode.</b> The topmost bar is what stood at the path of <code>daemon.lock</code>; a daemon's bar \
    has the colour of the inode that it holds. Where the colours agree, that is the daemon.</li>\
    <li><span class=\"key owner\"></span> solid: its inode is the one at the path. \
    <span class=\"key orphan\"></span> hatched: it no longer is, and the process is on its way out. The dot at its end is \
    the moment its pidfd said that it was gone.</li>\
    <li>Bars, dots and numbers are what the observer saw. The thin lines across a bar are what the daemon's own log says: \
    <i class=\"suspect\">suspect</i>, <i class=\"displaced\">displaced</i>, <i class=\"draining\">draining</i>, \
    <i class=\"ended\">ended</i>. Point at anything to read it.</li>\
    <li>Gaps between moments are drawn as wide as their logarithm; the ticks tell true times since the round began.</li>\
    </ul></section>\n";

fn head(outcome: &Outcome) -> String {
    let rounds: usize = outcome.scenarios.iter().map(|scenario| scenario.rounds.len()).sum();
    let (style, verdict) = match outcome.failures {
        0 => ("good", format!("All {rounds} rounds of {} scenarios passed", outcome.scenarios.len())),
        count => ("bad", format!("{count} of {rounds} rounds fell short")),
    };
    let longest = longest(&outcome.longest);
    format!(
        "<header><p class=\"eyebrow\">Aileron end to end</p><h1>Who was the daemon when</h1>\
         <p class=\"verdict {style}\">{verdict}</p><p class=\"run\">{}, {}, {} in all</p>\
         {longest}</header>\n",
        escape(&outcome.version),
        escape(&outcome.machine),
        time(outcome.took_ms)
    )
}

fn longest(longest: &[Longest]) -> String {
    if longest.is_empty() {
        return String::new();
    }
    let lines = list(longest.iter().map(|longest| {
        let how = if longest.file_events { "with file events" } else { "without file events" };
        format!("<dt>{how}</dt><dd>{} <small>{}</small></dd>", time(longest.ms), escape(&longest.scenario))
    }));
    format!("<h2>Longest from fault to process gone</h2><dl>{lines}</dl>")
}

fn figures(outcome: &Outcome) -> String {
    let rows: String = outcome.summary.iter().map(figure_row).collect();
    format!(
        "<section><h2>Figures</h2><p>Times run from the moment before the fault's system call until the process's pidfd \
         says that it is gone. The scale of the strips is logarithmic, from 0.1 ms to 20 s; the first line is the promise, \
         the second the bound at which a round falls short.</p><div class=\"wide\"><table><thead><tr><th>scenario</th>\
         <th>figure</th><th class=\"n\">rounds</th><th class=\"n\">median</th><th class=\"n\">max</th>\
         <th class=\"n\">promise</th><th class=\"n\">bound</th><th>every round</th></tr></thead><tbody>\n{rows}</tbody>\
         </table></div></section>\n"
    )
}

fn figure_row(line: &Summary) -> String {
    format!(
        "<tr><td>{name}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
        escape(line.what),
        line.count,
        time(line.median_ms),
        time(line.max_ms),
        time(line.promise_ms),
        time(line.bound_ms),
        strip::draw(&line.times_ms, line.promise_ms, line.bound_ms),
        name = scenario_link(&line.scenario)
    )
}

/// A line over all scenarios has no section to lead to.
fn scenario_link(name: &str) -> String {
    let name = escape(name);
    if name.starts_with('(') { name } else { format!("<a href=\"#{name}\">{name}</a>") }
}

fn section(played: &Played) -> String {
    let short = played.failures().count();
    let (style, verdict) = match short {
        0 => ("good", format!("{} passed", played.rounds.len())),
        count => ("bad", format!("{count} of {} fell short", played.rounds.len())),
    };
    let shown: String = drawn_rounds(played).map(|round| figure(played, round)).collect();
    format!(
        "<section class=\"scenario\" id=\"{name}\"><h2>{name} <span class=\"chip {style}\">{verdict}</span></h2>\
         <p>{}</p>\n{shown}</section>\n",
        escape(&played.about),
        name = escape(&played.name)
    )
}

/// The rounds that fell short, and the slowest of the others.
fn drawn_rounds(played: &Played) -> impl Iterator<Item = &Round> {
    let slowest_figure = |round: &Round| round.figures.first().map_or(0.0, |figure| figure.ms);
    let passed = played.rounds.iter().filter(|round| round.failure.is_none());
    let slowest = passed.max_by(|one, other| slowest_figure(one).total_cmp(&slowest_figure(other)));
    played.failures().chain(slowest)
}

fn figure(played: &Played, round: &Round) -> String {
    let title = format!("{}, round {}", played.name, round.number);
    let steps = list(round.timeline.marks.iter().map(step));
    let seen = list(round.seen.iter().map(|seen| format!("<li>{}</li>", escape(seen))));
    let failure = round.failure.as_ref().map(|text| format!("<pre class=\"failure\">{}</pre>", escape(text)));
    let which = if played.rounds.len() > 1 && round.failure.is_none() { ", the slowest" } else { "" };
    format!(
        "<figure><figcaption>round {}{which}, {} long</figcaption>{}<div class=\"wide\">{}</div>\
         <div class=\"notes\"><div><h3>Done</h3><ol>{steps}</ol></div><div><h3>Seen</h3><ul>{seen}</ul></div></div>\
         </figure>\n",
        round.number,
        time(round.took_ms),
        failure.unwrap_or_default(),
        draw(&round.timeline, &title)
    )
}

fn step(mark: &Mark) -> String {
    let style = deed_class(mark.deed);
    format!("<li class=\"{style}\">{} <small>at {}</small></li>", escape(&mark.text), time(mark.at_ms))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::outcome::{self, FAULT_TO_GONE, Figure, summarize};
    use super::super::super::timeline::{Call, Deed, Lane, Mark, PathChange, Said, Timeline};
    use super::*;

    fn timeline() -> Timeline {
        let change = |at_ms, what: &str, file| PathChange { at_ms, what: what.to_owned(), file };
        let lane = |name, pid, inode: &str, from_ms, gone_ms| Lane {
            name,
            pid,
            inode: inode.to_owned(),
            file: Some(usize::from(inode == "12")),
            from_ms,
            gone_ms,
            ended: gone_ms.map(|_| "exit status 0".to_owned()),
            said: vec![Said { at_ms: 20.4, event: "displaced".into(), text: "held <11>".into() }],
        };
        Timeline {
            at_path: vec![
                change(0.0, "nothing", None),
                change(4.0, "11", Some(0)),
                change(20.0, "nothing", None),
                change(24.0, "12", Some(1)),
            ],
            lanes: vec![lane("A", 7, "11", 5.0, Some(21.0)), lane("B", 8, "12", 25.0, None)],
            calls: vec![Call { from_ms: 1.0, to_ms: 6.0, text: "aileron url".into(), status: Some(0) }],
            marks: vec![Mark { at_ms: 20.0, deed: Deed::Fault, text: "rm -rf".into() }],
            end_ms: 40.0,
        }
    }

    fn outcome(failure: Option<String>) -> Outcome {
        let round = Round {
            number: 1,
            took_ms: 40.0,
            seen: vec!["A & B".into()],
            figures: vec![Figure { what: FAULT_TO_GONE, ms: 1.0, promise_ms: 20.0, bound_ms: 200.0 }],
            failure,
            timeline: timeline(),
        };
        let played =
            Played { name: "sample".into(), about: "a < b".into(), file_events: true, rounds: vec![round] };
        Outcome {
            schema: 1,
            version: "aileron 0".into(),
            machine: "here".into(),
            rounds: 1,
            took_ms: 40.0,
            failures: played.failures().count(),
            summary: summarize(std::slice::from_ref(&played)),
            longest: outcome::longest(std::slice::from_ref(&played)),
            scenarios: vec![played],
        }
    }

    #[test]
    fn the_page_stands_alone_and_shows_every_lane() {
        let page = page(&outcome(None));
        for outside in ["<script", "<link", "src=", "http:", "https:", "@import", "url(http"] {
            assert!(!page.contains(outside), "{outside}");
        }
        for part in ["process 7", "process 8", "owner inode0", "orphan inode0", "owner inode1", "rm -rf"] {
            assert!(page.contains(part), "{part}");
        }
        assert!(
            page.contains("held &lt;11&gt;") && page.contains("A &amp; B") && !page.contains("held <11>")
        );
    }

    #[test]
    fn a_round_that_fell_short_is_told_first() {
        let page = page(&outcome(Some("two daemons".into())));
        assert!(page.contains("1 of 1 rounds fell short") && page.contains("two daemons"));
    }
}
