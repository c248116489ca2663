//! The closed set of codes that a call can end with, other than success.

/// Whose vocabulary a code belongs to; the wire status of the drop-in ways hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Stated by the chat API itself; existing clients know it and expect it with HTTP status 200.
    Page,
    /// The gateway's own refusal, always told with its real status.
    Gateway,
}

/// Every reason for which a call can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "each variant is its word in capitals; `row` holds what it means"
)]
pub enum Code {
    MissingUser,
    MissingPassword,
    MissingClass,
    MissingMethod,
    MissingCompulsoryParam,
    IncorrectUserPassword,
    IncorrectClass,
    IncorrectMethod,
    ChannelNotFound,
    ChatNotFound,
    IncorrectFiletype,
    IncorrectFileurl,
    IncorrectThumburl,
    IpNotAllowed,
    OperationNotAllowed,
    HttpMethodNotAllowed,
    NotFound,
    AccessDisabled,
    MissingToken,
    IncorrectToken,
    ExpiredToken,
    RateLimited,
    TooManyFailures,
    IncorrectParam,
    MalformedRequest,
    UnsupportedMediaType,
    RequestTooLarge,
    IdempotencyMismatch,
    IdempotencyInProgress,
    UpstreamRefusedCredentials,
    UpstreamError,
    UpstreamUnavailable,
    Overloaded,
    UpstreamTimeout,
    InternalError,
    /// A well-shaped code of the upstream that the page does not list; its own word is passed on.
    UpstreamCode,
}

struct Row(&'static str, u16, Origin, &'static str);

impl Code {
    /// Every code, in the contract's order.
    pub const ALL: [Code; 36] = {
        use Code::*;
        [
            MissingUser,
            MissingPassword,
            MissingClass,
            MissingMethod,
            MissingCompulsoryParam,
            IncorrectUserPassword,
            IncorrectClass,
            IncorrectMethod,
            ChannelNotFound,
            ChatNotFound,
            IncorrectFiletype,
            IncorrectFileurl,
            IncorrectThumburl,
            IpNotAllowed,
            OperationNotAllowed,
            HttpMethodNotAllowed,
            NotFound,
            AccessDisabled,
            MissingToken,
            IncorrectToken,
            ExpiredToken,
            RateLimited,
            TooManyFailures,
            IncorrectParam,
            MalformedRequest,
            UnsupportedMediaType,
            RequestTooLarge,
            IdempotencyMismatch,
            IdempotencyInProgress,
            UpstreamRefusedCredentials,
            UpstreamError,
            UpstreamUnavailable,
            Overloaded,
            UpstreamTimeout,
            InternalError,
            UpstreamCode,
        ]
    };

    /// Word, canonical HTTP status, origin, and the sentence that a person reads.
    #[expect(
        clippy::too_many_lines,
        reason = "one row a code; splitting the table would hide it"
    )]
    const fn row(self) -> Row {
        use Origin::{Gateway, Page};
        match self {
            Code::MissingUser => Row("MISSING_USER", 401, Page, "The user is missing."),
            Code::MissingPassword => Row("MISSING_PASSWORD", 401, Page, "The password is missing."),
            Code::MissingClass => Row("MISSING_CLASS", 400, Page, "The class is missing."),
            Code::MissingMethod => Row("MISSING_METHOD", 400, Page, "The method is missing."),
            Code::MissingCompulsoryParam => Row(
                "MISSING_COMPULSORY_PARAM",
                400,
                Page,
                "A compulsory parameter is missing.",
            ),
            Code::IncorrectUserPassword => Row(
                "INCORRECT_USER_PASSWORD",
                401,
                Page,
                "The user or the password is wrong.",
            ),
            Code::IncorrectClass => Row("INCORRECT_CLASS", 404, Page, "There is no such class."),
            Code::IncorrectMethod => Row("INCORRECT_METHOD", 404, Page, "There is no such method."),
            Code::ChannelNotFound => Row(
                "CHANNEL_NOT_FOUND",
                404,
                Page,
                "The channel does not exist.",
            ),
            Code::ChatNotFound => Row("CHAT_NOT_FOUND", 404, Page, "The chat does not exist."),
            Code::IncorrectFiletype => Row(
                "INCORRECT_FILETYPE",
                400,
                Page,
                "The file type is not one of those allowed.",
            ),
            Code::IncorrectFileurl => Row(
                "INCORRECT_FILEURL",
                400,
                Page,
                "The file URL is not an allowed public URL.",
            ),
            Code::IncorrectThumburl => Row(
                "INCORRECT_THUMBURL",
                400,
                Page,
                "The thumbnail URL is not an allowed public URL.",
            ),
            Code::IpNotAllowed => Row(
                "IP_NOT_ALLOWED",
                403,
                Gateway,
                "Calls from this address are not allowed.",
            ),
            Code::OperationNotAllowed => Row(
                "OPERATION_NOT_ALLOWED",
                403,
                Gateway,
                "This access may not do that in this way.",
            ),
            Code::HttpMethodNotAllowed => Row(
                "HTTP_METHOD_NOT_ALLOWED",
                405,
                Gateway,
                "This HTTP method is not allowed here.",
            ),
            Code::NotFound => Row("NOT_FOUND", 404, Gateway, "There is nothing at this path."),
            Code::AccessDisabled => Row(
                "ACCESS_DISABLED",
                403,
                Gateway,
                "This access is not active.",
            ),
            Code::MissingToken => Row(
                "MISSING_TOKEN",
                401,
                Gateway,
                "The bearer token is missing.",
            ),
            Code::IncorrectToken => Row(
                "INCORRECT_TOKEN",
                401,
                Gateway,
                "The token is not valid here.",
            ),
            Code::ExpiredToken => Row("EXPIRED_TOKEN", 401, Gateway, "The token has expired."),
            Code::RateLimited => Row(
                "RATE_LIMITED",
                429,
                Gateway,
                "Too many calls; try again later.",
            ),
            Code::TooManyFailures => Row(
                "TOO_MANY_FAILURES",
                429,
                Gateway,
                "Too many wrong credentials; try again later.",
            ),
            Code::IncorrectParam => Row(
                "INCORRECT_PARAM",
                400,
                Gateway,
                "A parameter has a value that is not allowed.",
            ),
            Code::MalformedRequest => Row(
                "MALFORMED_REQUEST",
                400,
                Gateway,
                "The request can't be read.",
            ),
            Code::UnsupportedMediaType => Row(
                "UNSUPPORTED_MEDIA_TYPE",
                415,
                Gateway,
                "This media type is not taken here.",
            ),
            Code::RequestTooLarge => Row(
                "REQUEST_TOO_LARGE",
                413,
                Gateway,
                "The request is too large.",
            ),
            Code::IdempotencyMismatch => Row(
                "IDEMPOTENCY_MISMATCH",
                422,
                Gateway,
                "This idempotency key belongs to another request.",
            ),
            Code::IdempotencyInProgress => Row(
                "IDEMPOTENCY_IN_PROGRESS",
                409,
                Gateway,
                "The request with this idempotency key is still under way.",
            ),
            Code::UpstreamRefusedCredentials => Row(
                "UPSTREAM_REFUSED_CREDENTIALS",
                502,
                Gateway,
                "The chat service refused the gateway's own account.",
            ),
            Code::UpstreamError => Row(
                "UPSTREAM_ERROR",
                502,
                Gateway,
                "The chat service gave no usable answer.",
            ),
            Code::UpstreamUnavailable => Row(
                "UPSTREAM_UNAVAILABLE",
                503,
                Gateway,
                "The chat service can't be reached.",
            ),
            Code::Overloaded => Row(
                "OVERLOADED",
                503,
                Gateway,
                "The gateway can't take more calls right now.",
            ),
            Code::UpstreamTimeout => Row(
                "UPSTREAM_TIMEOUT",
                504,
                Gateway,
                "The chat service did not answer in time.",
            ),
            Code::InternalError => Row(
                "INTERNAL_ERROR",
                500,
                Gateway,
                "The gateway has a defect; the operator sees it.",
            ),
            Code::UpstreamCode => Row(
                "UPSTREAM_CODE",
                502,
                Gateway,
                "The chat service refused the call.",
            ),
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.row().0
    }

    /// The canonical HTTP status, which log and metrics carry whatever the wire says.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// Whose vocabulary it is.
    #[must_use]
    pub const fn origin(self) -> Origin {
        self.row().2
    }

    /// One sentence for a person; holds nothing about the call or the gateway's inside.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().3
    }

    /// Whether it says that credentials are absent or wrong in the page's own vocabulary.
    #[must_use]
    pub const fn is_credential(self) -> bool {
        matches!(
            self,
            Code::MissingUser | Code::MissingPassword | Code::IncorrectUserPassword
        )
    }

    /// The page's code with this word; the gateway's own words are not the upstream's to say.
    #[must_use]
    pub fn from_page(word: &str) -> Option<Code> {
        Code::ALL
            .into_iter()
            .find(|code| code.origin() == Origin::Page && code.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_well_shaped() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(
            words
                .iter()
                .all(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        );
    }

    #[test]
    fn the_upstream_can_only_say_the_pages_words() {
        assert_eq!(Code::from_page("CHAT_NOT_FOUND"), Some(Code::ChatNotFound));
        assert_eq!(Code::from_page("RATE_LIMITED"), None);
        assert_eq!(Code::from_page("chat_not_found"), None);
    }
}
