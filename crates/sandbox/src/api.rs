//! The chat API as the upstream speaks it: reads a call, checks it in the contract's order, performs it.

use adapter::{Authorization, CLASS, Code, Error, Operation, Params, Reply, Request, Way, Wire};
use http::{Method, Response};
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};

use crate::Desk;
use crate::answer::{Body, method_not_allowed, read_body, refusal, respond, success};
use crate::server::Line;
use crate::spoil::spoil;

/// The one account.
pub(crate) struct Account {
    user: String,
    password: SecretString,
}

impl Account {
    pub(crate) fn new(user: String, password: SecretString) -> Account {
        Account { user, password }
    }

    /// Both halves are always compared, each without a shortcut at the first difference.
    fn admits(&self, user: &str, password: &str) -> bool {
        let right_user = equal(self.user.as_bytes(), user.as_bytes());
        let right_password = equal(
            self.password.expose_secret().as_bytes(),
            password.as_bytes(),
        );
        right_user & right_password
    }
}

fn equal(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

/// One call, read but not performed.
pub(crate) struct Call {
    /// The operation that it names, whatever else is wrong with it.
    pub(crate) operation: Option<&'static Operation>,
    /// Whether user, password, class and method are there and the account is right.
    entry: Result<(), Error>,
    /// Class, method, parameters and values.
    pub(crate) request: Result<Request, Error>,
}

/// Answers one request to `/api/http/` or `/api/basic/`.
pub(crate) async fn answer(
    desk: &Desk,
    line: &Line,
    way: Way,
    request: http::Request<Incoming>,
) -> Response<Body> {
    if desk.faults.refuse_now() {
        return line.reset().await;
    }
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return method_not_allowed("GET, POST");
    }
    let (head, body) = request.into_parts();
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return respond(refusal(way, &error)),
    };
    let call = read(
        &desk.account,
        way,
        &Wire {
            query: head.uri.query().unwrap_or(""),
            headers: &head.headers,
            body: &body,
        },
    );
    let fault = desk.faults.take(call.operation.map(|op| op.method));
    let number = desk.sent.arrived(&call, fault.as_ref());
    match fault {
        None => respond(perform(desk, way, &call, number).await),
        Some(fault) => {
            let honest = if fault.fault.performs() {
                Some(perform(desk, way, &call, number).await)
            } else {
                None
            };
            spoil(&fault, way, line, honest).await
        }
    }
}

/// Reads everything that a call says, and judges all but what the chats know.
fn read(account: &Account, way: Way, wire: &Wire<'_>) -> Call {
    let mut params = match Params::read(wire) {
        Ok(params) => params,
        Err(error) => {
            return Call {
                operation: None,
                entry: Err(error.clone()),
                request: Err(error),
            };
        }
    };
    let entry = enter(account, way, wire, &mut params);
    let method = params.take("method");
    let operation = method
        .as_ref()
        .ok()
        .and_then(|method| Operation::named(method.as_deref()?));
    let request = method.and_then(|_| open(operation, &mut params));
    Call {
        operation,
        entry,
        request,
    }
}

/// Presence of user, password, class and method, then the credentials.
fn enter(account: &Account, way: Way, wire: &Wire<'_>, params: &mut Params) -> Result<(), Error> {
    let claim = match way {
        Way::Basic => basic_claim(wire, params)?,
        Way::Http | Way::Jwt | Way::Soap => Some((
            params.take_credential("user")?,
            params.take_credential("password")?,
        )),
    };
    let present = |value: Option<String>, code| {
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Error::refused(code))
    };
    let claim = match claim {
        Some((user, password)) => Some((
            present(user, Code::MissingUser)?,
            present(password, Code::MissingPassword)?,
        )),
        None => None,
    };
    params.require_class_and_method()?;
    if claim.is_some_and(|(user, password)| account.admits(&user, &password)) {
        Ok(())
    } else {
        Err(Error::refused(Code::IncorrectUserPassword))
    }
}

/// User and password, each if it was given.
type Claim = (Option<String>, Option<String>);

/// What the Authorization header claims; `None` when it is there but can't be right.
fn basic_claim(wire: &Wire<'_>, params: &Params) -> Result<Option<Claim>, Error> {
    params.refuse_credentials()?;
    Ok(match adapter::read_authorization(wire.headers)? {
        Some(Authorization::Basic(user, password)) => Some((
            Some(user),
            password.map(|password| password.expose_secret().to_owned()),
        )),
        Some(Authorization::BrokenBasic) => None,
        None | Some(Authorization::Bearer(_) | Authorization::Other) => Some((None, None)),
    })
}

/// Class, method, compulsory parameters, values, in that order.
fn open(operation: Option<&'static Operation>, params: &mut Params) -> Result<Request, Error> {
    if params.take("class")?.as_deref() != Some(CLASS) {
        return Err(Error::refused(Code::IncorrectClass));
    }
    let operation = operation.ok_or_else(|| Error::refused(Code::IncorrectMethod))?;
    Request::of(operation, params)
}

/// Does what the call asks and tells the outcome; `number` is the call's place in the list of sends.
async fn perform(desk: &Desk, way: Way, call: &Call, number: Option<u64>) -> Reply {
    let request = match call.entry.as_ref().and(call.request.as_ref()) {
        Ok(request) => request,
        Err(error) => return refusal(way, error),
    };
    match desk.chats.perform(request).await {
        Ok(result) => {
            if let Some(number) = number {
                desk.sent.stored(number);
            }
            success(&result)
        }
        Err(error) => refusal(way, &error),
    }
}
