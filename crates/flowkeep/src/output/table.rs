//! A table for people.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::grid::{Align, Grid};
use super::human::{Bytes, Elapsed, Time};
use super::summary::write_summary;
use super::{Content, Output, Report, tcp_flags};
use crate::connection::{Change, Connection, Event, EventKind, IcmpError, ConnectionState};
use crate::protocol::Protocol;

/// Aligned columns, sorted by start unless told to keep the order given; ICMP errors in lines of
/// their own below the connection they are about. Events are written as they come.
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
pub(crate) const TITLE: Style = Style::new().bold();

impl<W: Write> Table<W> {
    /// Writes to `out`, with ANSI colours if `color`. Without `sort` connections keep the order in
    /// which they are given.
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

    /// One line: `TIME EVENT PROTOCOL ORIGINATOR > RESPONDER STATE`, then what fits the event.
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let c = &event.connection;
        let (kind, state) = (event_style(event.kind), state_style(c.state));
        let (kind, state) = (self.style(kind), self.style(state));
        write!(
            self.out,
            "{} {kind}{:<8}{kind:#} {:<6} {} > {} {state}{}{state:#}",
            Time(event.time),
            event.kind.name(),
            Protocol(c.protocol),
            end(c, true),
            end(c, false),
            c.state,
        )?;
        if event.tcp_flags != 0 {
            write!(self.out, " [{}]", tcp_flags(event.tcp_flags))?;
        }
        match (event.kind, c.icmp_errors.last()) {
            (EventKind::Changed(Change::Related), Some(error)) => {
                write!(
                    self.out,
                    " icmp: {} from {}",
                    error.kind(),
                    error.sender
                )?;
            }
            (EventKind::Changed(Change::New | Change::Related) | EventKind::Refused, _) => {}
            _ => write!(
                self.out,
                " sent {}/{} received {}/{}",
                c.sent.packets,
                Bytes(c.sent.bytes),
                c.received.packets,
                Bytes(c.received.bytes),
            )?,
        }
        writeln!(self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, report: Option<&Report<'_>>) -> io::Result<()> {
        if self.content == Content::Connections {
            self.write_connections()?;
        }
        if let Some(report) = report {
            if self.content != Content::Summary {
                writeln!(self.out)?;
            }
            let title = self.style(TITLE);
            write_summary(&mut self.out, report, self.content, title)?;
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

/// One end of a connection: with its port, or an ICMP echo's identifier, if there is one.
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

const fn event_style(kind: EventKind) -> Style {
    match kind {
        EventKind::Changed(Change::New | Change::Reopened) => AnsiColor::Green.on_default(),
        EventKind::Changed(Change::Related) => AnsiColor::Yellow.on_default(),
        EventKind::Changed(Change::Closing) => AnsiColor::Cyan.on_default(),
        EventKind::Expired => Style::new().dimmed(),
        EventKind::Evicted | EventKind::Refused => AnsiColor::Red.on_default(),
        EventKind::Changed(Change::Reply | Change::Report) => Style::new(),
    }
}

/// Errors of one kind from one sender, with their number, in the order first seen.
fn grouped(errors: &[IcmpError]) -> Vec<(IcmpError, usize)> {
    let mut groups: Vec<(IcmpError, usize)> = Vec::new();
    for error in errors {
        let same = groups.iter_mut().find(|(first, _)| {
            first.sender == error.sender && first.kind() == error.kind()
        });
        match same {
            Some((_, times)) => *times += 1,
            None => groups.push((*error, 1)),
        }
    }
    groups
}
