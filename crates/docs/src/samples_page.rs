//! The samples page: one program, for the language, way in and method that the reader chooses.

use adapter::{OPERATIONS, Operation, Way};
use askama::Template;
use samples::{LANGUAGES, Language, Sample, SampleCaller, sample};
use url::form_urlencoded;

use crate::interface::PublicInterface;
use crate::pages::title;

#[derive(Template)]
#[template(path = "docs/samples.html")]
pub(crate) struct Samples {
    languages: Vec<Choice>,
    ways: Vec<Choice>,
    methods: Vec<Choice>,
    /// The program, or the reason why there is none.
    written: Result<Sample, String>,
}

/// An entry of a list.
struct Choice {
    name: &'static str,
    title: &'static str,
    is_chosen: bool,
}

impl Samples {
    /// Reads the choices from a query. A missing or unknown choice becomes the first language, the first way in that is switched
    /// on, or `sendmessage`.
    pub(crate) fn new(interface: &PublicInterface<'_>, query: Option<&str>) -> Samples {
        let query = query.unwrap_or_default();
        let asked = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(n, _)| n == name).map(|(_, value)| value)
        };
        let language = asked("language").and_then(|name| Language::named(&name));
        let language = language.unwrap_or(LANGUAGES[0]);
        let open: Vec<_> = interface.ways.iter().map(|(way, _)| *way).collect();
        let way = asked("way").and_then(|name| Way::from_name(&name));
        let way = way
            .filter(|way| open.contains(way))
            .or(open.first().copied());
        let operation = asked("method").and_then(|name| Operation::named(&name));
        let operation = operation
            .or(Operation::named("sendmessage"))
            .unwrap_or(&OPERATIONS[0]);
        let written = match way {
            None => Err("no way in is enabled".to_owned()),
            Some(way) => {
                let caller = SampleCaller {
                    url: interface.url,
                    user: "YOUR-USER",
                    client_id: "YOUR-CLIENT-ID",
                };
                sample(language, way, operation, &caller, &[]).map_err(|why| why.to_string())
            }
        };
        Samples {
            languages: choices(LANGUAGES, |one| {
                (one.name, one.title, one.name == language.name)
            }),
            ways: choices(open, |one| (one.name(), title(one), Some(one) == way)),
            methods: choices(interface.operations(), |one| {
                (one.method, one.method, one == operation)
            }),
            written,
        }
    }
}

fn choices<T>(
    all: impl IntoIterator<Item = T>,
    of: impl Fn(T) -> (&'static str, &'static str, bool),
) -> Vec<Choice> {
    let choice = |one| {
        let (name, title, is_chosen) = of(one);
        Choice {
            name,
            title,
            is_chosen,
        }
    };
    all.into_iter().map(choice).collect()
}
