//! A person's permission in a session.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The permission of an invite, proved by holding its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May watch and type.
    Control,
    /// May watch.
    View,
}

impl Role {
    /// The word that stands for the role in URLs, prologues and MACs.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Control => "control",
            Role::View => "view",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
