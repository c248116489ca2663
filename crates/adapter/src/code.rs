//! The closed set of error codes with which a call can fail.

/// The vocabulary that a code belongs to. The wire status of the drop-in ways in depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOrigin {
    /// A code of the chat API. Existing clients know it and expect it with HTTP status 200.
    ChatApi,
    /// A code of the gateway, always sent with its own status.
    Gateway,
}

/// Declares the codes, one per row: word, canonical HTTP status, origin, and the sentence for people.
macro_rules! codes {
    ($($name:ident = $word:literal, $status:literal, $origin:ident, $text:literal;)*) => {
        /// The reasons for which a call can fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $text] $name,)*
        }

        impl Code {
            /// All codes, in the contract's order.
            pub const ALL: [Code; [$($word),*].len()] = [$(Code::$name),*];

            /// Returns the word on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Code::$name => $word,)* }
            }

            /// Returns the canonical HTTP status, which log and metrics record regardless of the status on the wire.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// Returns the vocabulary that the code belongs to.
            #[must_use]
            pub const fn origin(self) -> CodeOrigin {
                match self { $(Code::$name => CodeOrigin::$origin,)* }
            }

            /// Returns one sentence for people. It contains nothing about the call or the internals of the gateway.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

// UpstreamCode stands for any well-formed code of the upstream that the chat API does not list. The upstream's own word is passed
// on.
codes! {
    MissingUser = "MISSING_USER", 401, ChatApi, "The user is missing.";
    MissingPassword = "MISSING_PASSWORD", 401, ChatApi, "The password is missing.";
    MissingClass = "MISSING_CLASS", 400, ChatApi, "The class is missing.";
    MissingMethod = "MISSING_METHOD", 400, ChatApi, "The method is missing.";
    MissingCompulsoryParam = "MISSING_COMPULSORY_PARAM", 400, ChatApi, "A compulsory parameter is missing.";
    IncorrectUserPassword = "INCORRECT_USER_PASSWORD", 401, ChatApi, "The user or the password is wrong.";
    IncorrectClass = "INCORRECT_CLASS", 404, ChatApi, "There is no such class.";
    IncorrectMethod = "INCORRECT_METHOD", 404, ChatApi, "There is no such method.";
    ChannelNotFound = "CHANNEL_NOT_FOUND", 404, ChatApi, "The channel does not exist.";
    ChatNotFound = "CHAT_NOT_FOUND", 404, ChatApi, "The chat does not exist.";
    IncorrectFiletype = "INCORRECT_FILETYPE", 400, ChatApi, "The file type is not one of those allowed.";
    IncorrectFileurl = "INCORRECT_FILEURL", 400, ChatApi, "The file URL is not an allowed public URL.";
    IncorrectThumburl = "INCORRECT_THUMBURL", 400, ChatApi, "The thumbnail URL is not an allowed public URL.";
    IpNotAllowed = "IP_NOT_ALLOWED", 403, Gateway, "Calls from this address are not allowed.";
    OperationNotAllowed = "OPERATION_NOT_ALLOWED", 403, Gateway, "This access may not use this way in, method, platform or channel, or credentials in a URL.";
    HttpMethodNotAllowed = "HTTP_METHOD_NOT_ALLOWED", 405, Gateway, "This HTTP method is not allowed here.";
    NotFound = "NOT_FOUND", 404, Gateway, "There is nothing at this path.";
    AccessDisabled = "ACCESS_DISABLED", 403, Gateway, "This access is not active.";
    MissingToken = "MISSING_TOKEN", 401, Gateway, "The bearer token is missing.";
    IncorrectToken = "INCORRECT_TOKEN", 401, Gateway, "The token is not valid here.";
    ExpiredToken = "EXPIRED_TOKEN", 401, Gateway, "The token has expired.";
    RateLimited = "RATE_LIMITED", 429, Gateway, "Too many calls; try again later.";
    TooManyFailures = "TOO_MANY_FAILURES", 429, Gateway, "Too many wrong credentials; try again later.";
    IncorrectParam = "INCORRECT_PARAM", 400, Gateway, "A parameter has a value that is not allowed.";
    MalformedRequest = "MALFORMED_REQUEST", 400, Gateway, "The request can't be read.";
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, Gateway, "This media type is not supported here.";
    RequestTooLarge = "REQUEST_TOO_LARGE", 413, Gateway, "The request is too large.";
    IdempotencyMismatch = "IDEMPOTENCY_MISMATCH", 422, Gateway, "This idempotency key belongs to another request.";
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS", 409, Gateway, "The request with this idempotency key is still under way.";
    UpstreamRefusedCredentials = "UPSTREAM_REFUSED_CREDENTIALS", 502, Gateway, "The chat service refused the gateway's own account.";
    UpstreamError = "UPSTREAM_ERROR", 502, Gateway, "The chat service gave no usable answer.";
    UpstreamUnavailable = "UPSTREAM_UNAVAILABLE", 503, Gateway, "The chat service can't be reached.";
    Overloaded = "OVERLOADED", 503, Gateway, "The gateway can't accept more calls right now.";
    UpstreamTimeout = "UPSTREAM_TIMEOUT", 504, Gateway, "The chat service did not answer in time.";
    InternalError = "INTERNAL_ERROR", 500, Gateway, "The gateway failed because of a defect; the operator's log has the cause.";
    UpstreamCode = "UPSTREAM_CODE", 502, Gateway, "The chat service refused the call.";
}

impl Code {
    /// Returns whether the code is the chat API's word for absent or wrong credentials.
    #[must_use]
    pub const fn is_credential(self) -> bool {
        matches!(
            self,
            Code::MissingUser | Code::MissingPassword | Code::IncorrectUserPassword
        )
    }

    /// Returns the chat API's code with this word. The upstream may not use the gateway's own words, so they return `None`.
    #[must_use]
    pub fn from_chat_api(word: &str) -> Option<Code> {
        Code::ALL
            .into_iter()
            .find(|code| code.origin() == CodeOrigin::ChatApi && code.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_unique_uppercase_words() {
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
    fn only_codes_of_the_chat_api_are_accepted_from_the_upstream() {
        assert_eq!(
            Code::from_chat_api("CHAT_NOT_FOUND"),
            Some(Code::ChatNotFound)
        );
        assert_eq!(Code::from_chat_api("RATE_LIMITED"), None);
        assert_eq!(Code::from_chat_api("chat_not_found"), None);
    }
}
