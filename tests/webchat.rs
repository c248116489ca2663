//! Tests of the sandbox's pages in a real browser.

use crate::browser::browse;

#[test]
fn a_visitor_and_an_operator_talk_by_every_way_in() {
    browse("webchat_story.js", "");
}

#[test]
fn naughty_strings_are_shown_and_do_nothing() {
    browse("webchat_naughty.js", "");
}
