//! The pages, each with a template in `templates`. The templates escape every value.

use adapter::{Code, Error};
use askama::Template;

use super::rows::{Chat, ChatChannel, PlatformChats, ShownMessage};

/// The page where a visitor chooses a channel.
#[derive(Template)]
#[template(path = "front.html")]
pub(super) struct FrontPage {
    pub(super) channels: Vec<ChatChannel>,
}

/// A chat, as its visitor or its operator sees it.
#[derive(Template)]
#[template(path = "chat.html")]
pub(super) struct ChatPage {
    pub(super) chat: Chat,
    pub(super) is_visitor: bool,
    pub(super) messages: Vec<ShownMessage>,
    /// The id of the last message on the page.
    pub(super) last: i64,
    /// The reason why the typed text was rejected; empty if it was not.
    pub(super) refusal: String,
    /// The typed text, if it was rejected.
    pub(super) message: String,
}

/// A message, on a page or in an event.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct MessageView<'a> {
    pub(super) shown: &'a ShownMessage,
    pub(super) is_visitor: bool,
}

/// The chats of all platforms.
#[derive(Template)]
#[template(path = "operator.html")]
pub(super) struct OperatorPage {
    pub(super) platforms: Vec<PlatformChats>,
}

/// The part of the operator's page that events replace.
#[derive(Template)]
#[template(path = "platforms.html")]
pub(super) struct PlatformList<'a> {
    pub(super) platforms: &'a [PlatformChats],
}

/// Renders a template as HTML.
pub(super) fn rendered(template: &impl Template) -> Result<String, Error> {
    let unrendered =
        |error: askama::Error| Error::refused(Code::InternalError).because(error.to_string());
    template.render().map_err(unrendered)
}

impl ChatPage {
    /// Renders a message as an event would contain it.
    fn one(&self, shown: &ShownMessage) -> askama::Result<String> {
        let is_visitor = self.is_visitor;
        MessageView { shown, is_visitor }.render()
    }
}

impl OperatorPage {
    /// Renders the list as an event would contain it.
    fn list(&self) -> askama::Result<String> {
        let platforms = &self.platforms;
        PlatformList { platforms }.render()
    }
}

impl MessageView<'_> {
    fn author(&self) -> &'static str {
        match (self.shown.sent, self.is_visitor) {
            (true, true) => "Reply",
            (false, false) => "Incoming",
            (true, false) | (false, true) => "You",
        }
    }
}
