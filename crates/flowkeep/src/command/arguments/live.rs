//! What the commands of a live tracker take.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, ColorChoice, ValueEnum};
use flowkeep::connection::EventKind;
use flowkeep::live::DEFAULT_FOLDER;
use flowkeep_core::settings::Settings;
use jiff::{Span, SpanRelativeTo};

use super::{Filters, Format};

pub(super) const RUN: &str = "\
Track the connections of interfaces

Loads the tracker into the kernel as eBPF programs, attaches them to the interfaces, and shows how \
many connections there are until it is interrupted. No packet is dropped or changed, and other \
programs on the interfaces are left alone. 'flowkeep list' shows the connections meanwhile.

The packets a second are those that the interfaces count themselves, in the directions that are \
tracked: with ARP and whatever else is not tracked, and as their drivers count merged ones.

A host tracks what arrives at an interface and what leaves it. A gateway (--forward) tracks what \
arrives at each of its interfaces, so that a forwarded packet is seen once: name all of them.";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  sudo flowkeep run -i eth0
      Track this host's connections on eth0 until Ctrl-C.
  sudo flowkeep run -i lan0,wan0 --forward --connections 1000000
      Track what a gateway forwards, with room for a million connections.
  sudo flowkeep run -i eth0 --pin
      Go on tracking when the command ends: 'flowkeep detach' ends that.
  sudo flowkeep run -i eth0 --timeout-tcp 5d --timeout-other 2m
      With timeouts of your own; 'flowkeep set' changes them while it runs.

Exit status:
  0  it was interrupted (SIGINT, SIGTERM)
  1  it could not start, or the last interface has gone
  2  the command line is wrong
  3  not permitted, or this machine lacks something ('flowkeep check' says what)
  4  another one runs in the same folder";

pub(super) const ATTACH: &str = "\
Track interfaces in the background

Loads the tracker into the kernel, attaches it to the interfaces and ends: the kernel goes on \
tracking until 'flowkeep detach'. Interfaces that are attached already get the programs of this \
version, and keep every connection.";

pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  flowkeep delete --address 192.0.2.7
      The connections from and to a host: their next packets begin them anew.
  flowkeep delete --protocol udp --port 53 --state unanswered
      Questions that nobody answered.

What 'flowkeep list' shows with the same filters is what this deletes. 'flowkeep flush' deletes all.";

pub(super) const STATS_EXAMPLES: &str = "\
Examples:
  flowkeep stats
      How full the table is, what has happened to it, what was not tracked and why.
  flowkeep stats --interval 5s -o json | jq .per_second.new
      New connections a second, every five seconds.
  flowkeep stats -o prometheus > /var/lib/node_exporter/flowkeep.prom.new
      For the textfile collector of Prometheus' node_exporter: rename the file when it is whole.

Entries are counted from the moment at which the table was made:
  inserted             stored in a free slot
  renewed              stored in place of one under the same tuple
  replaced expired     stored in place of one whose timeout had passed
  replaced closed      stored in place of a closed one, for want of room
  replaced unanswered  stored in place of an unanswered one, for want of room
  removed              deleted, or swept after their timeout
  refused              not stored: only answered connections were in the way
  contended            not stored: other processors were faster";

pub(super) const WATCH: &str = "\
Show what happens to the connections, as it happens

Shows the events of the tracker that 'flowkeep run' or 'flowkeep attach' has started: each with the \
connection as it is just after it; of one that was deleted in that moment, what its packet tells. \
Events have one reader at a time; those that come faster than \
they are read are lost, counted, and told of. While nobody watches, the kernel sends none.";

pub(super) const WATCH_EXAMPLES: &str = "\
Examples:
  flowkeep watch
      Everything, until Ctrl-C.
  flowkeep watch --event new,expired --port 443
      How connections to or from port 443 come and go.
  flowkeep watch --event related
      ICMP errors, and the connections that they are about.
  flowkeep watch -o ndjson | jq -r 'select(.event == \"evicted\") | .connection.originator'
      Whose connections give way in a full table.
  flowkeep watch --write events.pcapng --event closing
      The packets with FIN or RST, for Wireshark.

Events:
  new       the first packet of a connection
  reply     the responder's first packet
  related   an ICMP error about a connection
  report    a new TCP flag, or the report interval has passed
  closing   a FIN or a RST
  reopened  a SYN on a connection that was closing
  expired   its timeout has passed
  evicted   it was closed or unanswered, and gave its room to another in a full table
  refused   it was not stored, because only answered connections were in the way

Formats are those of 'flowkeep replay --events': see its --help.

Exit status:
  0  it was interrupted, or has shown as many events as were asked for
  1  the events could not be read, or the output not be written
  2  the command line is wrong
  3  not permitted, or this machine lacks something
  4  another one watches
  5  there is no tracker, or it has ended";

pub(super) const CHECK: &str = "\
Say what this machine offers

Looks for what tracking needs, says what to do about what is missing, and at last loads all \
programs into the kernel, without attaching them.

Exit status:
  0  tracking works here
  3  something is missing";

pub(super) const SET_EXAMPLES: &str = "\
Examples:
  flowkeep set
      Show the settings.
  flowkeep set --timeout-tcp 5d --timeout-other 2m
      For packets from now on: a connection gets its timeout anew with each of its packets.

Two of them at a time wait for each other, under a lock of the pinned table: each changes what it \
names, and leaves the rest as the other has set it.";

/// Where a tracker lives.
#[derive(Args, Debug)]
pub(in crate::command) struct Place {
    /// Folder of the BPF file system where the tracker lives: one for each
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub(in crate::command) folder: PathBuf,
}

/// What to track.
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

    /// Take a gateway's point of view: track what arrives at each interface to be forwarded
    #[arg(long)]
    pub(in crate::command) forward: bool,

    /// Connections to make room for, 143 bytes each [default: 262144, or as a pinned table has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64_000_000))]
    pub(in crate::command) connections: Option<u32>,

    #[command(flatten)]
    pub(in crate::command) place: Place,
}

/// `flowkeep run`.
#[derive(Args, Debug)]
pub(in crate::command) struct Run {
    #[command(flatten)]
    pub(in crate::command) target: Target,

    /// Go on tracking when the command ends
    #[arg(long)]
    pub(in crate::command) pin: bool,

    /// Time between two looks at the table [default: 1s on a terminal, else 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(in crate::command) interval: Option<Duration>,

    /// Leave expired connections in the table until their room is needed
    #[arg(long)]
    pub(in crate::command) no_sweep: bool,

    /// Say nothing while all is well
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
    /// Interfaces to track no longer; with the last one the table goes
    #[arg(
        short,
        long,
        value_name = "IFACE",
        value_delimiter = ',',
        group = "which"
    )]
    pub(in crate::command) interface: Vec<String>,

    /// All interfaces, the table, and filters of a 'flowkeep run' that was killed
    #[arg(long, group = "which")]
    pub(in crate::command) all: bool,

    #[command(flatten)]
    pub(in crate::command) place: Place,
}

/// `flowkeep delete`.
#[derive(Args, Debug)]
pub(in crate::command) struct Delete {
    #[command(flatten)]
    pub(in crate::command) place: Place,

    #[command(flatten)]
    pub(in crate::command) filters: Filters,
}

/// `flowkeep flush`.
#[derive(Args, Debug)]
pub(in crate::command) struct Flush {
    #[command(flatten)]
    pub(in crate::command) place: Place,
}

/// `flowkeep stats`.
#[derive(Args, Debug)]
pub(in crate::command) struct Stats {
    /// Again and again, this much time apart, with what happened a second meanwhile
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(in crate::command) interval: Option<Duration>,

    /// The format
    #[arg(short, long, value_enum, default_value_t = StatsFormat::Table)]
    pub(in crate::command) output: StatsFormat,

    #[command(flatten)]
    pub(in crate::command) place: Place,
}

/// `flowkeep check`.
#[derive(Args, Debug)]
pub(in crate::command) struct Check {
    /// The format
    #[arg(short, long, value_enum, default_value_t = Report::Table)]
    pub(in crate::command) output: Report,

    #[command(flatten)]
    pub(in crate::command) place: Place,
}

/// `flowkeep set`.
#[derive(Args, Debug)]
pub(in crate::command) struct Set {
    #[command(flatten)]
    pub(in crate::command) place: Place,

    #[command(flatten)]
    pub(in crate::command) timeouts: Timeouts,
}

/// `flowkeep watch`.
#[derive(Args, Debug)]
pub(in crate::command) struct Watch {
    /// Events to show: new,expired; all if not given
    #[arg(short, long, value_name = "KIND", value_delimiter = ',', value_parser = kind())]
    pub(in crate::command) event: Vec<EventKind>,

    /// End after so many events
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::command) count: Option<u64>,

    /// Write the first bytes of the packets that these events come from to a capture (pcapng), in
    /// place of what is there
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(in crate::command) write: Option<PathBuf>,

    /// The format
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(in crate::command) output: Format,

    /// When to use colours; NO_COLOR is respected
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(in crate::command) color: ColorChoice,

    #[command(flatten)]
    pub(in crate::command) place: Place,

    #[command(flatten)]
    pub(in crate::command) filters: Filters,
}

fn kind() -> impl TypedValueParser<Value = EventKind> {
    PossibleValuesParser::new(EventKind::ALL.map(EventKind::name)).map(|name| {
        let kind = EventKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.expect("the parser lets only their names pass")
    })
}

/// How to write what is not a list of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::command) enum Report {
    /// For people
    Table,
    /// One object a line
    Json,
}

/// How to write what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::command) enum StatsFormat {
    /// For people
    Table,
    /// One object a line
    Json,
    /// Text for Prometheus (OpenMetrics)
    Prometheus,
}

/// Timeouts and the like, where they are not as they were.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings (times as 90s, 5m, 6h, 2d)")]
pub(in crate::command) struct Timeouts {
    /// TCP, once the handshake is over [default: 6h]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_tcp: Option<Duration>,

    /// TCP while only SYNs were seen [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_syn: Option<Duration>,

    /// TCP that is closed in both directions [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_close: Option<Duration>,

    /// Everything that is not TCP [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout_other: Option<Duration>,

    /// Least time between two reports about a connection [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    report_interval: Option<Duration>,

    /// Whether to count packets and bytes [default: true]
    #[arg(long, value_name = "BOOL")]
    accounting: Option<bool>,
}

impl Timeouts {
    /// Changes the settings that were given.
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

/// A time of whole seconds: a number, or as people write it.
fn time(text: &str) -> Result<Duration, String> {
    // Connections live for seconds of 32 bits; half of them leaves room for the clock.
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
        Err("not between a second and 68 years".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_as_people_write_them() {
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
