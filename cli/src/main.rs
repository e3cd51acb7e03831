//! beach: share a terminal, peer to peer.

mod addresses;
mod args;
mod audit;
mod cast;
mod completions;
mod config;
mod control;
mod detach;
mod doctor;
mod events;
mod greeting;
mod join;
mod log;
mod next_of;
mod output;
mod own_terminal;
mod program;
mod rendezvous;
mod replay;
mod report;
mod serve;
mod share;
mod web;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use args::Command;
use beach_core::host::ModeratorAction;
use beach_core::id::MemberId;
use beach_runtime_tokio::limits;

/// The longest wait for a slow reader of the last events.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// The work of a command. The future is on the heap: the futures of all commands would make the stack of `main` larger
/// than any one of them needs.
type Work<'a> = Pin<Box<dyn Future<Output = u8> + 'a>>;

fn main() -> ExitCode {
    beach_runtime_tokio::tty::install_panic_hook();
    let command = match args::parse() {
        Ok(command) => command,
        Err(code) => return ExitCode::from(code),
    };
    let code = match command {
        Command::Replay(args) => replay::run(&args),
        Command::Completions(args) => completions::completions(args.shell, args::definition()),
        Command::Version(args) => web::version(args.web),
        Command::Man(args) => completions::man(args.dir.as_deref(), args::definition()),
        Command::Share(args) => run(Box::pin(share::run(*args))),
        Command::Join(args) => run(Box::pin(join::run(args))),
        Command::Web(args) => run(Box::pin(web::run(args))),
        Command::Serve(args) => run_on(args.threads, Box::pin(serve::run(*args))),
        Command::Status(args) => run(Box::pin(control::status(args))),
        Command::Attach(args) => run(Box::pin(detach::attach(args))),
        Command::Doctor(args) => run(Box::pin(doctor::run(args))),
        Command::Stop(args) => run(Box::pin(control::stop(args))),
        Command::Approve(args) => about("approve", &args.of, &args.member, ModeratorAction::Approve),
        Command::Deny(args) => {
            let keep_links = args.keep_links;
            about("deny", &args.of, &args.member, |member| ModeratorAction::Deny { member, keep_links })
        }
        Command::Grant(args) => about("grant", &args.of, &args.member, ModeratorAction::Grant),
        Command::Revoke(args) => about("revoke", &args.of, &args.member, ModeratorAction::Revoke),
        Command::Kick(args) => {
            let keep_links = args.keep_links;
            about("kick", &args.of, &args.member, |member| ModeratorAction::Kick { member, keep_links })
        }
        Command::Rotate(of) => act("rotate", &of, ModeratorAction::Rotate),
        Command::Pause(of) => act("pause", &of, ModeratorAction::Pause),
        Command::Resume(of) => act("resume", &of, ModeratorAction::Resume),
        Command::Say(args) => act("say", &args.of, ModeratorAction::Say(args.text.join(" "))),
    };
    ExitCode::from(code)
}

fn act(command: &str, of: &args::SessionArgs, act: ModeratorAction) -> u8 {
    run(Box::pin(control::act(of.session.as_deref(), command, act)))
}

fn about(
    command: &str,
    of: &args::SessionArgs,
    viewer: &args::ViewerName,
    act: impl FnOnce(MemberId) -> ModeratorAction,
) -> u8 {
    run(Box::pin(control::act_on(of.session.as_deref(), command, viewer, act)))
}

/// Runs a command on one thread. Its work is small, and each part that could block has a thread of its own.
fn run(command: Work<'_>) -> u8 {
    run_on(1, command)
}

/// Runs a command on this thread, and what the command spawns on so many threads: this one, or others.
fn run_on(threads: usize, command: Work<'_>) -> u8 {
    if let Err(error) = limits::check_open_files() {
        return output::refuse("the program cannot start", &error.to_string(), "raise the limit: ulimit -n 256");
    }
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(async {
                limits::survive_large_files().unwrap_or_else(|error| tracing::warn!(%error, "SIGXFSZ is not caught"));
                command.await
            });
            // A name lookup may still block a thread of its own; the program does not wait for that thread.
            runtime.shutdown_background();
            events::flush(FLUSH_WITHIN);
            code
        }
        Err(error) => {
            output::refuse("the program cannot start", &error.to_string(), "free some memory or file handles")
        }
    }
}
