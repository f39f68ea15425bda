//! What is printed, and where: results on standard output, everything else on standard error. A closed pipe is quiet.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use aileron_server::Terminal;
use serde_json::json;

use crate::args::{Color, Global};
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// How this command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    quiet: bool,
    verbose: bool,
    color: Color,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let choice = match global.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Self { json: global.json, quiet: global.quiet, verbose: global.verbose > 0, color: global.color }
    }

    /// Prints a result: `document` with `--json`, else `text`.
    pub(crate) fn result(self, document: &serde_json::Value, text: &str) {
        self.either(|| document.clone(), || text.to_owned());
    }

    /// The same where one of the two is made and the other is not.
    pub(crate) fn either(self, document: impl FnOnce() -> serde_json::Value, text: impl FnOnce() -> String) {
        let text = if self.json { document().to_string() } else { text() };
        if !text.is_empty() {
            line(&text);
        }
    }

    /// Prints a line of a stream (`logs`).
    pub(crate) fn stream(text: &str) -> bool {
        match writeln!(anstream::stdout().lock(), "{text}") {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
            Err(error) => {
                LOST.get_or_init(|| error);
                false
            }
        }
    }

    /// Says something that is no result.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            let _reader_is_gone = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Says something that only `-v` asks for.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            return Self::document_failure(failure);
        }
        let _reader_is_gone = writeln!(anstream::stderr(), "aileron: {failure}");
    }

    /// A failure as a document.
    pub(crate) fn document_failure(failure: &Failure) {
        let document = json!({ "schema": 1, "error": failure.document() });
        let _reader_is_gone = writeln!(anstream::stderr(), "{document}");
    }

    /// Whether and how a daemon in the foreground writes its log to standard error.
    pub(crate) fn terminal(self) -> Terminal {
        let on_terminal = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match self.color {
            Color::Always => Terminal::Colour,
            Color::Auto if on_terminal => Terminal::Colour,
            Color::Auto | Color::Never => Terminal::Plain,
        }
    }
}

/// What a colour begins with (ECMA-48, section 5.3).
const ESCAPE: char = '\u{1b}';

/// Why a result did not get to where it was to go.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// The failure of a command whose result was lost, on a full disk for instance. Asked once all is printed.
pub(crate) fn lost() -> Option<Failure> {
    let error = LOST.get()?;
    let failure = Failure::new("output", ExitStatus::Failed, format!("cannot write the result: {error}"));
    Some(failure.step("write to standard output").hint("make room there, and say it again"))
}

/// A reader that is gone wants no more; that is no error of ours.
fn line(text: &str) {
    // Whether it is a terminal, and of which kind, matters to colours alone.
    let written = if text.contains(ESCAPE) {
        writeln!(anstream::stdout().lock(), "{text}")
    } else {
        // In one piece: what stands before the last end of a line is written at once.
        io::stdout().lock().write_all([text, "\n"].concat().as_bytes())
    };
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        LOST.get_or_init(|| error);
    }
}
