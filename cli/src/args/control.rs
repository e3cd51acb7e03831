//! The flags of the commands that talk to a running session.

use clap::Args;

/// Parses a viewer's number.
fn viewer(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a viewer's number, from `beach status`".to_owned())
}

/// `beach status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Session id [default: the session around this shell, else all]
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,

    /// Print one JSON object a line for each session
    #[arg(long)]
    pub(crate) json: bool,

    /// Print changes each second, until the session ends
    #[arg(long)]
    pub(crate) watch: bool,

    /// Print the links inside a shared terminal too, where its viewers see them
    #[arg(long)]
    pub(crate) links: bool,

    /// Print the number of viewers of the session around this shell, for a prompt
    #[arg(long, conflicts_with_all = ["session", "json", "watch", "links"])]
    pub(crate) count: bool,
}

/// `beach stop`
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Session id [default: the session around this shell, or the only one]
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,
}

/// The session that a command is for.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// Session id [default: the session around this shell, or the only one]
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
}

/// `beach approve`, `beach revoke`
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// Viewer's number, from `beach status`
    #[arg(value_name = "VIEWER", value_parser = viewer)]
    pub(crate) member: u32,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach kick`, `beach deny`
#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// Viewer's number, from `beach status`
    #[arg(value_name = "VIEWER", value_parser = viewer)]
    pub(crate) member: u32,

    /// Keep the links, so that the person can use theirs again
    #[arg(long)]
    pub(crate) keep_links: bool,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach grant`
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// Viewer's number, from `beach status`
    #[arg(value_name = "VIEWER", value_parser = viewer)]
    pub(crate) member: u32,

    /// Permission for the viewer
    #[arg(value_name = "control", default_value = "control", value_parser = ["control"])]
    pub(crate) role: String,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach say`
#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// Sentence to show
    #[arg(value_name = "TEXT", required = true)]
    pub(crate) text: Vec<String>,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}
