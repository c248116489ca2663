//! `chatgate replay`: checks journalled calls against networks other than the current ones.

use http::Method;
use serde_json::json;

use super::admin::{Admin, LONG_TIMEOUT};
use super::output::{print, print_json, rows, table};
use super::progress::{TransferProgress, during};
use crate::args::journal::ReplayArgs;

pub(crate) async fn run(args: ReplayArgs) -> Result<(), String> {
    let mut question = json!({"access": args.access, "since": args.since});
    for (name, list) in [("allow", args.allow), ("deny", args.deny)] {
        if let Some(list) = list {
            question[name] = list.into();
        }
    }
    let admin = Admin::new(&args.request.admin, LONG_TIMEOUT)?;
    let judging = admin.send(Method::POST, "/admin/v1/replay", &question);
    let what = "Judging the journalled calls";
    let answer = during(what, &TransferProgress::default(), judging).await?;
    if args.request.json {
        return print_json(&answer);
    }
    let mut text = format!(
        "{} of {} calls would have been refused, {} of them newly; {} refused calls would have been admitted.\n",
        answer["refused"], answer["judged"], answer["newly_refused"], answer["newly_admitted"]
    );
    let fields = ["address", "refused", "newly_refused", "verdict"];
    let addresses = rows(&answer["addresses"], fields);
    if !addresses.is_empty() {
        text.push('\n');
        text += &table(["ADDRESS", "REFUSED", "NEWLY", "WHY"], addresses);
        let fields = ["time", "client", "method", "code", "request_id"];
        let calls = rows(&answer["rows"], fields);
        text.push('\n');
        text += &table(["TIME", "CLIENT", "METHOD", "CODE THEN", "REQUEST"], calls);
    }
    print(text)
}
