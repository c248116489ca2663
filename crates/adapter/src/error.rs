//! Why a call failed: a closed code, a sentence for the caller, and a private cause for the log.

use std::borrow::Cow;
use std::fmt;

use crate::code::Code;

/// What is known about a message after a call: the word on every answer to a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The upstream said so.
    Sent,
    /// Certain not to have been sent: resending is safe.
    NotSent,
    /// Bytes left and no well-formed answer came: it may have been sent.
    Unknown,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Delivery; 3] = [Delivery::Sent, Delivery::NotSent, Delivery::Unknown];

    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Delivery::Sent => "sent",
            Delivery::NotSent => "not_sent",
            Delivery::Unknown => "unknown",
        }
    }
}

/// A refusal or a failure. Made by its named constructors only.
#[derive(Clone, Debug)]
pub struct Error(Box<ErrorDetails>);

#[derive(Clone, Debug)]
struct ErrorDetails {
    code: Code,
    word: Option<String>,
    text: Cow<'static, str>,
    cause: Option<Cow<'static, str>>,
    retry_after_s: Option<u32>,
    delivery: Option<Delivery>,
}

impl Error {
    /// A refusal before dispatch with the code's own sentence.
    #[must_use]
    pub fn refused(code: Code) -> Error {
        Error(Box::new(ErrorDetails {
            code,
            word: None,
            text: Cow::Borrowed(code.text()),
            cause: None,
            retry_after_s: None,
            delivery: Some(Delivery::NotSent),
        }))
    }

    /// A refusal before dispatch with a sentence of its own, which the caller may read.
    #[must_use]
    pub fn explained(code: Code, text: impl Into<Cow<'static, str>>) -> Error {
        let mut error = Error::refused(code);
        error.0.text = text.into();
        error
    }

    /// A request that can't be read, before dispatch.
    #[must_use]
    pub fn malformed(text: impl Into<Cow<'static, str>>) -> Error {
        Error::explained(Code::MalformedRequest, text)
    }

    /// A parameter or a credential that is wrong in itself, before dispatch.
    #[must_use]
    pub fn incorrect(text: impl Into<Cow<'static, str>>) -> Error {
        Error::explained(Code::IncorrectParam, text)
    }

    /// A well-shaped code of the upstream that the chat API does not list.
    #[must_use]
    pub fn upstream_code(word: String) -> Error {
        let mut error = Error::refused(Code::UpstreamCode);
        error.0.word = Some(word);
        error
    }

    /// Adds a cause that only the log may show.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cow<'static, str>>) -> Error {
        self.0.cause = Some(cause.into());
        self
    }

    /// Adds the number of seconds after which a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Error {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Sets what is known about the message; `None` when the call was dispatched and does not send.
    #[must_use]
    pub fn with_delivery(mut self, delivery: Option<Delivery>) -> Error {
        self.0.delivery = delivery;
        self
    }

    /// The closed code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The word on the wire: the code's own, or the upstream's where the code is [`Code::UpstreamCode`].
    #[must_use]
    pub fn word(&self) -> &str {
        self.0.word.as_deref().unwrap_or(self.0.code.word())
    }

    /// The sentence for the caller.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The private cause; for the log only.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Seconds after which a retry makes sense.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        self.0.retry_after_s
    }

    /// The delivery word that the answer carries.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery> {
        self.0.delivery
    }
}

impl fmt::Display for Error {
    /// The code and the private cause: a line for the log, not for the caller.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.cause() {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
