//! `chatgate sample`: prints a program that makes one call.

use adapter::{Operation, Way};
use gateway::DemoCredentials;
use samples::{Language, SampleCaller, SampleError, sample};
use serde_json::json;

use super::admin::{Admin, COMMAND_TIMEOUT, member};
use super::error::CommandError;
use super::output::{print_exactly, print_json};
use crate::args::sample::SampleArgs;

/// A placeholder for the user name and client id of an unknown access.
const UNKNOWN: &str = "CHANGE-ME";

pub(crate) async fn run(args: SampleArgs) -> Result<(), CommandError> {
    // Names from other lists cannot occur, because the command line rejects them.
    let missing = || CommandError::Usage("there is no such language, way or method".to_owned());
    let language = Language::named(&args.language).ok_or_else(missing)?;
    let way = Way::from_name(&args.way).ok_or_else(missing)?;
    let operation = Operation::named(&args.method).ok_or_else(missing)?;
    if let Err(why) = language.supports(way) {
        let ways: Vec<_> = language.ways().map(Way::name).collect();
        return Err(CommandError::Usage(format!(
            "{why}; {} has samples for {}",
            language.name,
            ways.join(", ")
        )));
    }
    let url = url(&args).await?;
    let demo = demo(&args);
    let given = |name: &Option<String>, of_demo: fn(&DemoCredentials) -> &String| {
        let of_demo = || demo.as_ref().map(of_demo).cloned();
        let value = name.clone().or_else(of_demo);
        value.unwrap_or_else(|| UNKNOWN.to_owned())
    };
    let caller = SampleCaller {
        url: &url,
        user: &given(&args.user, |demo| &demo.user),
        client_id: &given(&args.client_id, |demo| &demo.client_id),
    };
    let values = args.values.iter();
    let values: Vec<_> = values.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let written = sample(language, way, operation, &caller, &values)
        .map_err(|why| CommandError::Usage(explained(&why, operation)))?;
    if !args.json {
        return Ok(print_exactly(written.text)?);
    }
    Ok(print_json(&json!({
        "language": language.name,
        "way": way.name(),
        "method": operation.method,
        "file": written.file,
        "text": written.text,
        "run": written.run,
        "secret": written.secret,
    }))?)
}

/// Returns the base URL of the public listener, either as given or as reported by the running gateway.
async fn url(args: &SampleArgs) -> Result<String, String> {
    if let Some(url) = &args.url {
        return Ok(url.to_string());
    }
    let hint = |error| format!("{error}; or give the address of the public listener with --url");
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT).map_err(hint)?;
    let status = admin.get("/admin/v1/status").await.map_err(hint)?;
    member(&status, "public_url")
}

/// Returns the demo access, unless the command line names another one, so that the names of two accesses are never mixed.
fn demo(args: &SampleArgs) -> Option<DemoCredentials> {
    if args.user.is_some() || args.client_id.is_some() {
        return None;
    }
    DemoCredentials::read(&args.admin.data).ok()
}

fn explained(why: &SampleError, operation: &Operation) -> String {
    let names: Vec<_> = operation.parameters.iter().map(|p| p.name).collect();
    match why {
        SampleError::NoParameter(_) if names.is_empty() => format!("{why}; it has no parameters"),
        SampleError::NoParameter(_) => format!("{why}; its parameters are {}", names.join(", ")),
        why => why.to_string(),
    }
}
