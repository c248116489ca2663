//! `chatgate sample`: a program that makes one call.

use adapter::{Operation, Way};
use samples::{Language, SampleCaller, WhyNot, sample};
use serde_json::json;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{print_exactly, print_json};
use super::{Failure, member};
use crate::cli::sample::SampleArgs;
use crate::serve::bootstrap::Demo;
use crate::serve::data_folder::DataFolder;

/// Stands where the access is not known.
const UNKNOWN: &str = "CHANGE-ME";

pub(crate) async fn sample_command(args: SampleArgs) -> Result<(), Failure> {
    // The command line takes names out of these very lists.
    let missing = || Failure::Usage("there is no such language, way or method".to_owned());
    let language = Language::named(&args.language).ok_or_else(missing)?;
    let way = Way::from_name(&args.way).ok_or_else(missing)?;
    let operation = Operation::named(&args.method).ok_or_else(missing)?;
    if let Err(why) = language.takes(way) {
        let ways: Vec<_> = language.ways().map(Way::name).collect();
        return Err(Failure::Usage(format!(
            "{why}; {} has samples for {}",
            language.name,
            ways.join(", ")
        )));
    }
    let url = url(&args).await?;
    let demo = demo(&args);
    let given = |name: &Option<String>, of_demo: fn(&Demo) -> &String| {
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
        .map_err(|why| Failure::Usage(mend(&why, operation)))?;
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

/// Where the ways in are: as asked for, or as the running gateway says.
async fn url(args: &SampleArgs) -> Result<String, String> {
    if let Some(url) = &args.url {
        return Ok(url.to_string());
    }
    let hint = |error| format!("{error}; or name the ways in with --url");
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT).map_err(hint)?;
    let status = admin.get("/admin/v1/status").await.map_err(hint)?;
    member(&status, "public_url")
}

/// The demo access, unless another one is named: nobody's own calls are to be made under a mixed name.
fn demo(args: &SampleArgs) -> Option<Demo> {
    if args.user.is_some() || args.client_id.is_some() {
        return None;
    }
    let file = DataFolder::new(&args.admin.data).demo();
    let text = std::fs::read_to_string(file).ok()?;
    serde_json::from_str(&text).ok()
}

fn mend(why: &WhyNot, operation: &Operation) -> String {
    let names: Vec<_> = operation.parameters.iter().map(|p| p.name).collect();
    match why {
        WhyNot::NoParameter(_) if names.is_empty() => format!("{why}; it takes none"),
        WhyNot::NoParameter(_) => format!("{why}; it takes {}", names.join(", ")),
        why => why.to_string(),
    }
}
