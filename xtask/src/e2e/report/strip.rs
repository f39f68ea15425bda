//! A figure over its rounds as a strip: a dot per round on a logarithmic scale, with the promise and the bound.

use std::fmt::Write;

const WIDTH: f64 = 220.0;
const HEIGHT: f64 = 22.0;
/// The scale's ends in milliseconds: from what cannot be measured to what nobody waits for.
const FROM_MS: f64 = 0.1;
const TO_MS: f64 = 20_000.0;

/// The strip as an SVG element.
pub(super) fn draw(times_ms: &[f64], promise_ms: f64, bound_ms: f64) -> String {
    let mut svg = format!("<svg class=\"strip\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\">");
    let middle = HEIGHT / 2.0;
    let mut push = |arguments: std::fmt::Arguments<'_>| {
        svg.write_fmt(arguments).expect("writing to a string does not fail");
    };
    push(format_args!("<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{middle}\" y2=\"{middle}\"/>"));
    for (style, ms) in [("promise", promise_ms), ("bound", bound_ms)] {
        let x = place(ms);
        push(format_args!(
            "<line class=\"{style}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"2\" y2=\"{}\"/>",
            HEIGHT - 2.0
        ));
    }
    for ms in times_ms {
        let style = if *ms <= bound_ms { "dot" } else { "dot late" };
        push(format_args!("<circle class=\"{style}\" cx=\"{:.1}\" cy=\"{middle}\" r=\"3\"/>", place(*ms)));
    }
    svg.push_str("</svg>");
    svg
}

fn place(ms: f64) -> f64 {
    let share = (ms.clamp(FROM_MS, TO_MS) / FROM_MS).ln() / (TO_MS / FROM_MS).ln();
    4.0 + share * (WIDTH - 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_further_right_and_all_stays_inside() {
        assert!(place(1.0) < place(10.0) && place(10.0) < place(1000.0));
        assert!(place(0.0) >= 0.0 && place(1e9) <= WIDTH);
    }
}
