//! A table as data, written with blanks for a terminal and with bars for Markdown.

use std::fmt::Write;

use super::target::Check;

/// Rows under headings. The first columns are words, the others figures.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<&'static str>,
    /// How many columns from the left are words.
    words: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(words: usize, headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), words, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.headings.len(), "a cell for each heading");
        self.rows.push(row);
    }

    /// In columns of even width.
    pub(super) fn text(&self) -> String {
        let headings = self.headings.iter().map(|heading| (*heading).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let width =
            |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let mut text = String::new();
        for line in lines {
            let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
                if at < self.words { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// As Markdown, figures to the right.
    pub(super) fn markdown(&self) -> String {
        let rule = (0..self.headings.len()).map(|at| if at < self.words { "---" } else { "--:" });
        let mut text =
            format!("| {} |\n|{}|\n", self.headings.join(" | "), rule.collect::<Vec<_>>().join("|"));
        for row in &self.rows {
            writeln!(text, "| {} |", row.join(" | ")).expect("writing to a string does not fail");
        }
        text
    }
}

/// A target and whether it was met, as the last two cells of a row.
pub(super) fn cells(check: &Check) -> [String; 2] {
    [check.target.clone(), if check.met { "met" } else { "MISSED" }.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(1, &["loss", "median µs"]);
        table.push(vec!["lock-deleted".into(), "61".into()]);
        table.push(vec!["x".into(), "1234".into()]);
        table
    }

    #[test]
    fn columns_are_even_whatever_their_letters() {
        assert_eq!(
            table().text(),
            "loss          median µs\nlock-deleted         61\nx                  1234\n"
        );
    }

    #[test]
    fn markdown_has_a_rule_and_bars() {
        let lines = ["| loss | median µs |", "|---|--:|", "| lock-deleted | 61 |", "| x | 1234 |", ""];
        assert_eq!(table().markdown(), lines.join("\n"));
    }
}
