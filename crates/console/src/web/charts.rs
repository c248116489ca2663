//! Computes the geometry of charts as SVG paths. The style sheet sets the colours.

use crate::journal::summary::{JournalSummary, STEP_MS};
use crate::state::history::{HistoryStep, STEP_S, STEPS};
use crate::web::text::{clock, escape_invisible, grouped};

/// The size of the drawing area, in SVG units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;

/// A chart over time.
pub(crate) struct Timeline {
    /// The text for screen readers.
    pub(crate) label: String,
    /// The value at the top of the chart.
    pub(crate) top: String,
    /// The time at the left edge.
    pub(crate) begin: String,
    /// The time at the right edge.
    pub(crate) end: String,
    /// The value at half the height.
    pub(crate) middle: String,
    /// The areas and lines: CSS class and path.
    pub(crate) paths: Vec<(&'static str, String)>,
}

/// Draws the requests per second: successful requests, with failed requests stacked on top.
pub(crate) fn requests(steps: &[HistoryStep]) -> Timeline {
    let all = steps
        .iter()
        .map(|step| step.per_second(step.served + step.failed));
    let all: Vec<f64> = all.collect();
    let failed = steps.iter().map(|step| step.per_second(step.failed));
    let failed: Vec<f64> = failed.collect();
    let last = all.last().copied().unwrap_or(0.0);
    let worst = all.iter().copied().fold(0.0, f64::max);
    let top = nice(worst);
    Timeline {
        label: format!("Recent requests per second: {last:.1} now, {worst:.1} at most"),
        top: short(top),
        begin: minutes_ago(steps.len()),
        end: "now".to_owned(),
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
            "Recent latency: 50 % within {}, 95 % within {}, 99 % within {}",
            last(&series[0].1),
            last(&series[1].1),
            last(&series[2].1)
        ),
        top: format!("{} ms", short(top)),
        begin: minutes_ago(steps.len()),
        end: "now".to_owned(),
        middle: format!("{} ms", short(top / 2.0)),
        paths: series
            .iter()
            .map(|(class, values)| (*class, line(values, top)))
            .collect(),
    }
}

/// The possible bar lengths in seconds. A chart uses the longest one that yields at least [`BARS_MIN`] bars.
const BARS_S: [i64; 4] = [900, 300, 60, 10];
const BARS_MIN: i64 = 12;

/// Draws the calls of the journal between two times, in milliseconds since 1970, as bars. The rejected or failed calls are drawn
/// over them.
pub(crate) fn calls(summary: &JournalSummary, (from_ms, until_ms): (i64, i64)) -> Timeline {
    let from_ms = summary.examined_to_ms.map_or(from_ms, |ms| ms.max(from_ms));
    let (from_s, until_s) = (from_ms / 1000, until_ms / 1000);
    let mut widths = BARS_S.into_iter();
    let width = widths.find(|width| (until_s - from_s) / width >= BARS_MIN);
    let width = width.unwrap_or(STEP_MS / 1000);
    // Start at a multiple of the bar length, so that the first bar is not partial.
    let (first, end) = (from_s.div_euclid(width), until_s.div_euclid(width) + 1);
    let mut bars = vec![(0, 0); usize::try_from(end - first).unwrap_or(0)];
    for (step, (calls, failed)) in &summary.steps {
        let place = (step * STEP_MS / 1000).div_euclid(width) - first;
        if let Some(bar) = usize::try_from(place).ok().and_then(|at| bars.get_mut(at)) {
            *bar = (bar.0 + calls, bar.1 + failed);
        }
    }
    let worst = bars.iter().map(|(calls, _)| *calls).max().unwrap_or(0);
    let top = nice(worst as f64);
    let (begin, length) = (clock(first * width), length(width));
    Timeline {
        label: format!(
            "Calls by {length} since {begin} UTC: {} in total, {} of them rejected or failed, {worst} at most in one {length}",
            summary.calls, summary.failed
        ),
        top: short(top),
        begin: format!("{begin} UTC"),
        end: clock(until_s),
        middle: short(top / 2.0),
        paths: vec![
            ("served", columns(bars.iter().map(|bar| bar.0), top)),
            ("failed", columns(bars.iter().map(|bar| bar.1), top)),
        ],
    }
}

/// Returns the text for the length of a bar.
fn length(seconds: i64) -> String {
    match seconds {
        900 => "quarter of an hour".to_owned(),
        60 => "minute".to_owned(),
        61.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}

fn columns(values: impl ExactSizeIterator<Item = u64>, top: f64) -> String {
    let width = WIDTH / values.len().max(1) as f64;
    let columns = values.enumerate().filter(|(_, value)| *value > 0);
    let columns = columns.map(|(index, value)| {
        // A fifth of the width is the gap between two bars.
        let (x, y) = ((index as f64 + 0.1) * width, y(value as f64, top));
        format!("M{x:.1} {HEIGHT}V{y:.1}h{:.1}V{HEIGHT}Z", width * 0.8)
    });
    columns.collect()
}

/// A bar in a table.
pub(crate) struct Bar {
    pub(crate) name: String,
    /// The journal query that finds the bar's rows; `None` if there are no such rows.
    pub(crate) query: Option<String>,
    pub(crate) count: String,
    /// The share of the total, as a percentage with sign.
    pub(crate) share: String,
    /// The length relative to the longest bar, in percent.
    pub(crate) width: String,
}

/// Makes the bars of these counts, at most `bars_max`, the longest first. `all` is the total of which each bar shows its share.
pub(crate) fn bars<'a>(
    counts: impl IntoIterator<Item = (&'a str, u64)>,
    (all, bars_max): (u64, usize),
    query: impl Fn(&str) -> Option<String>,
) -> Vec<Bar> {
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let mut sorted: Vec<_> = counts.collect();
    sorted.sort_by(|(a, one), (b, other)| other.cmp(one).then(a.cmp(b)));
    sorted.truncate(bars_max);
    let most = sorted.first().map_or(1, |(_, count)| *count);
    let bars = sorted.into_iter().map(|(name, count)| Bar {
        name: escape_invisible(name),
        query: query(name),
        count: grouped(count),
        share: format!("{:.1} %", 100.0 * count as f64 / all.max(1) as f64),
        width: format!("{:.1}", (100.0 * count as f64 / most as f64).max(0.5)),
    });
    bars.collect()
}

fn minutes_ago(steps: usize) -> String {
    format!("{} min ago", window(steps) * STEP_S as usize / 60)
}

/// Returns the number of steps that the chart has room for: five minutes, ten, or all. A gateway that has just started thus fills a
/// visible part of the chart.
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

/// Draws a line with gaps where values are missing. A value between two gaps is drawn as a short stroke so that it is visible.
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

/// Returns the smallest of 1, 2, 5, 10, … that is at least the value.
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
    fn the_chart_scale_is_the_next_round_number() {
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
    fn the_rate_of_a_long_step_is_averaged_over_its_duration() {
        let step = |served, seconds| HistoryStep {
            served,
            seconds,
            ..HistoryStep::default()
        };
        let chart = requests(&[step(1000, 20.0), step(50, 5.0)]);
        let label = "Recent requests per second: 10.0 now, 50.0 at most";
        assert_eq!((&*chart.label, &*chart.top), (label, "50"));
    }

    #[test]
    fn the_call_chart_uses_the_longest_interval_that_gives_enough_bars() {
        let at = |s: i64| s * 1000 / STEP_MS;
        let mut summary = JournalSummary {
            steps: [(at(3600), (4, 0)), (at(7190), (1, 1)), (at(7200), (2, 1))].into(),
            ..JournalSummary::default()
        };
        let chart = calls(&summary, (0, 7_200_000));
        assert_eq!(chart.top, "5");
        assert_eq!(
            (chart.begin.as_str(), chart.end.as_str()),
            ("00:00 UTC", "02:00")
        );
        // With quarters of an hour there would be only eight bars, which is too few.
        assert!(chart.label.contains("by 5 minutes"), "{}", chart.label);
        assert_eq!(chart.paths[0].1.matches('M').count(), 3);
        summary.examined_to_ms = Some(7_000_000);
        let chart = calls(&summary, (0, 7_200_000));
        assert!(
            chart.label.contains("by 10 seconds since 01:56"),
            "{}",
            chart.label
        );
        assert_eq!(chart.paths[0].1.matches('M').count(), 2);
        assert_eq!(chart.paths[1].1.matches('M').count(), 2);
    }

    #[test]
    fn a_chart_ends_at_its_right_edge_and_leaves_gaps_open() {
        assert_eq!(area(&[1.0], 1.0), "M720.0 160L720.0 0.0L720 160Z");
        let path = line(&[Some(1.0), None, Some(0.0), Some(1.0)], 1.0);
        assert_eq!(path.matches('M').count(), 2);
        assert_eq!(area(&[], 1.0), "");
    }
}
