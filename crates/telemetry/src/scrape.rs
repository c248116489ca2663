//! The samples that each part of the gateway provides at the time of a scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};

use crate::metric_table::{MetricKind, row};

/// The value of a counter or a gauge at one point in time.
#[derive(Clone, Debug)]
pub struct MetricSample {
    /// The name in the table of metrics.
    name: &'static str,
    /// The label and its value, if the metric has a label.
    label: Option<(&'static str, String)>,
    value: f64,
}

impl MetricSample {
    /// Creates a sample without a label.
    #[must_use]
    pub fn of(name: &'static str, value: f64) -> MetricSample {
        let label = None;
        MetricSample { name, label, value }
    }

    /// Creates a sample of a metric whose samples are distinguished by a label.
    #[must_use]
    pub fn labelled(name: &'static str, label: (&'static str, &str), value: f64) -> MetricSample {
        MetricSample {
            name,
            label: Some((label.0, label.1.to_owned())),
            value,
        }
    }

    /// Returns the value of the first sample with this name, rounded down, if there is one.
    #[must_use]
    pub fn find(samples: &[MetricSample], name: &str) -> Option<u64> {
        let found = samples.iter().find(|sample| sample.name == name)?;
        Some(found.value as u64)
    }

    fn encode(&self, kind: MetricKind, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        // Whole numbers are written as `1` instead of `1.0`.
        let whole = Some(self.value as i64).filter(|whole| *whole as f64 == self.value);
        match (kind, whole) {
            (MetricKind::Counter, Some(whole)) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(&whole.unsigned_abs(), None)
            }
            (MetricKind::Counter, None) => {
                encoder.encode_counter::<NoLabelSet, _, f64>(&self.value, None)
            }
            (_, Some(whole)) => encoder.encode_gauge(&whole),
            (_, None) => encoder.encode_gauge(&self.value),
        }
    }
}

/// All samples of one scrape. Samples with the same name are adjacent.
#[derive(Debug)]
pub(crate) struct Scrape(pub(crate) Vec<MetricSample>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for samples in self.0.chunk_by(|one, next| one.name == next.name) {
            let Some(row) = samples.first().and_then(|sample| row(sample.name)) else {
                continue;
            };
            let help = format!("{}.", row.help);
            let mut family =
                encoder.encode_descriptor(row.base(), &help, None, row.metric_type())?;
            for sample in samples {
                match &sample.label {
                    None => sample.encode(row.kind, &mut family)?,
                    Some((name, word)) => {
                        let labels = [(*name, word.as_str())];
                        sample.encode(row.kind, &mut family.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}
