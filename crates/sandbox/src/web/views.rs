//! The pages, each a template in `templates`. The templates escape every value.

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
    /// The last message on the page.
    pub(super) last: i64,
    /// Why the typed text was refused; empty when it was not.
    pub(super) refusal: String,
    /// The typed text then.
    pub(super) message: String,
}

/// One message, on a page or in an event for it.
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

/// The part of it that events replace.
#[derive(Template)]
#[template(path = "platforms.html")]
pub(super) struct PlatformList<'a> {
    pub(super) platforms: &'a [PlatformChats],
}

/// The HTML of a template.
pub(super) fn rendered(template: &impl Template) -> Result<String, Error> {
    let unrendered =
        |error: askama::Error| Error::refused(Code::InternalError).because(error.to_string());
    template.render().map_err(unrendered)
}

impl ChatPage {
    /// One message as in an event.
    fn one(&self, shown: &ShownMessage) -> askama::Result<String> {
        let is_visitor = self.is_visitor;
        MessageView { shown, is_visitor }.render()
    }
}

impl OperatorPage {
    /// The list as in an event.
    fn list(&self) -> askama::Result<String> {
        let platforms = &self.platforms;
        PlatformList { platforms }.render()
    }
}

impl MessageView<'_> {
    fn author(&self) -> &'static str {
        match (self.shown.sent, self.is_visitor) {
            (true, true) => "Answer",
            (false, false) => "Incoming",
            (true, false) | (false, true) => "You",
        }
    }
}
