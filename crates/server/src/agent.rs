//! Role `agent`.

use crate::config::Config;
use crate::process;
use std::process::ExitCode;

pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    process::write_pid(&config.run_dir, "agent")?;
    let options = config.agent_options()?;
    process::current_thread()?.block_on(longshore_agent::run(options, process::asked_to_stop()))?;
    Ok(ExitCode::SUCCESS)
}
