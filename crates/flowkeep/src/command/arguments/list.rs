//! What `flowkeep list` takes.

use std::path::PathBuf;

use clap::Args;

use super::Listing;

pub(super) const EXAMPLES: &str = "\
Examples:
  flowkeep list
      The connections that 'flowkeep run' or 'flowkeep attach' tracks.
  flowkeep list --state unanswered --port 443
      Those to or from port 443 that nobody has answered.
  flowkeep list --top 10 --by packets -o json
      The ten greatest, for a program.
  flowkeep replay --save evening.table trace.pcap; flowkeep list --table evening.table
      Those that were open when a capture ended.

States, formats and their fields are those of 'flowkeep replay': see its --help. ICMP errors are \
not remembered with a live connection: 'flowkeep watch' shows them.

Exit status:
  0  the table was read
  1  it could not be read, or the output not be written
  2  the command line is wrong
  3  not permitted, or this machine lacks something
  5  there is no tracker";

/// `flowkeep list`.
#[derive(Args, Debug)]
pub(in crate::command) struct List {
    /// A table that 'flowkeep replay --save' has written, in place of the live one
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    #[cfg_attr(not(target_os = "linux"), arg(required = true))]
    #[cfg_attr(target_os = "linux", arg(conflicts_with = "folder"))]
    pub(in crate::command) table: Option<PathBuf>,

    #[cfg(target_os = "linux")]
    #[command(flatten)]
    pub(in crate::command) place: super::Place,

    /// Show also connections whose timeout has passed and whose room nobody has needed yet
    #[cfg(target_os = "linux")]
    #[arg(long, conflicts_with = "table")]
    pub(in crate::command) expired: bool,

    #[command(flatten)]
    pub(in crate::command) listing: Listing,
}
