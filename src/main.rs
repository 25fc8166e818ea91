//! Arguments and environment → `Config` → `App` → exit code. No decision about logs is made here.

use std::io::Write;
use std::process::ExitCode;

use downspout::admin;
use downspout::allocator;
use downspout::app;
use downspout::checkpoint;
use downspout::config::{self, Command, Config};
use downspout::doctor;
use downspout::explain;
use downspout::options::Problem;

/// Something in the configuration can never work, or a check found a fault.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    match config::from_process() {
        Ok(Command::Print(text)) => print(&text),
        Ok(Command::Healthcheck { address }) => match admin::probe(address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => complain(&[Problem::new(format!("not healthy: {why}"))], 1),
        },
        Ok(Command::Check(config)) => match on_runtime(app::check(*config)) {
            Ok(report) => {
                print(&report.text);
                if report.good { ExitCode::SUCCESS } else { ExitCode::from(UNUSABLE) }
            }
            Err(problem) => complain(&[problem], 1),
        },
        Ok(Command::Doctor { config, outage, json }) => {
            match on_runtime(doctor::examine(*config, outage, json)) {
                Ok(examined) => {
                    print(&examined.text);
                    ExitCode::from(examined.outcome.code())
                }
                Err(problem) => complain(&[problem], 1),
            }
        }
        Ok(Command::Explain { config, given, container, json }) => {
            match on_runtime(explain::explain(*config, given, container, json)) {
                Ok(Ok(explained)) => {
                    print(&explained.text);
                    ExitCode::from(explained.outcome.code())
                }
                Ok(Err(problem)) | Err(problem) => complain(&[problem], 1),
            }
        }
        Ok(Command::Migrate { text, problems }) => {
            let printed = print(&text);
            if problems.is_empty() { printed } else { complain(&problems, UNUSABLE) }
        }
        Ok(Command::ShowCheckpoint { folder }) => match checkpoint::show(&folder) {
            Ok(shown) => {
                let printed = print(&shown.text);
                shown.flaw.map_or(printed, |flaw| complain(&[flaw], 1))
            }
            Err(problem) => complain(&[problem], 1),
        },
        Ok(Command::ResetCheckpoint { folder }) => match checkpoint::reset(&folder) {
            Ok(text) => print(&text),
            Err(problem) => complain(&[problem], 1),
        },
        Ok(Command::Run(config)) => run(*config),
        Err(problems) => complain(&problems, UNUSABLE),
    }
}

fn run(config: Config) -> ExitCode {
    app::start_log(config.log_level);
    match on_runtime(app::run(config)) {
        Ok(Ok(_ended)) => ExitCode::SUCCESS,
        Ok(Err(problems)) => complain(&problems, UNUSABLE),
        Err(problem) => complain(&[problem], 1),
    }
}

/// At most two workers: one slow handshake stalls nobody, and an agent lives beside a workload.
/// Blocking threads only resolve names and write the checkpoint.
fn on_runtime<T>(future: impl Future<Output = T>) -> Result<T, Problem> {
    allocator::keep_little();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        // The AWS SDK's calls are deep. Only what is touched takes memory.
        .thread_stack_size(2 * 1024 * 1024)
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(future);
    // A name that is still being resolved must not hold up the exit.
    runtime.shutdown_background();
    Ok(outcome)
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(problems: &[Problem], code: u8) -> ExitCode {
    let mut text = String::new();
    for problem in problems {
        text.push_str("downspout: ");
        text.push_str(&problem.to_string());
        text.push('\n');
    }
    if code == UNUSABLE {
        text.push_str("downspout: not started; 'downspout --help' has every setting\n");
    }
    // With standard error closed there is nobody left to tell.
    drop(std::io::stderr().write_all(text.as_bytes()));
    ExitCode::from(code)
}
