//! What a replica knows of all of them, asked when somebody wants to know. One process over a file has none of these.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use store::Store;

/// The gauges of the replicas of one store.
pub(crate) struct ReplicaGauges(pub(crate) Arc<Store>);

impl Collector for ReplicaGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(census) = self.0.census() else {
            return Ok(());
        };
        let gauges = [
            (
                "replicas",
                "Replicas that are alive and not about to end",
                f64::from(census.live),
            ),
            (
                "replica_configurations",
                "Different configurations among them",
                f64::from(census.configurations),
            ),
            (
                "replica_silent_seconds",
                "Time since the database has last answered this replica",
                census.silent.as_secs_f64(),
            ),
            (
                "replica_cut_off",
                "Whether the others may take this replica for gone",
                f64::from(u8::from(census.is_cut_off)),
            ),
            (
                "replica_draining",
                "Whether this replica is about to end",
                f64::from(u8::from(census.is_draining)),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for ReplicaGauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplicaGauges")
    }
}
