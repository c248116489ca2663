//! The pages, each a template in `templates`. The templates escape whatever they are given.

use askama::Template;

use super::rows::{Channel, Chat, Platform, Shown};

/// Where a visitor chooses a channel.
#[derive(Template)]
#[template(path = "front.html")]
pub(super) struct Front {
    pub(super) channels: Vec<Channel>,
}

/// A chat, as its visitor or its operator sees it.
#[derive(Template)]
#[template(path = "chat.html")]
pub(super) struct ChatPage {
    pub(super) chat: Chat,
    pub(super) is_visitor: bool,
    pub(super) messages: Vec<Shown>,
    /// The last message on the page.
    pub(super) last: i64,
    /// Why what was typed was not taken; empty when nothing was refused.
    pub(super) refusal: String,
    /// What was typed then.
    pub(super) message: String,
}

/// One message, on a page or told to it.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message<'a> {
    pub(super) shown: &'a Shown,
    pub(super) is_visitor: bool,
}

/// The chats of all platforms.
#[derive(Template)]
#[template(path = "operator.html")]
pub(super) struct Operator {
    pub(super) platforms: Vec<Platform>,
}

/// The part of it that is told anew.
#[derive(Template)]
#[template(path = "platforms.html")]
pub(super) struct Platforms<'a> {
    pub(super) platforms: &'a [Platform],
}

impl Front {
    #[expect(
        clippy::unused_self,
        reason = "asked by the template that all pages share"
    )]
    fn is_visitors(&self) -> bool {
        true
    }
}

impl ChatPage {
    fn is_visitors(&self) -> bool {
        self.is_visitor
    }

    /// One message as a page that is open already would be told it.
    fn one(&self, shown: &Shown) -> askama::Result<String> {
        let is_visitor = self.is_visitor;
        Message { shown, is_visitor }.render()
    }
}

impl Operator {
    #[expect(
        clippy::unused_self,
        reason = "asked by the template that all pages share"
    )]
    fn is_visitors(&self) -> bool {
        false
    }

    /// The list as a page that is open already would be told it.
    fn list(&self) -> askama::Result<String> {
        let platforms = &self.platforms;
        Platforms { platforms }.render()
    }
}

impl Message<'_> {
    fn author(&self) -> &'static str {
        match (self.shown.sent, self.is_visitor) {
            (true, true) => "Answer",
            (false, false) => "Incoming",
            (true, false) | (false, true) => "You",
        }
    }
}
