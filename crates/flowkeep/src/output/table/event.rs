//! Events, a line each.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{end, state_style};
use crate::connection::{Change, Event, EventKind};
use crate::output::human::{Bytes, Time};
use crate::output::tcp_flags;
use crate::protocol::Protocol;

/// Writes `TIME EVENT PROTOCOL ORIGINATOR > RESPONDER STATE`, then what is of interest for the kind
/// of event.
pub(super) fn write_event(out: &mut dyn Write, event: &Event, color: bool) -> io::Result<()> {
    let styled = |style| if color { style } else { Style::new() };
    let c = &event.connection;
    let (kind, state) = (
        styled(event_style(event.kind)),
        styled(state_style(c.state)),
    );
    write!(
        out,
        "{} {kind}{:<8}{kind:#} {:<6} {} > {} {state}{}{state:#}",
        Time(event.time),
        event.kind.name(),
        Protocol(c.protocol),
        end(c, true),
        end(c, false),
        c.state,
    )?;
    if event.tcp_flags != 0 {
        write!(out, " [{}]", tcp_flags(event.tcp_flags))?;
    }
    match (event.kind, c.icmp_errors.last()) {
        (EventKind::Changed(Change::Related), Some(error)) => {
            write!(out, " icmp: {} from {}", error.kind(), error.sender)?;
        }
        (EventKind::Changed(Change::New | Change::Related) | EventKind::Rejected, _) => {}
        _ => write!(
            out,
            " sent {}/{} received {}/{}",
            c.sent.packets,
            Bytes(c.sent.bytes),
            c.received.packets,
            Bytes(c.received.bytes),
        )?,
    }
    writeln!(out)
}

const fn event_style(kind: EventKind) -> Style {
    match kind {
        EventKind::Changed(Change::New | Change::Reopened) => AnsiColor::Green.on_default(),
        EventKind::Changed(Change::Related) => AnsiColor::Yellow.on_default(),
        EventKind::Changed(Change::Closing) => AnsiColor::Cyan.on_default(),
        EventKind::Expired => Style::new().dimmed(),
        EventKind::Evicted | EventKind::Rejected => AnsiColor::Red.on_default(),
        EventKind::Changed(Change::Reply | Change::Report) => Style::new(),
    }
}
