//! Tests of the sandbox's pages in a real browser.

use crate::browser::browse;

#[test]
fn a_visitor_and_an_operator_exchange_messages_by_every_way_in() {
    browse("webchat_story.js", "");
}

#[test]
fn the_webchat_shows_hostile_strings_and_never_executes_them() {
    browse("webchat_naughty.js", "");
}
