//! The error of a failed call: a code of a closed set, a sentence for the caller, and a private cause for the log.

use std::borrow::Cow;
use std::fmt;

use crate::code::Code;
use crate::operation::Operation;

/// The knowledge about a message after a call. Every answer to a send carries its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The upstream confirmed the message.
    Sent,
    /// The message was certainly not sent, so that resending is safe.
    NotSent,
    /// Bytes left the gateway and no well-formed answer arrived, so the message may have been sent.
    Unknown,
}

impl Delivery {
    /// All variants.
    pub const ALL: [Delivery; 3] = [Delivery::Sent, Delivery::NotSent, Delivery::Unknown];

    /// Returns the word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Delivery::Sent => "sent",
            Delivery::NotSent => "not_sent",
            Delivery::Unknown => "unknown",
        }
    }
}

/// A rejection or a failure. Only its named constructors create it.
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
    operation: Option<&'static Operation>,
}

impl Error {
    /// Creates an error before dispatch with the code's own sentence.
    #[must_use]
    pub fn refused(code: Code) -> Error {
        Error(Box::new(ErrorDetails {
            code,
            word: None,
            text: Cow::Borrowed(code.text()),
            cause: None,
            retry_after_s: None,
            delivery: Some(Delivery::NotSent),
            operation: None,
        }))
    }

    /// Creates an error before dispatch with a separate sentence, which the caller and operators may read. It must contain no value
    /// of a parameter, because the value may be a secret.
    #[must_use]
    pub fn explained(code: Code, text: impl Into<Cow<'static, str>>) -> Error {
        let mut error = Error::refused(code);
        error.0.text = text.into();
        error
    }

    /// Creates the error of a request that cannot be read, before dispatch.
    #[must_use]
    pub fn malformed(text: impl Into<Cow<'static, str>>) -> Error {
        Error::explained(Code::MalformedRequest, text)
    }

    /// Creates the error of a parameter or a credential with an invalid value, before dispatch.
    #[must_use]
    pub fn incorrect(text: impl Into<Cow<'static, str>>) -> Error {
        Error::explained(Code::IncorrectParam, text)
    }

    /// Creates the error of a well-formed upstream code that the chat API does not list.
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

    /// Adds the number of seconds after which the caller should retry.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Error {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Sets the knowledge about the message; `None` if the call was dispatched and does not send.
    #[must_use]
    pub fn with_delivery(mut self, delivery: Option<Delivery>) -> Error {
        self.0.delivery = delivery;
        self
    }

    /// Adds the operation that the rejected call named, for the log and the journal.
    #[must_use]
    pub fn of_operation(mut self, operation: &'static Operation) -> Error {
        self.0.operation = Some(operation);
        self
    }

    /// Returns the operation that the call named, if the call itself was at fault.
    #[must_use]
    pub fn operation(&self) -> Option<&'static Operation> {
        self.0.operation
    }

    /// Returns the code of the closed set.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the word on the wire: the code's own, or the upstream's if the code is [`Code::UpstreamCode`].
    #[must_use]
    pub fn word(&self) -> &str {
        self.0.word.as_deref().unwrap_or(self.0.code.word())
    }

    /// Returns the sentence for the caller.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Returns the private cause, which only the log may show.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Returns the reason for operators: the private cause, or else the sentence if it says more than the code.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        let explanation = Some(self.text()).filter(|text| *text != self.0.code.text());
        self.cause().or(explanation)
    }

    /// Returns the number of seconds after which the caller should retry.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        self.0.retry_after_s
    }

    /// Returns the delivery word that the answer carries.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery> {
        self.0.delivery
    }
}

impl fmt::Display for Error {
    /// Writes the code and the private cause, for the log and not for the caller.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.cause() {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
