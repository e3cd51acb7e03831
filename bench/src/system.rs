//! The systems that are compared.

use clap::ValueEnum;

/// A way to see a terminal elsewhere. [`System::Raw`] is a local pseudo-terminal, to compare the others with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    /// A local pseudo-terminal.
    Raw,
    /// beach.
    Beach,
    /// OpenSSH.
    Ssh,
    /// OpenSSH, with tmux at the far end.
    #[value(name = "ssh+tmux")]
    SshTmux,
    /// mosh.
    Mosh,
    /// Another beach: see `--against`.
    #[value(skip)]
    Against,
}

impl System {
    /// All of them, in the order of the table's columns.
    pub(crate) const ALL: [System; 6] =
        [System::Raw, System::Beach, System::Ssh, System::SshTmux, System::Mosh, System::Against];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Raw => "raw",
            System::Beach => "beach",
            System::Ssh => "ssh",
            System::SshTmux => "ssh+tmux",
            System::Mosh => "mosh",
            System::Against => "other beach",
        }
    }

    /// Whether the system is beach, this one or another.
    pub(crate) fn is_beach(self) -> bool {
        matches!(self, System::Beach | System::Against)
    }

    /// Whether several people can see one terminal with it.
    pub(crate) fn shares(self) -> bool {
        self.is_beach() || self == System::SshTmux
    }

    /// Rows of the person's terminal that it keeps for itself.
    pub(crate) fn own_rows(self) -> u16 {
        u16::from(self == System::SshTmux)
    }
}
