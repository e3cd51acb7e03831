//! A rendezvous that speaks TLS itself, and one behind real proxies.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use beach_tests::real::{
    Authority, Host, Process, Rendezvous, Running as _, Scratch, Signal, beach, ended_in_three_lines, holds, join,
    share, skipped,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

/// A viewer that trusts this authority.
fn viewer(scratch: &Scratch, link: &str, authority: &Path) -> Process {
    Process::start(join(scratch, &["--json", link]).env("SSL_CERT_FILE", authority))
}

fn sees_a_screen(viewer: &Process) {
    viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
}

#[test]
fn a_certificate_is_replaced_while_sessions_live_and_a_bad_one_changes_nothing() {
    let scratch = Scratch::new();
    let (one, other) = (Authority::new(), Authority::new());
    let [trusts_one, trusts_other] =
        [("one.pem", &one), ("other.pem", &other)].map(|(name, authority)| scratch.write(name, &authority.certificate));
    let put = |authority: &Authority| {
        let (certificate, key) = authority.signs();
        scratch.write("tls.pem", certificate);
        scratch.write("tls.key", key);
    };
    put(&one);
    let rendezvous = Rendezvous::start(&scratch, &["--tls-cert", "tls.pem", "--tls-key", "tls.key"]);
    assert!(rendezvous.url.starts_with("https://127.0.0.1:"), "{}", rendezvous.url);
    let log = |said: &str| scratch.read("serve.log").matches(said).count();
    let options = ["--json", "--no-approve", "--server", &rendezvous.url];
    let host = Host::run(&scratch, share(&scratch, &options, &["cat"]).env("SSL_CERT_FILE", &trusts_one));
    sees_a_screen(&viewer(&scratch, &host.links.control, &trusts_one));

    scratch.write("tls.key", "nonsense");
    rendezvous.process.signal(Signal::HUP);
    holds("the log says why the old certificate stays", SOON, || {
        log("the old certificate stays in use cause=tls.key: the file has no private key in PEM") >= 1
    });
    sees_a_screen(&viewer(&scratch, &host.links.control, &trusts_one));

    put(&other);
    holds("the new files are noticed", SOON, || log("a new certificate is in use") == 1);
    let mut doctor = beach(&scratch, &["doctor", "--server", &rendezvous.url]);
    let mut refused = Process::start(doctor.env("SSL_CERT_FILE", &trusts_one));
    assert_eq!(refused.exit(SOON), 1, "{}", refused.stdout());
    assert!(refused.stdout().contains("not signed by a known authority"), "{}", refused.stdout());
    // By the host's old connection, which lives on.
    sees_a_screen(&viewer(&scratch, &host.links.control, &trusts_other));

    put(&one);
    rendezvous.process.signal(Signal::HUP);
    holds("the signal makes serve read them", SOON, || log("a new certificate is in use") >= 2);
    sees_a_screen(&viewer(&scratch, &host.links.control, &trusts_one));
    assert!(log("every user of this machine can read the key") > 0);
}

#[test]
fn a_certificate_that_cannot_be_used_is_a_usage_error() {
    let scratch = Scratch::new();
    let authority = Authority::new();
    let (certificate, _) = authority.signs();
    let (_, other_key) = authority.signs();
    scratch.write("tls.pem", certificate);
    scratch.write("tls.key", other_key);
    for (key, cause) in [("tls.key", "the key is not that of the certificate in tls.pem"), ("none.key", "No such file")]
    {
        let flags = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", "tls.pem", "--tls-key", key];
        let (said, _) = ended_in_three_lines(&mut beach(&scratch, &flags), 2, SOON);
        assert!(said.contains(&format!("cause: {key}: ")) && said.contains(cause), "{said}");
        assert!(said.contains("check --tls-cert and --tls-key"), "{said}");
    }
    let mut alone = Process::start(&mut beach(&scratch, &["serve", "--tls-cert", "tls.pem"]));
    assert_eq!(alone.exit(SOON), 2, "{}", alone.stderr());
}

/// The configurations of packaging/, behind which serve stands.
const HAPROXY: [&str; 2] = ["haproxy-tcp.cfg", "haproxy-http.cfg"];

#[test]
fn behind_haproxy_as_it_is_documented_hosts_are_told_where_viewers_come_from() {
    if Command::new("haproxy").arg("-v").output().is_err() {
        return skipped("haproxy is not installed");
    }
    let scratch = Scratch::new();
    let authority = Authority::new();
    let trusts = scratch.write("authority.pem", &authority.certificate);
    let (certificate, key) = authority.signs();
    scratch.write("tls.pem", certificate.clone() + &key);
    for name in HAPROXY {
        // The proxy is another address of this machine than the viewer.
        let rendezvous = Rendezvous::start(&scratch, &["--trusted-proxies", "127.0.0.3", "--stun", "none"]);
        let place = rendezvous.url.trim_start_matches("http://");
        let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/proxies").join(name);
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let mut config = fs::read_to_string(documented).expect("a configuration");
        for (documented, here) in [
            ("bind :443", format!("bind 127.0.0.1:{port}")),
            ("/etc/haproxy/beach.pem", scratch.file("tls.pem").display().to_string()),
            ("127.0.0.1:8080", format!("{place} source 127.0.0.3")),
        ] {
            assert_eq!(config.matches(documented).count(), 1, "{documented} in {name}");
            config = config.replace(documented, &here);
        }
        let config = scratch.write(name, config);
        let checked = Command::new("haproxy").arg("-c").arg("-f").arg(&config).output().expect("haproxy runs");
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        let _proxy = Process::start(Command::new("haproxy").arg("-f").arg(&config));
        let url = format!("https://localhost:{port}");
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        holds("haproxy listens", SOON, listens);
        let options = ["--json", "--no-approve", "--server", &url];
        let host = Host::run(&scratch, share(&scratch, &options, &["cat"]).env("SSL_CERT_FILE", &trusts));
        let viewer = viewer(&scratch, &host.links.view, &trusts);
        sees_a_screen(&viewer);
        let mut status = Process::start(&mut beach(&scratch, &["status", "--json"]));
        assert_eq!(status.exit(SOON), 0, "{}", status.stderr());
        let status: Value = serde_json::from_str(status.stdout().trim()).expect("one object");
        assert_eq!(status["members"][0]["from"], json!("loopback"), "{name}");
    }
}
