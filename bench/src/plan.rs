//! How often, and for how long, everything is measured.

use std::time::Duration;

/// Numbers of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rounds over all systems.
    pub(crate) rounds: usize,
    /// Rounds of late joins and of what viewers cost, which take longer.
    pub(crate) long_rounds: usize,
    /// Keys before those that count, so that what a fresh session still has to do is done.
    pub(crate) warm_up: usize,
    /// Keys a round at rest.
    pub(crate) keys_at_rest: usize,
    /// Keys a round while the program floods.
    pub(crate) keys_in_flood: usize,
    /// Interruptions of `yes` a round.
    pub(crate) interrupts: usize,
    /// Bytes of the coloured log.
    pub(crate) log_bytes: u64,
    /// Joins a round.
    pub(crate) joins: usize,
    /// Numbers of viewers among whom one is stopped.
    pub(crate) crowds: &'static [usize],
    /// Rounds of that, each of which takes longer than all other things.
    pub(crate) crowd_rounds: usize,
    /// How long one is stopped.
    pub(crate) stopped: Duration,
    /// Viewers whose cost is compared with one's.
    pub(crate) viewers: usize,
    /// Few viewers and many, whose cost each is compared.
    pub(crate) growth: [usize; 2],
    /// Viewers by a data channel, whose cost is compared with that of as many others.
    pub(crate) by_channel: usize,
    /// Pages of browsers that join these.
    pub(crate) pages: usize,
    /// How long the cost of viewers is looked at.
    pub(crate) cost: Duration,
    /// Rounds over the slow link.
    pub(crate) link_rounds: usize,
    /// Keys a round, a loss and a session over the slow link.
    pub(crate) keys_over_link: usize,
    /// Sessions over the slow link at the same time.
    pub(crate) sessions_over_link: usize,
    /// How long it is looked how late a screen is behind a narrow link.
    pub(crate) narrow: Duration,
    /// Loss of the slow link, in percent.
    pub(crate) losses: &'static [u32],
    /// How long a session is left alone after its start, before it is measured.
    pub(crate) settle: Duration,
    /// How long nothing is done.
    pub(crate) idle: Duration,
    /// Rounds of that.
    pub(crate) idle_rounds: usize,
    /// Hosts that are registered at a rendezvous and do nothing; one address has a burst of 512, a tenth of them is
    /// warm-up.
    pub(crate) idle_hosts: usize,
    /// Viewers who join one of them; a rendezvous lets through a burst of 512.
    pub(crate) server_joins: usize,
    /// Sessions whose datagrams are relayed.
    pub(crate) relaying: usize,
    /// Datagrams of each of them: fewer than a session may have relayed at once.
    pub(crate) relayed: usize,
    /// How long more is to be relayed than the server can.
    pub(crate) overload: Duration,
    /// Hosts that ping and do nothing else, if there is room for so many, and how long they are looked at.
    pub(crate) herd: u64,
    pub(crate) herd_idle: Duration,
    /// Rounds of that, and of all that follows.
    pub(crate) herd_rounds: usize,
    /// How long one address attacks in each way.
    pub(crate) attack: Duration,
    /// Hosts at two rendezvous that share a directory.
    pub(crate) shared_hosts: usize,
    /// Viewers who come to them after one of the two was killed, and after it came back.
    pub(crate) shared_joins: usize,
}

impl Plan {
    /// A few minutes.
    pub(crate) const FULL: Plan = Plan {
        rounds: 3,
        long_rounds: 2,
        warm_up: 10,
        keys_at_rest: 150,
        keys_in_flood: 70,
        interrupts: 17,
        log_bytes: 20_000_000,
        joins: 5,
        crowds: &[8, 32],
        crowd_rounds: 1,
        stopped: Duration::from_secs(6),
        viewers: 8,
        growth: [10, 100],
        by_channel: 20,
        pages: 2,
        cost: Duration::from_secs(5),
        link_rounds: 2,
        keys_over_link: 100,
        sessions_over_link: 5,
        narrow: Duration::from_secs(8),
        losses: &[0, 5, 20],
        settle: Duration::from_secs(4),
        idle: Duration::from_secs(60),
        idle_rounds: 1,
        idle_hosts: 400,
        server_joins: 400,
        relaying: 18,
        relayed: 400,
        overload: Duration::from_secs(5),
        herd: 20_000,
        herd_idle: Duration::from_secs(20),
        herd_rounds: 1,
        attack: Duration::from_secs(5),
        shared_hosts: 800,
        shared_joins: 200,
    };

    /// Half a minute: that everything works.
    pub(crate) const SHORT: Plan = Plan {
        rounds: 1,
        long_rounds: 1,
        warm_up: 3,
        keys_at_rest: 10,
        keys_in_flood: 8,
        interrupts: 2,
        log_bytes: 1_000_000,
        joins: 1,
        crowds: &[3],
        crowd_rounds: 1,
        stopped: Duration::from_millis(500),
        viewers: 3,
        growth: [2, 4],
        by_channel: 3,
        pages: 1,
        cost: Duration::from_millis(500),
        link_rounds: 1,
        keys_over_link: 12,
        sessions_over_link: 2,
        narrow: Duration::from_secs(1),
        losses: &[5],
        settle: Duration::from_millis(500),
        idle: Duration::from_secs(1),
        idle_rounds: 1,
        idle_hosts: 30,
        server_joins: 10,
        relaying: 4,
        relayed: 20,
        overload: Duration::from_millis(500),
        herd: 100,
        herd_idle: Duration::from_millis(500),
        herd_rounds: 1,
        attack: Duration::from_millis(300),
        shared_hosts: 20,
        shared_joins: 10,
    };

    /// The default number of rounds when two beaches are compared.
    pub(crate) const ROUNDS_AGAINST: usize = 5;

    /// This plan with this many rounds of everything.
    pub(crate) fn with_rounds(self, rounds: usize) -> Plan {
        Plan {
            rounds,
            long_rounds: rounds,
            crowd_rounds: rounds,
            link_rounds: rounds,
            idle_rounds: rounds,
            herd_rounds: rounds,
            ..self
        }
    }
}
