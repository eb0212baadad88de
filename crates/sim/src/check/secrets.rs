//! Values of secrets: the right ones reach the node, and nothing else has them.

use crate::bug::Bug;
use crate::world::{World, lock};
use longshore_store::engine::Batch;
use longshore_types::node::TaskIntent;
use std::io::Write;
use std::sync::Arc;
use tracing_subscriber::fmt::MakeWriter;

/// How every secret value begins.
pub const SECRET: &str = "s3cr3t-";

fn has_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// No row has a value in the clear.
pub fn written(world: &World, batch: &Batch) {
    let leak = batch.changes.iter().find(|change| change.value.as_deref().is_some_and(has_secret));
    if let Some(change) = leak {
        world.violated("secrets", format!("a secret's value is in a row of {}", change.table));
    }
}

/// A task that starts has all its secrets, each with a value that it once had. Gives what a planted bug makes of them.
pub fn secrets(world: &World, intent: &TaskIntent) -> Option<String> {
    for container in &intent.containers {
        for reference in &container.definition.secrets {
            let value = container.secrets.environment.iter().find(|(name, _)| *name == reference.name).map(|(_, v)| v);
            let known = &lock(&world.checks).secret_values;
            let is_right = value.is_some_and(|v| known.get(&reference.value_from).is_some_and(|all| all.contains(v)));
            if !is_right {
                let task = world.task(&intent.id);
                let text = format!(
                    "{} of {task} starts with {value:?} for {}",
                    container.definition.name, reference.value_from
                );
                world.violated("secrets", text);
            }
            if world.has(Bug::LoudSecret)
                && let Some(value) = value
            {
                return Some(format!("ResourceInitializationError: cannot start with {value}"));
            }
        }
    }
    None
}

/// Reads the product's log and finds values in it.
#[derive(Clone)]
pub struct Searching(pub Arc<World>);

impl Write for Searching {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if has_secret(line) {
            self.0.violated("secrets", format!("a secret's value is in the log: {}", String::from_utf8_lossy(line)));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Searching {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
