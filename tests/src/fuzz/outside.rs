//! Input from programs on this machine, and from proxies in front of a server: requests at the control socket, the
//! configuration file, the header of the PROXY protocol, `X-Forwarded-For`.

use std::net::IpAddr;

use beach_runtime_tokio::serve::Proxies;
use beach_runtime_tokio::serve::proxy_header::{Announced, Beginning, beginning};
use clap::{Arg, ArgAction, Command};

use self::request::Request;

/// Stands for the type of the program: whether an asking program may print links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvitesShown {
    Yes,
    No,
}

// The program has no library, so its two pure parsers are compiled into this package as well.
#[path = "../../../cli/src/config.rs"]
#[allow(dead_code, reason = "the file is read by the program alone")]
mod from_file;
#[path = "../../../cli/src/control/request.rs"]
mod request;

/// Requests at the control socket.
pub(super) fn control(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let Some(request) = Request::of(line) else { return };
    let again = request.line();
    assert!(!again.contains('\n'), "a request is one line");
    assert_eq!(Request::of(&again), Some(request));
}

fn program() -> Command {
    let command = |name: &'static str| {
        let many = Arg::new("ice_server").long("ice-server").action(ArgAction::Append);
        let strict = Arg::new("strict").long("strict").action(ArgAction::SetTrue);
        let listen = Arg::new("listen").long("listen").conflicts_with("server");
        Command::new(name).args([many, strict, listen, Arg::new("server").long("server")])
    };
    Command::new("beach").subcommand(command("share")).subcommand(command("join"))
}

/// The configuration file.
pub(super) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    thread_local! {
        static PROGRAM: (Command, clap::ArgMatches) = {
            let program = program();
            let matches = program.clone().get_matches_from(["beach", "share", "--server", "a.test"]);
            (program, matches)
        };
    }
    PROGRAM.with(|(program, matches)| match from_file::arguments(text, program, matches) {
        Ok(arguments) => {
            for argument in arguments {
                let argument = argument.to_string_lossy().into_owned();
                assert!(argument.starts_with("--"), "{argument:?} is no flag");
                assert!(!argument.starts_with("--listen"), "the command line has what excludes this flag");
            }
        }
        Err(bad) => {
            let lines = text.matches('\n').count() + 1;
            assert!(bad.line.is_none_or(|line| (1..=lines).contains(&line)), "line {:?} of {lines}", bad.line);
            assert!(!bad.what.is_empty());
        }
    });
}

/// The header of the PROXY protocol, and lines of `X-Forwarded-For`.
pub(super) fn proxy(data: &[u8]) {
    match beginning(data) {
        Beginning::Whole(length, announced) => {
            assert!(length > 0 && length <= data.len());
            assert_eq!(beginning(&data[..length]), Beginning::Whole(length, announced));
            assert_ne!(announced, Announced::Nothing, "a header says something");
            for cut in [1, length / 2, length - 1] {
                let part = beginning(&data[..cut.max(1).min(length - 1)]);
                assert_eq!(part, Beginning::Part, "only the whole header is one");
            }
        }
        Beginning::NoHeader | Beginning::Part | Beginning::Broken => {}
    }
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let inside = "10.0.0.0/8".parse().expect("a network");
    let proxies = Proxies::Trusted(vec![inside]);
    if let Some(client) = proxies.last_client(lines.iter().copied()) {
        assert!(!client.is_unspecified() && client == client.to_canonical());
        assert!(!matches!(client, IpAddr::V4(v4) if v4.octets()[0] == 10), "a trusted proxy is no client");
    }
    // The last address counts, and nothing before it changes that.
    let own: IpAddr = [198, 51, 100, 7].into();
    let line = format!("{own}");
    assert_eq!(proxies.last_client(lines.iter().copied().chain([line.as_bytes()])), Some(own));
}
