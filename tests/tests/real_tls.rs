//! A rendezvous that speaks TLS itself, with certificates from files or by ACME, and one behind real proxies.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use beach_tests::real::{
    Aim, Attack, Authority, Host, Pebble, Process, Rendezvous, Running as _, Scratch, Siege, Signal, Way, beach,
    ended_in_three_lines, eventually, free_port, has_nginx, holds, join, metrics, nginx, share, skipped,
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

/// Seconds since 1970.
fn today() -> f64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_secs_f64()
}

/// Where monitors ask a server.
fn monitor(serve: &Process) -> SocketAddr {
    eventually("the address for monitors", SOON, || {
        let said = serve.stderr();
        let url = said.split_whitespace().find(|word| word.ends_with("/metrics"))?;
        url.trim_start_matches("http://").trim_end_matches("/metrics").parse().ok()
    })
}

/// Options of a server called localhost, at this port, that asks this ACME server for its certificate.
fn by_acme(port: u16, directory: &str) -> Vec<String> {
    let listen = format!("127.0.0.1:{port}");
    let options = ["--listen", &listen, "--acme-domain", "localhost", "--acme-directory", directory];
    let more = ["--acme-contact", "me@example.org", "--acme-cache", "acme", "--metrics-listen", "127.0.0.1:0"];
    options.into_iter().chain(more).chain(["--log-file", "serve.log"]).map(str::to_owned).collect()
}

/// `beach serve` with these options, which trusts the ACME server by this file.
fn serve(scratch: &Scratch, options: &[String], trusted: &Path) -> Command {
    let mut command = beach(scratch, &["serve"]);
    command.args(options).env("SSL_CERT_FILE", trusted);
    command
}

fn has_pebble() -> bool {
    Command::new("pebble").arg("-help").output().is_ok() || {
        skipped("pebble is not installed");
        false
    }
}

#[test]
fn a_certificate_comes_by_acme_is_renewed_while_sessions_live_and_is_there_after_a_restart() {
    if !has_pebble() {
        return;
    }
    let scratch = Scratch::new();
    let port = free_port();
    let authority = Authority::new();
    let trusted = scratch.write("authority.pem", &authority.certificate);
    let pebble = Pebble::start(&scratch, &authority, free_port(), port, 15);
    let options = by_acme(port, &pebble.directory);
    let start = || Process::start(&mut serve(&scratch, &options, &trusted));
    let check = || {
        let check = [&options[..], &["--check".to_owned()]].concat();
        let mut check = Process::start(&mut serve(&scratch, &check, &trusted));
        (check.exit(SOON), check.stdout())
    };
    let (code, said) = check();
    assert!(code == 0 && said.contains("certificate ok       serve will ask for one; acme\n"), "{said}");
    assert!(said.contains("acme name   limited  localhost: ") && said.contains("acme server ok  "), "{said}");
    assert!(!scratch.file("acme").exists(), "a check makes no folder");

    let mut server = start();
    let had = |server: &Process| server.stderr().contains("has a certificate for localhost");
    holds("a certificate", SOON, || had(&server));
    let root = scratch.write("root.pem", pebble.root(&authority));
    let url = format!("https://localhost:{port}");
    let shared = ["--json", "--no-approve", "--server", &url];
    let host = Host::run(&scratch, share(&scratch, &shared, &["cat"]).env("SSL_CERT_FILE", &root));
    sees_a_screen(&viewer(&scratch, &host.links.control, &root));
    let expires = |server: &Process| metrics(monitor(server))["beach_certificate_expires_seconds"];
    let first = expires(&server);
    assert!((today() - 1.0..today() + 16.0).contains(&first), "{first}");
    let files: Vec<_> = fs::read_dir(scratch.file("acme")).expect("a folder").flatten().collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600, "{file:?}");
    }

    holds("the certificate is renewed", SOON * 2, || expires(&server) > first);
    // By the host's old connection, which lives on.
    sees_a_screen(&viewer(&scratch, &host.links.control, &root));
    server.signal(Signal::TERM);
    assert_eq!(server.exit(SOON * 2), 0);
    drop(pebble.process);
    let again = start();
    let hosts = || metrics(monitor(&again)).get("beach_sessions{host=\"present\"}").copied();
    holds("the host is back", SOON, || hosts() == Some(1.0));
    sees_a_screen(&viewer(&scratch, &host.links.control, &root));
    assert!(!had(&again), "it was there at the start");
    let (code, said) = check();
    assert!(code == 2 && said.contains("certificate ok       one is on disk"), "{said}");
    assert!(said.contains("acme server failed   the ACME server is not reached: connection refused"), "{said}");
}

#[test]
fn without_a_certificate_serve_says_why_and_tries_again_when_it_is_told() {
    if !has_pebble() {
        return;
    }
    let scratch = Scratch::new();
    let authority = Authority::new();
    let (port, acme) = (free_port(), free_port());
    let trusted = scratch.write("authority.pem", &authority.certificate);
    let options = by_acme(port, &format!("https://127.0.0.1:{acme}/dir"));
    let server = Process::start(&mut serve(&scratch, &options, &trusted));
    holds("serve says what is wrong", SOON, || {
        let cause = "the ACME server is not reached: connection refused: nothing listens there";
        server.stderr().contains(&format!("warning: serve has no certificate, and tries again\n  cause: {cause}\n"))
    });
    assert!(!metrics(monitor(&server)).contains_key("beach_certificate_expires_seconds"));
    let pebble = Pebble::start(&scratch, &authority, acme, port, 60);
    server.signal(Signal::HUP);
    holds("a certificate", SOON, || server.stderr().contains("has a certificate for localhost"));
    drop((server, pebble));

    // The authority looks for the name at a port where nobody is, and serve has forgotten its certificate.
    fs::remove_dir_all(scratch.file("acme")).expect("a folder");
    let _pebble = Pebble::start(&scratch, &authority, acme, free_port(), 60);
    let server = Process::start(&mut serve(&scratch, &options, &trusted));
    holds("serve says what is wrong", SOON, || {
        let said = server.stderr();
        said.contains("  cause: the ACME server could not check localhost: ") && said.contains("let port 443 of each")
    });
}

#[test]
fn handshakes_that_one_address_begins_without_end_keep_no_other_one_out() {
    let scratch = Scratch::new();
    let authority = Authority::new();
    let trusts = scratch.write("authority.pem", &authority.certificate);
    let (certificate, key) = authority.signs();
    scratch.write("tls.pem", certificate);
    scratch.write("tls.key", key);
    let options = ["--tls-cert", "tls.pem", "--tls-key", "tls.key", "--trusted-proxies", "none"];
    let rendezvous = Rendezvous::start(&scratch, &[&options[..], &["--metrics-listen", "127.0.0.1:0"]].concat());
    let shared = ["--json", "--no-approve", "--server", &rendezvous.url];
    let host = Host::run(&scratch, share(&scratch, &shared, &["cat"]).env("SSL_CERT_FILE", &trusts));
    let id = host.links.control.split(['#', '/']).nth(4).expect("a link names its session");
    let victim = id.parse().expect("an id");
    let server = rendezvous.url.trim_start_matches("https://").parse().expect("an address");
    let siege = Siege::default();
    let began = Instant::now();
    let took: Vec<Duration> = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| Attack::Handshakes.run(Aim { server, way: Way::Direct }, victim, &siege));
        }
        let _ends = siege.ends_here();
        holds("the attack is under way", SOON * 2, || siege.blows() >= 1500);
        let joins = (0..3).map(|_| {
            let mut viewer = viewer(&scratch, &host.links.view, &trusts);
            let (_, at) = viewer.line("the first screen", SOON, |line| line.contains("first_screen"));
            let took = at - viewer.started();
            viewer.write("~.");
            viewer.exit(SOON);
            took
        });
        joins.collect()
    });
    assert!(took.iter().min().is_some_and(|least| *least <= Duration::from_secs(1)), "{took:?}");
    let refused = metrics(monitor(&rendezvous.process))["beach_refused_connections_total{why=\"handshakes\"}"];
    let allowed = 512.0 + 100.0 * (began.elapsed().as_secs_f64() + 1.0);
    let begun = siege.blows() as f64;
    eprintln!("joined within {took:?}; {refused} of {begun} handshakes were refused");
    assert!(refused > 0.0 && begun - refused <= allowed, "{refused} of {begun} refused, {allowed} allowed");
}

/// A configuration of packaging/proxies, with what must be another here replaced: each once.
fn documented(name: &str, changes: &[(&str, String)]) -> String {
    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/proxies").join(name);
    let mut config = fs::read_to_string(documented).expect("a configuration");
    for (documented, here) in changes {
        assert_eq!(config.matches(documented).count(), 1, "{documented} in {name}");
        config = config.replace(documented, here);
    }
    config
}

/// Whether a program says that a configuration is good.
#[track_caller]
fn is_good(check: &mut Command) {
    let checked = check.output().expect("the program runs");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{check:?}: {said}");
}

/// A host and a viewer meet behind a proxy at this port, and the host is told where the viewer comes from.
fn meet_behind(scratch: &Scratch, port: u16, trusts: &Path, proxy: &str) {
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    holds(&format!("{proxy} listens"), SOON, listens);
    let url = format!("https://localhost:{port}");
    let options = ["--json", "--no-approve", "--server", &url];
    let host = Host::run(scratch, share(scratch, &options, &["cat"]).env("SSL_CERT_FILE", trusts));
    let viewer = viewer(scratch, &host.links.view, trusts);
    sees_a_screen(&viewer);
    let mut status = Process::start(&mut beach(scratch, &["status", "--json"]));
    assert_eq!(status.exit(SOON), 0, "{}", status.stderr());
    let status: Value = serde_json::from_str(status.stdout().trim()).expect("one object");
    assert_eq!(status["members"][0]["from"], json!("loopback"), "{proxy}");
}

#[test]
fn behind_haproxy_as_it_is_documented_hosts_are_told_where_viewers_come_from() {
    if Command::new("haproxy").arg("-v").output().is_err() {
        return skipped("haproxy is not installed");
    }
    let scratch = Scratch::new();
    let authority = Authority::new();
    let trusts = scratch.write("authority.pem", &authority.certificate);
    let (certificate, key) = authority.signs();
    let pem = scratch.write("tls.pem", certificate.clone() + &key).display().to_string();
    for name in ["haproxy-tcp.cfg", "haproxy-http.cfg"] {
        // The proxy is another address of this machine than the viewer.
        let rendezvous = Rendezvous::start(&scratch, &["--trusted-proxies", "127.0.0.3", "--stun", "none"]);
        let place = rendezvous.url.trim_start_matches("http://");
        let port = free_port();
        let changes = [
            ("bind :443", format!("bind 127.0.0.1:{port}")),
            ("/etc/haproxy/beach.pem", pem.clone()),
            ("127.0.0.1:8080", format!("{place} source 127.0.0.3")),
        ];
        let config = scratch.write(name, documented(name, &changes));
        is_good(Command::new("haproxy").arg("-c").arg("-f").arg(&config));
        let _proxy = Process::start(Command::new("haproxy").arg("-f").arg(&config));
        meet_behind(&scratch, port, &trusts, name);
    }
}

/// A rendezvous for proxies that cannot choose their own address: they reach it by IPv6, and viewers come by IPv4.
fn behind_loopback_of_ipv6(scratch: &Scratch) -> (Process, String) {
    let options = ["serve", "--listen", "[::1]:0", "--trusted-proxies", "::1", "--stun", "none"];
    let process = Process::start(&mut beach(scratch, &options));
    let place = eventually("the address of the rendezvous", SOON, || {
        let said = process.stderr();
        said.split_whitespace().find_map(|word| word.strip_prefix("http://").map(str::to_owned))
    });
    (process, place)
}

#[test]
fn behind_nginx_as_it_is_documented_hosts_are_told_where_viewers_come_from() {
    if !has_nginx() {
        return skipped("nginx is not installed");
    }
    let scratch = Scratch::new();
    let authority = Authority::new();
    let trusts = scratch.write("authority.pem", &authority.certificate);
    let (certificate, key) = authority.signs();
    let [pem, key] = [("tls.pem", certificate), ("tls.key", key)].map(|(name, text)| scratch.write(name, text));
    let (_serve, place) = behind_loopback_of_ipv6(&scratch);
    let port = free_port();
    let changes = [
        ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
        ("/etc/nginx/beach.pem", pem.display().to_string()),
        ("/etc/nginx/beach.key", key.display().to_string()),
        ("http://127.0.0.1:8080", format!("http://{place}")),
    ];
    let config = documented("nginx.conf", &changes);
    is_good(nginx(&scratch, &config).arg("-t"));
    let _proxy = Process::start(&mut nginx(&scratch, &config));
    meet_behind(&scratch, port, &trusts, "nginx");
}

#[test]
fn behind_caddy_as_it_is_documented_hosts_are_told_where_viewers_come_from() {
    if Command::new("caddy").arg("version").output().is_err() {
        return skipped("caddy is not installed");
    }
    let scratch = Scratch::new();
    let authority = Authority::new();
    let trusts = scratch.write("authority.pem", &authority.certificate);
    let (certificate, key) = authority.signs();
    let [pem, key] = [("tls.pem", certificate), ("tls.key", key)].map(|(name, text)| scratch.write(name, text));
    let (_serve, place) = behind_loopback_of_ipv6(&scratch);
    let port = free_port();
    // Without a certificate from outside, and without ports that every Caddy of this machine would want.
    let site = format!(
        "{{\n\tadmin off\n\tauto_https disable_redirects\n}}\nhttps://localhost:{port} {{\n\t\
         bind 127.0.0.1\n\ttls {} {}\n",
        pem.display(),
        key.display()
    );
    let changes = [("beach.example.org {\n", site), ("127.0.0.1:8080\n", format!("{place}\n"))];
    let here = scratch.write("Caddyfile", documented("Caddyfile", &changes));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/proxies/Caddyfile");
    let caddy = |what: &str, file: &Path| {
        let mut command = Command::new("caddy");
        command.args([what, "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", scratch.folder()).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        command
    };
    is_good(&mut caddy("validate", &shipped));
    let _proxy = Process::start(&mut caddy("run", &here));
    meet_behind(&scratch, port, &trusts, "caddy");
}
