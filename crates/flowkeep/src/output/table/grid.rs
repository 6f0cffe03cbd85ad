//! Columns of text, each as wide as its widest cell.

use std::io::{self, Write};

use anstyle::Style;

/// How the cells of a column are aligned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Columns under titles. Call [`Grid::measure`] for all rows, then write them.
pub(super) struct Grid<const N: usize> {
    columns: [(&'static str, Align); N],
    widths: [usize; N],
}

impl<const N: usize> Grid<N> {
    pub(super) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            columns,
            widths: columns.map(|(title, _)| title.len()),
        }
    }

    /// Makes the columns wide enough for a row.
    pub(super) fn measure(&mut self, row: &[String; N]) {
        for (width, cell) in self.widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }

    pub(super) fn titles(&self, out: &mut dyn Write, style: Style) -> io::Result<()> {
        self.line(out, self.columns.map(|(title, _)| (title, style)))
    }

    /// Writes one row of cells, each in its style.
    pub(super) fn line(&self, out: &mut dyn Write, row: [(&str, Style); N]) -> io::Result<()> {
        let last = row.iter().rposition(|(cell, _)| !cell.is_empty());
        let cells = row.into_iter().zip(self.columns).zip(self.widths);
        for (index, (((cell, style), (_, align)), width)) in cells.enumerate() {
            if Some(index) > last {
                break;
            }
            if index > 0 {
                write!(out, "  ")?;
            }
            // Padding is not styled, and a line does not end with padding.
            let padding = width.saturating_sub(cell.chars().count());
            if align == Align::Right {
                write!(out, "{:padding$}", "")?;
            }
            write!(out, "{style}{cell}{style:#}")?;
            if align == Align::Left && Some(index) < last {
                write!(out, "{:padding$}", "")?;
            }
        }
        writeln!(out)
    }
}

/// Writes titles and rows.
pub(super) fn write_grid<const N: usize>(
    out: &mut dyn Write,
    grid: &mut Grid<N>,
    rows: &[[String; N]],
    title: Style,
) -> io::Result<()> {
    for row in rows {
        grid.measure(row);
    }
    grid.titles(out, title)?;
    for row in rows {
        let cells = row.each_ref().map(|cell| (cell.as_str(), Style::new()));
        grid.line(out, cells)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up() {
        let mut grid = Grid::new([
            ("a", Align::Left),
            ("number", Align::Right),
            ("z", Align::Left),
        ]);
        let rows =
            [["µs", "1", "x"], ["long cell", "12345678", ""]].map(|row| row.map(String::from));
        for row in &rows {
            grid.measure(row);
        }
        let mut out = Vec::new();
        grid.titles(&mut out, Style::new()).expect("memory");
        for row in &rows {
            let cells = [0, 1, 2].map(|i| (row[i].as_str(), Style::new()));
            grid.line(&mut out, cells).expect("memory");
        }
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "a            number  z\n\
             µs                1  x\n\
             long cell  12345678\n"
        );
    }
}
