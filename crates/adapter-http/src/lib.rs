//! Way in 1, `/api/http/`: everything, including user and password, is in the query or the form. A drop-in for the chat API's own
//! endpoint.

use adapter::{
    Adapter, Answer, Code, Credentials, Decoded, Dialect, Error, Params, Reply, Request,
    StatusPolicy, Way, Wire, json_reply,
};

/// The way in with HTTP parameters.
pub struct HttpAdapter {
    status: StatusPolicy,
}

impl HttpAdapter {
    /// Creates the adapter with the wire statuses of this policy.
    #[must_use]
    pub fn new(status: StatusPolicy) -> HttpAdapter {
        HttpAdapter { status }
    }
}

impl Adapter for HttpAdapter {
    fn way(&self) -> Way {
        Way::Http
    }

    fn refuse_head(&self, wire: &Wire<'_>) -> Result<(), Error> {
        // Missing parameters are not an error here, because they may be in the body.
        named_credentials(&mut Params::read_head(wire)?, wire).map(drop)
    }

    fn decode(&self, wire: &Wire<'_>) -> (Dialect, Result<Decoded, Error>) {
        (Dialect::default(), decode(wire))
    }

    fn encode(&self, _dialect: Dialect, answer: &Answer<'_>) -> Reply {
        let status = answer.code().map_or(200, |code| self.status.status(code));
        // A 401 must carry a challenge (RFC 9110, 15.5.2), and Basic is the scheme that fits user and password.
        let challenges: &[&str] = if status == 401 {
            &["Basic realm=\"chatgate\", charset=\"UTF-8\""]
        } else {
            &[]
        };
        json_reply(answer, status, challenges)
    }
}

fn decode(wire: &Wire<'_>) -> Result<Decoded, Error> {
    let mut params = Params::read(wire)?;
    let (user, password) = named_credentials(&mut params, wire)?;
    let credentials = Credentials::password(user, password)?;
    params.require_class_and_method()?;
    Ok(Decoded {
        expires: None,
        credentials,
        secret_in_url: params.password_in_query(),
        idempotency_key: params.take_idempotency_key(wire),
        call: Request::open(&mut params),
    })
}

/// Removes user and password and returns them, as far as they are given.
fn named_credentials(
    params: &mut Params,
    wire: &Wire<'_>,
) -> Result<(Option<String>, Option<String>), Error> {
    let user = params.take_credential("user")?;
    let password = params.take_credential("password")?;
    if (user.is_some() || password.is_some())
        && wire.headers.contains_key(http::header::AUTHORIZATION)
    {
        let text =
            "The parameters user and password can't be combined with an Authorization header.";
        return Err(Error::explained(Code::IncorrectParam, text));
    }
    Ok((user, password))
}

#[cfg(test)]
mod tests;
