//! Tables of text: columns aligned by spaces, the same on a terminal and in a pipe.

use super::output::{Style, one_line};

/// A text in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// Between two columns.
const GAP: usize = 2;

impl Cell {
    pub(super) fn new(text: impl std::fmt::Display) -> Self {
        Self::styled(text, Style::Plain)
    }

    pub(super) fn styled(text: impl std::fmt::Display, style: Style) -> Self {
        Self {
            text: one_line(&text),
            style,
        }
    }

    /// What stands for nothing.
    pub(super) fn nothing() -> Self {
        Self::styled("-", Style::Quiet)
    }

    pub(super) fn or_nothing(text: Option<impl std::fmt::Display>) -> Self {
        text.map_or_else(Self::nothing, Self::new)
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    pub(super) fn new(heading: &[&str]) -> Self {
        let heading = heading
            .iter()
            .map(|text| Cell::styled(text, Style::Heading))
            .collect();
        Self {
            rows: vec![heading],
        }
    }

    pub(super) fn add(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The whole table.
    pub(super) fn render(&self, colour: bool) -> String {
        format!("{}\n", self.lines(colour).join("\n"))
    }

    /// One line per row, the heading first. No line ends in spaces.
    pub(super) fn lines(&self, colour: bool) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(move |row| row.get(column)))
            .map(|cells| cells.map(Cell::width).max().unwrap_or(0))
            .collect();
        self.rows
            .iter()
            .map(|row| line(row, &widths, colour))
            .collect()
    }
}

fn line(row: &[Cell], widths: &[usize], colour: bool) -> String {
    let mut line = String::new();
    let mut pending = 0;
    for (cell, width) in row.iter().zip(widths) {
        line.extend(std::iter::repeat_n(' ', pending));
        line.push_str(&cell.style.paint(&cell.text, colour));
        pending = width.saturating_sub(cell.width()) + GAP;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.add(vec![Cell::new("video"), Cell::styled("seen", Style::Good)]);
        table.add(vec![Cell::new("a\nb"), Cell::nothing()]);
        table.add(vec![Cell::new("bücher"), Cell::or_nothing(None::<u32>)]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        assert_eq!(
            table().render(false),
            "NAME    STATE\nvideo   seen\na b     -\nbücher  -\n"
        );
    }

    #[test]
    fn colours_move_nothing() {
        let coloured = table().render(true);
        assert!(
            coloured.contains("\nvideo   \u{1b}[32mseen\u{1b}[0m\n"),
            "{coloured}"
        );
    }
}
