//! The arguments of the command line.

mod list;
#[cfg(target_os = "linux")]
mod live;

use std::ops::RangeInclusive;
use std::path::PathBuf;

pub(super) use self::list::List;
#[cfg(target_os = "linux")]
pub(super) use self::live::{
    Attach, Check, CheckFormat, Delete, Detach, Flush, Location, Run, Set, Stats, StatsFormat,
    Target, Timeouts, Watch,
};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use flowkeep::connection::ConnectionState;
use flowkeep::filter::Filter;
use flowkeep::prefix::Prefix;
use flowkeep::protocol::Protocol;
use flowkeep::replay::RuleSet;
use flowkeep::top::Measure;

const HELP: &str = "\
Try 'flowkeep run --help' or 'flowkeep replay --help' for examples.

Exit status of the commands for a live tracker:
  0  success
  1  failure
  2  the command line is wrong
  3  missing privileges, or something that this machine lacks: see 'flowkeep check'
  4  another process uses the tracker, or reads its events
  5  there is no tracker";

/// Tracks network connections.
#[derive(Debug, Parser)]
#[command(name = "flowkeep", version, about, max_term_width = 100)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the connections of captures
    #[command(long_about = REPLAY, after_long_help = EXAMPLES)]
    Replay(Box<Replay>),
    /// Track the connections of interfaces
    #[cfg(target_os = "linux")]
    #[command(long_about = live::RUN, after_long_help = live::RUN_EXAMPLES)]
    Run(Box<Run>),
    /// Track interfaces in the background
    #[cfg(target_os = "linux")]
    #[command(long_about = live::ATTACH)]
    Attach(Box<Attach>),
    /// Stop tracking in the background
    #[cfg(target_os = "linux")]
    Detach(Detach),
    /// List the connections that are tracked now, or those of a saved table
    #[command(after_long_help = list::EXAMPLES)]
    List(Box<List>),
    /// Show events of the connections as they happen
    #[cfg(target_os = "linux")]
    #[command(long_about = live::WATCH, after_long_help = live::WATCH_EXAMPLES)]
    Watch(Box<Watch>),
    /// Delete connections from the live table
    #[cfg(target_os = "linux")]
    #[command(after_long_help = live::DELETE_EXAMPLES)]
    Delete(Delete),
    /// Delete all connections from the live table
    #[cfg(target_os = "linux")]
    Flush(Flush),
    /// Show how full the live table is, and what was counted
    #[cfg(target_os = "linux")]
    #[command(after_long_help = live::STATS_EXAMPLES)]
    Stats(Stats),
    /// Show or change the settings of a live tracker
    #[cfg(target_os = "linux")]
    #[command(after_long_help = live::SET_EXAMPLES)]
    Set(Set),
    /// Check what this machine offers for tracking
    #[cfg(target_os = "linux")]
    #[command(long_about = live::CHECK)]
    Check(Check),
    /// Write a completion script for a shell
    #[command(after_help = "For example: flowkeep completions bash > \
                            /usr/share/bash-completion/completions/flowkeep")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

const REPLAY: &str = "\
Show the connections of captures

Replays pcap and pcapng files, plain or compressed with gzip or zstd, through the connection \
tracker. The packets' times drive its clock. Shows each connection with its state, the packets and \
bytes of each side, its start, its duration and the ICMP errors about it, and then a summary. Names \
are not looked up. Packets that cannot be tracked are counted by reason.";

const EXAMPLES: &str = "\
Examples:
  flowkeep replay trace.pcap
      Every connection, and a summary.
  flowkeep replay --state unanswered,refused trace.pcapng.zst
      Connections that were not answered, or refused.
  flowkeep replay --top 20 --by bytes day1.pcap.gz day2.pcap.gz
      The 20 largest connections of two captures in a row.
  flowkeep replay --address 2001:db8::/32 --port 443,8000-8999 trace.pcap
      Connections from or to a prefix that use one of these ports on either side.
  flowkeep replay -o ndjson trace.pcap | jq -r 'select(.icmp_errors != []) | .responder'
      The responders of connections about which there are ICMP errors.
  tcpdump -w - | flowkeep replay --events -
      Events of live traffic.

States:
  unanswered  the responder has sent nothing
  half-open   TCP: a SYN-ACK has answered the SYN, and the originator has not acknowledged it
  answered    both sides have sent; TCP: the handshake is complete
  closing     TCP: one side has sent a FIN
  closed      TCP: both sides have sent a FIN
  reset       TCP: a RST ended it after the responder had answered
  refused     TCP: a RST answered the SYN; any protocol: an ICMP error was the only answer
  A question to a multicast or broadcast address is unanswered: answers come from other addresses, \
as connections of their own.

Events:
  new       the first packet of a connection
  reply     the responder's first packet
  related   an ICMP error about a connection
  report    a new TCP flag, or the report interval has passed
  closing   a FIN or a RST
  reopened  a SYN on a connection that was closing
  expired   the connection's timeout has passed

Formats:
  table   for people; times are UTC
  json    one object: {\"connections\": [...], \"summary\": {...}}; \"events\" with --events
  ndjson  one object a line for each connection or event; a summary only with --summary
  csv     with a header line; no summary
  Connections are sorted by their starts. In json, ndjson and csv, bytes are integers, times are RFC \
3339 in UTC, and durations are seconds.

Exit status:
  0  all packets were read
  1  a capture could not be read to its end, or the output could not be written; what was read is \
shown
  2  the command line is wrong";

#[derive(Args, Debug)]
pub(super) struct Replay {
    /// Captures, which are replayed one after the other as one; '-' is standard input
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,

    /// Use the point of view of the hosts in this prefix: their packets are egress, packets to them
    /// ingress
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(super) local: Vec<Prefix>,

    /// The rules to track by
    #[arg(long, value_enum, default_value_t = Rules::Default)]
    pub(super) rules: Rules,

    /// Create the table for N connections; it grows if there are more
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) connections: u32,

    /// Show events instead of connections
    #[arg(short, long, conflicts_with_all = ["top", "summary"])]
    pub(super) events: bool,

    /// Write the connections that have not expired at the end to a file, replacing an existing one;
    /// 'flowkeep list --table' shows it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) save: Option<PathBuf>,

    #[command(flatten)]
    pub(super) listing: Listing,
}

/// What is shown, and how.
#[derive(Args, Debug)]
pub(super) struct Listing {
    /// The format
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,

    /// Show only the summary, which counts all connections, without the filters
    #[arg(short, long, conflicts_with_all = ["top", "no_summary"])]
    pub(super) summary: bool,

    /// Do not show the summary
    #[arg(long)]
    pub(super) no_summary: bool,

    /// Show only the N largest connections, the largest first
    #[arg(short, long, value_name = "N")]
    pub(super) top: Option<usize>,

    /// The size of a connection for --top; both directions count
    #[arg(long, value_enum, default_value_t = By::Bytes, requires = "top")]
    pub(super) by: By,

    /// When to use colors; NO_COLOR is respected
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(super) color: ColorChoice,

    #[command(flatten)]
    pub(super) filters: Filters,
}

/// The filters. An option may have several values, in a list or by repeating it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Filters (any value of an option may match; all options must match)")]
pub(super) struct Filters {
    /// Protocol by name or number: tcp,udp,icmp,47
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    protocol: Vec<Protocol>,

    /// Address or prefix of either side
    #[arg(short, long, value_name = "PREFIX", value_delimiter = ',')]
    address: Vec<Prefix>,

    /// Port or range of ports of either side: 443,8000-8999
    #[arg(long, value_name = "N[-M]", value_delimiter = ',', value_parser = ports)]
    port: Vec<RangeInclusive<u16>>,

    /// State: unanswered,half-open
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state())]
    state: Vec<ConnectionState>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Rules {
    /// Flowkeep's rules
    Default,
    /// The rules of Cilium 1.8
    Cilium18,
    /// The rules of Cilium 1.19
    Cilium119,
}

impl From<Rules> for RuleSet {
    fn from(rules: Rules) -> Self {
        match rules {
            Rules::Default => Self::Default,
            Rules::Cilium18 => Self::Cilium18,
            Rules::Cilium119 => Self::Cilium119,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// One object
    Json,
    /// One object a line
    Ndjson,
    /// Comma-separated values, with a header line
    Csv,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum By {
    /// Bytes
    Bytes,
    /// Packets
    Packets,
    /// Time from the first packet to the last
    Duration,
}

impl From<By> for Measure {
    fn from(by: By) -> Self {
        match by {
            By::Bytes => Self::Bytes,
            By::Packets => Self::Packets,
            By::Duration => Self::Duration,
        }
    }
}

impl Filters {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            protocols: self.protocol.clone(),
            addresses: self.address.clone(),
            ports: self.port.clone(),
            states: self.state.clone(),
        }
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| "not a port or a range of ports from 0 to 65535".to_owned())
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err("the end of the range is less than its start".to_owned());
    }
    Ok(first..=last)
}

fn state() -> impl TypedValueParser<Value = ConnectionState> {
    PossibleValuesParser::new(ConnectionState::ALL.map(ConnectionState::name)).map(|name| {
        let state = ConnectionState::ALL
            .into_iter()
            .find(|state| state.name() == name);
        state.expect("the parser allows only these names")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn ports_are_one_or_a_range() {
        assert_eq!(ports("80"), Ok(80..=80));
        assert_eq!(ports("80-90"), Ok(80..=90));
        for text in ["", "-", "80-", "-80", "90-80", "65536", "http"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }
}
