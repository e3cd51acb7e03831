//! Two rendezvous that share a directory: a Redis server, two `beach serve`, and haproxy or nginx in front of them as
//! `packaging/proxies` configures it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::beach::beach;
use super::monitor::metrics;
use super::nginx::nginx;
use super::process::{Process, Running as _, Signal};
use super::scratch::Scratch;
use super::wait::holds;

/// Servers are there within this time.
const SOON: Duration = Duration::from_secs(10);

/// The program of Debian's `redis-tools`, which is the server if its name says so. The package `redis-server` would
/// start a service.
const REDIS: &str = "redis-check-rdb";

/// A port on which nobody listens.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The missing program, if one of those for several nodes is.
#[must_use]
pub fn cluster_tools() -> Option<&'static str> {
    let has = |name: &&str| Command::new(name).arg("-v").output().is_ok();
    [REDIS, "redis-cli", "haproxy"].into_iter().find(|name| !has(name))
}

/// A Redis server on a loopback port, which keeps nothing on disk.
pub struct Redis {
    process: Option<Process>,
    port: u16,
    options: Vec<String>,
}

impl Redis {
    /// Starts a server with more options on its command line.
    ///
    /// # Panics
    /// If the server does not listen in time.
    #[must_use]
    #[track_caller]
    pub fn start(options: &[&str]) -> Redis {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut redis = Redis { process: None, port: free_port(), options };
        redis.start_again();
        redis
    }

    /// Starts the server again, on the same port, empty.
    ///
    /// # Panics
    /// If the server does not listen in time.
    #[track_caller]
    pub fn start_again(&mut self) {
        let mut command = Command::new(REDIS);
        command.arg0("redis-server").args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]).args(&self.options);
        self.process = Some(Process::start(&mut command));
        holds("Redis listens", SOON, || listens(self.port));
    }

    /// Kills the server.
    ///
    /// # Panics
    /// If the server does not end.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.signal(Signal::KILL);
        process.exit(SOON);
    }

    /// Sends the server's process a signal.
    ///
    /// # Panics
    /// If the server does not run.
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("the server runs").signal(signal);
    }

    /// `redis://` of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The answer to a command.
    ///
    /// # Panics
    /// If `redis-cli` fails.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        let answer = cli.args(["-p", &self.port.to_string()]).args(command).output().expect("redis-cli runs");
        assert!(answer.status.success(), "{command:?}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
    }
}

/// One of the rendezvous.
pub struct Node {
    /// `a` or `b`.
    pub name: &'static str,
    process: Option<Process>,
    port: u16,
    metrics_port: u16,
    place: String,
    redis: String,
}

impl Node {
    /// Starts the node, again if it ran before.
    ///
    /// # Panics
    /// If the node does not listen in time.
    #[track_caller]
    pub fn start(&mut self, scratch: &Scratch) {
        let [listen, monitored] = [self.port, self.metrics_port].map(|port| format!("127.0.0.1:{port}"));
        let log = format!("{}.log", self.name);
        let mut command = beach(scratch, &["serve", "--listen", &listen, "--metrics-listen", &monitored]);
        command.args(["--log-file", &log, "--stun", "none", "--trusted-proxies", "127.0.0.1"]);
        // The proxy looks each second, and twice before it takes a node away.
        command.args(["--redis", &self.redis, "--place", &self.place, "--drain-delay", "3"]);
        self.process = Some(Process::start(&mut command));
        holds("the node listens", SOON, || listens(self.port) && listens(self.metrics_port));
    }

    /// Kills the node.
    ///
    /// # Panics
    /// If the node does not end.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the node runs");
        process.signal(Signal::KILL);
        process.exit(SOON);
    }

    /// Asks the node to end, as a service manager does; it ends by itself.
    ///
    /// # Panics
    /// If the node does not run.
    pub fn asked_to_end(&self) {
        self.process.as_ref().expect("the node runs").signal(Signal::TERM);
    }

    /// Whether the node's process is there.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Waits for the end of a node that was asked; its exit code.
    ///
    /// # Panics
    /// If the node does not end in time.
    #[track_caller]
    pub fn ended(&mut self, within: Duration) -> i32 {
        self.process.take().expect("the node ran").exit(within)
    }

    /// The URL at which viewers reach this node alone.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The URL of the node itself, without the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Where monitors ask.
    #[must_use]
    pub fn monitor(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.metrics_port))
    }

    /// A sample of the node's metrics.
    ///
    /// # Panics
    /// If the node does not answer, or has no such sample.
    #[track_caller]
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let samples = metrics(self.monitor());
        *samples.get(name).unwrap_or_else(|| panic!("no {name}: {samples:#?}"))
    }
}

/// Two nodes behind a proxy.
pub struct Cluster {
    /// The directory.
    pub redis: Redis,
    /// The two.
    pub nodes: [Node; 2],
    /// The public URL.
    pub url: String,
    /// Files of the nodes, and home of hosts and viewers.
    pub scratch: Scratch,
    _proxy: Process,
}

impl Cluster {
    /// Starts all of it, and waits until both nodes have reached the directory.
    ///
    /// # Panics
    /// If some of it does not start in time.
    #[must_use]
    #[track_caller]
    pub fn start() -> Cluster {
        Cluster::balanced("balance roundrobin")
    }

    /// The same with this rule of haproxy in place of the documented one.
    ///
    /// # Panics
    /// If some of it does not start in time.
    #[must_use]
    #[track_caller]
    pub fn balanced(rule: &str) -> Cluster {
        let place = |name: &str, port| format!("http://localhost:{port}/n/{name}");
        Cluster::behind(place, |scratch, port, nodes| {
            let config = scratch.write("haproxy.cfg", haproxy_config(port, nodes, rule));
            let mut command = Command::new("haproxy");
            command.arg("-f").arg(&config);
            command
        })
    }

    /// The same behind nginx, where each place has a name of its own.
    ///
    /// # Panics
    /// If some of it does not start in time, or nginx does not like its configuration.
    #[must_use]
    #[track_caller]
    pub fn behind_nginx() -> Cluster {
        let place = |name: &str, port| format!("http://{name}.localhost:{port}");
        Cluster::behind(place, |scratch, port, nodes| {
            let config = nginx_config(port, nodes);
            let checked = nginx(scratch, &config).arg("-t").output().expect("nginx runs");
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
            nginx(scratch, &config)
        })
    }

    #[track_caller]
    fn behind(
        place: impl Fn(&str, u16) -> String,
        proxy: impl FnOnce(&Scratch, u16, &[Node; 2]) -> Command,
    ) -> Cluster {
        let (scratch, redis, port) = (Scratch::new(), Redis::start(&[]), free_port());
        let mut nodes = ["a", "b"].map(|name| Node {
            name,
            process: None,
            port: free_port(),
            metrics_port: free_port(),
            place: place(name, port),
            redis: redis.url(),
        });
        nodes.iter_mut().for_each(|node| node.start(&scratch));
        let proxy = Process::start(&mut proxy(&scratch, port, &nodes));
        holds("the proxy listens", SOON, || listens(port));
        let cluster = Cluster { redis, nodes, url: format!("http://localhost:{port}"), scratch, _proxy: proxy };
        cluster.reached();
        cluster
    }

    /// Waits until both nodes have reached the directory.
    ///
    /// # Panics
    /// If one does not in time.
    #[track_caller]
    pub fn reached(&self) {
        holds("the directory is up", SOON, || self.nodes.iter().all(|node| node.metric("beach_directory_up") == 1.0));
    }

    /// How many hosts are connected, at each of the nodes.
    ///
    /// # Panics
    /// If a node does not answer.
    #[track_caller]
    #[must_use]
    pub fn hosts(&self) -> [f64; 2] {
        self.nodes.each_ref().map(|node| node.metric("beach_sessions{host=\"present\"}"))
    }
}

/// The documented configuration of haproxy, without TLS and with the ports that are used here.
fn haproxy_config(port: u16, nodes: &[Node; 2], rule: &str) -> String {
    let [a, b] = nodes;
    let changes = [
        ("balance roundrobin", rule.to_owned()),
        (":443 ssl crt /etc/haproxy/beach.pem", format!("127.0.0.1:{port}")),
        ("port 9080", format!("port {}", a.metrics_port)),
        ("port 9081", format!("port {}", b.metrics_port)),
    ];
    documented("haproxy-nodes.cfg", "defaults", nodes, &changes)
}

/// The same of nginx; the public name is localhost.
fn nginx_config(port: u16, nodes: &[Node; 2]) -> String {
    let changes = [
        ("listen 443 ssl;", format!("listen 127.0.0.1:{port};")),
        ("ssl_certificate /etc/nginx/beach.pem;", String::new()),
        ("ssl_certificate_key /etc/nginx/beach.key;", String::new()),
        ("beach.example.org", "localhost".to_owned()),
    ];
    documented("nginx-nodes.conf", "map ", nodes, &changes)
}

/// A configuration of packaging/proxies from this word on, with what must be another here replaced.
fn documented(name: &str, from: &str, nodes: &[Node; 2], changes: &[(&str, String)]) -> String {
    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/proxies").join(name);
    let documented = fs::read_to_string(documented).expect("a configuration");
    let from = documented.find(from).expect("a comment stands before");
    let mut config = documented[from..].to_owned();
    let [a, b] = nodes;
    let everywhere = [
        ("127.0.0.1:8080", format!("127.0.0.1:{}", a.port)),
        ("127.0.0.1:8081", format!("127.0.0.1:{}", b.port)),
        ("X-Forwarded-Proto https", "X-Forwarded-Proto http".to_owned()),
    ];
    for (documented, here) in changes.iter().chain(&everywhere) {
        assert!(config.contains(documented), "{documented}");
        config = config.replace(documented, here);
    }
    config
}
