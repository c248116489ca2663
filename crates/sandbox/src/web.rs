//! Pages for people: the web chat of a visitor, and the chats of all platforms as their operator sees them.
//!
//! They are rendered here, work without JavaScript, and are live with it (`live`). Nothing in them comes from elsewhere:
//! not even a picture that was sent, which is a link, since loading it would tell a stranger's server who reads what and
//! when. Nobody is asked who they are; `guard` keeps the pages of other sites away.

pub(crate) mod guard;
mod live;
mod rows;
mod said;
mod views;
mod visitor;

use std::sync::Arc;

use adapter::{Code, Error};
use askama::Template;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};

use crate::Desk;
use crate::answer::{Body, method_not_allowed, plain, response, whole};
use rows::{Channel, Chat};
use said::said;
use views::{ChatPage, Front, Operator};
use visitor::Visitor;

/// Most pages that are kept up to date at once; each holds a connection.
pub(crate) const ONLOOKERS_MAX: usize = 100;

const HTML: &str = "text/html; charset=utf-8";

/// What every page may do: show itself. Styles and the script are files of ours, and forms come back here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The places of pages that are kept up to date.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ONLOOKERS_MAX))
}

/// Answers whatever path is no API. The request has passed the guard.
pub(crate) async fn answer(
    desk: &Arc<Desk>,
    stopped: watch::Receiver<()>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let asked = Asked {
        is_post: head.method == Method::POST,
        visitor: Visitor::of(&head.headers),
        after: live::after(&head),
        stopped,
    };
    let parts: Vec<_> = head.uri.path().split('/').skip(1).collect();
    let takes_post = matches!(parts[..], ["chat", _] | ["operator", "chat", _]);
    let allowed = match head.method {
        Method::GET | Method::HEAD => true,
        Method::POST => takes_post,
        _ => false,
    };
    let answered = match parts[..] {
        _ if !allowed && takes_post => return method_not_allowed("GET, HEAD, POST"),
        _ if !allowed => return method_not_allowed("GET, HEAD"),
        [""] => Ok(moved("/chat/")),
        ["chat" | "operator"] => Ok(moved(&format!("/{}/", parts[0]))),
        ["assets", name] => Ok(asset(name)),
        ["chat", ""] => front(desk).await,
        ["chat", platformid] => visit(desk, &asked, platformid, body).await,
        ["chat", platformid, "events"] => watch_visit(desk, asked, platformid).await,
        ["operator", ""] => operator(desk).await,
        ["operator", "events"] => live::chats(desk, asked.stopped),
        ["operator", "chat", id] => operate(desk, &asked, id, body).await,
        ["operator", "chat", id, "events"] => watch_chat(desk, asked, id).await,
        _ => Ok(missing()),
    };
    let mut response = answered.unwrap_or_else(|error| {
        tracing::error!(cause = error.cause(), "a page of the sandbox failed");
        plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The sandbox's database failed; its log says why.\n",
        )
    });
    protect(response.headers_mut());
    response
}

/// What a page needs to know of its request.
struct Asked {
    is_post: bool,
    visitor: Option<Visitor>,
    /// The last message that the page has.
    after: i64,
    stopped: watch::Receiver<()>,
}

async fn front(desk: &Desk) -> Result<Response<Body>, Error> {
    let channels = desk.chats.web_channels().await?;
    page(StatusCode::OK, &Front { channels })
}

/// The chat of a visitor, who is given a name on the first visit.
async fn visit(
    desk: &Desk,
    asked: &Asked,
    platformid: &str,
    body: Incoming,
) -> Result<Response<Body>, Error> {
    let Some(channel) = desk.chats.web_channel(platformid).await? else {
        return Ok(missing());
    };
    let path = format!("/chat/{platformid}");
    if asked.is_post {
        // Who comes without a name has cookies switched off, or has waited longer than the cookie: the page says so.
        let Some(visitor) = &asked.visitor else {
            return Ok(moved(&path));
        };
        let said = said(body, &channel, visitor.name()).await;
        let stored = match &said.request {
            Ok(request) => desk.chats.receive(request).await.map(drop),
            Err(error) => Err(error.clone()),
        };
        return match stored {
            Ok(()) => Ok(moved(&path)),
            Err(error) if error.cause().is_some() => Err(error),
            Err(error) => visitors_page(desk, channel, visitor, Some((&error, said.message))).await,
        };
    }
    let known = asked.visitor.clone();
    let visitor = known.unwrap_or_else(Visitor::new);
    let mut response = visitors_page(desk, channel, &visitor, None).await?;
    response
        .headers_mut()
        .insert(header::SET_COOKIE, visitor.cookie());
    Ok(response)
}

async fn visitors_page(
    desk: &Desk,
    channel: Channel,
    visitor: &Visitor,
    refused: Option<(&Error, String)>,
) -> Result<Response<Body>, Error> {
    let chat = Chat::of_visitor(channel, visitor.name());
    chat_page(desk, chat, true, refused).await
}

/// A chat as its operator sees it. Looking takes no unread mark away: that is for `getmessages`.
async fn operate(
    desk: &Desk,
    asked: &Asked,
    id: &str,
    body: Incoming,
) -> Result<Response<Body>, Error> {
    let Some(chat) = desk.chats.chat(id).await? else {
        return Ok(missing());
    };
    if !asked.is_post {
        return chat_page(desk, chat, false, None).await;
    }
    let said = said(body, &chat.channel, &chat.destination).await;
    let stored = match &said.request {
        Ok(request) => desk.chats.perform(request).await.map(drop),
        Err(error) => Err(error.clone()),
    };
    match stored {
        Ok(()) => Ok(moved(&format!("/operator/chat/{id}"))),
        Err(error) if error.cause().is_some() => Err(error),
        Err(error) => chat_page(desk, chat, false, Some((&error, said.message))).await,
    }
}

async fn chat_page(
    desk: &Desk,
    chat: Chat,
    is_visitor: bool,
    refused: Option<(&Error, String)>,
) -> Result<Response<Body>, Error> {
    let messages = desk.chats.shown(&chat, 0).await?;
    let status = refused
        .as_ref()
        .map_or(200, |(error, _)| error.code().status());
    let (refusal, message) = match refused {
        Some((error, message)) => (error.text().to_owned(), message),
        None => (String::new(), String::new()),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    page(
        status,
        &ChatPage {
            last: messages.last().map_or(0, |message| message.id),
            is_visitor,
            chat,
            messages,
            refusal,
            message,
        },
    )
}

async fn operator(desk: &Desk) -> Result<Response<Body>, Error> {
    let platforms = desk.chats.by_platform().await?;
    page(StatusCode::OK, &Operator { platforms })
}

async fn watch_visit(
    desk: &Arc<Desk>,
    asked: Asked,
    platformid: &str,
) -> Result<Response<Body>, Error> {
    let channel = desk.chats.web_channel(platformid).await?;
    let (Some(channel), Some(visitor)) = (channel, asked.visitor) else {
        return Ok(missing());
    };
    let chat = Chat::of_visitor(channel, visitor.name());
    live::messages(desk, (chat, true), asked.after, asked.stopped)
}

async fn watch_chat(desk: &Arc<Desk>, asked: Asked, id: &str) -> Result<Response<Body>, Error> {
    match desk.chats.chat(id).await? {
        Some(chat) => live::messages(desk, (chat, false), asked.after, asked.stopped),
        None => Ok(missing()),
    }
}

fn page(status: StatusCode, page: &impl Template) -> Result<Response<Body>, Error> {
    let text = page.render().map_err(|error| unwritten(&error))?;
    Ok(response(status, HTML, whole(text)))
}

fn unwritten(error: &askama::Error) -> Error {
    Error::refused(Code::InternalError).because(error.to_string())
}

fn missing() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "There is nothing at this path.\n")
}

/// See Other: what was posted is not posted again when the page is loaded anew.
fn moved(path: &str) -> Response<Body> {
    let mut response = plain(StatusCode::SEE_OTHER, "");
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    response
}

fn asset(name: &str) -> Response<Body> {
    let (kind, text) = match name {
        "web.css" => ("text/css; charset=utf-8", include_str!("../assets/web.css")),
        "web.js" => (
            "text/javascript; charset=utf-8",
            include_str!("../assets/web.js"),
        ),
        "icon.svg" => ("image/svg+xml", include_str!("../assets/icon.svg")),
        _ => return missing(),
    };
    response(StatusCode::OK, kind, whole(text))
}

fn protect(headers: &mut HeaderMap) {
    const HEADERS: [(HeaderName, &str); 7] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With no-referrer a browser would call the origin of our own forms "null".
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
