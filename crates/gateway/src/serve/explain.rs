//! What would become of a call and why: the walk to its caller's address, what each rule and limit says, and the verdict.

use std::net::{IpAddr, SocketAddr};

use adapter::{Code, Error, Operation};
use console::{ExplainQuestion, Explains};
use forward::{AuthContext, Judgement, Keeping};
use serde_json::{Value, json};
use server::PeerAddr;
use store::{Access, Accesses};

use crate::client_addr::{Walk, resolve};
use crate::state::current::Generations;
use crate::state::snapshot::Gate;

impl Explains for Generations {
    fn explain(&self, question: &ExplainQuestion) -> Value {
        self.gate().explain(question)
    }
}

impl Gate {
    fn explain(&self, question: &ExplainQuestion) -> Value {
        let peer = PeerAddr::of(SocketAddr::new(question.peer, 0));
        let walk = Walk::of(peer, &question.headers, self.trust());
        let accesses = self.store.accesses();
        let (address, judgements) = match resolve(peer, &question.headers, self.trust()) {
            Ok(client) => (
                Some(client.0),
                self.judgements(&accesses, client.0, question),
            ),
            Err(error) => (None, vec![Judgement::known("address", Err(error))]),
        };
        // What judges first is heard: the order is the pipeline's.
        let refusal = judgements.iter().find_map(Judgement::refuses);
        let access = accesses.named(&question.access);
        let operation = Operation::named(&question.method);
        json!({
            "admitted": refusal.is_none(),
            "code": refusal.map(|error| error.code().word()),
            "status": refusal.map_or(200, |error| error.code().status()),
            "reason": refusal.map(|error| error.cause().unwrap_or(error.text())),
            "address": address,
            "walk": walk.text().to_owned(),
            "steps": walk.steps(),
            "config_generation": self.generation,
            "judgements": judgements.iter().map(shown).collect::<Vec<_>>(),
            "cache": access.zip(operation).map(|(access, operation)| {
                cache(access, operation, self.forwarder.keeping(access, operation))
            }),
            "platforms": access.map(|access| &access.platforms),
            "channels": access.map(|access| &access.channels),
        })
    }

    /// What is judged once the address is known, in the pipeline's order.
    fn judgements(
        &self,
        accesses: &Accesses,
        address: IpAddr,
        question: &ExplainQuestion,
    ) -> Vec<Judgement> {
        let mut judgements = self.forwarder.explain_address(address);
        if !self.is_open(question.way) {
            let off = Error::refused(Code::NotFound).because("switched off in the configuration");
            judgements.push(Judgement::known("path", Err(off)));
        }
        let asked = forward::Question {
            access: &question.access,
            method: &question.method,
            destination: question.destination.as_deref(),
            context: AuthContext {
                address,
                way: question.way,
                now: Gate::now(),
                secret_in_url: question.secret_in_url,
            },
        };
        judgements.extend(self.forwarder.explain_call(accesses, &asked));
        judgements
    }
}

fn shown(judgement: &Judgement) -> Value {
    let code = judgement.refusal.as_ref().map(|error| error.code().word());
    let (would_refuse, refuses) = if judgement.reports_only {
        (code, None)
    } else {
        (None, code)
    };
    let wait_s = judgement.refusal.as_ref().and_then(Error::retry_after_s);
    json!({
        "rule": judgement.rule,
        "says": judgement.says,
        "refuses": refuses,
        "would_refuse": would_refuse,
        "limit": judgement.left.map(|left| json!({
            "most": left.most,
            "left": left.left,
            "window_s": left.window_s,
            "retry_after_s": wait_s,
        })),
    })
}

/// Answers are kept apart for each of these, for each value of the call's parameters, and for the time since the last
/// send on its channel.
fn cache(access: &Access, operation: &Operation, keeping: Keeping) -> Value {
    match keeping {
        Keeping::NotKept(why) => json!({"kept_s": 0, "why": why}),
        Keeping::Kept(time) => json!({
            "kept_s": time.as_secs_f64(),
            "partition": {
                "access": access.name,
                "version": access.version,
                "method": operation.method,
            },
        }),
    }
}
