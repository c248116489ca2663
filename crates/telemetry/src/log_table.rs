//! The table of all log fields, with their OpenTelemetry names.

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFieldKind {
    /// Text in quotes.
    Text,
    /// Digits, possibly with a decimal point.
    Number,
    /// `true` or `false`.
    Flag,
}

/// One field of a line.
#[derive(Clone, Copy, Debug)]
pub struct LogField {
    /// The name in the line.
    pub name: &'static str,
    /// The type of the value.
    pub kind: LogFieldKind,
    /// The place in OpenTelemetry's log data model, or the attribute of the semantic conventions.
    pub open_telemetry: &'static str,
    /// The meaning of the field.
    pub meaning: &'static str,
}

/// Declares the fields, one per row: kind, name, OpenTelemetry's name, and meaning.
macro_rules! fields {
    ($($kind:ident $name:literal $open_telemetry:literal $meaning:literal;)*) => {
        /// All fields, in the order of the documentation. The content of a line determines which fields it has.
        pub const LOG_FIELDS: &[LogField] = &[$(LogField {
            name: $name,
            kind: LogFieldKind::$kind,
            open_telemetry: $open_telemetry,
            meaning: $meaning,
        },)*];
    };
}

fields! {
    Text "timestamp" "Timestamp" "The time of the event: UTC, to the microsecond (RFC 3339)";
    Text "level" "SeverityText" "TRACE, DEBUG, INFO, WARN or ERROR";
    Text "message" "Body" "The event; `request` for a request that has ended";
    Text "target" "InstrumentationScope" "The kind of the line: chatgate::request, ::counted, ::change, ::log or ::defect, otherwise the module of the program";

    Text "request_id" "chatgate.request_id" "The unique id of the request";
    Text "caller_request_id" "chatgate.caller_request_id" "The id that the caller sent in X-Request-ID";
    Text "trace_id" "TraceId" "The id of the trace, if the request is traced";
    Text "way" "chatgate.way" "The way in: http, basic, jwt or soap";
    Text "access" "chatgate.access" "The name of the access";
    Text "method" "chatgate.method" "The method of the call";
    Text "parameters" "chatgate.parameters" "The parameters of the call, without texts, and with only the last digits of phone numbers";
    Text "peer" "network.peer.address" "The address and port of the connection's peer";
    Text "client" "client.address" "The caller's address, as resolved through trusted proxies";
    Text "walk" "chatgate.walk" "The steps by which that address was resolved, if the request was refused";
    Text "http_method" "http.request.method" "The HTTP method";
    Text "path" "http.route" "The path of the route";
    Text "user_agent" "user_agent.original" "The user agent, at most 128 characters";
    Number "status" "http.response.status_code" "The status that was sent; 0 if no answer was sent";
    Number "canonical_status" "chatgate.canonical_status" "The status that belongs to the outcome, whatever the way in sends";
    Text "code" "error.type" "The code of the failure; empty if the request succeeded";
    Text "delivery" "chatgate.delivery" "The delivery of a send: sent, not_sent or unknown";
    Text "cache" "chatgate.cache" "The part that the cache had in the answer";
    Number "attempts" "chatgate.attempts" "The number of requests to the upstream";
    Number "queue_ms" "chatgate.queue_ms" "The time that the call waited in the queue in front of the upstream, in milliseconds";
    Number "upstream_ms" "chatgate.upstream_ms" "The time that the upstream took, in milliseconds";
    Number "total_ms" "chatgate.total_ms" "The time from the head of the request to its answer, in milliseconds";
    Text "cause" "chatgate.cause" "The reason of the outcome, also where the caller gets only a code; for operators";
    Text "would_refuse" "chatgate.would_refuse" "The report-only rule that would have refused the request";

    Text "network" "chatgate.network" "The network of requests that were counted together";
    Number "count" "chatgate.count" "The number of requests, or of connections, that the line counts";
    Text "first_request_id" "chatgate.first_request_id" "The id of the first of these requests, which has its own line";

    Text "actor" "chatgate.actor" "The admin key that made the change";
    Text "key" "chatgate.key" "The admin key that was changed";
    Text "role" "chatgate.role" "The role of the admin key";
    Number "erased" "chatgate.erased" "The number of journal rows that were erased";
    Text "webhook" "chatgate.webhook" "The id of a webhook";
    Text "event" "chatgate.event" "The id of an event";
    Text "state" "chatgate.state" "The state of the webhook";
    Flag "accepted" "chatgate.accepted" "True if the webhook's receiver accepted the test";

    Text "error" "exception.message" "The error";
    Text "location" "code.location" "The place in the program at which a thread panicked";
    Text "backtrace" "exception.stacktrace" "The call stack of the panic";
    Text "job" "chatgate.job" "The name of a background job that restarts after a panic";
    Text "file" "file.path" "The path of a file";
    Text "folder" "file.directory" "The path of a folder";
    Text "cert" "chatgate.cert" "The path of a certificate";
    Text "host" "server.address" "The host of an upstream endpoint";
    Text "wait" "chatgate.wait" "The time for which the endpoint gets no calls";
    Text "address" "chatgate.address" "The address on which the sandbox listens";
    Text "hint" "chatgate.hint" "What the operator can do";
    Text "signal" "chatgate.signal" "The name of a signal";
    Number "generation" "chatgate.generation" "The number of a configuration";
    Text "trigger" "chatgate.trigger" "What caused the reload";
    Text "changed" "chatgate.changed" "The settings that changed";
    Text "without_effect" "chatgate.without_effect" "The changed settings that have no effect, with the reason";
    Text "mistakes" "chatgate.mistakes" "The mistakes in the configuration";
    Number "connections_allowed" "chatgate.connections_allowed" "The number of connections that the limit of open files allows";
    Number "connections_configured" "chatgate.connections_configured" "The number of connections that limits.connections allows";
    Number "open_files" "chatgate.open_files" "The limit of open files";
    Text "kid" "chatgate.kid" "The id of a signing key";
    Flag "signs" "chatgate.signs" "True if the key already signs tokens";
    Flag "revoke" "chatgate.revoke" "True if the new key revokes the tokens of older keys";
    Text "issuer" "chatgate.issuer" "The name of an outside issuer";
    Number "usable" "chatgate.usable" "The number of the issuer's keys that can be used";
    Text "skipped_keys" "chatgate.skipped_keys" "The issuer's keys that can't be used, with the reasons";
    Text "pending" "chatgate.pending" "The replicas that have not applied a change";
    Text "limits" "chatgate.limits" "The limits that are enforced: shared, or the replica's share";
    Number "timeline" "chatgate.timeline" "The timeline of the database after a failover";
    Number "restored" "chatgate.restored" "The number of sends that were restored after the failover";
    Number "under_way" "chatgate.under_way" "The number of sends that were under way at the failover";
    Number "ahead_ms" "chatgate.ahead_ms" "The lead of the database's clock over this machine's, in milliseconds";
    Text "id" "chatgate.id" "The id of a journal row";
    Number "rows" "chatgate.rows" "The number of journal rows";
    Number "dropped" "chatgate.dropped" "The number of journal rows that were dropped";
    Number "calls" "chatgate.calls" "The number of rows of calls that were deleted to free space";
    Number "sends_and_changes" "chatgate.sends_and_changes" "The number of rows of sends and changes that were deleted to free space";
    Number "unknown_callers" "chatgate.unknown_callers" "The number of rows of unknown callers that were deleted to free space";
    Number "known" "chatgate.known" "The number of dropped lines about known callers";
    Number "unknown" "chatgate.unknown" "The number of other dropped lines";
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const PAGE_HEAD: &str = "# Fields of the log

A line of the log is a JSON object (`log.format = \"json\"`), the same fields as `name=value` (`\"logfmt\"`), or text for a person
(`\"text\"`). In logfmt, texts are in quotes, with the escapes of JSON strings. Every request that has ended has one line, unless it is
counted with others. No field contains a secret or a text of a message. [deploy/vector](../deploy/vector) reads JSON and logfmt into
OpenTelemetry's log data model, with the names of the third column. Names that begin with `chatgate.` are not part of its semantic
conventions. Lines of libraries, at the levels DEBUG and TRACE, may have other fields. This page is generated from the code.

| field | kind | OpenTelemetry | meaning |
|---|---|---|---|
";

    /// Returns the page of the documentation.
    fn log_page() -> String {
        let mut page = PAGE_HEAD.to_owned();
        for field in LOG_FIELDS {
            let kind = match field.kind {
                LogFieldKind::Text => "text",
                LogFieldKind::Number => "number",
                LogFieldKind::Flag => "true or false",
            };
            let LogField {
                name,
                open_telemetry,
                meaning,
                ..
            } = field;
            // Writing into a String cannot fail.
            let _ = writeln!(
                page,
                "| `{name}` | {kind} | `{open_telemetry}` | {meaning} |"
            );
        }
        page
    }

    #[test]
    fn the_log_documentation_matches_the_field_table() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let written = std::fs::read_to_string(format!("{root}/docs/log.md")).unwrap_or_default();
        if written != log_page() {
            std::fs::write(format!("{root}/target/log.md"), log_page()).unwrap();
            panic!("docs/log.md is out of date; type: cp target/log.md docs/");
        }
    }
}
