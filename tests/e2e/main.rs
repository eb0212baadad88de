//! The product, end to end: real processes, containers, networks, the AWS CLI as it is.
//!
//! One test after another, so that what is left behind is known to be of the last. Prints as Rust's own harness does. Arguments are filters: a test runs if its name contains one of them.
//!
//! `LONGSHORE_TEST_BINARY` names the binary, `LONGSHORE_TEST_AWS` the CLI.

mod builds;
mod containers;
mod disk;
mod down;
mod identity;
mod kit;
mod login;
mod protocols;
mod provider;
mod registry;
mod reset;
mod secrets;
mod services;
mod survival;
mod tasks;
mod vpc;
mod walkthrough;

use kit::Kit;
use std::process::ExitCode;
use std::time::Instant;

type Test = fn(&Kit) -> anyhow::Result<()>;

const TESTS: &[(&str, Test)] = &[
    ("walkthrough::passes_with_the_cli_version_1", walkthrough::passes_with_version_1),
    ("walkthrough::passes_with_the_cli_version_2", walkthrough::passes_with_version_2),
    ("walkthrough::passes_with_runc", walkthrough::passes_with_runc),
    ("walkthrough::passes_with_simulated_tasks", walkthrough::passes_with_simulated_tasks),
    ("containers::bad_definitions_are_refused", containers::bad_definitions_are_refused),
    ("containers::bad_placements_are_refused", containers::bad_placements_are_refused),
    ("containers::an_unknown_image_stops_the_task_with_the_reason", containers::unknown_image),
    ("containers::a_command_that_is_not_in_the_image_stops_the_task_with_the_reason", containers::unknown_command),
    ("containers::too_much_memory_ends_with_137_and_the_reason", containers::out_of_memory),
    ("containers::a_command_ends_with_its_exit_code_and_its_output_is_logged", containers::exit_code_and_log),
    ("containers::lines_of_one_event_are_joined_and_found", containers::lines_are_joined),
    ("containers::every_end_has_its_codes_and_its_reason", containers::ends),
    ("containers::stop_task_stops_it_with_the_callers_reason", containers::stop_task),
    ("containers::tasks_see_their_metadata_and_their_roles_credentials", containers::metadata),
    ("services::a_service_replaces_a_task_whose_health_check_fails", services::health_check_that_fails),
    ("services::updates_scale_in_and_rollbacks_fail_no_request_and_no_websocket", services::traffic_is_kept),
    (
        "services::a_task_that_leaves_its_target_group_is_replaced",
        services::a_task_that_leaves_its_target_group_is_replaced,
    ),
    ("services::zones_are_made_even_again_and_told_to_be", services::zones_are_made_even),
    ("services::a_spot_interruption_ends_a_task_and_its_service_replaces_it", services::spot_interruption),
    ("services::a_deployment_runs_the_bytes_its_tag_named_when_it_began", services::pinned_images),
    ("tasks::containers_share_what_their_definition_says", tasks::shared),
    (
        "tasks::a_container_that_is_not_essential_may_fail_to_start",
        tasks::a_container_that_is_not_essential_may_fail_to_start,
    ),
    ("tasks::a_task_whose_supervisor_hangs_is_stopped", tasks::a_task_whose_supervisor_hangs_is_stopped),
    ("tasks::nobody_traces_without_users_of_its_own", tasks::nobody_traces_without_users_of_its_own),
    ("tasks::metadata_and_statistics_are_complete", tasks::statistics),
    ("tasks::a_task_protects_itself", tasks::a_task_protects_itself),
    (
        "secrets::secrets_become_variables_and_are_written_nowhere_else",
        secrets::secrets_become_variables_and_are_written_nowhere_else,
    ),
    (
        "tasks::a_log_group_has_to_be_there_and_a_stream_is_from_the_start",
        tasks::a_log_group_has_to_be_there_and_a_stream_is_from_the_start,
    ),
    (
        "secrets::a_missing_secret_stops_the_task_in_fargates_words",
        secrets::a_missing_secret_stops_the_task_in_fargates_words,
    ),
    ("secrets::tasks_reach_the_api_and_not_what_is_behind_it", secrets::tasks_reach_the_api_and_not_what_is_behind_it),
    ("secrets::environment_files_become_variables", secrets::environment_files_become_variables),
    ("registry::what_skopeo_pushes_runs", registry::skopeo_push),
    ("identity::policies_decide_what_a_key_may", identity::policies_decide),
    ("identity::open_mode_stays_on_loopback", identity::open_mode_stays_on_loopback),
    (
        "protocols::protocols_of_one_service_show_the_same_clusters",
        protocols::protocols_of_one_service_show_the_same_clusters,
    ),
    ("protocols::rates_are_kept_when_asked_for", protocols::rates_are_kept_when_asked_for),
    ("login::users_log_in_at_a_load_balancer_and_programs_bring_tokens", login::users_log_in),
    ("vpc::packets_follow_routes_and_acls", vpc::packets_follow_routes_and_acls),
    ("builds::a_killed_builder_leaves_nothing_that_runs", builds::killed),
    ("reset::a_reset_ends_everything_and_the_next_walk_starts_afresh", reset::reset),
    ("survival::a_port_that_is_taken_is_told", survival::a_taken_port_is_told),
    ("survival::a_program_may_be_replaced_under_what_runs", survival::a_program_may_be_replaced),
    ("survival::no_request_fails_while_processes_are_killed", survival::no_request_fails),
    ("survival::acknowledged_calls_survive_kill_9", survival::acknowledged_calls_survive),
    ("down::data_of_another_is_left_alone", down::data_of_another_is_left_alone),
    ("down::everything_ends_whatever_the_last_up_was_told", down::everything_ends_whatever_the_last_up_was_told),
    ("down::what_runs_is_found_without_the_run_directory", down::what_runs_is_found_without_the_run_directory),
    ("disk::a_full_disk_is_an_error_and_passes", disk::full),
    ("disk::a_task_that_filled_the_disk_can_be_stopped", disk::filled_by_a_task),
    ("disk::a_disk_that_cannot_be_written_is_said_at_the_start", disk::read_only),
    ("disk::a_damaged_store_is_said_at_the_start", disk::damaged),
    ("survival::tasks_go_on_without_up_and_are_found_again", survival::tasks_are_found_again),
];

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let chosen: Vec<&(&str, Test)> =
        TESTS.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(f))).collect();
    let Some(kit) = Kit::new() else {
        println!("the end-to-end tests are run by `cargo xtask test`, which builds what they need");
        println!("test result: ok. 0 passed; 0 failed; {} ignored; 0 measured; 0 filtered out", TESTS.len());
        return ExitCode::SUCCESS;
    };
    println!("\nrunning {} tests", chosen.len());
    let (started, mut passed, mut failed) = (Instant::now(), 0, 0);
    for (name, test) in &chosen {
        let test_started = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&kit)));
        let seconds = test_started.elapsed().as_secs_f32();
        match result {
            Ok(Ok(())) => {
                passed += 1;
                println!("test {name} ... ok ({seconds:.1} s)");
            }
            Ok(Err(error)) => {
                failed += 1;
                println!("{error:#}\ntest {name} ... FAILED");
            }
            Err(_) => {
                failed += 1;
                println!("test {name} ... FAILED");
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    let filtered = TESTS.len() - chosen.len();
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered out; finished in {:.0}s",
        started.elapsed().as_secs_f32()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
