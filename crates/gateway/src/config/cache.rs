//! The cache of reads.

use forward::CacheConfig;
use settings::{Reader, ValueKind, parse};

pub(super) fn cache(reader: &mut Reader<'_>) -> CacheConfig {
    CacheConfig {
        getchatchannels: reader.duration("cache.getchatchannels", "60s"),
        getchats: reader.duration("cache.getchats", "2s"),
        bytes: reader.value("cache.bytes", "32MiB", ValueKind::Bytes, parse::bytes) as u64,
    }
}
