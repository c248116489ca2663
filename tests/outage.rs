//! What happens when PostgreSQL or a replica fails: nothing is sent twice, nothing is sent without a trace, everybody gets an
//! answer in time, and all goes on by itself.

mod cut_off;
mod encrypted;
mod failover;
mod paused;
mod pooler;
mod reads;
mod restarted;
pub(crate) mod stage;
pub(crate) mod storm;
