//! The line settings of a pseudo-terminal, which `stty` shows.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{InputModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The line settings of a person's terminal: the keys that erase and interrupt, and what the line does with bytes.
#[derive(Clone, Debug)]
pub struct LineSettings(Termios);

/// The encoding of a terminal's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// An erased character may have several bytes.
    Utf8,
    /// A character is a byte.
    Bytes,
}

impl LineSettings {
    pub(crate) fn of(settings: Termios) -> LineSettings {
        LineSettings(settings)
    }
}

/// Gives a new pseudo-terminal the settings of the person's terminal, if there is one, and the encoding.
pub(super) fn apply(terminal: impl AsFd, like: Option<&LineSettings>, charset: Charset) -> io::Result<()> {
    let mut settings = tcgetattr(&terminal)?;
    if let Some(LineSettings(own)) = like {
        // Not the control modes: they describe a line to a device.
        settings.input_modes = own.input_modes;
        settings.output_modes = own.output_modes;
        settings.local_modes = own.local_modes;
        settings.special_codes = own.special_codes.clone();
    }
    settings.input_modes.set(InputModes::IUTF8, charset == Charset::Utf8);
    Ok(tcsetattr(&terminal, OptionalActions::Now, &settings)?)
}
