//! Decides which accesses may see an event.

use adapter::GET_EVENTS;
use store::{Access, Event};

/// Returns whether an access may see an event: it may call `getevents` and use the event's channel. The code that answers the
/// access checks whether the access is live, and its addresses and ways in.
#[must_use]
pub fn may_see_event(access: &Access, event: &Event) -> bool {
    may_listen(access) && forward::may_use(access, &event.platform, &event.platformid)
}

/// Returns whether an access may see events at all.
pub(crate) fn may_listen(access: &Access) -> bool {
    access.methods.iter().any(|method| method == GET_EVENTS)
}

#[cfg(test)]
mod tests {
    use store::{Channel, EventKind, Position};

    use super::*;

    #[test]
    fn an_event_is_visible_to_accesses_that_may_use_getevents_and_its_channel() {
        let event = Event {
            position: Position::ZERO,
            id: String::new(),
            kind: EventKind::ChatChanged,
            at_ms: 0,
            platform: "whatsapp".to_owned(),
            platformid: "100".to_owned(),
            destination: None,
            gap: false,
            late: false,
            row: None,
        };
        let check = |change: &dyn Fn(&mut Access), expected| {
            let mut access = Access::new("a", "a", "cga_a");
            access.methods = vec![GET_EVENTS.into()];
            change(&mut access);
            assert_eq!(may_see_event(&access, &event), expected);
        };
        let channel = |platformid: &str| Channel {
            platform: "whatsapp".to_owned(),
            platformid: platformid.to_owned(),
        };
        check(&|_| {}, true);
        check(&|access| access.methods = vec!["getchats".into()], false);
        check(
            &|access| access.platforms = Some(vec!["telegram".into()]),
            false,
        );
        check(
            &|access| access.channels = Some(vec![channel("101")]),
            false,
        );
        check(&|access| access.channels = Some(vec![channel("100")]), true);
    }
}
