//! Arguments of `chatgate sample`.

use adapter::{OPERATIONS, Way};
use clap::Args;
use clap::builder::PossibleValuesParser;
use samples::LANGUAGES;
use url::Url;

use super::connect::AdminArgs;

#[derive(Args, Debug)]
pub(crate) struct SampleArgs {
    /// The programming language
    #[arg(long, value_parser = PossibleValuesParser::new(LANGUAGES.map(|language| language.name)))]
    pub(crate) language: String,
    /// The way in
    #[arg(long, default_value = Way::Http.name(), value_parser = PossibleValuesParser::new(Way::ALL.map(Way::name)))]
    pub(crate) way: String,
    /// The method
    #[arg(long, value_parser = PossibleValuesParser::new(OPERATIONS.each_ref().map(|operation| operation.method)))]
    pub(crate) method: String,
    /// A value for a parameter, instead of an example value; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) values: Vec<(String, String)>,
    /// The base URL of the public listener [default: the running gateway's]
    #[arg(long, value_parser = base_url)]
    pub(crate) url: Option<Url>,
    /// The user name of the access [default: the demo access's]
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// The client id of the access, for tokens [default: the demo access's]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// Print JSON: language, way, method, file, text, the command that runs it, and the place of its secret
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let (name, value) = pair.ok_or_else(|| "write NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    url.filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
    .ok_or_else(|| "write https://HOST:PORT".to_owned())
}
