//! Tests of PostgreSQL and replicas that fail: nothing is sent twice, nothing is sent without a trace, every caller gets an answer
//! in time, and the gateway recovers by itself.

mod cut_off;
mod encrypted;
mod failover;
mod paused;
mod pooler;
mod reads;
mod restarted;
pub(crate) mod stage;
pub(crate) mod storm;
mod unread;
mod woken;
