//! Runs for people: one on a terminal, and the kept ones together as `docs/bench/README.md`.

use std::fmt::Write;

use super::origin::Origin;
use super::plot::Plot;
use super::table::Table;
use super::target::Check;

/// A table with what it shows.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) about: String,
    pub(super) table: Table,
}

/// A run in words and tables.
pub(super) struct Report<'a> {
    pub(super) title: &'static str,
    pub(super) origin: &'a Origin,
    pub(super) checks: Vec<&'a Check>,
    /// How many rounds gave no figure.
    pub(super) unmeasured: usize,
    pub(super) method: Vec<String>,
    pub(super) sections: Vec<Section>,
    /// Drawn beside the page, and shown before the tables.
    pub(super) plots: Vec<Plot>,
}

/// For a terminal.
pub(super) fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    for Section { title, about, table } in &report.sections {
        push(&mut text, format_args!("\n{title}\n{about}\n\n{}", table.text()));
    }
    push(&mut text, format_args!("\n{}\n{}", report.origin.line(), list(&report.method)));
    push(&mut text, format_args!("\n{}\n", report.summary()));
    text
}

/// Reports as the page has them.
#[cfg(test)]
pub(super) fn markdown(kept: &[(Report<'_>, &str)]) -> String {
    markdown_under(None, kept)
}

/// The page beside the kept runs: each report with the file it is made from, below a drawing of them all.
pub(super) fn markdown_under(top: Option<&Plot>, kept: &[(Report<'_>, &str)]) -> String {
    let mut text = String::from(
        "# Benchmarks\n\nWritten from the latest kept run of each benchmark: `cargo xtask bench NAME --keep` keeps one and \
         writes this page, `cargo xtask bench page` only writes it. `cargo xtask bench all` makes every run.\n",
    );
    text.extend(top.map(image));
    for (report, file) in kept {
        let Report { title, origin, .. } = report;
        push(
            &mut text,
            format_args!(
                "\n## {title}\n\nFrom [{file}]({file}), made on {} by\n\n```sh\n{}\n```\n\n{}\n\n{}\n\n### How it was measured\n\n{}",
                origin.date,
                origin.command,
                origin.line(),
                report.summary(),
                list(&report.method)
            ),
        );
        for plot in &report.plots {
            text.push_str(&image(plot));
        }
        for Section { title, about, table } in &report.sections {
            push(&mut text, format_args!("\n### {title}\n\n{about}\n\n{}", table.markdown()));
        }
    }
    text
}

/// A drawing that lies beside the page.
fn image(plot: &Plot) -> String {
    format!("\n![{}]({})\n", plot.title, plot.file)
}

impl Report<'_> {
    /// One line: how many targets were missed.
    fn summary(&self) -> String {
        let (all, missed) = (self.checks.len(), self.checks.iter().filter(|check| !check.met).count());
        let unmeasured = match self.unmeasured {
            0 => String::new(),
            count => format!(" {count} rounds gave no figure."),
        };
        format!("{missed} of {all} targets missed.{unmeasured}")
    }
}

fn list(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "- " + line + "\n")
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string does not fail");
}

/// A figure without a fraction.
pub(super) fn whole(figure: f64) -> String {
    format!("{figure:.0}")
}

/// Microseconds as milliseconds.
pub(super) fn in_ms(micros: f64) -> String {
    format!("{:.2}", micros / 1e3)
}
