//! A supervisor that hangs.

use crate::scripted::{Scripted, agent, container, heard, intent, run, starts, stopped};
use longshore_types::ecs::StopCode;
use longshore_types::link::ToAgent;
use longshore_types::node::RunIntent;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

#[test]
fn a_supervisor_that_hangs_is_ended_once_its_containers_have_had_their_time() {
    run(async {
        let containers = [
            container("app", json!({"stop_timeout_seconds": 120, "depends_on": [["base", "START"]]})),
            container("base", json!({"stop_timeout_seconds": 60})),
            container("side", json!({"stop_timeout_seconds": 100})),
        ];
        let machine = Scripted::default();
        let (hub, mut messages) = agent(&machine, &containers).await;
        starts(&machine).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(machine.disk(|disk| disk.cleaned_up), 0, "a task that runs may say nothing");

        let asked = Instant::now();
        let mut stop = intent(&containers);
        stop.run = RunIntent::Stop { reason: "enough".to_owned() };
        hub.handle(ToAgent::Tasks { whole: false, upsert: vec![stop], remove: vec![] }).await;
        let seen = heard(&mut messages, stopped).await;
        let took = asked.elapsed().as_secs();
        // One container after the one that needs it, and beside them the third.
        assert!((180..=210).contains(&took), "{took} s");
        assert_eq!(machine.disk(|disk| disk.cleaned_up), 1);
        let (code, reason) = seen.stop.expect("a stop has a cause");
        assert!(code == StopCode::EssentialContainerExited && reason.contains("supervisor"), "{code:?}: {reason}");
    });
}
