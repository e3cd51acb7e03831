//! A row as a grid of columns, and what inserting and deleting do to it.

use crate::terminal::Line;

/// The content of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyph<'a> {
    /// A character and what is stacked on it.
    pub(super) text: &'a str,
    /// The width: 1 or 2 columns; 0 for the second half of a wide character.
    pub(super) columns: u8,
}

pub(super) const BLANK: Glyph<'static> = Glyph { text: " ", columns: 1 };
const HALF: Glyph<'static> = Glyph { text: "", columns: 0 };

/// The columns of a row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    glyphs: Vec<Glyph<'a>>,
}

/// The predicted change of a stretch of columns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change<'a> {
    pub(super) from: usize,
    /// The column after the last one.
    pub(super) to: usize,
    /// The predicted cells. Columns that are not named cannot be predicted.
    pub(super) glyphs: Vec<(usize, Glyph<'a>)>,
}

impl<'a> Row<'a> {
    pub(super) fn of(line: Option<&'a Line>, cols: u16) -> Row<'a> {
        let mut row = Row { glyphs: vec![BLANK; usize::from(cols)] };
        let mut col = 0;
        for cell in line.into_iter().flat_map(Line::cells) {
            row.lay(col, Glyph { text: cell.text, columns: cell.columns });
            col += usize::from(cell.columns);
        }
        row
    }

    /// Puts a glyph there, if it fits. The remaining half of a wide glyph that this one cuts becomes blank.
    pub(super) fn lay(&mut self, col: usize, glyph: Glyph<'a>) {
        let end = col + usize::from(glyph.columns);
        let Some(place) = self.glyphs.get_mut(col..end) else { return };
        let cuts = place.first() == Some(&HALF);
        place.fill(HALF);
        if let Some(first) = place.first_mut() {
            *first = glyph;
        }
        if cuts && let Some(head) = self.glyphs.get_mut(col - 1) {
            *head = BLANK;
        }
        if let Some(half) = self.glyphs.get_mut(end).filter(|glyph| **glyph == HALF) {
            *half = BLANK;
        }
    }

    pub(super) fn at(&self, col: usize) -> Option<Glyph<'a>> {
        self.glyphs.get(col).copied()
    }

    /// Columns up to the last one that is not blank.
    pub(super) fn end(&self) -> usize {
        self.glyphs.iter().rposition(|glyph| *glyph != BLANK).map_or(0, |last| last + 1)
    }

    /// The effect of typing a glyph at `col` in insert mode: the rest of the row moves right.
    pub(super) fn insert(&self, col: usize, glyph: Glyph<'a>) -> Change<'a> {
        let by = usize::from(glyph.columns);
        let moved = col..self.gap(col, by).unwrap_or(self.glyphs.len());
        let to = (moved.end + by).min(self.glyphs.len());
        let mut glyphs = vec![(col, glyph)];
        let fits = |(col, glyph): &(usize, Glyph<'a>)| col + usize::from(glyph.columns) <= to;
        glyphs.extend(self.heads(moved).map(|(col, glyph)| (col + by, glyph)).filter(fits));
        Change { from: col, to, glyphs }
    }

    /// The effect of deleting the columns `from..to`: the rest of the row moves left.
    pub(super) fn delete(&self, from: usize, to: usize) -> Change<'a> {
        let by = to - from;
        let gap = self.gap(to, by);
        let end = gap.unwrap_or(self.glyphs.len());
        let mut glyphs: Vec<_> = self.heads(to..end).map(|(col, glyph)| (col - by, glyph)).collect();
        if gap.is_some() {
            glyphs.extend((end - by..end).map(|col| (col, BLANK)));
        }
        Change { from, to: end, glyphs }
    }

    fn heads(&self, cols: std::ops::Range<usize>) -> impl Iterator<Item = (usize, Glyph<'a>)> {
        let heads = |glyph: &Glyph<'_>| glyph.columns > 0;
        cols.filter_map(move |col| Some((col, self.at(col).filter(heads)?)))
    }

    /// The end of the text from `col` on that moves as one piece: before more blanks than the text moves by, or before
    /// blanks to the end of the row. A status at the right, or another column of a table, is not part of it. `None`:
    /// there is no end in this row.
    fn gap(&self, col: usize, by: usize) -> Option<usize> {
        let mut blanks = 0;
        for (at, glyph) in self.glyphs.iter().enumerate().skip(col) {
            blanks = if *glyph == BLANK { blanks + 1 } else { 0 };
            if blanks > by {
                return Some(at - by);
            }
        }
        (blanks >= by).then(|| self.glyphs.len() - blanks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Run, Style, Width};

    fn line(runs: &[(&str, Width)]) -> Line {
        let run = |&(text, width): &(&str, Width)| Run { style: Style::default(), width, text: text.to_owned() };
        Line { wrapped: false, runs: runs.iter().map(run).collect() }
    }

    fn after(row: &Row<'_>, change: &Change<'_>) -> String {
        let mut text: Vec<&str> = row.glyphs.iter().map(|glyph| glyph.text).collect();
        text[change.from..change.to].fill("?");
        for (col, glyph) in &change.glyphs {
            text[*col] = glyph.text;
            text[col + 1..col + usize::from(glyph.columns)].fill("");
        }
        text.concat()
    }

    const X: Glyph<'static> = Glyph { text: "x", columns: 1 };
    const WIDE: Glyph<'static> = Glyph { text: "日", columns: 2 };

    #[test]
    fn text_moves_together_and_what_stands_apart_stays() {
        let line = line(&[("ab cd   main", Width::Narrow)]);
        let row = Row::of(Some(&line), 16);
        assert_eq!(row.end(), 12);
        assert_eq!(after(&row, &row.insert(1, X)), "axb cd  main    ");
        assert_eq!(after(&row, &row.insert(5, X)), "ab cdx  main    ");
        assert_eq!(after(&row, &row.insert(12, X)), "ab cd   mainx   ");
        assert_eq!(after(&row, &row.insert(1, WIDE)), "a日b cd main    ");
        assert_eq!(after(&row, &row.delete(0, 1)), "b cd    main    ");
        assert_eq!(after(&row, &row.delete(4, 5)), "ab c    main    ");
        assert_eq!(after(&row, &row.delete(11, 12)), "ab cd   mai     ");
    }

    #[test]
    fn what_comes_from_or_goes_to_another_row_is_not_foretold() {
        let line = line(&[("abcd", Width::Narrow)]);
        let row = Row::of(Some(&line), 4);
        assert_eq!(after(&row, &row.insert(1, X)), "axbc");
        assert_eq!(after(&row, &row.insert(3, X)), "abcx");
        assert_eq!(after(&row, &row.delete(1, 2)), "acd?");
    }

    #[test]
    fn wide_characters_move_whole_or_not_at_all() {
        let line = line(&[("a", Width::Narrow), ("日本", Width::Wide), ("b", Width::Narrow)]);
        let row = Row::of(Some(&line), 6);
        assert_eq!(row.at(2), Some(HALF));
        assert_eq!(after(&row, &row.insert(0, X)), "xa日本");
        assert_eq!(after(&row, &row.insert(1, WIDE)), "a日日?");
        assert_eq!(after(&row, &row.delete(1, 3)), "a本b??");
        let row = Row::of(Some(&line), 9);
        assert_eq!(after(&row, &row.delete(1, 3)), "a本b     ");
    }
}
