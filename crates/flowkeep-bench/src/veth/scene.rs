//! Two hosts and a cable, and who tracks it at the server's end.

use anyhow::{Context, Result, ensure};
use aya::programs::TcAttachType;
use aya::programs::links::LinkOrder;
use aya::programs::tc::TcAttachOptions;
use flowkeep_bpf::{Hook, Kernel, Options};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{SLOTS, Seed, Statistic};
use flowkeep_lab::{Host, cable};
use serde::Serialize;

use crate::kernel::driver::{self, Driver};
use crate::kernel::input::{Packets, Random};
use crate::kernel::reference;

/// The hosts' interface, and their addresses.
pub(crate) const INTERFACE: &str = "eth0";
pub(crate) const CLIENT: [u8; 4] = [192, 0, 2, 1];
pub(crate) const SERVER: [u8; 4] = [192, 0, 2, 2];

/// Who tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tracking {
    /// Nobody.
    Nothing,
    /// Nobody, by a program on both hooks that returns at once.
    Empty,
    /// Our programs, on both hooks.
    Flowkeep,
    /// The classic design, on both hooks.
    Reference,
    /// The kernel's own tracker, asked for by a rule for what arrives and one for what leaves.
    NfConntrack,
}

impl Tracking {
    pub(super) const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Empty,
        Self::Flowkeep,
        Self::Reference,
        Self::NfConntrack,
    ];

    /// A few words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty program",
            Self::Flowkeep => "flowkeep",
            Self::Reference => "reference",
            Self::NfConntrack => "nf_conntrack",
        }
    }
}

/// Has the kernel track, and drops nothing that is sent here.
const RULES: &str = "table inet bench { \
    chain arriving { type filter hook input priority 0; ct state invalid drop; }; \
    chain leaving { type filter hook output priority 0; ct state invalid drop; }; }";

/// Two hosts and a cable.
pub(crate) struct Scene {
    pub(crate) client: Host,
    pub(crate) server: Host,
    tracking: Tracking,
    pub(crate) ours: Option<Kernel>,
    /// With the reference's programs.
    pub(crate) reference: Option<Driver>,
}

impl Scene {
    /// With tables of at least so many slots.
    pub(crate) fn new(tracking: Tracking, slots: u32) -> Result<Self> {
        let (client, server) = (Host::new()?, Host::new()?);
        cable(&client, INTERFACE, &server, INTERFACE)?;
        for (host, address) in [(&client, CLIENT), (&server, SERVER)] {
            let address = std::net::Ipv4Addr::from_octets(address);
            host.address(INTERFACE, &format!("{address}/24"))?;
            // Sends as fast as it can, where others pace themselves.
            host.set("ipv4/tcp_congestion_control", "reno")?;
        }
        let mut scene = Self {
            client,
            server,
            tracking,
            ours: None,
            reference: None,
        };
        match tracking {
            Tracking::Nothing => {}
            Tracking::Empty => {
                let programs = ["empty", "empty"];
                scene.reference = Some(scene.server.enter(|| classic(slots, programs))?);
            }
            Tracking::Flowkeep => scene.ours = Some(scene.server.enter(|| flowkeep(slots))?),
            Tracking::Reference => {
                let programs = ["ref_ingress", "ref_egress"];
                scene.reference = Some(scene.server.enter(|| classic(slots, programs))?);
            }
            Tracking::NfConntrack => {
                scene.server.ruleset(RULES)?;
                // As Flowkeep and the reference do.
                scene.server.set("netfilter/nf_conntrack_acct", "1")?;
                // Connections of earlier rounds are still there at the end, to be counted.
                scene
                    .server
                    .set("netfilter/nf_conntrack_tcp_timeout_time_wait", "600")?;
            }
        }
        Ok(scene)
    }

    pub(crate) const fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Connections that our programs have created so far.
    pub(crate) fn created(&self) -> Result<Option<u64>> {
        let Some(kernel) = &self.ours else {
            return Ok(None);
        };
        let mut created = 0;
        for statistic in [
            Statistic::Inserted,
            Statistic::Overwritten,
            Statistic::EvictedExpired,
            Statistic::EvictedClosed,
            Statistic::EvictedUnassured,
        ] {
            created += kernel.statistic(statistic)?;
        }
        Ok(Some(created))
    }

    /// Fails unless whoever is said to track has seen at least so many connections.
    pub(super) fn verify(&self, connections: u64) -> Result<()> {
        let seen = match self.tracking {
            Tracking::Nothing | Tracking::Empty => return Ok(()),
            Tracking::Flowkeep => self.created()?.context("nothing is loaded")?,
            Tracking::Reference => {
                let driver = self.reference.as_ref().context("nothing is loaded")?;
                let mut count = 0;
                reference::for_each(driver, &mut |_, _| count += 1)?;
                count
            }
            Tracking::NfConntrack => {
                let path = "/proc/sys/net/netfilter/nf_conntrack_count";
                let count = self.server.enter(|| std::fs::read_to_string(path));
                count.context(path)?.trim().parse()?
            }
        };
        ensure!(
            seen >= connections,
            "{} has seen {seen} connections of {connections}",
            self.tracking.name()
        );
        Ok(())
    }
}

/// Our programs, attached to the interface of the host that this runs on.
fn flowkeep(slots: u32) -> Result<Kernel> {
    let buckets = slots.div_ceil(SLOTS as u32);
    let mut random = Random::new(1);
    let seed = Seed::from_words(core::array::from_fn(|_| random.number()));
    let mut kernel = Kernel::load(&Options::new(Settings::default(), buckets, seed))?;
    kernel.attach(INTERFACE, Hook::Ingress, false)?;
    kernel.attach(INTERFACE, Hook::Egress, false)?;
    Ok(kernel)
}

/// As [`flowkeep()`], two programs of the reference's object: for what arrives, for what leaves.
fn classic(slots: u32, [ingress, egress]: [&str; 2]) -> Result<Driver> {
    let options = driver::Options::new(slots);
    let mut driver = Driver::new(options, &Packets::random(1, &mut Random::new(1)))?;
    for (name, side) in [
        (ingress, TcAttachType::Ingress),
        (egress, TcAttachType::Egress),
    ] {
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        driver
            .program(name)?
            .attach_with_options(INTERFACE, side, order)
            .with_context(|| format!("cannot attach {name}"))?;
    }
    Ok(driver)
}
