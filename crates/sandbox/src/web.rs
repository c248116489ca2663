//! Pages for people: the web chat of a visitor, and the chats of all platforms as their operator sees them.
//!
//! The pages are rendered here, work without JavaScript, and are live with it (`live`). They load nothing from other sites. Even a
//! sent picture is only a link, because loading it would reveal to a foreign server who reads which message and when. Visitors do
//! not sign in; `guard` rejects requests from pages of other sites.

pub(crate) mod guard;
mod live;
mod message_form;
mod rows;
mod views;
mod visitor;

use std::sync::Arc;

use adapter::Error;
use askama::Template;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::answer::{Body, method_not_allowed, plain, response, whole};
use crate::app_state::AppState;
use message_form::MessageForm;
use rows::{Chat, ChatChannel};
use views::{ChatPage, FrontPage, OperatorPage, rendered};
use visitor::ChatVisitor;

const HTML: &str = "text/html; charset=utf-8";

/// The content security policy of every page. Styles and the script are our own files, and forms are sent to this server only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers all paths outside the API. The request has already passed the guard.
pub(crate) async fn answer(
    state: &Arc<AppState>,
    stopped: watch::Receiver<()>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let asked = PageRequest {
        is_post: head.method == Method::POST,
        visitor: ChatVisitor::of(&head.headers),
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
        ["chat", ""] => front(state).await,
        ["chat", platformid] => visit(state, &asked, platformid, body).await,
        ["chat", platformid, "events"] => watch_visit(state, asked, platformid).await,
        ["operator", ""] => operator(state).await,
        ["operator", "events"] => live::chats(state, asked.stopped),
        ["operator", "chat", id] => operate(state, &asked, id, body).await,
        ["operator", "chat", id, "events"] => watch_chat(state, asked, id).await,
        _ => Ok(missing()),
    };
    let mut response = answered.unwrap_or_else(|error| {
        tracing::error!(cause = error.cause(), "a page of the sandbox failed");
        plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The sandbox's database failed. The log contains the cause.\n",
        )
    });
    protect(response.headers_mut());
    response
}

/// The data of a request that a page needs.
struct PageRequest {
    is_post: bool,
    visitor: Option<ChatVisitor>,
    /// The id of the last message that the page shows.
    after: i64,
    stopped: watch::Receiver<()>,
}

async fn front(state: &AppState) -> Result<Response<Body>, Error> {
    let channels = state.chats.web_channels().await?;
    page(StatusCode::OK, &FrontPage { channels })
}

/// Shows a visitor's chat or stores the visitor's message. A visitor gets a name on the first visit.
async fn visit(
    state: &AppState,
    asked: &PageRequest,
    platformid: &str,
    body: Incoming,
) -> Result<Response<Body>, Error> {
    let Some(channel) = state.chats.web_channel(platformid).await? else {
        return Ok(missing());
    };
    let path = format!("/chat/{platformid}");
    if asked.is_post {
        // A browser without a name has cookies disabled, or its cookie has expired. The page explains this.
        let Some(visitor) = &asked.visitor else {
            return Ok(moved(&path));
        };
        let form = MessageForm::read(body, &channel, visitor.name()).await;
        let stored = match &form.request {
            Ok(request) => state.chats.receive(request).await.map(drop),
            Err(error) => Err(error.clone()),
        };
        return match stored {
            Ok(()) => Ok(moved(&path)),
            Err(error) if error.cause().is_some() => Err(error),
            Err(error) => {
                visitors_page(state, channel, visitor, Some((&error, form.message))).await
            }
        };
    }
    let known = asked.visitor.clone();
    let visitor = known.unwrap_or_else(ChatVisitor::new);
    let mut response = visitors_page(state, channel, &visitor, None).await?;
    response
        .headers_mut()
        .insert(header::SET_COOKIE, visitor.cookie());
    Ok(response)
}

async fn visitors_page(
    state: &AppState,
    channel: ChatChannel,
    visitor: &ChatVisitor,
    refused: Option<(&Error, String)>,
) -> Result<Response<Body>, Error> {
    let chat = Chat::of_visitor(channel, visitor.name());
    chat_page(state, chat, true, refused).await
}

/// Shows a chat to its operator, or sends the operator's message. Viewing a chat clears no unread marks, because only `getmessages`
/// does that.
async fn operate(
    state: &AppState,
    asked: &PageRequest,
    id: &str,
    body: Incoming,
) -> Result<Response<Body>, Error> {
    let Some(chat) = state.chats.chat(id).await? else {
        return Ok(missing());
    };
    if !asked.is_post {
        return chat_page(state, chat, false, None).await;
    }
    let form = MessageForm::read(body, &chat.channel, &chat.destination).await;
    let stored = match &form.request {
        Ok(request) => state.chats.perform(request).await.map(drop),
        Err(error) => Err(error.clone()),
    };
    match stored {
        Ok(()) => Ok(moved(&format!("/operator/chat/{id}"))),
        Err(error) if error.cause().is_some() => Err(error),
        Err(error) => chat_page(state, chat, false, Some((&error, form.message))).await,
    }
}

async fn chat_page(
    state: &AppState,
    chat: Chat,
    is_visitor: bool,
    refused: Option<(&Error, String)>,
) -> Result<Response<Body>, Error> {
    let messages = state.chats.shown(&chat, 0).await?;
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

async fn operator(state: &AppState) -> Result<Response<Body>, Error> {
    let platforms = state.chats.by_platform().await?;
    page(StatusCode::OK, &OperatorPage { platforms })
}

async fn watch_visit(
    state: &Arc<AppState>,
    asked: PageRequest,
    platformid: &str,
) -> Result<Response<Body>, Error> {
    let channel = state.chats.web_channel(platformid).await?;
    let (Some(channel), Some(visitor)) = (channel, asked.visitor) else {
        return Ok(missing());
    };
    let chat = Chat::of_visitor(channel, visitor.name());
    live::messages(state, (chat, true), asked.after, asked.stopped)
}

async fn watch_chat(
    state: &Arc<AppState>,
    asked: PageRequest,
    id: &str,
) -> Result<Response<Body>, Error> {
    match state.chats.chat(id).await? {
        Some(chat) => live::messages(state, (chat, false), asked.after, asked.stopped),
        None => Ok(missing()),
    }
}

fn page(status: StatusCode, page: &impl Template) -> Result<Response<Body>, Error> {
    Ok(response(status, HTML, whole(rendered(page)?)))
}

fn missing() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "There is nothing at this path.\n")
}

/// Redirects with See Other, so that reloading the page does not send the form again.
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
        // With no-referrer a browser would send the origin "null" with our own forms.
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
