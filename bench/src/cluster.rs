//! Two rendezvous that share a directory, behind one balancer: `beach serve` twice, redis-server and haproxy.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::client::send;
use crate::lab::{Daemon, Lab, said};
use crate::socket::connect;
use crate::system::System;

/// The program of Debian's `redis-tools`, which is the server if its name says so. The package `redis-server` would
/// start a service.
const REDIS: &str = "redis-check-rdb";

/// A program listens within this time.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// A node ends within this time after it was asked to: more than it waits for its hosts.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// How long a node that ends waits until the balancer has noticed: two of its looks.
const DRAIN_DELAY: &str = "1";

/// The balancer looks this often, and a node that is new has been noticed after this time.
const CHECK_EVERY_MS: u32 = 250;
const NOTICED: Duration = Duration::from_millis(1000);

/// Why there can be no cluster here, if so.
pub(crate) fn missing(lab: &Lab, system: System) -> Option<String> {
    let runs = |program: &str, flag: &str| Command::new(program).arg(flag).stdin(Stdio::null()).output().is_ok();
    if !runs("haproxy", "-v") {
        return Some("haproxy is not installed".to_owned());
    }
    if !runs(REDIS, "-v") {
        return Some(format!("{REDIS} is not installed"));
    }
    let help = said(Command::new(&lab.binary(system).path).args(["serve", "--help"])).unwrap_or_default();
    (!help.contains("--redis")).then(|| "this beach knows no directory".to_owned())
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    A,
    B,
}

/// The cluster. Dropping the value ends all of it.
pub(crate) struct Cluster<'a> {
    lab: &'a Lab,
    system: System,
    /// For connections and for monitors, of each node.
    ports: [[u16; 2]; 2],
    redis_port: u16,
    nodes: [Option<Daemon>; 2],
    _balancer: Daemon,
    _redis: Daemon,
    /// Where the balancer listens.
    pub(crate) address: String,
}

impl<'a> Cluster<'a> {
    pub(crate) fn start(lab: &'a Lab, system: System) -> Result<Cluster<'a>> {
        let [redis_port, balancer_port, a, a_monitor, b, b_monitor] = free_ports()?;
        let ports = [[a, a_monitor], [b, b_monitor]];
        let port = redis_port.to_string();
        let mut redis = lab.command(REDIS);
        redis.arg0("redis-server").args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let redis = background(&mut redis)?;
        listens(redis_port)?;
        let server = |(name, [port, monitor]): (&str, [u16; 2])| {
            format!("    server {name} 127.0.0.1:{port} check port {monitor} inter {CHECK_EVERY_MS} fall 2 rise 1\n")
        };
        let servers: String = ["a", "b"].into_iter().zip(ports).map(server).collect();
        let config = format!(
            "defaults\n    mode http\n    timeout connect 2s\n    timeout client 60s\n    timeout server 60s\n    \
             timeout tunnel 2m\n    retries 3\n    option redispatch 1\nfrontend beach\n    bind 127.0.0.1:{balancer_port}\n    \
             option forwardfor\n    default_backend beach\nbackend beach\n    balance roundrobin\n    \
             option httpchk GET /readyz\n{servers}"
        );
        let file = lab.folder.join(format!("haproxy-{balancer_port}.cfg"));
        fs::write(&file, config)?;
        let mut cluster = Cluster {
            lab,
            system,
            ports,
            redis_port,
            nodes: [None, None],
            _balancer: background(lab.command("haproxy").arg("-f").arg(&file))?,
            _redis: redis,
            address: format!("127.0.0.1:{balancer_port}"),
        };
        cluster.start_node(Node::A)?;
        cluster.start_node(Node::B)?;
        listens(balancer_port)?;
        Ok(cluster)
    }

    /// Starts a node, and waits until the balancer has noticed.
    pub(crate) fn start_node(&mut self, node: Node) -> Result<()> {
        let [port, monitor] = self.ports[node as usize];
        let mut serve = self.lab.command(&self.lab.binary(self.system).path);
        serve.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        serve.args(["--metrics-listen", &format!("127.0.0.1:{monitor}"), "--drain-delay", DRAIN_DELAY]);
        serve.args(["--redis", &format!("redis://127.0.0.1:{}", self.redis_port)]);
        serve.args(["--place", &format!("http://127.0.0.1:{port}"), "--trusted-proxies", "127.0.0.1"]);
        self.nodes[node as usize] = Some(background(&mut serve)?);
        listens(port)?;
        sleep(NOTICED);
        Ok(())
    }

    /// Kills a node without a word.
    pub(crate) fn kill(&mut self, node: Node) -> Result<()> {
        let mut daemon = self.nodes[node as usize].take().context("it runs")?;
        daemon.0.kill()?;
        daemon.0.wait()?;
        Ok(())
    }

    /// Has a node end by itself, waits for that, and starts a new one.
    pub(crate) fn replace(&mut self, node: Node) -> Result<()> {
        let mut daemon = self.nodes[node as usize].take().context("it runs")?;
        send(daemon.0.id(), Signal::TERM);
        let by = Instant::now() + ENDS_WITHIN;
        while daemon.0.try_wait()?.is_none() {
            ensure!(Instant::now() < by, "a node did not end within {} s", ENDS_WITHIN.as_secs());
            sleep(LOOK);
        }
        self.start_node(node)
    }
}

fn background(command: &mut Command) -> Result<Daemon> {
    let name = command.get_program().display().to_string();
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Daemon(command.spawn().context(name)?))
}

fn listens(port: u16) -> Result<()> {
    let by = Instant::now() + LISTENS_WITHIN;
    while connect(&format!("127.0.0.1:{port}"), Ipv4Addr::LOCALHOST).is_err() {
        ensure!(Instant::now() < by, "nobody listens on port {port}");
        sleep(LOOK);
    }
    Ok(())
}

/// Ports that nobody has.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(held) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}
