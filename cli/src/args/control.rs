//! The flags of the commands that talk to a running session.

use clap::Args;

/// `beach status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The session; without it, the one around, else all
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,

    /// One JSON object a line for each session
    #[arg(long)]
    pub(crate) json: bool,

    /// Look again each second, and print what changed, until the session ends
    #[arg(long)]
    pub(crate) watch: bool,

    /// Show the links inside a shared terminal too, where its viewers see them
    #[arg(long)]
    pub(crate) links: bool,

    /// Print how many viewers the session around has, and nothing where there is none: for a prompt
    #[arg(long, conflicts_with_all = ["session", "json", "watch", "links"])]
    pub(crate) count: bool,
}

/// `beach stop`
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The session; it may be left out if there is one
    #[arg(value_name = "ID")]
    pub(crate) session: Option<String>,
}

/// The session that a command is for.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// The session; without it, the one around, or the only one
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
}

/// `beach approve`, `beach revoke`
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// The number of the viewer, as `beach status` shows it
    #[arg(value_name = "MEMBER")]
    pub(crate) member: u32,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach kick`, `beach deny`
#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// The number, as `beach status` shows it
    #[arg(value_name = "MEMBER")]
    pub(crate) member: u32,

    /// Leave the links as they are: the person can come again with the one that they have
    #[arg(long)]
    pub(crate) keep_links: bool,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach grant`
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The number of the viewer, as `beach status` shows it
    #[arg(value_name = "MEMBER")]
    pub(crate) member: u32,

    /// What the viewer may do
    #[arg(value_name = "control", default_value = "control", value_parser = ["control"])]
    pub(crate) role: String,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}

/// `beach say`
#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// A sentence
    #[arg(value_name = "TEXT", required = true)]
    pub(crate) text: Vec<String>,

    #[command(flatten)]
    pub(crate) of: SessionArgs,
}
