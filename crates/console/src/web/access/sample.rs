//! The sample: a program that makes one call with an access, ready to be pasted.

use adapter::{OPERATIONS, Operation, Way};
use askama::Template;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use samples::{LANGUAGES, Language, SampleCaller, sample};
use store::{Access, ChangeError};

use crate::access::draft::methods;
use crate::path_names::PagePath;
use crate::state::{Console, ConsoleState};
use crate::web::fields::Fields;
use crate::web::layout::{html, see_other};
use crate::web::page_error::PageResult;
use crate::web::visitor::Visitor;

/// A sample, and the choices of language, way in and method.
#[derive(Template)]
#[template(path = "sample.html")]
pub(crate) struct Sampler {
    name: String,
    /// The languages: word, title, and whether the language is chosen.
    languages: Vec<(&'static str, &'static str, bool)>,
    ways: Vec<(&'static str, bool)>,
    methods: Vec<(&'static str, bool)>,
    text: String,
    /// The name of the file, and the command that runs it.
    file: &'static str,
    run: &'static str,
    secret: &'static str,
    why_not: Option<String>,
}

impl Sampler {
    /// Makes the sample that the fields choose. By default, curl sends a message with Basic authentication.
    pub(crate) fn of(console: &Console, access: &Access, fields: &Fields) -> Sampler {
        let language = Language::named(fields.get("language"))
            .or(Language::named("unix"))
            .unwrap_or(LANGUAGES[0]);
        let way = Way::from_name(fields.get("way")).unwrap_or(Way::Basic);
        let method = Operation::named(fields.get("method")).or(Operation::named("sendmessage"));
        let operation = method.unwrap_or(&OPERATIONS[0]);
        let status = console.gateway.status();
        let caller = SampleCaller {
            url: status["public_url"].as_str().unwrap_or_default(),
            user: &access.user,
            client_id: &access.client_id,
        };
        let written = sample(language, way, operation, &caller, &[]);
        let why_not = written.as_ref().err().map(ToString::to_string);
        let written = written.ok();
        Sampler {
            name: access.name.clone(),
            languages: LANGUAGES
                .map(|one| (one.name, one.title, one.name == language.name))
                .into(),
            ways: Way::ALL.map(|one| (one.name(), one == way)).into(),
            methods: methods()
                .map(|method| (method, method == operation.method))
                .into(),
            file: written.as_ref().map_or("", |sample| sample.file),
            run: written.as_ref().map_or("", |sample| sample.run),
            secret: written.as_ref().map_or("", |sample| sample.secret),
            text: written.map_or_else(String::new, |sample| sample.text),
            why_not,
        }
    }
}

/// Shows only the sample, for a page that is already open. Redirects a browser without scripts to the whole page.
pub(crate) async fn fragment(
    State(console): ConsoleState,
    _visitor: Visitor,
    PagePath(name): PagePath,
    headers: HeaderMap,
    fields: Fields,
) -> PageResult {
    if !headers.contains_key("hx-request") {
        return Ok(see_other(&format!(
            "/console/accesses/{name}?{}#sample",
            fields.query(&["language", "way", "method"])
        )));
    }
    let accesses = console.store.accesses();
    let access = accesses.named(&name).ok_or(ChangeError::Missing)?;
    let sampler = Sampler::of(&console, access, &fields);
    Ok(html(StatusCode::OK, &sampler))
}
