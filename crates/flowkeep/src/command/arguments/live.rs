//! The arguments of the commands for a live tracker.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, ColorChoice, ValueEnum};
use flowkeep::connection::EventKind;
use flowkeep::live::DEFAULT_FOLDER;
use flowkeep_core::settings::Settings;
use jiff::{Span, SpanRelativeTo};

use super::{Filters, Format, Rules};

pub(super) const RUN: &str = "\
Track the connections of interfaces

Loads the tracker into the kernel as eBPF programs, attaches them to the interfaces, and shows the \
number of connections until it is interrupted. No packet is dropped or changed, and other programs \
on the interfaces are not affected. 'flowkeep list' lists the connections meanwhile.

The packets per second are counted by the interfaces, in the directions that are tracked. They \
include packets that are not tracked, such as ARP, and count merged packets as the drivers do.

A host tracks the packets that arrive at an interface and those that leave it. A gateway \
(--forward) tracks the packets that arrive at each of its interfaces, so that a forwarded packet is \
seen once: name all of its interfaces.

With --rules the host is tracked as Cilium would track it. Its rules store one more entry for each \
pair of addresses, by which ICMP errors are related; 'flowkeep list' does not show these entries, and \
'flowkeep watch' shows no ICMP errors. Expired connections are found until they are removed, which \
takes about a second here, and minutes in Cilium.";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  sudo flowkeep run -i eth0
      Track this host's connections on eth0 until Ctrl-C.
  sudo flowkeep run -i lan0,wan0 --forward --connections 1000000
      Track what a gateway forwards, in a table for a million connections.
  sudo flowkeep run -i eth0 --pin
      Continue tracking when the command ends, until 'flowkeep detach'.
  sudo flowkeep run -i eth0 --timeout-tcp 5d --timeout-other 2m
      Use other timeouts; 'flowkeep set' changes them while it runs.
  sudo flowkeep run -i eth0 --rules cilium119
      Track the host as Cilium 1.19 would.

Exit status:
  0  it was interrupted (SIGINT, SIGTERM)
  1  it could not start, or the last interface was removed
  2  the command line is wrong
  3  missing privileges, or something that this machine lacks: see 'flowkeep check'
  4  another process uses the same folder";

pub(super) const ATTACH: &str = "\
Track interfaces in the background

Loads the tracker into the kernel, attaches it to the interfaces and exits. The kernel continues \
tracking until 'flowkeep detach'. On interfaces that are attached already, the programs are replaced \
by those of this version, and every connection is kept.";

pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  flowkeep delete --address 192.0.2.7
      The connections from and to a host. The next packet of one starts a new connection.
  flowkeep delete --protocol udp --port 53 --state unanswered
      DNS questions without an answer.

This deletes what 'flowkeep list' shows with the same filters. 'flowkeep flush' deletes all.";

pub(super) const STATS_EXAMPLES: &str = "\
Examples:
  flowkeep stats
      How full the table is, what has happened to its entries, and what was not tracked.
  flowkeep stats --interval 5s -o json | jq .per_second.new
      New connections per second, every five seconds.
  flowkeep stats -o prometheus > /var/lib/node_exporter/flowkeep.prom.new
      For the textfile collector of Prometheus' node_exporter: rename the file once it is complete.

Connections are counted by their states, as 'flowkeep list' shows them. Entries are counted since \
the table was created:
  inserted           stored in a free slot
  overwritten        stored over an entry of the same addresses and ports
  replaced expired   stored over an entry whose timeout had passed
  evicted closed     stored over a closed connection, because the table was full
  evicted unassured  stored over an unanswered or half-open connection, because the table was full
  removed            deleted, or removed after the timeout had passed
  rejected           not stored: no entry could be evicted
  contended          not stored: other processors were faster";

pub(super) const WATCH: &str = "\
Show events of the connections as they happen

Shows the events of the tracker that 'flowkeep run' or 'flowkeep attach' has started, each with its \
connection just after the event. If the connection was deleted meanwhile, it is described by the \
packet that caused the event.

Events have one reader at a time. Events that arrive faster than they are read are dropped; their \
number is reported. The kernel sends none while there is no reader.";

pub(super) const WATCH_EXAMPLES: &str = "\
Examples:
  flowkeep watch
      All events, until Ctrl-C.
  flowkeep watch --event new,expired --port 443
      The beginning and end of connections to or from port 443.
  flowkeep watch --event related
      ICMP errors, and the connections that they are about.
  flowkeep watch -o ndjson | jq -r 'select(.event == \"evicted\") | .connection.originator'
      The originators of connections that are evicted from a full table.
  flowkeep watch --write events.pcapng --event closing
      The packets with FIN or RST, as a capture for Wireshark.

Events:
  new       the first packet of a connection
  reply     the responder's first packet
  related   an ICMP error about a connection
  report    a new TCP flag, or the report interval has passed
  closing   a FIN or a RST
  reopened  a SYN on a connection that was closing
  expired   the connection's timeout has passed
  evicted   it was closed, unanswered or half-open, and was removed from a full table
  rejected  it was not stored, because no entry of the full table could be evicted

States are those of 'flowkeep list', and formats those of 'flowkeep replay --events'; see their \
--help.

Exit status:
  0  it was interrupted, or the number of events was reached
  1  the events could not be read, or the output could not be written
  2  the command line is wrong
  3  missing privileges, or something that this machine lacks
  4  another process reads the events
  5  there is no tracker, or it has ended";

pub(super) const CHECK: &str = "\
Check what this machine offers for tracking

Looks for everything that tracking needs, says what to do about what is missing, and finally loads \
all programs into the kernel, without attaching them.

Exit status:
  0  tracking works on this machine
  3  something is missing";

pub(super) const SET_EXAMPLES: &str = "\
Examples:
  flowkeep set
      Show the settings.
  flowkeep set --timeout-tcp 5d --timeout-other 2m
      From the next packet on. Each packet of a connection sets its timeout again.

A second 'flowkeep set' waits for the first, so that no change is lost. Settings that are not named \
stay as they are.";

/// The folder of a tracker.
#[derive(Args, Debug)]
pub(in crate::command) struct Location {
    /// Folder of the tracker in the BPF file system; each tracker has its own
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub(in crate::command) folder: PathBuf,
}

/// What is tracked.
#[derive(Args, Debug)]
pub(in crate::command) struct Target {
    /// Interfaces to track: eth0,eth1
    #[arg(
        short,
        long,
        required = true,
        value_name = "IFACE",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub(in crate::command) interface: Vec<String>,

    /// Use a gateway's point of view: track the packets that arrive at each interface
    #[arg(long)]
    pub(in crate::command) forward: bool,

    /// Create the table for N connections, of 143 bytes each [default: 262144, or the pinned table]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64_000_000))]
    pub(in crate::command) connections: Option<u32>,

    /// The rules to track by [default: default, or those of the pinned table]
    #[arg(long, value_enum)]
    pub(in crate::command) rules: Option<Rules>,

    #[command(flatten)]
    pub(in crate::command) location: Location,
}

/// `flowkeep run`.
#[derive(Args, Debug)]
pub(in crate::command) struct Run {
    #[command(flatten)]
    pub(in crate::command) target: Target,

    /// Continue tracking when the command ends
    #[arg(long)]
    pub(in crate::command) pin: bool,

    /// Update the number of connections every TIME [default: 1s on a terminal, else 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(in crate::command) interval: Option<Duration>,

    /// Do not remove expired connections until their entries are reused
    #[arg(long)]
    pub(in crate::command) no_sweep: bool,

    /// Print errors only
    #[arg(short, long)]
    pub(in crate::command) quiet: bool,

    #[command(flatten)]
    pub(in crate::command) timeouts: Timeouts,
}

/// `flowkeep attach`.
#[derive(Args, Debug)]
pub(in crate::command) struct Attach {
    #[command(flatten)]
    pub(in crate::command) target: Target,

    #[command(flatten)]
    pub(in crate::command) timeouts: Timeouts,
}

/// `flowkeep detach`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(in crate::command) struct Detach {
    /// Interfaces to detach; detaching the last interface removes the table
    #[arg(
        short,
        long,
        value_name = "IFACE",
        value_delimiter = ',',
        group = "which"
    )]
    pub(in crate::command) interface: Vec<String>,

    /// Detach all interfaces and remove the table and what a killed 'flowkeep run' has left
    #[arg(long, group = "which")]
    pub(in crate::command) all: bool,

    #[command(flatten)]
    pub(in crate::command) location: Location,
}

/// `flowkeep delete`.
#[derive(Args, Debug)]
pub(in crate::command) struct Delete {
    #[command(flatten)]
    pub(in crate::command) location: Location,

    #[command(flatten)]
    pub(in crate::command) filters: Filters,
}

/// `flowkeep flush`.
#[derive(Args, Debug)]
pub(in crate::command) struct Flush {
    #[command(flatten)]
    pub(in crate::command) location: Location,
}

/// `flowkeep stats`.
#[derive(Args, Debug)]
pub(in crate::command) struct Stats {
    /// Repeat every TIME and show rates
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(in crate::command) interval: Option<Duration>,

    /// The format
    #[arg(short, long, value_enum, default_value_t = StatsFormat::Table)]
    pub(in crate::command) output: StatsFormat,

    #[command(flatten)]
    pub(in crate::command) location: Location,
}

/// `flowkeep check`.
#[derive(Args, Debug)]
pub(in crate::command) struct Check {
    /// The format
    #[arg(short, long, value_enum, default_value_t = CheckFormat::Table)]
    pub(in crate::command) output: CheckFormat,

    #[command(flatten)]
    pub(in crate::command) location: Location,
}

/// `flowkeep set`.
#[derive(Args, Debug)]
pub(in crate::command) struct Set {
    #[command(flatten)]
    pub(in crate::command) location: Location,

    #[command(flatten)]
    pub(in crate::command) timeouts: Timeouts,
}

/// `flowkeep watch`.
#[derive(Args, Debug)]
pub(in crate::command) struct Watch {
    /// Show only these events: new,expired
    #[arg(short, long, value_name = "KIND", value_delimiter = ',', value_parser = kind())]
    pub(in crate::command) event: Vec<EventKind>,

    /// Exit after N events
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::command) count: Option<u64>,

    /// Write the first bytes of the packets that caused these events to a pcapng capture, replacing
    /// an existing file
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(in crate::command) write: Option<PathBuf>,

    /// The format
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(in crate::command) output: Format,

    /// When to use colors; NO_COLOR is respected
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(in crate::command) color: ColorChoice,

    #[command(flatten)]
    pub(in crate::command) location: Location,

    #[command(flatten)]
    pub(in crate::command) filters: Filters,
}

fn kind() -> impl TypedValueParser<Value = EventKind> {
    PossibleValuesParser::new(EventKind::ALL.map(EventKind::name)).map(|name| {
        let kind = EventKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.expect("the parser allows only these names")
    })
}

/// The formats of `flowkeep check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::command) enum CheckFormat {
    /// For people
    Table,
    /// One list
    Json,
}

/// The formats of statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::command) enum StatsFormat {
    /// For people
    Table,
    /// One object a line
    Json,
    /// OpenMetrics text for Prometheus
    Prometheus,
}

/// The settings to change.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings (times as 90s, 5m, 6h, 2d)")]
pub(in crate::command) struct Timeouts {
    /// Timeout of TCP once the handshake is complete [default: 6h]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_tcp: Option<Duration>,

    /// Timeout of TCP during the handshake [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_syn: Option<Duration>,

    /// Timeout of TCP once both sides have closed it [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_close: Option<Duration>,

    /// Timeout of all other protocols [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_other: Option<Duration>,

    /// Least time between two report events of a connection [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    report_interval: Option<Duration>,

    /// Whether to count packets and bytes [default: true]
    #[arg(long, value_name = "BOOL")]
    accounting: Option<bool>,
}

impl Timeouts {
    /// Changes the given settings.
    pub(in crate::command) fn apply(&self, settings: &mut Settings) {
        let Self {
            timeout_tcp,
            timeout_syn,
            timeout_close,
            timeout_other,
            report_interval,
            accounting,
        } = self;
        for (time, setting) in [
            (timeout_tcp, &mut settings.tcp),
            (timeout_syn, &mut settings.syn),
            (timeout_close, &mut settings.close),
            (timeout_other, &mut settings.non_tcp),
            (report_interval, &mut settings.report_interval),
        ] {
            if let Some(time) = time {
                *setting = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            }
        }
        if let Some(accounting) = accounting {
            settings.accounting = *accounting;
        }
    }
}

/// A time of whole seconds: a number of seconds, or with units.
fn time(text: &str) -> Result<Duration, String> {
    // Lifetimes are seconds of 32 bits. Half of them leaves the other half to the clock.
    const LONGEST: u64 = 1 << 31;
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let time = text
                .parse::<Span>()
                .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
                .map_err(|_| "not a time such as 90s, 5m, 6h or 2d".to_owned())?;
            match u64::try_from(time.as_secs()) {
                Ok(seconds) if time.subsec_nanos() == 0 => seconds,
                _ => return Err("not a number of whole seconds".to_owned()),
            }
        }
    };
    if (1..LONGEST).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err("not between 1 second and 68 years".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_units() {
        for (text, seconds) in [("1", 1), ("90s", 90), ("5m", 300), ("6h", 21_600)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(time("2d"), Ok(Duration::from_secs(172_800)));
        for text in [
            "",
            "0",
            "-1",
            "0s",
            "-5m",
            "1.5s",
            "100y",
            "99999999999",
            "soon",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
