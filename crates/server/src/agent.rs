//! Role `agent`.

use crate::config::Config;
use crate::process;
use std::process::ExitCode;

pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    process::write_pid(&config.run_dir, "agent")?;
    let options = config.agent_options()?;
    let runtime = process::current_thread()?;
    runtime.block_on(longshore_agent::run(options, process::asked_to_stop()))?;
    // Files of ended tasks may be on their way out for minutes; the next agent goes on with them.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}
