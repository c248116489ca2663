//! The filter of a reader: by types of events, and by platform or channel.

use adapter::Request;
use store::{Event, EventKind};

/// The default types, for a reader that names none. Sent messages are not included, because a program that answers messages would
/// answer its own.
const DEFAULT_KINDS: [EventKind; 2] = [EventKind::MessageReceived, EventKind::ChatChanged];

/// Selects events, regardless of what the access may see.
#[derive(Clone, Debug)]
pub struct EventFilter {
    kinds: Box<[EventKind]>,
    platform: Option<Box<str>>,
    platformid: Option<Box<str>>,
}

impl EventFilter {
    /// Reads the parameters `types`, `platform` and `platformid` of a request for events.
    #[must_use]
    pub fn of(request: &Request) -> EventFilter {
        let named = request.value("types");
        let named = named.map(|types| types.split(',').filter_map(EventKind::named));
        EventFilter {
            kinds: named.map_or_else(|| DEFAULT_KINDS.into(), Iterator::collect),
            platform: request.value("platform").map(Box::from),
            platformid: request.value("platformid").map(Box::from),
        }
    }

    /// Returns whether the reader requested this event.
    #[must_use]
    pub fn passes(&self, event: &Event) -> bool {
        let is = |wanted: &Option<Box<str>>, is: &str| {
            wanted.as_ref().is_none_or(|wanted| **wanted == *is)
        };
        self.kinds.contains(&event.kind)
            && is(&self.platform, &event.platform)
            && is(&self.platformid, &event.platformid)
    }
}

#[cfg(test)]
mod tests {
    use adapter::{EVENT_TYPES, GET_EVENTS, Operation, Params};
    use store::Position;

    use super::*;

    fn filter(pairs: &[(&str, &str)]) -> EventFilter {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let operation = Operation::named(GET_EVENTS).unwrap();
        EventFilter::of(&Request::of(operation, &mut Params::from_pairs(pairs)).unwrap())
    }

    fn passing(filter: &EventFilter, (platform, platformid): (&str, &str)) -> Vec<&'static str> {
        let event = |kind| Event {
            position: Position::ZERO,
            id: String::new(),
            kind,
            at_ms: 0,
            platform: platform.to_owned(),
            platformid: platformid.to_owned(),
            destination: None,
            gap: false,
            late: false,
            row: None,
        };
        let kinds = EventKind::ALL.into_iter();
        let passing = kinds.filter(|kind| filter.passes(&event(*kind)));
        passing.map(EventKind::word).collect()
    }

    #[test]
    fn a_filter_passes_only_the_requested_types_and_channel() {
        let channel = ("whatsapp", "100");
        assert_eq!(
            passing(&filter(&[]), channel),
            ["chat.changed", "message.received"]
        );
        let all = EVENT_TYPES.join(",");
        assert_eq!(passing(&filter(&[("types", &all)]), channel), EVENT_TYPES);
        let sent = filter(&[
            ("types", "message.sent"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
        ]);
        assert_eq!(passing(&sent, channel), ["message.sent"]);
        assert!(passing(&sent, ("whatsapp", "101")).is_empty());
        assert!(passing(&sent, ("telegram", "100")).is_empty());
    }
}
