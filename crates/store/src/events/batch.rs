//! Stores a batch of observations so that an observation which the store refuses takes no other one with it.

use crate::{Event, ObservedChannel, Store, StoreError};

/// The result of storing a batch of observations.
#[derive(Debug, Default)]
pub struct StoredBatch {
    /// The new events, in their order.
    pub events: Vec<Event>,
    /// For each observation, true if it is stored.
    pub is_stored: Vec<bool>,
    /// The last error, unless all observations are stored.
    pub error: Option<StoreError>,
}

impl Store {
    /// Stores observations in one commit, as [`Store::record_observed`] does. If the store refuses a row, the batch is undone, and
    /// each observation is stored in a separate commit until another error occurs.
    pub async fn record_batch(
        &self,
        observations: Vec<ObservedChannel>,
        now_ms: i64,
    ) -> StoredBatch {
        let count = observations.len();
        let mut error = match self.record_observed(observations.clone(), now_ms).await {
            Ok(events) => {
                return StoredBatch {
                    events,
                    is_stored: vec![true; count],
                    error: None,
                };
            }
            Err(error) => error,
        };
        let (mut events, mut is_stored) = (Vec::new(), vec![false; count]);
        for (is_stored, observation) in is_stored.iter_mut().zip(observations) {
            // Other errors concern all rows, and more attempts would only add to the load.
            if count == 1 || !error.is_row_fault() {
                break;
            }
            match self.record_observed(vec![observation], now_ms).await {
                Ok(new) => {
                    events.extend(new);
                    *is_stored = true;
                }
                Err(next) => error = next,
            }
        }
        StoredBatch {
            events,
            is_stored,
            error: Some(error),
        }
    }
}
