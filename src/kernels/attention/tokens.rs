//! Where the tokens of a head lie.

/// A rectangle of tokens in an array; token `i` is `(i / columns, i % columns)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Where the features of the first token start.
    pub(super) start: usize,
    /// From the start of a token to that of the one below.
    pub(super) row_step: usize,
    /// From the start of a token to that of the next one.
    pub(super) step: usize,
}

impl Layout {
    /// `count` tokens, `step` elements apart.
    pub(super) fn line(count: usize, start: usize, step: usize) -> Self {
        Self { rows: 1, columns: count, start, row_step: 0, step }
    }

    pub(super) fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Where token `i` starts.
    #[inline]
    pub(super) fn token(&self, i: usize) -> usize {
        self.at(i / self.columns, i % self.columns)
    }

    /// Where the token in `row` and `column` starts.
    #[inline]
    pub(super) fn at(&self, row: usize, column: usize) -> usize {
        self.start + row * self.row_step + column * self.step
    }
}

/// Tokens of one head.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) data: &'a [f32],
    pub(super) layout: Layout,
    pub(super) head_dim: usize,
}

impl<'a> Tokens<'a> {
    /// The features of the token in `row` and `column`.
    #[inline]
    pub(super) fn get(&self, row: usize, column: usize) -> &'a [f32] {
        &self.data[self.layout.at(row, column)..][..self.head_dim]
    }

    /// The features of token `i`.
    #[inline]
    pub(super) fn token(&self, i: usize) -> &'a [f32] {
        &self.data[self.layout.token(i)..][..self.head_dim]
    }
}

/// Keys or values: tokens in the upper left corner of a grid whose other places hold the same padding.
#[derive(Clone, Copy)]
pub(super) struct Padded<'a> {
    pub(super) tokens: Tokens<'a>,
    /// `[rows, columns]` with padding.
    pub(super) grid: [usize; 2],
    /// The features of the padding.
    pub(super) padding: &'a [f32],
}

impl<'a> Padded<'a> {
    /// Tokens without padding.
    pub(super) fn full(tokens: Tokens<'a>) -> Self {
        Self { tokens, grid: [tokens.layout.rows, tokens.layout.columns], padding: &[] }
    }

    /// Places of the grid.
    pub(super) fn len(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// The features at all places of the grid, line by line.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [f32]> {
        let Self { tokens, grid: [rows, columns], padding } = *self;
        let Layout { rows: present_rows, columns: present_columns, .. } = tokens.layout;
        (0..rows).flat_map(move |row| {
            (0..columns).map(move |column| {
                if row < present_rows && column < present_columns { tokens.get(row, column) } else { padding }
            })
        })
    }
}

/// One head of one sequence.
pub(super) struct Sequence<'a> {
    pub(super) queries: Tokens<'a>,
    pub(super) keys: Padded<'a>,
    pub(super) values: Padded<'a>,
    /// Where its outputs go, as many as there are queries.
    pub(super) out: Layout,
    /// Which head it is.
    pub(super) head: usize,
}
