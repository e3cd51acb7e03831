//! Pages of browsers as viewers: Chromium without a window, one for each page. A second page of one browser would be
//! hidden, and a hidden page paints nothing.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::lab::{Daemon, Lab};

/// The browser.
const CHROMIUM: &str = "chromium";

/// Keep the browser to the page, and running: without a port for developer tools a browser may end after the page is
/// loaded.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1280,800",
];

/// Why there can be no page here, if so.
pub(crate) fn missing() -> Option<String> {
    let runs = Command::new(CHROMIUM).arg("--version").stdin(Stdio::null()).output();
    let is_there = runs.is_ok_and(|output| output.status.success());
    (!is_there).then(|| format!("{CHROMIUM} is not installed"))
}

/// A page. Dropping the value ends its browser.
pub(crate) struct Page {
    _browser: Daemon,
}

impl Page {
    /// Opens a link.
    pub(crate) fn open(lab: &Lab, link: &str) -> Result<Page> {
        let profile = lab.folder.join(format!("browser-{}", lab.number()));
        let mut command = lab.command(CHROMIUM);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.display())).arg(link);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Page { _browser: Daemon(child) })
    }
}
