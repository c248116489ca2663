//! Callers that make all kinds of requests by every way in, note the answers, and stop when no gateway answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use adapter::Way;

use crate::harness::{Issuer, SplitMix64, client, envelope};

/// The accesses, each with its secret.
pub(crate) const ACCESSES: [(&str, &str); 3] = [
    ("shop", "cgs_crash-crash-crash-crash-crash-crash-crash-1"),
    ("club", "cgs_crash-crash-crash-crash-crash-crash-crash-2"),
    ("desk", "cgs_crash-crash-crash-crash-crash-crash-crash-3"),
];

/// Returns the configuration of the accesses.
pub(crate) fn accesses() -> String {
    let access = |(name, _): &(&str, &str)| {
        let secret = name.to_uppercase();
        format!(
            "[[accesses]]\nname = \"{name}\"\nuser = \"{name}\"\npassword = \"env:{secret}\"\nallow = [\"127.0.0.1\"]\n"
        )
    };
    ACCESSES.iter().map(access).collect()
}

/// Returns the environment that goes with the configuration.
pub(crate) fn environment() -> [(&'static str, &'static str); 3] {
    let [shop, club, desk] = ACCESSES.map(|(_, secret)| secret);
    [("SHOP", shop), ("CLUB", club), ("DESK", desk)]
}

/// The number of recent keys that callers use again.
const RECENT_KEYS: usize = 8;

/// A message and its access. If it is sent under a key, the message is the key.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) mark: String,
    pub(crate) access: usize,
    pub(crate) has_key: bool,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request_id: String,
    /// The message of a send.
    pub(crate) message: Option<Message>,
    pub(crate) reported: Option<Reported>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) at: Instant,
    /// `SUCCESS`, or the code of an error.
    pub(crate) code: String,
    pub(crate) delivery: String,
    pub(crate) replayed: bool,
}

impl Reported {
    /// Returns whether the request itself was, or was to be, made at the upstream.
    pub(crate) fn is_first_hand(&self) -> bool {
        !self.replayed && self.code != "IDEMPOTENCY_IN_PROGRESS"
    }
}

/// The state that all callers share.
pub(crate) struct Callers {
    client: reqwest::Client,
    tokens: Vec<String>,
    numbers: AtomicU64,
    recent: Mutex<VecDeque<Message>>,
}

impl Callers {
    pub(crate) fn new(issuer: &Issuer) -> Callers {
        let a_day = 24 * 3600;
        Callers {
            client: client(),
            tokens: ACCESSES.map(|(name, _)| issuer.token(name, a_day)).into(),
            numbers: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    /// Makes requests until no gateway answers. `sends_of_ten` of ten requests are sends.
    pub(crate) async fn ask_on(
        &self,
        gateway: SocketAddr,
        mut chance: SplitMix64,
        sends_of_ten: u64,
    ) -> Vec<Asked> {
        let mut all = Vec::new();
        loop {
            let message = (chance.below(10) < sends_of_ten).then(|| self.message(&mut chance));
            let asked = self.ask(gateway, &mut chance, message).await;
            let is_over = asked.reported.is_none();
            all.push(asked);
            if is_over {
                return all;
            }
        }
    }

    /// Returns a new message under a key.
    pub(crate) fn message_under_key(&self, chance: &mut SplitMix64) -> Message {
        self.new_message(chance, true)
    }

    fn new_message(&self, chance: &mut SplitMix64, has_key: bool) -> Message {
        Message {
            mark: format!("mark-{}", self.numbers.fetch_add(1, Ordering::Relaxed)),
            access: usize::try_from(chance.below(ACCESSES.len() as u64)).unwrap(),
            has_key,
        }
    }

    /// Returns a new message, half of them under a key, or a message whose key was used a moment ago.
    fn message(&self, chance: &mut SplitMix64) -> Message {
        let mut recent = self.recent.lock().unwrap();
        if chance.one_in(3) && !recent.is_empty() {
            let at = usize::try_from(chance.below(recent.len() as u64)).unwrap();
            return recent[at].clone();
        }
        let has_key = chance.one_in(2);
        let message = self.new_message(chance, has_key);
        if message.has_key {
            recent.push_back(message.clone());
            if recent.len() > RECENT_KEYS {
                recent.pop_front();
            }
        }
        message
    }

    /// Makes one request, by any way in.
    pub(crate) async fn ask(
        &self,
        gateway: SocketAddr,
        chance: &mut SplitMix64,
        message: Option<Message>,
    ) -> Asked {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let request_id = format!("ask-{number}");
        let request = self.request(gateway, chance, message.as_ref());
        let request = request.header("X-Request-ID", &request_id);
        let reported = async {
            let answer = request.send().await.ok()?;
            let replayed = answer.headers().contains_key("idempotent-replayed");
            let body = answer.text().await.ok()?;
            Some(Reported {
                at: Instant::now(),
                code: between(&body, &["\"error\":\"", "<c:code>"]).unwrap_or("SUCCESS".to_owned()),
                delivery: between(&body, &["\"delivery\":\"", "delivery>"]).unwrap_or_default(),
                replayed,
            })
        };
        let reported = reported.await;
        Asked {
            request_id,
            message,
            reported,
        }
    }

    fn request(
        &self,
        gateway: SocketAddr,
        chance: &mut SplitMix64,
        message: Option<&Message>,
    ) -> reqwest::RequestBuilder {
        let access = match message {
            Some(message) => message.access,
            None => usize::try_from(chance.below(ACCESSES.len() as u64)).unwrap(),
        };
        let (user, secret) = ACCESSES[access];
        let channel = [("platform", "whatsapp"), ("platformid", "100")];
        let to = ("destination", "34600000000");
        let (method, parameters) = match (message, chance.below(4)) {
            (Some(message), _) => ("sendmessage", vec![to, ("message", &*message.mark)]),
            (None, 0) => ("getchatchannels", Vec::new()),
            (None, 1) => ("getunreadmessages", vec![to]),
            // A call that is refused because its destination is missing.
            (None, 2) => ("getmessages", Vec::new()),
            (None, _) => ("getchats", Vec::new()),
        };
        let parameters = [&channel[..], &parameters].concat();
        let form = [&[("class", "chat"), ("method", method)], &parameters[..]].concat();
        let credentials = [("user", user), ("password", secret)];
        let way = Way::ALL[usize::try_from(chance.below(4)).unwrap()];
        let request = self.client.post(format!("http://{gateway}{}", way.path()));
        let request = match way {
            Way::Http => request.form(&[&form[..], &credentials].concat()),
            Way::Basic => request.basic_auth(user, Some(secret)).form(&form),
            Way::Jwt => request.bearer_auth(&self.tokens[access]).form(&form),
            Way::Soap => request
                .header("Content-Type", "text/xml")
                .body(envelope(method, &[&parameters[..], &credentials].concat())),
        };
        match message.filter(|message| message.has_key) {
            Some(message) => request.header("Idempotency-Key", &message.mark),
            None => request,
        }
    }
}

fn between(body: &str, starts: &[&str]) -> Option<String> {
    let at = starts
        .iter()
        .find_map(|start| Some(body.find(start)? + start.len()))?;
    body[at..].split(['"', '<']).next().map(str::to_owned)
}
