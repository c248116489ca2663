//! `chatgate reload`: makes a running gateway read its configuration again.

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{print, print_json};
use crate::args::connect::RequestArgs;

pub(crate) async fn run(args: RequestArgs) -> Result<(), String> {
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let reloaded = admin.post("/admin/v1/reload").await?;
    if args.json {
        return print_json(&reloaded);
    }
    let keys: Vec<_> = reloaded["changed"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let changed = match keys.as_slice() {
        [] => "no key of the file has changed".to_owned(),
        keys => {
            let names: Vec<_> = keys.iter().filter_map(|key| key.as_str()).collect();
            format!("changed: {}", names.join(", "))
        }
    };
    let generation = reloaded["config_generation"].as_u64().unwrap_or_default();
    print(format!(
        "Configuration {generation} is in force; {changed}.\n"
    ))
}
