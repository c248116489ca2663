//! Reads a call of the chat API and checks it in the order of the contract.

use adapter::{Authorization, CLASS, Code, Effect, Error, Operation, Params, Request, Way, Wire};
use secrecy::ExposeSecret;

use crate::account::SandboxAccount;

/// A call that was read but not performed.
pub(crate) struct ApiCall {
    /// The operation that the call names, regardless of other mistakes in the call.
    pub(crate) operation: Option<&'static Operation>,
    /// `Ok` if user, password, class and method are present and the credentials are right.
    pub(crate) entry: Result<(), Error>,
    /// The checked class, method, parameters and values.
    pub(crate) request: Result<Request, Error>,
}

/// Reads a call and checks everything except channel and chat.
pub(crate) fn read(account: &SandboxAccount, way: Way, wire: &Wire<'_>) -> ApiCall {
    let mut params = match Params::read(wire) {
        Ok(params) => params,
        Err(error) => {
            return ApiCall {
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
        .and_then(|method| Operation::named(method.as_deref()?))
        // Watch operations are the gateway's own, and no upstream knows them.
        .filter(|operation| operation.effect != Effect::Watch);
    let request = method.and_then(|_| open(operation, &mut params));
    ApiCall {
        operation,
        entry,
        request,
    }
}

/// Checks that user, password, class and method are present, and then the credentials.
fn enter(
    account: &SandboxAccount,
    way: Way,
    wire: &Wire<'_>,
    params: &mut Params,
) -> Result<(), Error> {
    let given = match way {
        Way::Basic => basic_credentials(wire, params)?,
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
    let given = match given {
        Some((user, password)) => Some((
            present(user, Code::MissingUser)?,
            present(password, Code::MissingPassword)?,
        )),
        None => None,
    };
    params.require_class_and_method()?;
    if given.is_some_and(|(user, password)| account.admits(&user, &password)) {
        Ok(())
    } else {
        Err(Error::refused(Code::IncorrectUserPassword))
    }
}

/// User and password, each if present.
type GivenCredentials = (Option<String>, Option<String>);

/// Returns the credentials of the Authorization header. Returns `None` if the header is present but can't be right.
fn basic_credentials(wire: &Wire<'_>, params: &Params) -> Result<Option<GivenCredentials>, Error> {
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

/// Checks class, method, compulsory parameters and values, in this order.
fn open(operation: Option<&'static Operation>, params: &mut Params) -> Result<Request, Error> {
    if params.take("class")?.as_deref() != Some(CLASS) {
        return Err(Error::refused(Code::IncorrectClass));
    }
    let operation = operation.ok_or_else(|| Error::refused(Code::IncorrectMethod))?;
    Request::of(operation, params)
}
