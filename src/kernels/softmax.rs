//! Plain loops (vectorised kernels follow).
/// See the module.
pub fn softmax(x: &mut [f32], dim: usize) {
    for row in x.chunks_exact_mut(dim) {
        let m = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut s = 0.0;
        row.iter_mut().for_each(|x| {
            *x = libm::expf(*x - m);
            s += *x
        });
        row.iter_mut().for_each(|x| *x /= s);
    }
}
