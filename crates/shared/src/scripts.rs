//! The operations on counts, each one script on one key. A count is the time at which its limit is full again, in microseconds of
//! the server's clock. Its key expires when it no longer matters.

use std::sync::LazyLock;

use redis::Script;

/// Reads the server's clock. The callers' clocks differ, so that a fast one would admit calls too early.
const CLOCK: &str = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2]\n";

/// Reads the count, and defines the function that writes it.
const COUNT: &str = "
local each = tonumber(ARGV[1])
local full = tonumber(redis.call('GET', KEYS[1])) or now
if full < now then full = now end
local function keep()
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1000)
end
";

/// Takes the needed calls, or up to the wanted calls as long as each replica leaves the others their part of a quarter of the free
/// calls. ARGV: interval, burst, needed, wanted, replicas. Returns the number of taken calls, the wait if there are none, and the
/// number of remaining calls.
const TAKE: &str = "
local burst, needed, wanted, replicas = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local free = math.floor((now + burst * each - full) / each)
if free < 1 then return {0, full - now - (burst - 1) * each, 0} end
local got = math.min(free, math.max(needed, math.min(wanted, math.floor(free / (4 * replicas)))))
full = full + got * each
keep()
return {got, 0, free - got}
";

/// Takes nothing. ARGV: interval, burst. Returns the number of remaining calls, and the wait if there are none.
const PEEK: &str = "
local burst = tonumber(ARGV[2])
local free = math.floor((now + burst * each - full) / each)
if free < 1 then return {0, full - now - (burst - 1) * each} end
return {free, 0}
";

/// Gives taken calls back. ARGV: interval, cells.
const REFUND: &str = "
if full == now then return 0 end
full = full - tonumber(ARGV[2]) * each
if full <= now then redis.call('DEL', KEYS[1]) else keep() end
return 0
";

/// Adds calls that were already admitted, even beyond the limit. ARGV: interval, cells. Returns the time until the limit is full
/// again.
const ADD: &str = "
full = full + tonumber(ARGV[2]) * each
keep()
return full - now
";

/// Begins a lease if fewer than the maximum are in progress. A lease that is never ended expires. ARGV: maximum, time in ms, id.
/// Returns whether the lease has begun.
const BEGIN_LEASE: &str = "
local most, lasting = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if redis.call('ZCARD', KEYS[1]) >= most then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + lasting * 1000), ARGV[3])
redis.call('PEXPIRE', KEYS[1], math.max(lasting, redis.call('PTTL', KEYS[1])))
return 1
";

/// Returns the number of leases in progress.
const COUNT_LEASES: &str =
    "return redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now), '+inf')";

/// Ends a lease. ARGV: id.
const END_LEASE: &str = "return redis.call('ZREM', KEYS[1], ARGV[1])";

/// All scripts.
pub(crate) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts::with_clock(CLOCK));

/// The scripts by purpose.
pub(crate) struct Scripts {
    pub(crate) take: Script,
    pub(crate) peek: Script,
    pub(crate) refund: Script,
    pub(crate) add: Script,
    pub(crate) begin_lease: Script,
    pub(crate) count_leases: Script,
    pub(crate) end_lease: Script,
}

impl Scripts {
    fn with_clock(clock: &str) -> Scripts {
        let text = |script: &str| format!("{clock}{COUNT}{script}");
        Scripts {
            take: Script::new(&text(TAKE)),
            peek: Script::new(&text(PEEK)),
            refund: Script::new(&text(REFUND)),
            add: Script::new(&text(ADD)),
            begin_lease: Script::new(&format!("{clock}{BEGIN_LEASE}")),
            count_leases: Script::new(&format!("{clock}{COUNT_LEASES}")),
            end_lease: Script::new(END_LEASE),
        }
    }

    /// Returns the same scripts with the time as the last argument.
    #[cfg(test)]
    pub(crate) fn with_injected_clock() -> Scripts {
        Scripts::with_clock("local now = tonumber(ARGV[#ARGV])\n")
    }
}

#[cfg(test)]
mod tests;
