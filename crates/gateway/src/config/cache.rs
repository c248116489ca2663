//! Reads the settings of the cache of reads.

use std::time::Duration;

use adapter::OPERATIONS;
use forward::CacheConfig;
use settings::{Reader, ValueKind, parse};

pub(super) fn cache(reader: &mut Reader<'_>) -> CacheConfig {
    CacheConfig {
        lifetimes: OPERATIONS
            .each_ref()
            .map(|operation| match &operation.cacheable {
                Some(caching) => {
                    let default = format!("{}s", caching.default_s);
                    reader.duration(&format!("cache.{}", operation.method), &default)
                }
                None => Duration::ZERO,
            }),
        bytes: reader.value("cache.bytes", "32MiB", ValueKind::Bytes, parse::bytes) as u64,
    }
}
