//! Way in 2, `/api/basic/`: the credentials are in the `Authorization` header (RFC 7617). Class, method and parameters are the same
//! as on the HTTP way in.

use adapter::{
    Adapter, Answer, Authorization, Code, Credentials, Decoded, Dialect, Error, Params, Reply,
    Request, StatusPolicy, Way, Wire, json_reply, read_authorization,
};

const CHALLENGE: &[&str] = &["Basic realm=\"chatgate\", charset=\"UTF-8\""];

/// The way in with Basic authentication.
pub struct BasicAdapter {
    status: StatusPolicy,
}

impl BasicAdapter {
    /// Creates the adapter with the wire statuses of this policy. The credential codes have status 401 under each policy.
    #[must_use]
    pub fn new(status: StatusPolicy) -> BasicAdapter {
        BasicAdapter { status }
    }
}

impl Adapter for BasicAdapter {
    fn way(&self) -> Way {
        Way::Basic
    }

    fn refuse_head(&self, wire: &Wire<'_>) -> Result<(), Error> {
        refuse_head(wire)
    }

    fn decode(&self, wire: &Wire<'_>) -> (Dialect, Result<Decoded, Error>) {
        (Dialect::default(), decode(wire))
    }

    fn encode(&self, _dialect: Dialect, answer: &Answer<'_>) -> Reply {
        let status = answer.code().map_or(200, |code| {
            if code.is_credential() {
                code.status()
            } else {
                self.status.status(code)
            }
        });
        let challenges = if status == 401 { CHALLENGE } else { &[] };
        json_reply(answer, status, challenges)
    }
}

/// Rejects a request because of its credentials, which are in the head. A broken header is not rejected here, because a missing
/// class or method is reported first, and both may be in the body.
fn refuse_head(wire: &Wire<'_>) -> Result<(), Error> {
    let params = Params::read_head(wire)?;
    match read_authorization(wire.headers)? {
        Some(Authorization::Basic(user, password)) => {
            params.refuse_credentials()?;
            Credentials::password(Some(user), password).map(drop)
        }
        Some(Authorization::BrokenBasic) => params.refuse_credentials(),
        Some(Authorization::Bearer(_) | Authorization::Other) => {
            params.refuse_credentials()?;
            Err(Error::refused(Code::MissingUser))
        }
        None => Err(Error::refused(Code::MissingUser)),
    }
}

fn decode(wire: &Wire<'_>) -> Result<Decoded, Error> {
    let mut params = Params::read(wire)?;
    let authorization = read_authorization(wire.headers)?;
    if authorization.is_some() {
        params.refuse_credentials()?;
    }
    let credentials = match authorization {
        Some(Authorization::Basic(user, password)) => Credentials::password(Some(user), password)?,
        Some(Authorization::BrokenBasic) => {
            params.require_class_and_method()?;
            let cause = "the Basic credentials are not base64-encoded UTF-8";
            return Err(Error::refused(Code::IncorrectUserPassword).because(cause));
        }
        Some(Authorization::Bearer(_) | Authorization::Other) | None => {
            return Err(Error::refused(Code::MissingUser));
        }
    };
    params.require_class_and_method()?;
    Ok(Decoded {
        expires: None,
        credentials,
        secret_in_url: false,
        idempotency_key: params.take_idempotency_key(wire),
        call: Request::open(&mut params),
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use http::{HeaderMap, HeaderValue};
    use secrecy::ExposeSecret;

    use super::*;

    fn decoded(pair: Option<&str>, query: &str) -> Result<(String, String), Code> {
        let mut headers = HeaderMap::new();
        if let Some(pair) = pair {
            let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
            headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        }
        match decode(&Wire {
            query,
            headers: &headers,
            body: &Default::default(),
        })
        .map_err(|e| e.code())?
        .credentials
        {
            Credentials::Password { user, password } => {
                Ok((user, password.expose_secret().to_owned()))
            }
            Credentials::Token(_) => panic!("no token was sent"),
        }
    }

    const CALL: &str = "class=chat&method=getchatchannels";

    #[test]
    fn basic_credentials_are_split_at_the_first_colon_and_kept_verbatim() {
        assert_eq!(
            decoded(Some("u:p:q "), CALL),
            Ok(("u".to_owned(), "p:q ".to_owned()))
        );
        assert_eq!(
            decoded(Some("ü:ß"), CALL),
            Ok(("ü".to_owned(), "ß".to_owned()))
        );
    }

    #[test]
    fn missing_or_invalid_parts_of_a_basic_call_return_their_error_codes() {
        assert_eq!(decoded(None, CALL), Err(Code::MissingUser));
        assert_eq!(decoded(Some(":p"), CALL), Err(Code::MissingUser));
        assert_eq!(decoded(Some("u:"), CALL), Err(Code::MissingPassword));
        assert_eq!(decoded(Some("u"), CALL), Err(Code::MissingPassword));
        assert_eq!(decoded(Some("u:p\0"), CALL), Err(Code::IncorrectParam));
        assert_eq!(decoded(Some("u:p"), "method=x"), Err(Code::MissingClass));
        assert_eq!(
            decoded(Some("u:p"), "class=chat&method=x&user=u"),
            Err(Code::IncorrectParam)
        );
        assert_eq!(
            decoded(Some("u:p"), "class=chat&method=x&password=q"),
            Err(Code::IncorrectParam)
        );
    }

    #[test]
    fn credential_errors_return_401_with_challenge_and_others_follow_the_policy() {
        let reply = |code, policy| {
            let error = Error::refused(code);
            let answer = Answer {
                request_id: "r",
                operation: None,
                outcome: Err(&error),
            };
            let reply = BasicAdapter::new(policy).encode(Dialect::default(), &answer);
            (reply.status, reply.challenges.len())
        };
        assert_eq!(
            reply(Code::IncorrectUserPassword, StatusPolicy::Compat),
            (401, 1)
        );
        assert_eq!(reply(Code::ChannelNotFound, StatusPolicy::Compat), (200, 0));
        assert_eq!(reply(Code::ChannelNotFound, StatusPolicy::Mapped), (404, 0));
    }
}
