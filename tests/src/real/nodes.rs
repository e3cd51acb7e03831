//! Two rendezvous that share a directory: a Redis server, two `beach serve`, and haproxy in front of them as
//! `packaging/proxies` configures it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::beach::beach;
use super::monitor::metrics;
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

/// Two nodes behind haproxy.
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
        let (scratch, redis, port) = (Scratch::new(), Redis::start(&[]), free_port());
        let url = format!("http://localhost:{port}");
        let mut nodes = ["a", "b"].map(|name| Node {
            name,
            process: None,
            port: free_port(),
            metrics_port: free_port(),
            place: format!("{url}/n/{name}"),
            redis: redis.url(),
        });
        nodes.iter_mut().for_each(|node| node.start(&scratch));
        let config = scratch.write("haproxy.cfg", proxy_config(port, &nodes, rule));
        let proxy = Process::start(Command::new("haproxy").arg("-f").arg(&config));
        holds("haproxy listens", SOON, || listens(port));
        let cluster = Cluster { redis, nodes, url, scratch, _proxy: proxy };
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

/// The documented configuration, without TLS and with the ports that are used here.
fn proxy_config(port: u16, nodes: &[Node; 2], rule: &str) -> String {
    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/proxies/haproxy-nodes.cfg");
    let documented = fs::read_to_string(documented).expect("a configuration");
    let from = documented.find("defaults").expect("a comment stands before");
    let mut config = documented[from..].to_owned();
    let [a, b] = nodes;
    for (documented, here) in [
        ("balance roundrobin".to_owned(), rule.to_owned()),
        (":443 ssl crt /etc/haproxy/beach.pem".to_owned(), format!("127.0.0.1:{port}")),
        ("127.0.0.1:8080".to_owned(), format!("127.0.0.1:{}", a.port)),
        ("127.0.0.1:8081".to_owned(), format!("127.0.0.1:{}", b.port)),
        ("port 9080".to_owned(), format!("port {}", a.metrics_port)),
        ("port 9081".to_owned(), format!("port {}", b.metrics_port)),
        ("X-Forwarded-Proto https".to_owned(), "X-Forwarded-Proto http".to_owned()),
    ] {
        assert!(config.contains(&documented), "{documented}");
        config = config.replace(&documented, &here);
    }
    config
}
