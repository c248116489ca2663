//! The same story for the journal.

use std::borrow::Cow;
use std::time::Duration;

use adapter::{Code, Way};
use forward::CacheStatus;
use http::HeaderMap;
use store::{JournalPayload, JournalRow};

use super::{Ending, Story};

/// How much of a cause the journal keeps, in characters: the upstream has a part in some.
const CAUSE_CHARACTERS_MAX: usize = 512;

/// Longest answer that the journal keeps, in bytes: a few hundred of them fill its queue.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

impl Story {
    /// The row of a send that has not been handed on yet.
    pub(crate) fn open_row(&self) -> JournalRow {
        let parameters = self.call.as_ref().map(|(_, shown)| shown.clone());
        JournalRow {
            trace_id: self.trace_id.clone(),
            access: self.access.clone(),
            user_agent: present(&self.user_agent).map(str::to_owned),
            payload: JournalPayload {
                destination: self.destination.clone(),
                parameters: parameters.filter(|shown| !shown.is_empty()),
                answer: None,
            },
            ..self.begun_row(self.age())
        }
    }

    /// The row of a story that is told. Takes what nothing needs afterwards.
    pub(super) fn row(&mut self, ending: &Ending<'_>) -> JournalRow {
        let parameters = self.call.as_mut().map(|(_, shown)| std::mem::take(shown));
        let cause = present(ending.cause).map(|cause| cause.chars().take(CAUSE_CHARACTERS_MAX));
        JournalRow {
            trace_id: self.trace_id.take(),
            access: self.access.take(),
            user_agent: Some(std::mem::take(&mut self.user_agent)).filter(|name| !name.is_empty()),
            status: Some(ending.wire_status),
            canonical: Some(ending.canonical),
            code: present(ending.code).map(|code| code.to_owned().into()),
            upstream_code: self
                .upstream_code(ending.code)
                .map(|code| code.to_owned().into()),
            delivery: present(ending.delivery).map(|word| word.to_owned().into()),
            attempts: self.timing.map(|timing| timing.attempts),
            queue_us: self.timing.map(|timing| micros(timing.queued)),
            upstream_us: self.timing.map(|timing| micros(timing.upstream)),
            total_us: Some(micros(ending.took)),
            cache: self.cache.map(|cache| CacheStatus::word(cache).into()),
            cause: cause.map(|cause| cause.collect::<String>().into()),
            would_refuse: self.would_refuse.take(),
            payload: JournalPayload {
                destination: self.destination.take(),
                parameters: parameters.filter(|shown| !shown.is_empty()),
                answer: ending.answer.map(kept),
            },
            ..self.begun_row(ending.took)
        }
    }

    /// What is known of a request before its outcome, without who called and what was said; of the moment when it took so
    /// long already.
    fn begun_row(&self, took: Duration) -> JournalRow {
        let limit = self.narrowest_limit();
        JournalRow {
            at_ms: self.ms_at(took),
            request_id: Some(self.own_id().to_owned()),
            caller_request_id: self.callers_id().map(str::to_owned),
            way: self.way.map(|way| Way::name(way).into()),
            method: self.operation().map(|operation| operation.method.into()),
            http_method: Some(word_of(self.http_method())),
            path: Some(self.route.into()),
            peer: Some(self.peer().address),
            client: self.client.map(|client| client.0),
            limited_by: limit.map(|(name, ..)| name.into()),
            limit_max: limit.map(|(_, most, _)| most),
            limit_left: limit.map(|(.., left)| left),
            generation: i64::try_from(self.snapshot.generation).ok(),
            ..JournalRow::default()
        }
    }

    /// The moment when it took so long, in milliseconds since 1970.
    pub(super) fn ms_at(&self, took: Duration) -> i64 {
        i64::try_from((self.began_at + took).as_millis()).unwrap_or(i64::MAX)
    }

    /// Of the limits that counted the call, the one of which least is left: its name, what it lets through, what is left.
    fn narrowest_limit(&self) -> Option<(&'static str, u32, u32)> {
        let minute = self
            .limit
            .map(|(name, limit)| (name, limit.per_minute, limit.remaining));
        let day = self.day.map(|day| ("day", day.per_day, day.remaining));
        minute.into_iter().chain(day).min_by_key(|(.., left)| *left)
    }

    /// The code, where it is the upstream's word and not ours.
    fn upstream_code<'a>(&self, code: &'a str) -> Option<&'a str> {
        let ours = Code::ALL.iter().any(|ours| ours.word() == code);
        let said = Code::from_chat_api(code).is_some() || !ours;
        (self.timing.is_some() && said)
            .then_some(code)
            .and_then(present)
    }
}

/// What the journal keeps of an answer: all of it, unless it would crowd out everything else.
fn kept(answer: &adapter::Response) -> String {
    match answer.bytes() {
        0..=ANSWER_BYTES_MAX => answer.result().to_owned(),
        bytes => format!("({bytes} bytes)"),
    }
}

/// The trace id of a well-formed `traceparent` (W3C Trace Context, 3.2). Whoever calls this trusts the peer.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut fields = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace) = (fields.next()?, fields.next()?);
    let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = version.len() == 2 && version != "ff" && trace.len() == 32 && is_hex(version);
    let is_id =
        |id: &str, length| id.len() == length && is_hex(id) && id.bytes().any(|b| b != b'0');
    (fits && is_id(trace, 32) && is_id(fields.next()?, 16)).then(|| trace.to_owned())
}

/// An HTTP method; those that callers use need no copy.
fn word_of(method: &str) -> Cow<'static, str> {
    const USED: [&str; 4] = ["GET", "POST", "HEAD", "OPTIONS"];
    let used = USED.into_iter().find(|used| *used == method);
    used.map_or_else(|| Cow::Owned(method.to_owned()), Cow::Borrowed)
}

fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_names_a_trace() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().unwrap());
            trace_id(&headers)
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            id(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(),
            Some(trace)
        );
        for wrong in [
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{trace}"),
            String::new(),
        ] {
            assert_eq!(id(&wrong), None, "{wrong}");
        }
    }
}
