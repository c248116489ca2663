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
    Text "timestamp" "Timestamp" "When it happened: UTC, to the microsecond (RFC 3339)";
    Text "level" "SeverityText" "TRACE, DEBUG, INFO, WARN or ERROR";
    Text "message" "Body" "What happened; `request` for a request that has ended";
    Text "target" "InstrumentationScope" "Which kind of line it is: chatgate::request, ::counted, ::change, ::log or ::defect, else the module of the program";

    Text "request_id" "chatgate.request_id" "The id that no other request has";
    Text "caller_request_id" "chatgate.caller_request_id" "The id that the caller chose by X-Request-ID";
    Text "trace_id" "TraceId" "The trace, where the request is traced";
    Text "way" "chatgate.way" "The way in: http, basic, jwt or soap";
    Text "access" "chatgate.access" "The name of the access";
    Text "method" "chatgate.method" "The operation";
    Text "parameters" "chatgate.parameters" "The parameters without texts, and with all but the end of people's numbers removed";
    Text "peer" "network.peer.address" "The address and port of the connection's other end";
    Text "client" "client.address" "The caller's address, behind trusted proxies";
    Text "walk" "chatgate.walk" "How that address was found, where the request was refused";
    Text "http_method" "http.request.method" "The HTTP method";
    Text "path" "http.route" "The path as it is routed";
    Text "user_agent" "user_agent.original" "The user agent, at most 128 characters";
    Number "status" "http.response.status_code" "The status on the wire; 0 if nobody was answered";
    Number "canonical_status" "chatgate.canonical_status" "The status that the outcome really has";
    Text "code" "error.type" "The code of the failure; empty if there is none";
    Text "delivery" "chatgate.delivery" "What is known of the delivery of a send: sent, not_sent or unknown";
    Text "cache" "chatgate.cache" "What the cache had to do with the answer";
    Number "attempts" "chatgate.attempts" "How often the upstream was asked";
    Number "queue_ms" "chatgate.queue_ms" "How long the call waited for a place in front of the upstream, in milliseconds";
    Number "upstream_ms" "chatgate.upstream_ms" "How long the upstream took, in milliseconds";
    Number "total_ms" "chatgate.total_ms" "From the head of the request to its answer, in milliseconds";
    Text "cause" "chatgate.cause" "Why; for operators, not for callers";
    Text "would_refuse" "chatgate.would_refuse" "Which rule that only reports would have refused the request";

    Text "network" "chatgate.network" "The network of the requests that were counted together";
    Number "count" "chatgate.count" "How many";
    Text "first_request_id" "chatgate.first_request_id" "The id of the first of them, which has a line of its own";

    Text "actor" "chatgate.actor" "The admin key that did it";
    Text "key" "chatgate.key" "The admin key that was changed";
    Text "role" "chatgate.role" "Its role";
    Number "erased" "chatgate.erased" "How many rows of the journal were erased";
    Text "webhook" "chatgate.webhook" "The id of a webhook";
    Text "state" "chatgate.state" "Its state";
    Flag "is_ok" "chatgate.is_ok" "Whether its receiver took the test";

    Text "error" "exception.message" "What went wrong";
    Text "place" "code.location" "Where in the program a thread panicked";
    Text "backtrace" "exception.stacktrace" "What led there";
    Text "job" "chatgate.job" "A job beside the requests that begins anew after a panic";
    Text "file" "file.path" "A file";
    Text "folder" "file.directory" "A folder";
    Text "cert" "chatgate.cert" "The file of a certificate";
    Text "host" "server.address" "A host of the upstream";
    Text "wait" "chatgate.wait" "For how long it is left alone";
    Text "address" "chatgate.address" "Where the sandbox listens";
    Text "mend" "chatgate.mend" "What puts it right";
    Text "signal" "chatgate.signal" "The name of a signal";
    Number "generation" "chatgate.generation" "The number of a configuration";
    Text "by" "chatgate.by" "What had it read again";
    Text "changed" "chatgate.changed" "The settings that changed";
    Text "without_effect" "chatgate.without_effect" "Settings that take a restart";
    Text "mistakes" "chatgate.mistakes" "What is wrong with it";
    Number "fitting" "chatgate.fitting" "How many connections the limit of open files leaves room for";
    Number "wanted" "chatgate.wanted" "How many limits.connections says";
    Number "files" "chatgate.files" "The limit of open files";
    Text "kid" "chatgate.kid" "The id of a signing key";
    Flag "signs" "chatgate.signs" "Whether it signs already";
    Flag "revoke" "chatgate.revoke" "Whether it ends the tokens of those before it";
    Text "issuer" "chatgate.issuer" "An outside issuer";
    Number "usable" "chatgate.usable" "How many of its keys can be used";
    Text "passed_over" "chatgate.passed_over" "Those that can't, and why";
    Text "pending" "chatgate.pending" "The replicas that do not have a change in force";
    Text "limits" "chatgate.limits" "Which limits hold: shared ones, or the replica's share";
    Number "timeline" "chatgate.timeline" "The timeline of the database after a failover";
    Number "back" "chatgate.back" "How many sends were put back on it";
    Number "held" "chatgate.held" "How many are held until they are";
    Number "ahead_ms" "chatgate.ahead_ms" "How far the database's clock is ahead, in milliseconds";
    Text "id" "chatgate.id" "The id of a row of the journal";
    Number "rows" "chatgate.rows" "How many rows of the journal";
    Number "dropped" "chatgate.dropped" "How many of them were dropped";
    Number "calls" "chatgate.calls" "Rows of calls that were cleared for their room";
    Number "sends_and_changes" "chatgate.sends_and_changes" "Rows of sends and changes among them";
    Number "unknown_callers" "chatgate.unknown_callers" "Rows of unknown callers among them";
    Number "known" "chatgate.known" "Lines of known callers that were dropped";
    Number "unknown" "chatgate.unknown" "Lines of others that were dropped";
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const PAGE_HEAD: &str = "# Fields of the log

A line of the log is a JSON object (`log.format = \"json\"`), the same fields as `name=value` (`\"logfmt\"`), or text for a person
(`\"text\"`). In logfmt texts stand in quotes, with the escapes of JSON's strings. Every request that has ended has one line, unless it is
counted with others. No field holds a secret or a text of a message. [deploy/vector](../deploy/vector) reads both formats into
OpenTelemetry's log data model, by the names of the third column; those that begin with `chatgate.` have no name among its semantic
conventions. Lines of libraries, at the levels DEBUG and TRACE, may have other fields. This page follows from the code.

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
    fn the_page_of_the_documentation_is_what_the_table_says() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let written = std::fs::read_to_string(format!("{root}/docs/log.md")).unwrap_or_default();
        if written != log_page() {
            std::fs::write(format!("{root}/target/log.md"), log_page()).unwrap();
            panic!("docs/log.md is out of date; type: cp target/log.md docs/");
        }
    }
}
