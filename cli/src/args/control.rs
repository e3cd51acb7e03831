//! The flags of the commands that talk to a running session.

use clap::Args;

/// A viewer, as a command line names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ViewerName {
    Number(u32),
    Name(String),
}

/// Parses a viewer's number or name. A name that is a number is taken for a number.
fn viewer(text: &str) -> Result<ViewerName, String> {
    match (text.parse(), text.trim()) {
        (Ok(number), _) => Ok(ViewerName::Number(number)),
        (Err(_), "") => Err("expected a viewer's number or name, from `beach status`".to_owned()),
        (Err(_), name) => Ok(ViewerName::Name(name.to_owned())),
    }
}

/// `beach status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Session's name, or the beginning of its id [default: the session around this shell, else all]
    #[arg(value_name = "SESSION")]
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
    /// Session's name, or the beginning of its id [default: the session around this shell, or the only one]
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,
}

/// The session that a command is for.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// Session's name, or the beginning of its id [default: the session around this shell, or the only one]
    #[arg(long, value_name = "SESSION")]
    pub(crate) session: Option<String>,
}

/// `beach approve`, `beach revoke`
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// Viewer's number or name, from `beach status`
    #[arg(value_name = "VIEWER", value_parser = viewer)]
    pub(crate) member: ViewerName,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach kick`, `beach deny`
#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// Viewer's number or name, from `beach status`
    #[arg(value_name = "VIEWER", value_parser = viewer)]
    pub(crate) member: ViewerName,

    /// Keep the links, so that the person can use theirs again
    #[arg(long)]
    pub(crate) keep_links: bool,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach grant`
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// Viewer's number or name, from `beach status`
    #[arg(value_name = "VIEWER", value_parser = viewer)]
    pub(crate) member: ViewerName,

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
