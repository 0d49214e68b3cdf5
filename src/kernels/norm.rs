//! Plain loops (vectorised kernels follow).
use crate::exec::Cx;
/// See the module.
pub fn layer_norm(cx: &Cx, x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    out.copy_from_slice(x);
    layer_norm_in_place(cx, out, weight, bias, eps);
}
/// See the module.
pub fn layer_norm_in_place(_: &Cx, x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let d = weight.len();
    for row in x.chunks_exact_mut(d) {
        let m = row.iter().sum::<f32>() / d as f32;
        let v = row.iter().map(|x| (x - m) * (x - m)).sum::<f32>() / d as f32;
        let r = 1.0 / libm::sqrtf(v + eps);
        for i in 0..d {
            row[i] = (row[i] - m) * r * weight[i] + bias[i];
        }
    }
}
/// See the module.
pub fn l2_normalize(x: &mut [f32], dim: usize) {
    for row in x.chunks_exact_mut(dim) {
        let n = libm::sqrtf(row.iter().map(|x| x * x).sum());
        row.iter_mut().for_each(|x| *x /= n);
    }
}
