//! Restricts an access to its channels. Every answer that lists channels shows only those that the access may use.

use std::borrow::Cow;

use adapter::{Code, Error, JsonElements, Operation, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::Access;

/// The operation whose answer lists the channels of the whole upstream account.
const LISTING: &str = "getchatchannels";

/// Returns whether the access may use the platform, whatever the channel.
pub(crate) fn may_use_platform(access: &Access, platform: &str) -> bool {
    let platforms = access.platforms.as_ref();
    platforms.is_none_or(|allowed| allowed.iter().any(|name| name == platform))
}

/// Returns whether the access may use the channel. If one part is not given, any channel with the other part is enough. The
/// platform itself is checked separately.
pub(crate) fn may_use_any_channel(
    access: &Access,
    platform: Option<&str>,
    platformid: Option<&str>,
) -> bool {
    let channels = access.channels.as_ref();
    channels.is_none_or(|allowed| {
        allowed.iter().any(|channel| {
            platform.is_none_or(|platform| channel.platform == platform)
                && platformid.is_none_or(|platformid| channel.platformid == platformid)
        })
    })
}

/// Returns the answer as the access may see it: without the channels that it may not use, and otherwise unchanged. An entry that
/// names no channel is not shown to restricted accesses.
///
/// # Errors
/// UPSTREAM_ERROR when the access is restricted and the list can't be read, because then it is unknown what the answer would
/// reveal.
pub(crate) fn only_permitted(
    access: &Access,
    operation: &Operation,
    response: Response,
) -> Result<Response, Error> {
    let is_bound = access.platforms.is_some() || access.channels.is_some();
    if !is_bound || operation.method != LISTING {
        return Ok(response);
    }
    let unreadable =
        || Error::refused(Code::UpstreamError).because("the list of channels can't be read");
    let filtered = filtered(access, response.result()).ok_or_else(unreadable)?;
    Response::of(&filtered).ok_or_else(unreadable)
}

#[derive(Deserialize)]
struct ChannelList<'a> {
    #[serde(borrow)]
    list: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChannelItem<'a> {
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    #[serde(borrow)]
    platformid: Option<&'a RawValue>,
}

/// Returns the result with a shorter list; `None` if the result is no object or its list is not a list.
fn filtered(access: &Access, result: &str) -> Option<String> {
    // The text is compact. Serde would also read an array as an object, which has another meaning here.
    if !result.starts_with('{') {
        return None;
    }
    let listed: ChannelList<'_> = serde_json::from_str(result).ok()?;
    let Some(list) = listed.list.map(RawValue::get) else {
        return Some(result.to_owned());
    };
    let JsonElements(items) = serde_json::from_str(list).ok()?;
    let items = items.into_iter().map(RawValue::get);
    let shown: Vec<&str> = items.filter(|item| may_see(access, item)).collect();
    // The position of the list in the text from which it was read.
    let start = list.as_ptr().addr() - result.as_ptr().addr();
    let (before, rest) = result.split_at_checked(start)?;
    let after = rest.get(list.len()..)?;
    Some(format!("{before}[{}]{after}", shown.join(",")))
}

fn may_see(access: &Access, item: &str) -> bool {
    let read = || {
        let item: ChannelItem<'_> = serde_json::from_str(item).ok()?;
        Some((text(item.platform?)?, text(item.platformid?)?))
    };
    let channel = if item.starts_with('{') { read() } else { None };
    channel.is_some_and(|(platform, platformid)| {
        may_use_platform(access, &platform)
            && may_use_any_channel(access, Some(&platform), Some(&platformid))
    })
}

/// Returns a string, or a number as it is written.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let written = value.get();
    match written.as_bytes().first()? {
        b'"' => serde_json::from_str(written).ok().map(Cow::Owned),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(written)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use store::Channel;

    use super::*;

    fn bound(platforms: Option<&[&str]>, channels: Option<&[(&str, &str)]>) -> Access {
        let words = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        let channel = |(platform, platformid): &(&str, &str)| Channel {
            platform: (*platform).to_owned(),
            platformid: (*platformid).to_owned(),
        };
        Access {
            platforms: platforms.map(words),
            channels: channels.map(|channels| channels.iter().map(channel).collect()),
            ..Access::new("a", "a", "cga_a")
        }
    }

    #[track_caller]
    fn check(access: &Access, result: &str, expected: Option<&str>) {
        let listing = Operation::named(LISTING).unwrap();
        let seen = only_permitted(access, listing, Response::of(result).unwrap());
        assert_eq!(
            seen.as_ref().ok().map(Response::result),
            expected,
            "{result}"
        );
    }

    const ALL: &str = r#"{"n":1.0,"list":[{"platformid":"100","platform":"whatsapp","name":"S","x":[2e3]},{"platformid":100,"platform":"telegram"},{"platform":"\u0077hatsapp","platformid":"7"}],"more":{"list":1}}"#;

    #[test]
    fn an_unrestricted_access_gets_the_channel_list_unchanged() {
        for result in [ALL, "null", "[1]", r#"{"list":{}}"#] {
            check(&bound(None, None), result, Some(result));
        }
    }

    #[test]
    fn a_restricted_access_gets_only_its_channels_and_other_fields_verbatim() {
        let whatsapp = r#"{"n":1.0,"list":[{"platformid":"100","platform":"whatsapp","name":"S","x":[2e3]},{"platform":"\u0077hatsapp","platformid":"7"}],"more":{"list":1}}"#;
        let telegram =
            r#"{"n":1.0,"list":[{"platformid":100,"platform":"telegram"}],"more":{"list":1}}"#;
        let nothing = r#"{"n":1.0,"list":[],"more":{"list":1}}"#;
        check(&bound(Some(&["whatsapp"]), None), ALL, Some(whatsapp));
        check(
            &bound(None, Some(&[("telegram", "100")])),
            ALL,
            Some(telegram),
        );
        check(&bound(None, Some(&[("telegram", "1")])), ALL, Some(nothing));
        check(&bound(Some(&[]), None), ALL, Some(nothing));
        check(
            &bound(
                Some(&["operator", "whatsapp"]),
                Some(&[("telegram", "100")]),
            ),
            ALL,
            Some(nothing),
        );
        check(
            &bound(Some(&["whatsapp"]), None),
            r#"{"a":null}"#,
            Some(r#"{"a":null}"#),
        );
    }

    #[test]
    fn a_list_that_is_written_as_an_object_is_restricted_too() {
        let access = bound(Some(&["whatsapp"]), None);
        let items = r#"{"list":{"1":{"platform":"whatsapp","platformid":"1"},"3":{"platform":"telegram","platformid":"2"}}}"#;
        let shown = r#"{"list":[{"platform":"whatsapp","platformid":"1"}]}"#;
        check(&access, items, Some(shown));
        check(&access, r#"{"list":{}}"#, Some(r#"{"list":[]}"#));
    }

    #[test]
    fn list_items_without_a_channel_are_hidden_from_restricted_accesses() {
        let access = bound(Some(&["whatsapp"]), None);
        let items = r#"{"list":["whatsapp",["whatsapp","1"],{"platform":"whatsapp"},{"platform":["whatsapp"],"platformid":"1"},null,7]}"#;
        check(&access, items, Some(r#"{"list":[]}"#));
        for result in [
            "null",
            "7",
            r#"[[{"platform":"telegram","platformid":"1"}]]"#,
            r#"{"list":"telegram"}"#,
        ] {
            check(&access, result, None);
        }
    }
}
