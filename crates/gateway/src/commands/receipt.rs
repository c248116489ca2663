//! `chatgate receipt`: what became of the sends with one idempotency key.

use serde_json::Value;
use url::Url;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{cell, print, print_json, table};
use crate::cli::ReceiptArgs;

pub(crate) async fn receipt_command(args: ReceiptArgs) -> Result<(), String> {
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let answer = admin.get(&path(&args.access, &args.key)?).await?;
    let receipts = &answer["receipts"];
    if args.json {
        return print_json(receipts);
    }
    let text = |receipt: &Value, name: &str| cell(&receipt[name]);
    let columns = [
        "method",
        "state",
        "delivery",
        "code",
        "made_at",
        "request_id",
    ];
    let rows: Vec<_> = receipts
        .as_array()
        .into_iter()
        .flatten()
        .map(|receipt| columns.map(|name| text(receipt, name)))
        .collect();
    let heads = ["METHOD", "STATE", "DELIVERY", "CODE", "MADE", "REQUEST"];
    print(table(heads, &rows))
}

/// A key may hold whatever a URL gives a meaning to.
fn path(access: &str, key: &str) -> Result<String, String> {
    let mut url = Url::parse("http://any/admin/v1/receipts").map_err(|error| error.to_string())?;
    url.path_segments_mut()
        .map_err(|()| "no path".to_owned())?
        .extend([access, key]);
    Ok(url.path().to_owned())
}
