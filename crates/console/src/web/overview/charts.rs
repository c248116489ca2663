//! The geometry of charts, as SVG paths; the style sheet has the colours.

use crate::metrics_snapshot::CountsByWord;
use crate::state::history::{HistoryStep, STEP_S, STEPS};
use crate::web::text::grouped;

/// The drawing area, in units of the picture.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;

/// A chart over time.
pub(crate) struct Timeline {
    /// The text for screen readers.
    pub(crate) label: String,
    /// The value at the top.
    pub(crate) top: String,
    /// The time that the chart spans.
    pub(crate) minutes: usize,
    /// The value at half the height.
    pub(crate) middle: String,
    /// Areas and lines: class and path.
    pub(crate) paths: Vec<(&'static str, String)>,
}

/// Requests per second: those that ended well, and on top of them the others.
pub(crate) fn requests(steps: &[HistoryStep]) -> Timeline {
    let rate = |count: u64| count as f64 / STEP_S as f64;
    let all = steps.iter().map(|step| rate(step.served + step.failed));
    let all: Vec<f64> = all.collect();
    let failed: Vec<f64> = steps.iter().map(|step| rate(step.failed)).collect();
    let last = all.last().copied().unwrap_or(0.0);
    let worst = all.iter().copied().fold(0.0, f64::max);
    let top = nice(worst);
    Timeline {
        label: format!("Requests per second lately: {last:.1} now, {worst:.1} at most"),
        top: short(top),
        minutes: window(steps.len()) * STEP_S as usize / 60,
        middle: short(top / 2.0),
        paths: vec![("served", area(&all, top)), ("failed", area(&failed, top))],
    }
}

/// Draws latency percentiles in milliseconds.
pub(crate) fn latency(steps: &[HistoryStep]) -> Timeline {
    let of = |pick: fn(&HistoryStep) -> Option<f64>| steps.iter().map(pick).collect::<Vec<_>>();
    let series = [
        ("p50", of(|s| s.p50)),
        ("p95", of(|s| s.p95)),
        ("p99", of(|s| s.p99)),
    ];
    let values = series
        .iter()
        .flat_map(|(_, values)| values.iter().flatten());
    let top = nice(values.copied().fold(0.0, f64::max));
    let last = |values: &[Option<f64>]| {
        let last = values.iter().rev().flatten().next();
        last.map_or_else(|| "unknown".to_owned(), |ms| format!("{ms:.1} ms"))
    };
    Timeline {
        label: format!(
            "Latency lately, latest: half within {}, 95 % within {}, 99 % within {}",
            last(&series[0].1),
            last(&series[1].1),
            last(&series[2].1)
        ),
        top: format!("{} ms", short(top)),
        minutes: window(steps.len()) * STEP_S as usize / 60,
        middle: format!("{} ms", short(top / 2.0)),
        paths: series
            .iter()
            .map(|(class, values)| (*class, line(values, top)))
            .collect(),
    }
}

/// A bar of a table.
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) count: String,
    /// The share of the sum, in hundredths.
    pub(crate) share: String,
    /// The share of the longest bar, in hundredths.
    pub(crate) width: String,
}

/// Makes bars of counts, the longest first.
pub(crate) fn bars(counts: &CountsByWord) -> Vec<Bar> {
    let all: u64 = counts.values().sum();
    let most = counts.values().copied().max().unwrap_or(0).max(1);
    let mut sorted: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    sorted.sort_by(|(a, one), (b, other)| other.cmp(one).then(a.cmp(b)));
    let bars = sorted.into_iter().map(|(name, count)| Bar {
        name,
        count: grouped(*count),
        share: format!("{:.1} %", 100.0 * *count as f64 / all.max(1) as f64),
        width: format!("{:.1}", (100.0 * *count as f64 / most as f64).max(0.5)),
    });
    bars.collect()
}

/// Returns how many steps are shown: five minutes, ten, or all, so that a gateway that has just started shows something.
fn window(steps: usize) -> usize {
    let windows = [STEPS / 6, STEPS / 3, STEPS];
    windows
        .into_iter()
        .find(|window| steps <= *window)
        .unwrap_or(STEPS)
}

fn x(index: usize, count: usize) -> f64 {
    // The right edge is now.
    WIDTH - (count - 1 - index) as f64 * WIDTH / (window(count) - 1) as f64
}

fn y(value: f64, top: f64) -> f64 {
    HEIGHT - HEIGHT * (value / top).clamp(0.0, 1.0)
}

fn area(values: &[f64], top: f64) -> String {
    if values.is_empty() {
        return String::new();
    }
    let points = values
        .iter()
        .enumerate()
        .map(|(index, value)| format!("L{:.1} {:.1}", x(index, values.len()), y(*value, top)));
    let points: String = points.collect();
    format!(
        "M{:.1} {HEIGHT}{points}L{WIDTH} {HEIGHT}Z",
        x(0, values.len())
    )
}

/// Draws a line with gaps where values are missing; a value between two gaps is a short stroke, so that it shows.
fn line(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let (x, y) = (x(index, values.len()), y(*value, top));
        let piece = if is_drawing {
            format!("L{x:.1} {y:.1}")
        } else {
            format!("M{x:.1} {y:.1}h-1")
        };
        path.push_str(&piece);
        is_drawing = true;
    }
    path
}

/// Returns the next of 1, 2, 5, 10, … at or above the value.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps
        .iter()
        .map(|step| step * unit)
        .find(|top| *top >= most * 0.999)
        .unwrap_or(most)
}

fn short(value: f64) -> String {
    match value {
        1000.0.. => grouped(value.round() as u64),
        10.0.. => format!("{value:.0}"),
        _ => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_the_next_round_number() {
        for (most, top) in [
            (0.0, 1.0),
            (0.3, 0.5),
            (1.0, 1.0),
            (7.0, 10.0),
            (1010.0, 2000.0),
        ] {
            assert!((nice(most) - top).abs() < 1e-9, "{most}: {}", nice(most));
        }
    }

    #[test]
    fn the_latest_step_is_at_the_right_edge_and_gaps_stay_open() {
        assert_eq!(area(&[1.0], 1.0), "M720.0 160L720.0 0.0L720 160Z");
        let path = line(&[Some(1.0), None, Some(0.0), Some(1.0)], 1.0);
        assert_eq!(path.matches('M').count(), 2);
        assert_eq!(area(&[], 1.0), "");
    }
}
