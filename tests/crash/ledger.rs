//! Checks what has to be true after a kill: the answers to callers, the journal and the upstream's messages are compared.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::callers::{Asked, Message, Reported};
use super::disk::Probe;
use super::upstream::Counting;
use crate::harness::{Answer, Gateway, admin_request, callers_id, load, until};

/// The time of reads that a crash may lose: the journal's flush interval.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Time in milliseconds for the commits after the flush interval, in addition to the disk writes: the commit under way and the
/// row's own. On a machine whose processors run other tests, the row also waits for a commit that deletes rows; with the full load
/// the gateway has the machine to itself.
const COMMIT_MAX_MS: (usize, usize) = (1000, 200);
const COMMITS: u32 = 2;

/// How long before the kill a disk stall may have delayed a row.
const STALL_WINDOW: Duration = Duration::from_secs(2);

pub(crate) struct Ledger {
    disk: Probe,
    /// The position up to which the journal has been read.
    cursor: Option<String>,
    /// Marks for which a row says that the message may have left.
    journalled: HashSet<String>,
    /// The final outcome of each key, by its mark.
    ended: HashMap<String, String>,
    pub(crate) counts: Counts,
}

/// Counts of the checks.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sends: usize,
    pub(crate) others: usize,
    pub(crate) unanswered: usize,
    pub(crate) replayed: usize,
    pub(crate) rows: usize,
    /// Answered reads and refusals without a row, and the longest time between such an answer and the kill.
    pub(crate) lost: usize,
    pub(crate) lost_oldest: Duration,
    /// Answered requests whose answer came long enough before the kill that their rows are due.
    pub(crate) due: usize,
    /// The longest extra time that was granted to a row because of the disk.
    pub(crate) granted_most: Duration,
}

/// The fields of a row that this test needs.
struct Row {
    open: bool,
    delivery: String,
}

impl Ledger {
    /// Creates a ledger, which uses files next to the gateways' folder.
    pub(crate) fn new(folder: &Path) -> Ledger {
        Ledger {
            disk: Probe::start(folder),
            cursor: None,
            journalled: HashSet::new(),
            ended: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Checks the state after a kill at this time, by another gateway over the same folder.
    pub(crate) async fn check(
        &mut self,
        gateway: &Gateway,
        client: &reqwest::Client,
        upstream: &Counting,
        (asked, killed): (&[Asked], Instant),
    ) {
        let rows = self.rows(gateway, client).await;
        self.counts.rows += rows.len();
        let stall = self.disk.longest(STALL_WINDOW, killed);
        let commits = Duration::from_millis(load(COMMIT_MAX_MS.0, COMMIT_MAX_MS.1) as u64);
        let granted = FLUSH_INTERVAL + commits + COMMITS * stall;
        self.counts.granted_most = self.counts.granted_most.max(granted);
        let open = rows.iter().find(|(_, row)| row.open);
        assert!(open.is_none(), "{:?} is open", open.map(|(id, _)| id));
        for asked in asked {
            let row = rows.get(&asked.request_id);
            if let Some(reported) = &asked.reported {
                self.check_row(asked, reported, row, (killed, granted));
            } else {
                self.counts.unanswered += 1;
            }
            let Some(message) = &asked.message else {
                self.counts.others += 1;
                continue;
            };
            self.counts.sends += 1;
            if let Some(row) = row {
                if matches!(&*row.delivery, "sent" | "unknown") {
                    self.journalled.insert(message.mark.clone());
                }
                check_word(asked, message, &row.delivery, upstream);
            }
            if let Some(reported) = &asked.reported {
                check_word(asked, message, &reported.delivery, upstream);
                self.check_key(asked, message, reported);
            }
        }
        for message in asked.iter().filter_map(|asked| asked.message.as_ref()) {
            let taken = upstream.taken(&message.mark);
            assert!(taken <= 1, "{message:?} was taken {taken} times");
            let is_known = taken == 0 || self.journalled.contains(&message.mark);
            assert!(
                is_known,
                "{message:?} was taken, and the journal has no row of it"
            );
        }
    }

    /// Checks that the journal contains the answer that a caller got.
    fn check_row(
        &mut self,
        asked: &Asked,
        reported: &Reported,
        row: Option<&Row>,
        (killed, granted): (Instant, Duration),
    ) {
        let before = killed.saturating_duration_since(reported.at);
        let had_time = before > granted;
        // An overloaded gateway refuses before it writes, so the row may be lost like that of any refusal.
        let is_refused = reported.code == "OVERLOADED" && reported.delivery == "not_sent";
        let is_send = asked.message.is_some() && reported.is_first_hand() && !is_refused;
        self.counts.due += usize::from(had_time);
        let Some(row) = row else {
            assert!(!is_send, "an answered send without a row: {asked:?}");
            assert!(
                !had_time,
                "lost, {before:?} before the kill, and not {granted:?}: {asked:?}"
            );
            self.counts.lost += 1;
            self.counts.lost_oldest = self.counts.lost_oldest.max(before);
            return;
        };
        // The outcome of a send without a key may reach the disk after its answer; its row was there before.
        let has_key = asked
            .message
            .as_ref()
            .is_some_and(|message| message.has_key);
        let may_be_late = !has_key && !had_time && row.delivery == "unknown";
        let agrees = row.delivery == reported.delivery || may_be_late;
        assert!(
            agrees || !is_send,
            "the row says {}: {asked:?}",
            row.delivery
        );
    }

    /// Checks that the first answer for a key stays the same forever.
    fn check_key(&mut self, asked: &Asked, message: &Message, reported: &Reported) {
        self.counts.replayed += usize::from(reported.replayed);
        let is_last_word = matches!(&*reported.delivery, "sent" | "unknown")
            && reported.code != "IDEMPOTENCY_IN_PROGRESS";
        if !message.has_key || !is_last_word {
            return;
        }
        let first = self.ended.entry(message.mark.clone());
        let first = first.or_insert_with(|| reported.delivery.clone());
        assert_eq!(
            *first, reported.delivery,
            "{asked:?} was told otherwise before"
        );
    }

    /// Returns whether the caller of a key does not know the outcome yet.
    pub(crate) fn is_left_open(&self, message: &Message) -> bool {
        message.has_key && !self.ended.contains_key(&message.mark)
    }

    /// Waits until none of the sends that are new to the ledger is open. Over a file, a start closes the sends that a kill left
    /// open. Among replicas, they are closed when the lease of the killed replica has expired.
    pub(crate) async fn wait_for_outcomes(&mut self, gateway: &Gateway, client: &reqwest::Client) {
        let from = self.cursor.clone();
        until("no send is open", async || {
            self.cursor.clone_from(&from);
            let rows = self.rows(gateway, client).await;
            rows.values().all(|row| !row.open)
        })
        .await;
        self.cursor = from;
    }

    /// Returns the rows that were written since the last time, by request id.
    async fn rows(&mut self, gateway: &Gateway, client: &reqwest::Client) -> HashMap<String, Row> {
        let mut rows = HashMap::new();
        loop {
            let cursor = self.cursor.as_ref();
            let cursor = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
            let path = format!("journal?order=oldest&follow=true&limit=1000{cursor}");
            let page = admin_request(client, gateway, Method::GET, &path, &Value::Null);
            let page = Answer::of(page).await.json();
            let Some(page) = page["rows"].as_array() else {
                panic!("no page of the journal: {page}");
            };
            let Some(last) = page.last() else {
                return rows;
            };
            self.cursor = last["id"].as_str().map(str::to_owned);
            for row in page.iter().filter(|row| row["kind"] == "request") {
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                let kept = Row {
                    open: row["open"] == true,
                    delivery: text("delivery"),
                };
                let doubled = rows.insert(callers_id(row).unwrap_or_default().to_owned(), kept);
                assert!(doubled.is_none(), "two rows of one request: {row}");
            }
        }
    }
}

/// Checks that a delivery word, in an answer or in the journal, agrees with the messages that the upstream took.
fn check_word(asked: &Asked, message: &Message, word: &str, upstream: &Counting) {
    let taken = upstream.taken(&message.mark);
    let agrees = match word {
        "sent" => taken == 1,
        // Under a key, another request may have sent the message before or after.
        "not_sent" => taken == 0 || message.has_key,
        "unknown" => taken <= 1,
        _ => false,
    };
    assert!(agrees, "{word}, and taken {taken} times: {asked:?}");
}
