//! What is asked when somebody scrapes: each part of the gateway says how it is at that moment.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};

use crate::metric_table::{MetricKind, row};

/// The value of a counter or a gauge at one moment.
#[derive(Clone, Debug)]
pub struct MetricSample {
    /// The name in the table of metrics.
    name: &'static str,
    /// The label and its value, if it has one.
    label: Option<(&'static str, String)>,
    value: f64,
}

impl MetricSample {
    /// One without a label.
    #[must_use]
    pub fn of(name: &'static str, value: f64) -> MetricSample {
        let label = None;
        MetricSample { name, label, value }
    }

    /// One of several, which their label tells apart.
    #[must_use]
    pub fn labelled(name: &'static str, label: (&'static str, &str), value: f64) -> MetricSample {
        MetricSample {
            name,
            label: Some((label.0, label.1.to_owned())),
            value,
        }
    }

    /// Returns the value of the one with this name, rounded down, if it is among them.
    #[must_use]
    pub fn find(samples: &[MetricSample], name: &str) -> Option<u64> {
        let found = samples.iter().find(|sample| sample.name == name)?;
        Some(found.value as u64)
    }

    fn encode(&self, kind: MetricKind, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        // As people write it: `1` and not `1.0`.
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

/// All samples of one scrape; those of one name stand together.
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
