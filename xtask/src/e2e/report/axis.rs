//! A time axis on which a tenth of a millisecond and a second of waiting can both be seen.
//!
//! The gap between two neighbouring moments is drawn as wide as the logarithm of its length, so order is exact, longer
//! looks longer, and no gap hides another. The ticks say the true times.

use super::super::timeline::Timeline;

/// Gaps much shorter than this, in milliseconds, are drawn in proportion.
const FINE_MS: f64 = 0.2;

/// Where each moment of a timeline lies, from 0 to the axis's width.
#[derive(Debug)]
pub(super) struct Axis {
    /// Moment and place, in order.
    points: Vec<(f64, f64)>,
}

impl Axis {
    pub(super) fn over(timeline: &Timeline, width: f64) -> Self {
        let mut moments = moments(timeline);
        moments.push(0.0);
        moments.sort_by(f64::total_cmp);
        moments.dedup();
        let mut points = Vec::with_capacity(moments.len());
        let mut place = 0.0;
        let mut before = moments.first().copied().unwrap_or_default();
        for moment in moments {
            place += (1.0 + (moment - before) / FINE_MS).ln();
            before = moment;
            points.push((moment, place));
        }
        let scale = if place > 0.0 { width / place } else { 0.0 };
        for point in &mut points {
            point.1 *= scale;
        }
        Self { points }
    }

    /// The place of a moment; between two known ones in proportion.
    pub(super) fn x(&self, ms: f64) -> f64 {
        let after = self.points.partition_point(|point| point.0 < ms);
        match (after.checked_sub(1).map(|before| self.points[before]), self.points.get(after)) {
            (_, Some(point)) if point.0 <= ms => point.1,
            (Some((from, left)), Some((to, right))) => left + (right - left) * (ms - from) / (to - from),
            (None, Some(first)) => first.1,
            (Some(last), None) => last.1,
            (None, None) => 0.0,
        }
    }

    pub(super) fn end_ms(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.0)
    }

    /// Moments to label, at least `apart` from each other.
    pub(super) fn ticks(&self, apart: f64) -> Vec<(f64, f64)> {
        let mut ticks: Vec<(f64, f64)> = Vec::new();
        for point in &self.points {
            if ticks.last().is_none_or(|last| point.1 - last.1 >= apart) {
                ticks.push(*point);
            }
        }
        ticks
    }
}

fn moments(timeline: &Timeline) -> Vec<f64> {
    let changes = timeline.at_path.iter().map(|change| change.at_ms);
    let marks = timeline.marks.iter().map(|mark| mark.at_ms);
    let calls = timeline.calls.iter().flat_map(|call| [call.from_ms, call.to_ms]);
    let lives = timeline.lanes.iter().flat_map(|lane| {
        let said = lane.said.iter().map(|said| said.at_ms);
        said.chain([lane.from_ms]).chain(lane.gone_ms).collect::<Vec<_>>()
    });
    changes.chain(marks).chain(calls).chain(lives).chain([timeline.end_ms]).map(|ms| ms.max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::timeline::PathChange;
    use super::*;

    #[test]
    fn order_is_kept_and_the_ends_are_the_edges() {
        let moments = [0.0, 0.05, 0.2, 30.0, 31.0, 1031.0];
        let at_path = moments.map(|at_ms| PathChange { at_ms, what: String::new(), file: None }).to_vec();
        let axis = Axis::over(&Timeline { at_path, ..Timeline::default() }, 100.0);
        let places = moments.map(|moment| axis.x(moment));
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        assert!(places[0].abs() < 1e-9 && (places[5] - 100.0).abs() < 1e-9);
        let between = axis.x(15.0);
        assert!(places[2] < between && between < places[3]);
        assert!((axis.x(5000.0) - 100.0).abs() < 1e-9, "what comes after the end is at the end");
    }
}
