//! The page that shows a new secret, only this once.

use askama::Template;
use serde_json::Value;
use store::Access;

use crate::state::Console;
use crate::web::access::sample::Sampler;
use crate::web::fields::Fields;
use crate::web::layout::PageLayout;
use crate::web::text::escape_invisible;

#[derive(Template)]
#[template(path = "access_secret.html")]
pub(crate) struct SecretPage {
    layout: PageLayout,
    heading: &'static str,
    name: String,
    user: String,
    client_id: String,
    secret: String,
    sampler: Sampler,
}

impl SecretPage {
    /// Makes the page from the view of the access, which contains the secret.
    pub(crate) fn of(
        layout: PageLayout,
        heading: &'static str,
        console: &Console,
        access: &Access,
        view: &Value,
    ) -> SecretPage {
        SecretPage {
            layout,
            heading,
            name: access.name.clone(),
            user: escape_invisible(&access.user),
            client_id: access.client_id.clone(),
            secret: view["password"].as_str().unwrap_or_default().to_owned(),
            sampler: Sampler::of(console, access, &Fields::default()),
        }
    }
}
