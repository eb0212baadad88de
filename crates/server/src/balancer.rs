//! Role `balancer`: load balancers and VPC resolvers. It goes on when everything else stops.

use crate::config::Config;
use crate::process;
use std::process::ExitCode;

pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    process::write_pid(&config.run_dir, "balancer")?;
    let options = longshore_balancer::Options::new(&config.run_dir);
    process::current_thread()?.block_on(longshore_balancer::run(options, process::asked_to_stop()))?;
    Ok(ExitCode::SUCCESS)
}
