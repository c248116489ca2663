//! Tests of tables that do not fit the program: it does not start, and a running gateway is not ready and names the remedy.

use crate::harness::{Answer, Fleet, Gateway, client, skipped, until};

async fn ready(gateway: &Gateway) -> Answer {
    Answer::of(client().get(format!("http://{}/readyz", gateway.admin))).await
}

#[tokio::test]
async fn a_replica_with_mismatched_tables_is_not_ready_and_names_the_remedy() {
    let Some(fleet) = Fleet::of(1, "") else {
        return skipped("PostgreSQL");
    };
    let gateway = &fleet.gateways[0];
    for (column, value, what_to_do) in [
        ("contract", "99", "install the newer version"),
        ("schema", "1", "run `chatgate migrate`"),
    ] {
        let fits = fleet.sql(&format!("SELECT {column} FROM chatgate.deployment"));
        let set = |value: &str| {
            fleet.sql(&format!(
                "UPDATE chatgate.deployment SET {column} = {value}"
            ));
        };
        set(value);
        let reason = format!("\"reason\":\"{column}\"");
        until("it is not ready", async || {
            let ready = ready(gateway).await;
            ready.status == 503 && ready.body.contains(&reason)
        })
        .await;
        gateway
            .process
            .wait_for("what to do", |line| line.contains(what_to_do));
        set(&fits);
        until("it is ready", async || ready(gateway).await.status == 200).await;
    }
    fleet.sql("UPDATE chatgate.deployment SET contract = 99");
    let start = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    fleet
        .run(&start, &[])
        .failed(1, "install the newer version");
    let checked = fleet.run(&["check", "--online"], &[]);
    let said = format!("{}{}", checked.output, checked.error);
    assert!(
        checked.code == Some(1) && said.contains("install the newer version"),
        "{said}"
    );
}
