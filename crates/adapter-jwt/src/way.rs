//! The JWT adapter: a bearer token, the parameters of the other JSON ways in, and the JSON envelope as the answer.

use adapter::{
    Adapter, Answer, Authorization, Code, Credentials, Decoded, Dialect, Error, Params, Reply,
    Request, StatusPolicy, Way, Wire, json_reply, read_authorization,
};
use secrecy::{ExposeSecret, SecretString};

/// The challenge for a request without a token, which names no error (RFC 6750 §3.1).
const NO_TOKEN: &[&str] = &[r#"Bearer realm="chatgate""#];

/// The challenge for all errors of a token except expiry.
const INVALID_TOKEN: &[&str] = &[r#"Bearer realm="chatgate", error="invalid_token""#];

const EXPIRED_TOKEN: &[&str] = &[
    r#"Bearer realm="chatgate", error="invalid_token", error_description="The token has expired.""#,
];

/// The adapter of `/api/jwt/`.
#[derive(Clone, Copy, Debug)]
pub struct JwtAdapter {
    status: StatusPolicy,
}

impl JwtAdapter {
    /// Creates the adapter with the status policy of `ways.jwt.status`.
    #[must_use]
    pub fn new(status: StatusPolicy) -> JwtAdapter {
        JwtAdapter { status }
    }
}

impl Adapter for JwtAdapter {
    fn way(&self) -> Way {
        Way::Jwt
    }

    fn refuse_head(&self, wire: &Wire<'_>) -> Result<(), Error> {
        let params = Params::read_head(wire)?;
        bearer(wire)?;
        params.refuse_credentials()
    }

    fn decode(&self, wire: &Wire<'_>) -> (Dialect, Result<Decoded, Error>) {
        (Dialect::default(), decode(wire))
    }

    fn encode(&self, _: Dialect, answer: &Answer<'_>) -> Reply {
        let Some(code) = answer.code() else {
            return json_reply(answer, 200, &[]);
        };
        let status = self.status.status(code);
        let challenges = match code {
            Code::IncorrectToken => INVALID_TOKEN,
            Code::ExpiredToken => EXPIRED_TOKEN,
            // RFC 9110 §11.6.1: every 401 carries a challenge.
            _ if status == 401 => NO_TOKEN,
            _ => &[],
        };
        json_reply(answer, status, challenges)
    }
}

fn bearer(wire: &Wire<'_>) -> Result<SecretString, Error> {
    match read_authorization(wire.headers)? {
        Some(Authorization::Bearer(token)) if !token.expose_secret().is_empty() => Ok(token),
        _ => Err(Error::refused(Code::MissingToken)),
    }
}

fn decode(wire: &Wire<'_>) -> Result<Decoded, Error> {
    let mut params = Params::read(wire)?;
    let token = bearer(wire)?;
    params.refuse_credentials()?;
    params.require_class_and_method()?;
    let idempotency_key = params.take_idempotency_key(wire);
    Ok(Decoded {
        expires: None,
        secret_in_url: false,
        credentials: Credentials::Token(token),
        call: Request::open(&mut params),
        idempotency_key,
    })
}
