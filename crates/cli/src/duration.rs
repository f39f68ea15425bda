//! Durations as people write them: `250ms`, `5s`, `3h`.

use std::str::FromStr as _;
use std::time::Duration;

/// Parses a duration with its unit. A number alone is refused: nobody knows whether `5` is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write a number and a unit, like 250ms, 5s or 3h");
    let parsed = jiff::SignedDuration::from_str(text).map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

/// Writes it the same way, to the second from a minute on.
pub(crate) fn show(duration: Duration) -> String {
    let rounded = match duration.as_millis() {
        0..60_000 => Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(0)),
        _ => Duration::from_secs(duration.as_secs()),
    };
    match jiff::SignedDuration::try_from(rounded) {
        Ok(signed) => format!("{signed:#}"),
        Err(_) => format!("{rounded:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_required() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("3h"), Ok(Duration::from_hours(3)));
        for bad in ["5", "", "-5s", "five", "5 parsecs", "99999999999999999999s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_can_be_written() {
        for text in ["250ms", "5s", "3h", "1h 2m 3s"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(show(Duration::from_millis(61_500)), "1m 1s");
    }
}
