//! The arguments of `flowkeep list`.

use std::path::PathBuf;

use clap::Args;

use super::Listing;

pub(super) const EXAMPLES: &str = "\
Examples:
  flowkeep list
      The connections that 'flowkeep run' or 'flowkeep attach' tracks.
  flowkeep list --state unanswered --port 443
      Unanswered connections to or from port 443.
  flowkeep list --top 10 --by packets -o json
      The ten largest connections, as JSON.
  flowkeep replay --save evening.table trace.pcap; flowkeep list --table evening.table
      The connections that were open when a capture ended.

States, formats and fields are those of 'flowkeep replay'; see its --help. A live table does not \
store ICMP errors: there, a connection that only an ICMP error answered is 'unanswered', not \
'refused'. 'flowkeep watch --event related' shows the errors.

Exit status:
  0  success
  1  the table could not be read, or the output could not be written
  2  the command line is wrong
  3  missing privileges, or something that this machine lacks
  5  there is no tracker";

/// `flowkeep list`.
#[derive(Args, Debug)]
pub(in crate::command) struct List {
    /// Read a table that 'flowkeep replay --save' has written, instead of the live one
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    #[cfg_attr(not(target_os = "linux"), arg(required = true))]
    #[cfg_attr(target_os = "linux", arg(conflicts_with = "folder"))]
    pub(in crate::command) table: Option<PathBuf>,

    #[cfg(target_os = "linux")]
    #[command(flatten)]
    pub(in crate::command) location: super::Location,

    /// Include connections whose timeout has passed and whose entries were not reused since
    #[cfg(target_os = "linux")]
    #[arg(long, conflicts_with = "table")]
    pub(in crate::command) expired: bool,

    #[command(flatten)]
    pub(in crate::command) listing: Listing,
}
