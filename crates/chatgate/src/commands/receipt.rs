//! `chatgate receipt`: shows the outcome of the sends with one idempotency key.

use url::Url;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{print, print_json, rows, table};
use crate::args::ReceiptArgs;

const FIELDS: [&str; 6] = [
    "method",
    "state",
    "delivery",
    "code",
    "made_at",
    "request_id",
];

pub(crate) async fn run(args: ReceiptArgs) -> Result<(), String> {
    let admin = Admin::new(&args.request.admin, COMMAND_TIMEOUT)?;
    let answer = admin.get(&path(&args.access, &args.key)?).await?;
    let receipts = &answer["receipts"];
    if args.request.json {
        return print_json(receipts);
    }
    let header = ["METHOD", "STATE", "DELIVERY", "CODE", "MADE", "REQUEST"];
    print(table(header, rows(receipts, FIELDS)))
}

/// Returns the path of a key. A key may contain any character, so the key is escaped.
fn path(access: &str, key: &str) -> Result<String, String> {
    if [".", ".."].contains(&key) {
        // Every URL parser removes these segments, also in their escaped forms.
        return Err(format!(
            "the key {key} can't be part of a URL; find the send with chatgate log"
        ));
    }
    let mut url = Url::parse("http://any/admin/v1/receipts").map_err(|error| error.to_string())?;
    url.path_segments_mut()
        .map_err(|()| "no path".to_owned())?
        .extend([access, key]);
    Ok(url.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_and_keys_that_no_url_contains_are_rejected() {
        let path_of = |key| path("shop", key);
        assert_eq!(path_of("a/?b").unwrap(), "/admin/v1/receipts/shop/a%2F%3Fb");
        for key in [".", ".."] {
            assert!(path_of(key).unwrap_err().contains("can't be part of a URL"));
        }
    }
}
