//! What a stage of a model gives, and how far it is from the same of another format.

/// Rows of values, such as tokens or masks.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// Values of a row.
    row: usize,
    values: Vec<f32>,
    /// Whether rows are logits of masks.
    masks: bool,
}

/// Differences between two outputs of a stage. Pairs are the mean over the rows and the least of them.
pub(crate) struct Difference {
    pub(crate) cosine: [f64; 2],
    /// The largest difference, of the largest value of the reference.
    pub(crate) largest: f64,
    /// The same of root mean squares.
    pub(crate) rms: f64,
    /// Of the pixels whose logits are above 0; only of masks.
    pub(crate) iou: Option<[f64; 2]>,
}

impl Stage {
    pub(crate) fn new(name: &'static str, row: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len() % row, 0, "{name}");
        Self { name, row, values, masks: false }
    }

    pub(crate) fn masks(name: &'static str, row: usize, values: Vec<f32>) -> Self {
        Self { masks: true, ..Self::new(name, row, values) }
    }

    /// The same with every row replaced by the next one.
    pub(crate) fn shifted(&self) -> Self {
        let mut values = self.values.clone();
        values.rotate_left(self.row);
        Self { values, ..*self }
    }

    pub(crate) fn difference(&self, reference: &Self) -> Difference {
        assert_eq!((self.row, self.values.len()), (reference.row, reference.values.len()), "{}", self.name);
        let of_rows = |measure: fn(&[f32], &[f32]) -> f64| {
            let rows = self.values.chunks_exact(self.row).zip(reference.values.chunks_exact(self.row));
            mean_and_least(rows.map(|(found, expected)| measure(found, expected)).collect())
        };
        let delta: Vec<f32> = self.values.iter().zip(&reference.values).map(|(a, b)| a - b).collect();
        Difference {
            cosine: of_rows(cosine),
            largest: largest(&delta) / largest(&reference.values),
            rms: (dot(&delta, &delta) / dot(&reference.values, &reference.values)).sqrt(),
            iou: self.masks.then(|| of_rows(iou)),
        }
    }
}

fn mean_and_least(values: Vec<f64>) -> [f64; 2] {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    [mean, values.into_iter().fold(f64::INFINITY, f64::min)]
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |largest, value| f64::from(value.abs()).max(largest))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// 1 where both masks are empty.
fn iou(a: &[f32], b: &[f32]) -> f64 {
    let count = |is_in: fn(bool, bool) -> bool| {
        a.iter().zip(b).filter(|(a, b)| is_in(**a > 0.0, **b > 0.0)).count() as f64
    };
    let union = count(|a, b| a | b);
    if union == 0.0 { 1.0 } else { count(|a, b| a & b) / union }
}
