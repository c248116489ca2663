//! Explains how a call would end and why: the walk to its caller's address, the decision of each rule and limit, and the result.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use adapter::{Code, Effect, Error, Operation, Way};
use console::{AnswerFuture, ExplainQuestion, Explains};
use forward::{AuthContext, CacheDecision, Explanation, METHOD};
use serde_json::{Value, json};
use server::PeerAddr;
use store::{Access, Accesses};

use crate::client_addr::{Walk, resolve};
use crate::request::idempotency;
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

impl Explains for Runtime {
    fn explain(self: Arc<Self>, question: ExplainQuestion) -> AnswerFuture<Value> {
        Box::pin(async move { self.snapshot().explain(&question).await })
    }
}

impl Snapshot {
    async fn explain(&self, question: &ExplainQuestion) -> Value {
        let peer = PeerAddr::of(SocketAddr::new(question.peer, 0));
        let walk = Walk::of(peer, &question.headers, self.trust());
        let accesses = self.store.accesses();
        let (address, explanations) = match resolve(peer, &question.headers, self.trust()) {
            Ok(client) => (
                Some(client.0),
                self.explanations(&accesses, client.0, question).await,
            ),
            Err(error) => (None, vec![Explanation::known("address", Err(error))]),
        };
        // The first rule that rejects decides the result, because the order is that of the pipeline.
        let refusal = explanations.iter().find_map(Explanation::refuses);
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
            "judgements": explanations.iter().map(shown).collect::<Vec<_>>(),
            "cache": access.zip(operation).map(|(access, operation)| {
                cache(access, operation, self.forwarder.cache_decision(access, operation))
            }),
            "platforms": access.map(|access| &access.platforms),
            "channels": access.map(|access| &access.channels),
        })
    }

    /// Returns the decisions that follow once the address is known, in the pipeline's order.
    async fn explanations(
        &self,
        accesses: &Accesses,
        address: IpAddr,
        question: &ExplainQuestion,
    ) -> Vec<Explanation> {
        let mut explanations = self.forwarder.explain_address(address).await;
        if !self.is_open(question.way) {
            let off = Error::refused(Code::NotFound).because("switched off in the configuration");
            explanations.push(Explanation::known("path", Err(off)));
        }
        if let Err(cut_off) = self.check_fresh() {
            explanations.push(Explanation::known("store", Err(cut_off)));
        }
        let asked = forward::HypotheticalCall {
            access: &question.access,
            method: &question.method,
            destination: question.destination.as_deref(),
            context: AuthContext {
                address,
                way: question.way,
                now: self.auth_now(),
                // Only this way accepts a secret in the URL.
                secret_in_url: question.secret_in_url && question.way == Way::Http,
            },
        };
        let mut of_call = self.forwarder.explain_call(accesses, &asked).await;
        let effect = Operation::named(&question.method).map(|operation| operation.effect);
        let by_method = of_call.iter().position(|it| it.rule == METHOD);
        // A known caller gets this error before the permissions of its access are checked.
        if effect == Some(Effect::Watch)
            && let Err(off) = self.events()
            && let Some(at) = by_method
        {
            of_call.insert(at, Explanation::known("events", Err(off)));
        }
        // A send is counted before it is written. For any other call the store is checked right after the method's permission,
        // before the call is counted.
        let (at, is_written) = match effect {
            Some(Effect::Send) => (of_call.len(), idempotency::check_writable(self)),
            _ => (
                by_method.map_or(of_call.len(), |at| at + 1),
                idempotency::check_store(self),
            ),
        };
        if let Err(failing) = is_written {
            of_call.insert(at, Explanation::known("store", Err(failing)));
        }
        explanations.extend(of_call);
        explanations
    }
}

fn shown(explanation: &Explanation) -> Value {
    let code = explanation
        .refusal
        .as_ref()
        .map(|error| error.code().word());
    let (would_refuse, refuses) = if explanation.reports_only {
        (code, None)
    } else {
        (None, code)
    };
    let wait_s = explanation.refusal.as_ref().and_then(Error::retry_after_s);
    json!({
        "rule": explanation.rule,
        "says": explanation.says,
        "refuses": refuses,
        "would_refuse": would_refuse,
        "limit": explanation.remaining.map(|remaining| json!({
            "most": remaining.most,
            "left": remaining.remaining,
            "window_s": remaining.window_s,
            "retry_after_s": wait_s,
        })),
    })
}

/// Returns how the answers of a call are cached. Answers are cached separately for each member of `partition`, for each value of
/// the call's parameters, and for the time since the last send on its channel.
fn cache(access: &Access, operation: &Operation, decision: CacheDecision) -> Value {
    match decision {
        CacheDecision::NotKept(why) => json!({"kept_s": 0, "why": why}),
        CacheDecision::Kept(time) => json!({
            "kept_s": time.as_secs_f64(),
            "partition": {
                "access": access.name,
                "version": access.version,
                "method": operation.method,
            },
        }),
    }
}
