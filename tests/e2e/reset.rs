//! `POST /_longshore/state/reset`: an empty account again, without a restart.

use crate::kit::{Busybox, Kit, Network};
use anyhow::ensure;
use longshore_tests::http::Connection;
use longshore_tests::{leftovers, wait};
use serde_json::json;
use std::time::Duration;

pub fn reset(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        busybox.task("sleeps", &json!({}), "RUNNING")?;
        let answer =
            Connection::open(instance.listen, "localhost")?.request("POST", "/_longshore/state/reset", &[], b"")?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());

        let clusters = busybox.api.ecs("ListClusters", &json!({}))?;
        ensure!(clusters["clusterArns"] == json!([]), "{clusters}");
        wait::until("no supervisor runs", Duration::from_secs(10), || {
            let tasks: Vec<String> =
                leftovers::of(instance).into_iter().filter(|line| line.contains(" task ")).collect();
            if tasks.is_empty() { Ok(()) } else { Err(format!("{tasks:?}")) }
        })?;
        // The default VPC is there again, and the next task runs in it.
        let mut busybox = Busybox::new(instance)?;
        Network::default(&busybox.aws)?;
        busybox.task("sleeps-again", &json!({}), "RUNNING")?;
        Ok(())
    })
}
