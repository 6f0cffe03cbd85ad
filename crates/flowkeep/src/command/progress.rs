//! The progress of a long replay, on standard error if that is a terminal.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use flowkeep::capture::Progress as FileProgress;
use indicatif::{ProgressBar, ProgressStyle};

/// Smaller captures are replayed before a bar could be read.
const LARGE: u64 = 64 * 1024 * 1024;

/// A bar for the bytes of all files, or nothing.
pub(super) struct Progress {
    bar: ProgressBar,
    done: u64,
}

impl Progress {
    /// A bar if the files are large; none for streams, whose size is unknown.
    pub(super) fn new(files: &[PathBuf], wanted: bool) -> Self {
        let sizes = files.iter().map(|file| {
            let file = fs::metadata(file).ok()?;
            file.is_file().then_some(file.len())
        });
        let bar = match sizes.sum::<Option<u64>>() {
            Some(total) if wanted && total >= LARGE => ProgressBar::new(total).with_style(style()),
            _ => ProgressBar::hidden(),
        };
        Self { bar, done: 0 }
    }

    /// Shows how much of the current file has been read.
    pub(super) fn update(&self, file: &FileProgress) {
        self.bar.set_position(self.done + file.bytes());
    }

    /// Goes on to the next file.
    pub(super) fn next_file(&mut self, file: &FileProgress) {
        self.done += file.bytes();
    }

    /// Writes a message to standard error, above the bar.
    pub(super) fn say(&self, message: &dyn fmt::Display) {
        self.bar.suspend(|| eprintln!("flowkeep: {message}"));
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    const TEMPLATE: &str =
        "{bar:30} {percent:>3} %  {binary_bytes} of {binary_total_bytes}, {eta} left";
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}
