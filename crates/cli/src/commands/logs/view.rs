//! How a line of the log is shown: as it is with `--json`, else as a person reads it.

use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

use crate::output::Output;

/// How lines are shown.
pub(crate) struct View {
    json: bool,
    since: Option<jiff::Timestamp>,
    /// Whether the last line that had a time was young enough: what has none (a panic's, a child's) goes with it.
    young: bool,
}

impl View {
    pub(super) fn new(output: Output, since: Option<jiff::Timestamp>) -> Self {
        Self::of(output.json, since)
    }

    pub(crate) fn of(json: bool, since: Option<jiff::Timestamp>) -> Self {
        Self { json, since, young: true }
    }

    /// Returns whether anybody still reads.
    pub(super) fn print(&mut self, line: &str) -> bool {
        self.show(line).is_none_or(|shown| Output::stream(&shown))
    }

    /// What is printed of a line; nothing of one that is too old.
    pub(crate) fn show(&mut self, line: &str) -> Option<String> {
        let parsed: Option<Value> = serde_json::from_str(line).ok().filter(Value::is_object);
        if !self.is_young(parsed.as_ref()) {
            return None;
        }
        Some(match parsed {
            _ if self.json => line.to_owned(),
            Some(parsed) => render(&parsed),
            None => printable(line),
        })
    }

    fn is_young(&mut self, line: Option<&Value>) -> bool {
        let Some(since) = self.since else { return true };
        let at = line.and_then(|line| line["timestamp"].as_str()?.parse::<jiff::Timestamp>().ok());
        if let Some(at) = at {
            self.young = at >= since;
        }
        self.young
    }
}

/// `2026-01-02T03:04:05Z  INFO ready url=… pid=…`
fn render(line: &Value) -> String {
    let text = |value: &Value| printable(&value.as_str().map_or_else(|| value.to_string(), String::from));
    let at = text(&line["timestamp"]);
    let at = at.split_once('.').map_or(at.as_str(), |(seconds, _)| seconds);
    let level = text(&line["level"]);
    let style = style(&level);
    let fields = line["fields"].as_object();
    let message = fields.and_then(|fields| fields.get("message")).map(text).unwrap_or_default();
    let mut shown = format!("{at} {style}{level:>5}{style:#} {message}");
    for (name, value) in
        fields.into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "message" | "event"))
    {
        shown.extend([" ", &printable(name), "=", &text(value)]);
    }
    shown
}

fn style(level: &str) -> Style {
    let colour = match level {
        "ERROR" => AnsiColor::Red,
        "WARN" => AnsiColor::Yellow,
        "INFO" => AnsiColor::Green,
        _ => AnsiColor::Blue,
    };
    colour.on_default()
}

/// Without what a terminal would obey: a line may quote whatever a client sent.
fn printable(text: &str) -> String {
    let escaped = |c: char| {
        if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.to_string() }
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &Value) -> String {
        anstream::adapter::strip_str(&render(line)).to_string()
    }

    #[test]
    fn a_line_is_rendered_for_people() {
        let line = serde_json::json!({"timestamp": "2026-01-02T03:04:05.678Z", "level": "INFO",
            "fields": {"message": "ready", "event": "ready", "pid": 42}});
        assert_eq!(plain(&line), "2026-01-02T03:04:05  INFO ready pid=42");
    }

    #[test]
    fn a_line_cannot_command_a_terminal() {
        let line = serde_json::json!({"timestamp": "", "level": "WARN",
            "fields": {"message": "a\u{1b}]0;title\u{7}b", "path": "x\r\ny"}});
        assert_eq!(plain(&line), "  WARN a\\u{1b}]0;title\\u{7}b path=x\\r\\ny");
        assert_eq!(printable("\u{9b}2J"), "\\u{9b}2J");
    }
}
