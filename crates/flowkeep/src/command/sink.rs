//! Where connections and events go: through the filter, perhaps through the top, to the output.

use std::io;

use flowkeep::connection::{Connection, Event};
use flowkeep::filter::Filter;
use flowkeep::output::{Content, Output};
use flowkeep::top::Top;

/// Takes what the replay hands out and remembers the first failure to write it.
pub(super) struct Sink {
    pub(super) output: Box<dyn Output>,
    pub(super) content: Content,
    pub(super) filter: Filter,
    pub(super) top: Option<Top>,
    /// Somebody may wait for each event: hand it on at once.
    pub(super) live: bool,
    pub(super) shown: u64,
    pub(super) written: io::Result<()>,
}

impl Sink {
    pub(super) fn event(&mut self, event: &Event) {
        if self.content == Content::Events && self.filter.matches(&event.connection) {
            self.write(|output| output.event(event));
            if self.live && self.written.is_ok() {
                self.written = self.output.flush();
            }
        }
    }

    pub(super) fn connection(&mut self, connection: &Connection) {
        if self.content == Content::Connections && self.filter.matches(connection) {
            match &mut self.top {
                Some(top) => top.offer(connection),
                None => self.write(|output| output.connection(connection)),
            }
        }
    }

    /// Writes the greatest connections, if those are wanted: all are known.
    pub(super) fn flush_top(&mut self) {
        for connection in self.top.take().into_iter().flat_map(Top::into_sorted) {
            self.write(|output| output.connection(&connection));
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut dyn Output) -> io::Result<()>) {
        if self.written.is_ok() {
            self.written = write(&mut *self.output);
            self.shown += 1;
        }
    }
}
