//! The format for people: tables of aligned columns, and lines of text.

mod event;
#[cfg(target_os = "linux")]
mod findings;
mod grid;
#[cfg(target_os = "linux")]
mod statistics;
mod summary;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

#[cfg(target_os = "linux")]
pub use self::{
    findings::findings,
    statistics::{StatusLine, statistics},
};

use self::event::write_event;
use self::grid::{Align, Grid};
use self::summary::write_summary;
use super::human::{Bytes, Elapsed, Time};
use super::{Content, Ending, Output};
use crate::connection::{Connection, ConnectionState, Event, IcmpError};
use crate::protocol::Protocol;

/// Connections in aligned columns, each followed by a line for every kind of ICMP error about it,
/// and then the summary; or events, a line each, written as they come.
pub struct Table<W> {
    out: W,
    content: Content,
    color: bool,
    sort: bool,
    connections: Vec<Connection>,
}

/// The columns of a connection.
const COLUMNS: [(&str, Align); 10] = [
    ("PROTO", Align::Left),
    ("ORIGINATOR", Align::Left),
    ("RESPONDER", Align::Left),
    ("STATE", Align::Left),
    ("PKTS SENT", Align::Right),
    ("SENT", Align::Right),
    ("PKTS RCVD", Align::Right),
    ("RECEIVED", Align::Right),
    ("START (UTC)", Align::Left),
    ("DURATION", Align::Right),
];

/// The style of titles.
const TITLE: Style = Style::new().bold();

impl<W: Write> Table<W> {
    /// Writes to `out`, with ANSI colours if `color`. Connections are sorted by their starts if `sort`.
    pub const fn new(out: W, content: Content, color: bool, sort: bool) -> Self {
        Self {
            out,
            content,
            color,
            sort,
            connections: Vec::new(),
        }
    }

    const fn style(&self, style: Style) -> Style {
        if self.color { style } else { Style::new() }
    }

    fn write_connections(&mut self) -> io::Result<()> {
        let mut connections = std::mem::take(&mut self.connections);
        if self.sort {
            connections.sort_by_key(|c| (c.start, c.protocol, c.originator, c.responder));
        }
        let mut grid = Grid::new(COLUMNS);
        for connection in &connections {
            grid.measure(&cells(connection));
        }
        let plain = Style::new();
        let title = self.style(TITLE);
        grid.titles(&mut self.out, title)?;
        for connection in &connections {
            let cells = cells(connection);
            let mut row = cells.each_ref().map(|cell| (cell.as_str(), plain));
            row[3].1 = self.style(state_style(connection.state));
            grid.line(&mut self.out, row)?;
            for (error, times) in grouped(&connection.icmp_errors) {
                let style = self.style(AnsiColor::Yellow.on_default());
                let kind = error.kind();
                write!(
                    self.out,
                    "  {style}icmp: {kind}{style:#} from {}",
                    error.sender
                )?;
                if times > 1 {
                    write!(self.out, " (x{times})")?;
                }
                writeln!(self.out)?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Output for Table<W> {
    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.connections.push(connection.clone());
        Ok(())
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        write_event(&mut self.out, event, self.color)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, ending: Option<&Ending<'_>>) -> io::Result<()> {
        if self.content == Content::Connections {
            self.write_connections()?;
        }
        if let Some(ending) = ending {
            if self.content != Content::Summary {
                writeln!(self.out)?;
            }
            let title = self.style(TITLE);
            write_summary(&mut self.out, ending, self.content, title)?;
        }
        self.out.flush()
    }
}

fn cells(connection: &Connection) -> [String; 10] {
    let c = connection;
    [
        Protocol(c.protocol).to_string(),
        end(c, true),
        end(c, false),
        c.state.to_string(),
        c.sent.packets.to_string(),
        Bytes(c.sent.bytes).to_string(),
        c.received.packets.to_string(),
        Bytes(c.received.bytes).to_string(),
        Time(c.start).to_string(),
        Elapsed(c.end.since(c.start)).to_string(),
    ]
}

/// One end of a connection, with its port or the identifier of an ICMP echo, if there is one.
fn end(connection: &Connection, originator: bool) -> String {
    let end = if originator {
        connection.originator
    } else {
        connection.responder
    };
    if Protocol(connection.protocol).has_ports() {
        end.to_string()
    } else if end.port() == 0 {
        end.ip().to_string()
    } else {
        format!("{} id {}", end.ip(), end.port())
    }
}

const fn state_style(state: ConnectionState) -> Style {
    match state {
        ConnectionState::Unanswered | ConnectionState::HalfOpen => AnsiColor::Yellow.on_default(),
        ConnectionState::Answered => AnsiColor::Green.on_default(),
        ConnectionState::Closing => AnsiColor::Cyan.on_default(),
        ConnectionState::Closed => Style::new(),
        ConnectionState::Reset | ConnectionState::Refused => AnsiColor::Red.on_default(),
    }
}

/// Errors of one kind from one sender as one, with their number, in the order first seen.
fn grouped(errors: &[IcmpError]) -> Vec<(IcmpError, usize)> {
    let mut groups: Vec<(IcmpError, usize)> = Vec::new();
    for error in errors {
        let same = groups
            .iter_mut()
            .find(|(first, _)| first.sender == error.sender && first.kind() == error.kind());
        match same {
            Some((_, times)) => *times += 1,
            None => groups.push((*error, 1)),
        }
    }
    groups
}
