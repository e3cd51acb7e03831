//! nginx, with a configuration of `packaging/proxies`.

use std::process::Command;

use super::scratch::Scratch;

/// Whether this machine has nginx.
#[must_use]
pub fn has_nginx() -> bool {
    Command::new("nginx").arg("-v").output().is_ok()
}

/// nginx with this text in the place of a file of `/etc/nginx/conf.d`. The configuration around is that of a
/// distribution's package, as far as that matters.
#[must_use]
pub fn nginx(scratch: &Scratch, text: &str) -> Command {
    let file = scratch.write("beach.conf", text);
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};"));
    let around = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{}}\n\
         http {{ access_log off; {}\n include {}; }}\n",
        folders.join(" "),
        file.display()
    );
    let around = scratch.write("nginx.conf", around);
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(scratch.folder()).arg("-c").arg(around);
    command
}
