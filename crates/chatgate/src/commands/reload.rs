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
    let named = |member: &str| -> Vec<String> {
        let names = reloaded[member].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let changed = match named("changed").as_slice() {
        [] => "no setting of the file changed".to_owned(),
        keys => format!("changed: {}", keys.join(", ")),
    };
    let generation = reloaded["config_generation"].as_u64().unwrap_or_default();
    let without_effect = named("without_effect");
    let without_effect = without_effect
        .iter()
        .map(|key| format!("Without effect: {key}.\n"));
    let without_effect: String = without_effect.collect();
    print(format!(
        "Configuration {generation} is in force; {changed}.\n{without_effect}"
    ))
}
