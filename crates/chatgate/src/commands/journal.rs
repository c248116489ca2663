//! `chatgate journal`: erases data from the journal.

use http::Method;
use serde_json::json;

use super::admin::{Admin, LONG_TIMEOUT};
use super::output::{print, print_json};
use super::progress::{TransferProgress, during};
use crate::args::journal::{EraseArgs, JournalCommand};

pub(crate) async fn run(command: JournalCommand) -> Result<(), String> {
    let JournalCommand::Erase(EraseArgs {
        destination,
        request,
    }) = command;
    let admin = Admin::new(&request.admin, LONG_TIMEOUT)?;
    let wanted = json!({ "destination": destination });
    let erasing = admin.send(Method::POST, "/admin/v1/journal/erase", &wanted);
    let answer = during("Erasing", &TransferProgress::default(), erasing).await?;
    if request.json {
        print_json(&answer)
    } else {
        let count = &answer["erased"];
        print(format!("The content of {count} rows was erased.\n"))
    }
}
