//! Several `beach serve` behind one name, which share a directory in Redis: behind haproxy, and behind nginx, as
//! `packaging/proxies` configures them. A viewer gets in whichever node they come to, whatever happens to a node and to
//! Redis.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use beach_core::id::{LinkId, SessionName, ShortId};
use beach_core::rendezvous::{DirectoryInput, DirectoryOutput, MAX_RENEWED, MAX_SESSIONS};
use beach_core::role::Role;
use beach_core::wire::signal::{ToRendezvous, to_text};
use beach_runtime_tokio::directory::{self, ANSWER_WITHIN, Directory, RedisUrl};
use beach_runtime_tokio::signal::{Signal as Way, SignalEvent};
use beach_tests::real::{
    Authority, Cluster, Host, Process, Redis, Scratch, Signal, beach, cluster_tools, free_port, get, has_nginx, holds,
    join, skipped,
};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// Whether a test can run; otherwise the test is counted as skipped.
fn has_tools() -> bool {
    cluster_tools().inspect(|missing| skipped(&format!("{missing} is not installed"))).is_none()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn at(url: &str, place: &str) -> Directory {
    Directory::start(RedisUrl::from(url).address().expect("a URL"), place)
}

async fn next(directory: &mut Directory) -> DirectoryInput {
    timeout(SOON, directory.next()).await.expect("the directory says something")
}

/// The session of this number.
fn session(number: usize) -> ShortId {
    format!("{number:014}").parse().expect("an id")
}

const A: &str = "http://a.test";
const B: &str = "http://b.test/n/b";

#[test]
fn of_two_claims_that_with_the_greater_turn_stands_and_what_others_wrote_there_counts_for_nothing() {
    if !has_tools() {
        return;
    }
    let redis = Redis::start(&[]);
    let (one, key) = (session(1), format!("beach:s:{}", session(1)));
    let claim = |turn| DirectoryOutput::Claim { session: one, turn };
    let claimed = |turn| DirectoryInput::Claimed { session: one, turn };
    let lost = |turn, place: &str| DirectoryInput::Lost { session: one, turn, place: place.to_owned() };
    let found = |place: Option<&str>| DirectoryInput::Found { session: one, place: place.map(str::to_owned) };
    runtime().block_on(async {
        let (mut a, mut b) = (at(&redis.url(), A), at(&redis.url(), B));
        assert_eq!([next(&mut a).await, next(&mut b).await], [DirectoryInput::Up, DirectoryInput::Up]);
        a.ask(claim(2));
        assert_eq!(next(&mut a).await, claimed(2));
        assert_eq!(redis.ask(&["GET", &key]), format!("2 {A}"));
        let life: u64 = redis.ask(&["PTTL", &key]).parse().expect("a number");
        assert!((25_000..=30_000).contains(&life), "{life}");
        b.ask(claim(1));
        assert_eq!(next(&mut b).await, lost(1, A), "a late claim");
        b.ask(claim(3));
        assert_eq!(next(&mut b).await, claimed(3));
        a.ask(DirectoryOutput::Renew(vec![(session(2), 7), (one, 2)]));
        assert_eq!(next(&mut a).await, lost(2, B), "a renewal after that");
        a.ask(DirectoryOutput::Release { session: one, turn: 2 });
        a.ask(DirectoryOutput::LookUp(one));
        assert_eq!(next(&mut a).await, found(Some(B)), "a late release");
        a.ask(DirectoryOutput::Renew(vec![(one, 3)]));
        assert_eq!(next(&mut a).await, lost(3, B), "a renewal with the turn of another place");
        b.ask(DirectoryOutput::Renew(vec![(one, 3)]));
        b.ask(DirectoryOutput::Release { session: one, turn: 3 });
        b.ask(DirectoryOutput::LookUp(one));
        assert_eq!(next(&mut b).await, found(None));

        let long = format!("9 http://{}.test", "a".repeat(600));
        for text in ["hello", "9 ftp://a.test", "9007199254740992 http://c.test", "9", "", long.as_str()] {
            redis.ask(&["SET", &key, text]);
            b.ask(DirectoryOutput::LookUp(one));
            assert_eq!(next(&mut b).await, found(None), "{text}");
            b.ask(claim(1));
            assert_eq!(next(&mut b).await, claimed(1), "{text}");
        }
        redis.ask(&["DEL", &key]);
        redis.ask(&["LPUSH", &key, "a list"]);
        b.ask(DirectoryOutput::LookUp(one));
        assert_eq!(next(&mut b).await, found(None), "a list");
        b.ask(claim(1));
        assert_eq!(next(&mut b).await, claimed(1), "a list");

        let many: Vec<_> = (0..MAX_RENEWED).map(|number| (session(1000 + number), 1)).collect();
        a.ask(DirectoryOutput::Renew(many.clone()));
        b.ask(DirectoryOutput::LookUp(one));
        assert_eq!(next(&mut b).await, found(Some(B)));
        holds("all of them are written", SOON, || redis.ask(&["DBSIZE"]) == (MAX_RENEWED + 3).to_string());
        b.ask(DirectoryOutput::Claim { session: many[MAX_RENEWED - 1].0, turn: 2 });
        assert!(matches!(next(&mut b).await, DirectoryInput::Claimed { turn: 2, .. }));
        a.ask(DirectoryOutput::Renew(many.clone()));
        assert_eq!(
            next(&mut a).await,
            DirectoryInput::Lost { session: many[MAX_RENEWED - 1].0, turn: 1, place: B.to_owned() }
        );
    });
}

#[test]
fn a_server_that_hangs_ends_or_is_asked_too_much_is_down_and_up_again() {
    if !has_tools() {
        return;
    }
    let mut redis = Redis::start(&["--requirepass", "mackerel"]);
    let url = redis.url().replace("//", "//:mackerel@");
    runtime().block_on(async {
        let wrong = RedisUrl::from(url.replace("mackerel", "mack").as_str()).address().expect("a URL");
        let refused = directory::check(&wrong).await.expect_err("the password is wrong").to_string();
        assert!(refused.contains("Password authentication failed") && !refused.contains("mack"), "{refused}");

        let mut node = at(&url, A);
        let look_up = || DirectoryOutput::LookUp(session(1));
        assert_eq!(next(&mut node).await, DirectoryInput::Up);
        redis.signal(Signal::STOP);
        let asked = Instant::now();
        node.ask(look_up());
        assert_eq!(next(&mut node).await, DirectoryInput::Down, "a server that hangs");
        let took = asked.elapsed();
        assert!((ANSWER_WITHIN..ANSWER_WITHIN * 2).contains(&took), "{took:?}");
        assert!(!node.tally().is_up);
        redis.signal(Signal::CONT);
        assert_eq!(next(&mut node).await, DirectoryInput::Up);

        let killed = Instant::now();
        redis.kill();
        assert_eq!(next(&mut node).await, DirectoryInput::Down, "a server that ended");
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
        redis.start_again();
        assert_eq!(next(&mut node).await, DirectoryInput::Up);

        (0..=2 * MAX_SESSIONS).for_each(|_| node.ask(look_up()));
        let mut said = next(&mut node).await;
        while matches!(said, DirectoryInput::Found { .. }) {
            said = next(&mut node).await;
        }
        assert_eq!(said, DirectoryInput::Down, "too many requests");
        assert_eq!(next(&mut node).await, DirectoryInput::Up);
        node.ask(look_up());
        assert_eq!(next(&mut node).await, DirectoryInput::Found { session: session(1), place: None });
    });
}

#[test]
fn the_check_of_a_configuration_says_whether_the_directory_answers_and_never_its_password() {
    if !has_tools() {
        return;
    }
    let (scratch, redis) = (Scratch::new(), Redis::start(&["--requirepass", "mackerel"]));
    let check = |url: &str, place: &str| {
        let mut command = beach(&scratch, &["serve", "--check"]);
        command.env("BEACH_SERVE_REDIS", url).env("BEACH_SERVE_PLACE", place);
        let mut process = Process::start(&mut command);
        let code = process.exit(SOON);
        let said = process.stdout() + &process.stderr();
        assert!(!said.contains("mack"), "{said}");
        (code, said)
    };
    let url = redis.url();
    let right = url.replace("//", "//:mackerel@");
    for (url, place, code, says) in [
        (right.as_str(), "http://127.0.0.1:1/n/a", 0, "directory   ok       redis://127.0.0.1:"),
        (right.as_str(), "http://127.0.0.1:1/n/a", 0, "place       limited  http://127.0.0.1:1/n/a, which only this"),
        (&right.replace("erel", ""), "http://127.0.0.1:1", 2, "Password authentication failed"),
        (&url, "http://127.0.0.1:1", 2, "directory   failed   redis://127.0.0.1:"),
        ("redis://:mackerel@127.0.0.1:1", "http://127.0.0.1:1", 2, "nothing listens there"),
        ("http://:mackerel@127.0.0.1", "http://127.0.0.1:1", 2, "the URL is not of the form redis://"),
        (right.as_str(), "ws://a", 2, "expected http(s)://HOST[:PORT][/PATH]"),
        (right.as_str(), "", 2, "--place"),
    ] {
        let (ended, said) = check(url, place);
        assert!(ended == code && said.contains(says), "{place}: {ended}: {said}");
    }
}

#[test]
fn a_directory_over_tls_is_reached_if_its_certificate_is_trusted() {
    if !has_tools() {
        return;
    }
    let (scratch, authority, port) = (Scratch::new(), Authority::new(), free_port().to_string());
    let (certificate, key) = authority.signs();
    let file = |name: &str, content: &str| scratch.write(name, content).to_string_lossy().into_owned();
    let (certificate, key) = (file("certificate.pem", &certificate), file("key.pem", &key));
    let trusted = file("authority.pem", &authority.certificate);
    let names = ["--tls-port", "--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file", "--tls-auth-clients"];
    let options: Vec<&str> = names
        .into_iter()
        .zip([&*port, &*certificate, &*key, &*trusted, "no"])
        .flat_map(|(name, it)| [name, it])
        .collect();
    let _redis = Redis::start(&options);
    let url = format!("rediss://localhost:{port}");
    for (trusts, code, says) in [(&*trusted, 0, "directory   ok"), (&*certificate, 2, "directory   failed")] {
        let mut command = beach(&scratch, &["serve", "--check"]);
        command.env("BEACH_SERVE_REDIS", &url).env("BEACH_SERVE_PLACE", "http://127.0.0.1:1/n/a");
        let mut process = Process::start(command.env("SSL_CERT_FILE", trusts));
        let ended = process.exit(SOON);
        let said = process.stdout() + &process.stderr();
        assert!(ended == code && said.contains(says), "{trusts}: {ended}: {said}");
    }
}

/// A viewer, who sees the screen within this time.
#[track_caller]
fn sees_the_screen(cluster: &Cluster, link: &str, within: Duration) {
    let viewer = Process::start(&mut join(&cluster.scratch, &["--json", link]));
    viewer.line("the first screen", within, |line| line.contains("first_screen"));
}

/// Two viewers, of whom each comes to another node.
#[track_caller]
fn two_see_the_screen(cluster: &Cluster, hosts: &[Host], within: Duration) {
    let started = Instant::now();
    for host in hosts {
        let viewers = [(); 2].map(|()| Process::start(&mut join(&cluster.scratch, &["--json", &host.links.view])));
        for viewer in viewers {
            let left = within.saturating_sub(started.elapsed());
            viewer.line("the first screen", left, |line| line.contains("first_screen"));
        }
    }
}

fn hosts(cluster: &Cluster, count: usize) -> Vec<Host> {
    let host = |_| Host::start(&cluster.scratch, &["--server", &cluster.url], &["cat"]);
    (0..count).map(host).collect()
}

/// How many viewers were sent from one node to the other.
fn sent_elsewhere(cluster: &Cluster) -> f64 {
    cluster.nodes.iter().map(|node| node.metric("beach_joins_total{result=\"elsewhere\"}")).sum()
}

/// Nothing that people could do at once takes longer than this on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

#[test]
fn behind_haproxy_a_viewer_gets_in_at_either_node_also_after_one_was_killed_and_came_back() {
    if !has_tools() {
        return;
    }
    let mut cluster = Cluster::start();
    let hosts = hosts(&cluster, 4);
    assert!(cluster.hosts().iter().all(|hosts| *hosts > 0.0), "both nodes have hosts: {:?}", cluster.hosts());
    two_see_the_screen(&cluster, &hosts, PATIENCE);
    assert!(sent_elsewhere(&cluster) >= 1.0, "nobody came to the other node than the host");
    let places: BTreeSet<String> =
        cluster.redis.ask(&["KEYS", "beach:s:*"]).lines().map(|key| cluster.redis.ask(&["GET", key])).collect();
    assert_eq!(places, cluster.nodes.iter().map(|node| format!("1 {}", node.place())).collect());

    let killed = Instant::now();
    cluster.nodes[0].kill();
    holds("the hosts are at the other node", PATIENCE, || {
        cluster.nodes[1].metric("beach_sessions{host=\"present\"}") == 4.0
    });
    let hosts_back = killed.elapsed();
    two_see_the_screen(&cluster, &hosts, PATIENCE);
    let viewers_in = killed.elapsed();
    println!("after a node was killed: all hosts back in {hosts_back:?}, eight viewers in by {viewers_in:?}");

    cluster.nodes[0].start(&cluster.scratch);
    cluster.reached();
    // The proxy looks each second whether the node is there.
    let comes = || cluster.nodes[0].metric("beach_joins_total{result=\"elsewhere\"}");
    holds("the proxy sends viewers to both nodes again", PATIENCE, || {
        sees_the_screen(&cluster, &hosts[0].links.view, PATIENCE);
        comes() > 0.0
    });
    two_see_the_screen(&cluster, &hosts, PATIENCE);
}

#[test]
fn with_a_balancer_that_hashes_the_session_every_viewer_comes_to_the_node_of_the_host() {
    if !has_tools() {
        return;
    }
    let cluster = Cluster::balanced("balance url_param s\n    hash-type consistent");
    let hosts = hosts(&cluster, 6);
    two_see_the_screen(&cluster, &hosts, PATIENCE);
    assert_eq!(sent_elsewhere(&cluster), 0.0, "somebody came to the other node than the host");
}

/// A WebSocket at the proxy, which asks for this host.
fn web_socket(cluster: &Cluster, host: &str) -> TcpStream {
    let address = cluster.url.replace("http://localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("asks");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 101", "{host}");
    stream
}

#[test]
fn behind_nginx_viewers_come_to_the_node_of_their_host_each_place_is_a_name_and_a_dead_node_is_left_out() {
    if !has_tools() {
        return;
    }
    if !has_nginx() {
        return skipped("nginx is not installed");
    }
    let mut cluster = Cluster::behind_nginx();
    let hosts = hosts(&cluster, 6);
    two_see_the_screen(&cluster, &hosts, PATIENCE);
    assert_eq!(sent_elsewhere(&cluster), 0.0, "somebody came to the other node than the host");

    let connections = |node: usize| cluster.nodes[node].metric("beach_connections");
    for node in [0, 1] {
        holds("the viewers have left", SOON, || connections(0) + connections(1) == 6.0);
        let (here, there) = (connections(node), connections(1 - node));
        let place = cluster.nodes[node].place().trim_start_matches("http://").to_owned();
        let _open = web_socket(&cluster, &place);
        holds("a connection more", SOON, || connections(node) == here + 1.0);
        assert_eq!(connections(1 - node), there, "{place} leads to its own node");
    }

    cluster.nodes[0].kill();
    let left = &cluster.nodes[1];
    holds("the hosts are at the other node", PATIENCE, || left.metric("beach_sessions{host=\"present\"}") == 6.0);
    two_see_the_screen(&cluster, &hosts, PATIENCE);
}

#[test]
fn without_redis_sessions_go_on_and_with_an_empty_one_all_are_found_again() {
    if !has_tools() {
        return;
    }
    let mut cluster = Cluster::start();
    let hosts = hosts(&cluster, 2);
    assert_eq!(cluster.hosts(), [1.0, 1.0]);
    // The node of the first host, and that of the second.
    let key = cluster.redis.ask(&["KEYS", "beach:s:*"]);
    assert_eq!(key.lines().count(), 2, "{key}");
    let urls = cluster.nodes.each_ref().map(|node| node.url());
    let at_node = |node: usize, link: &str| link.replace(&cluster.url, &urls[node]);
    let first = usize::from(!{
        let id = hosts[0].links.view.split("/s/").nth(1).expect("an id")[..14].to_owned();
        cluster.redis.ask(&["GET", &format!("beach:s:{id}")]).ends_with("/n/a")
    });
    let (here, there) = (at_node(first, &hosts[0].links.view), at_node(1 - first, &hosts[0].links.view));
    let mut stays = Process::start(&mut join(&cluster.scratch, &["--json", "--relay-only", &there]));
    stays.line("the first screen", PATIENCE, |line| line.contains("first_screen"));

    cluster.redis.kill();
    holds("both nodes notice", SOON, || cluster.nodes.iter().all(|node| node.metric("beach_directory_up") == 0.0));
    for node in &cluster.nodes {
        for path in ["/livez", "/readyz"] {
            assert!(get(node.monitor(), path).expect("an answer").starts_with("HTTP/1.1 200 "), "{path}");
        }
    }
    sees_the_screen(&cluster, &here, PATIENCE);
    let asks = Process::start(&mut join(&cluster.scratch, &["--json", &there]));
    assert!(stays.is_running() && cluster.hosts() == [1.0, 1.0]);
    for node in &cluster.nodes {
        let log = cluster.scratch.read(&format!("{}.log", node.name));
        assert_eq!(log.matches("the directory is down").count(), 1, "{log}");
    }

    cluster.redis.start_again();
    cluster.reached();
    asks.line("the first screen", PATIENCE, |line| line.contains("first_screen"));
    sees_the_screen(&cluster, &there, PATIENCE);

    cluster.redis.ask(&["FLUSHALL"]);
    let emptied = Instant::now();
    holds("the host is found within ten seconds", Duration::from_secs(12), || {
        let mut viewer = Process::start(&mut join(&cluster.scratch, &["--json", &there]));
        holds("an answer", PATIENCE, || viewer.stdout().contains("first_screen") || !viewer.is_running());
        viewer.stdout().contains("first_screen")
    });
    println!("after FLUSHALL the host was found in {:?}", emptied.elapsed());
    assert!(stays.is_running());
}

/// A host that writes all typing into a file, and somebody who types there through the node, as nothing else gets
/// through.
struct Typed {
    file: String,
    log: String,
    host: Host,
    viewer: Process,
    length: usize,
    last: Instant,
    longest: Duration,
}

impl Typed {
    fn host(cluster: &Cluster, number: usize) -> Host {
        let (log, program) = (format!("host{number}.log"), format!("stty raw -echo; exec cat > typed{number}"));
        let options = ["share", "--headless", "--json", "--no-approve", "--server", &cluster.url, "--relay-only"];
        let mut command = beach(&cluster.scratch, &options);
        command.args(["--log-file", &log, "--", "sh", "-c", &program]);
        Host::run(&cluster.scratch, &mut command)
    }

    fn start(cluster: &Cluster, number: usize, host: Host) -> Typed {
        let (file, log) = (format!("typed{number}"), format!("host{number}.log"));
        let viewer = Process::start(&mut join(&cluster.scratch, &["--json", &host.links.control]));
        viewer.line("the first screen", PATIENCE, |line| line.contains("first_screen"));
        Typed { file, log, host, viewer, length: 0, last: Instant::now(), longest: Duration::ZERO }
    }

    /// The text that has come to the program by now; notes the longest pause in it.
    fn look(&mut self, cluster: &Cluster) -> String {
        let text = cluster.scratch.read(&self.file);
        if text.len() > self.length {
            self.longest = self.longest.max(self.last.elapsed());
            (self.length, self.last) = (text.len(), Instant::now());
        }
        text
    }
}

#[test]
fn a_node_that_ends_hands_its_hosts_over_and_nobody_who_types_through_it_notices() {
    /// Between two numbers, and between two viewers.
    const TYPES_EVERY: Duration = Duration::from_millis(50);
    const COMES_EVERY: u32 = 30;
    /// The delay, a second for the hosts to go, two without news, and a busy machine.
    const ENDS_WITHIN: Duration = Duration::from_secs(25);
    if !has_tools() {
        return;
    }
    let mut cluster = Cluster::start();
    let hosts = [0, 1].map(|number| Typed::host(&cluster, number));
    assert_eq!(cluster.hosts(), [1.0, 1.0]);
    let mut numbers = 0..2;
    let mut typed = hosts.map(|host| Typed::start(&cluster, numbers.next().unwrap_or_default(), host));
    let (mut number, mut came) = (0u32, Vec::new());
    let mut types = |cluster: &Cluster, typed: &mut [Typed; 2]| {
        for one in &mut *typed {
            one.viewer.write(format!("{number}\n"));
        }
        if number.is_multiple_of(COMES_EVERY) {
            let link = &typed[(number / COMES_EVERY % 2) as usize].host.links.view;
            came.push(Process::start(&mut join(&cluster.scratch, &["--json", "--relay-only", link])));
        }
        number += 1;
        let next = Instant::now() + TYPES_EVERY;
        while Instant::now() < next {
            typed.iter_mut().for_each(|one| drop(one.look(cluster)));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    for node in [0, 1] {
        let asked = Instant::now();
        cluster.nodes[node].asked_to_end();
        // The port stays open while hosts go; then there is nobody to ask.
        while cluster.nodes[node].is_running() {
            assert!(asked.elapsed() < ENDS_WITHIN, "the node does not end");
            types(&cluster, &mut typed);
        }
        assert_eq!(cluster.nodes[node].ended(SOON), 0);
        eprintln!("the node has ended after {:?}", asked.elapsed());
        assert_eq!(cluster.nodes[1 - node].metric("beach_sessions{host=\"present\"}"), 2.0);
        cluster.nodes[node].start(&cluster.scratch);
        cluster.reached();
        let noticed = Instant::now() + Duration::from_secs(3);
        while Instant::now() < noticed {
            types(&cluster, &mut typed);
        }
    }
    let all: String = (0..number).map(|number| format!("{number}\n")).collect();
    for one in &mut typed {
        holds("all that was typed", PATIENCE, || one.look(&cluster).len() >= all.len());
        assert!(one.look(&cluster) == all, "each number once, in order");
        eprintln!("nothing came for {:?}", one.longest);
        assert!(one.longest < Duration::from_secs(3), "{:?}", one.longest);
        assert!(!one.viewer.stdout().contains("\"reconnecting\""), "{}", one.viewer.stdout());
        let log = cluster.scratch.read(&one.log);
        assert!(log.contains("registered") && !log.contains("the rendezvous is lost"), "{log}");
    }
    for viewer in &came {
        viewer.line("the first screen", PATIENCE, |line| line.contains("first_screen"));
    }
    eprintln!("{} viewers came, all got in", came.len());
}

/// Asks the rendezvous at `url` for a session, as a viewer who does not go to another one.
async fn asks(url: &str, session: SessionName) -> Way {
    let mut way = Way::new(url.to_owned());
    way.dial();
    assert_eq!(heard(&mut way).await, SignalEvent::Up);
    let (role, versions) = (Role::View, vec![1]);
    way.send(to_text(&ToRendezvous::Join { session, link: LinkId(7), role, versions, resumes: None, moves: false }));
    way
}

async fn heard(way: &mut Way) -> SignalEvent {
    timeout(SOON, way.next()).await.expect("the rendezvous says something")
}

fn is_text(event: &SignalEvent, kind: &str) -> bool {
    matches!(event, SignalEvent::Text(text) if text.contains(&format!("\"type\":\"{kind}\"")))
}

#[test]
fn a_viewer_who_does_not_go_to_another_node_is_carried_there() {
    if !has_tools() {
        return;
    }
    let mut cluster = Cluster::start();
    let host = hosts(&cluster, 1);
    let id = host[0].links.view.split("/s/").nth(1).and_then(|rest| rest.split('#').next()).expect("an id");
    let known: SessionName = id.parse().expect("an id");
    let here = usize::from(cluster.hosts() == [0.0, 1.0]);
    let there = 1 - here;
    let forged = |session, place: &str| {
        cluster.redis.ask(&["SET", &format!("beach:s:{session}"), &format!("9 {place}")]);
        SessionName::Short(session)
    };
    let (nowhere, wrong) = (forged(session(8), "http://localhost:1"), forged(session(9), cluster.nodes[here].place()));
    runtime().block_on(async {
        let mut way = asks(cluster.nodes[there].place(), known).await;
        let joined = heard(&mut way).await;
        assert!(is_text(&joined, "joined"), "{joined:?}");
        way.send(to_text(&ToRendezvous::Ping));
        let pong = heard(&mut way).await;
        assert!(is_text(&pong, "pong"), "{pong:?}");
        for (metric, number) in
            [("beach_elsewhere_total{how=\"piped\"}", 1.0), ("beach_pipes", 1.0), ("beach_links", 0.0)]
        {
            assert_eq!(cluster.nodes[there].metric(metric), number, "{metric}");
        }
        assert_eq!(cluster.nodes[here].metric("beach_links"), 1.0);

        let mut lost = asks(cluster.nodes[there].place(), nowhere).await;
        let ended = heard(&mut lost).await;
        assert!(matches!(ended, SignalEvent::Down(_)), "the viewer dials anew: {ended:?}");
        let mut wrong = asks(cluster.nodes[there].place(), wrong).await;
        let refused = heard(&mut wrong).await;
        assert!(is_text(&refused, "refused"), "{refused:?}");

        cluster.nodes[here].kill();
        let ended = heard(&mut way).await;
        assert!(matches!(ended, SignalEvent::Down(_)), "{ended:?}");
    });
    holds("nothing is carried any more", SOON, || cluster.nodes[there].metric("beach_pipes") == 0.0);
}
