//! The end-to-end tests: one binary that starts the real gateway and speaks to it as its callers do.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(
    clippy::print_stdout,
    reason = "a test tells how much it has checked, or that it was skipped"
)]
#![expect(
    unreachable_pub,
    reason = "the harness is for all modules of this one binary"
)]

mod harness;
mod http2;

mod access_limits;
mod accesses;
mod across_ways;
mod address_table;
mod addresses;
mod blocked_files;
mod browser;
mod charsets;
mod commands;
mod configuration;
mod conformance;
mod console;
mod counted_rows;
mod crash;
mod cross_origin;
mod dashboards;
mod disk;
mod docs;
mod drain;
mod events;
mod explain;
mod exposure;
mod file_rights;
mod file_urls;
mod first_start;
mod fleet;
mod guessing;
mod journal;
mod key_rotation;
mod large_answers;
mod lifecycle;
mod limits_and_cache;
mod load;
mod log;
mod matrix;
mod metrics;
mod openapi;
mod operators_at_once;
mod operators_trace;
mod outage;
mod output;
mod outside_issuers;
mod proxy_protocol;
mod races;
mod real_clients;
mod receipt_room;
mod receipts;
mod reload;
mod replay;
mod replicas;
mod resets;
mod rolling;
mod same_call;
mod samples;
mod schema;
mod secrets;
mod sends;
mod shared_counts;
mod signing_keys;
mod soap;
mod store_gone;
mod streams;
mod terminal;
mod tidy;
mod tls;
mod token_ends;
mod tokens;
mod traces;
mod transcript;
mod unread_answers;
mod upstream_faults;
mod visible;
mod visible_channels;
mod webchat;
mod webhooks;
mod wire;
