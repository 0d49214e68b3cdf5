//! Numbers and choices from a target's bytes.

/// Bytes of the fuzzer, and when they have run out, pseudo-random ones that depend on them alone: so that a short input is
/// a long sequence of calls too.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    data: &'a [u8],
    /// The state of xorshift64*.
    state: u64,
}

impl<'a> Source<'a> {
    /// Begins with `data`.
    pub fn new(data: &'a [u8]) -> Self {
        let state = data.iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, &byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { data, state: state | 1 }
    }

    /// A source of its own for a callback or a thread.
    pub fn fork(&mut self) -> Source<'static> {
        let state = u64::from_le_bytes(std::array::from_fn(|_| self.byte()));
        Source { data: &[], state: state | 1 }
    }

    /// Whether the fuzzer's bytes have run out.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        if let Some((&byte, rest)) = self.data.split_first() {
            self.data = rest;
            return byte;
        }
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    }

    /// Up to `most` bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.byte()).collect()
    }

    /// All of the fuzzer's bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.data)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = if n > 256 { self.u32() as usize } else { usize::from(self.byte()) };
        wide % n
    }

    /// One of `items`.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// Any number.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A small number mostly, and sometimes one at an edge.
    pub fn count(&mut self, usual: usize) -> u32 {
        match self.byte() {
            byte @ 0..240 => usize::from(byte) as u32 % (usual as u32 + 1),
            240..248 => self.u32(),
            _ => self.pick(&[0, 1, u32::MAX, i32::MAX as u32, 1 << 16, 4096, 1 << 20, u32::MAX / 2 + 1]),
        }
    }

    /// A coordinate or a threshold: small mostly, and sometimes any bits at all.
    pub fn float(&mut self) -> f32 {
        match self.byte() {
            byte @ 0..232 => f32::from(byte) - 40.0 + f32::from(self.byte()) / 256.0,
            232..240 => f32::from_bits(self.u32()),
            _ => self.pick(&[
                0.0,
                -0.0,
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                1e9,
                -1e9,
                f32::MIN_POSITIVE,
            ]),
        }
    }

    /// A fraction mostly.
    pub fn fraction(&mut self) -> f64 {
        match self.byte() {
            byte @ 0..240 => f64::from(byte) / 239.0,
            240..248 => f64::from(self.float()),
            _ => self.pick(&[f64::NAN, f64::INFINITY, -1.0, 1e300, f64::MIN_POSITIVE, -0.0, 2.0, 0.5]),
        }
    }
}
