//! Calls that search among vectors.

use std::ptr;

use vitrum::ffi::context::vitrum_context;
use vitrum::ffi::status::VITRUM_OK;
use vitrum::ffi::topk::{
    vitrum_quantize_vectors, vitrum_topk, vitrum_topk_options, vitrum_topk_options_init, vitrum_vectors,
    vitrum_vectors_init,
};

use super::arguments::prepared;
use super::outputs::Output;
use super::world::Kind;
use super::{Calls, call};

impl Calls<'_> {
    /// Searches among vectors in either form, which may be of another size than queries.
    pub(super) fn topk_call(&mut self) {
        let context: *mut vitrum_context = self.world.pick(Kind::Context, &mut self.source);
        let (count, dim) = (self.source.below(40), self.source.below(9));
        let values: Vec<f32> = (0..count * dim).map(|_| f32::from(self.source.byte()) - 9.0).collect();
        let (mut codes, mut scales) = (vec![0_i8; values.len()], vec![0.0; count]);
        let mut vectors: vitrum_vectors = prepared(vitrum_vectors_init);
        (vectors.count, vectors.dim) = (count, dim);
        let is_int8 = self.source.below(2) == 0;
        if is_int8 {
            let (codes_place, scales_place) = (codes.as_mut_ptr(), scales.as_mut_ptr());
            let status =
                call!(self, vitrum_quantize_vectors, values.as_ptr(), count, dim, codes_place, scales_place);
            assert!(status != VITRUM_OK || count * dim > 0);
            (vectors.codes, vectors.scales) = (codes.as_ptr(), scales.as_ptr());
        }
        if !is_int8 || self.source.one_in(16) {
            vectors.values = values.as_ptr();
        }
        let asked = self.source.below(12);
        let queries: Vec<f32> = (0..asked * dim).map(|_| f32::from(self.source.byte()) - 90.0).collect();
        let options: vitrum_topk_options = prepared(vitrum_topk_options_init);
        let options = if self.source.below(2) == 0 { ptr::null() } else { &raw const options };
        let (k, mut out) = (self.source.below(50), Output::<i64>::new(&mut self.source));
        let status = call!(
            self,
            vitrum_topk,
            context,
            queries.as_ptr(),
            asked,
            &raw const vectors,
            k,
            options,
            out.pointer().cast(),
            out.capacity(),
            out.needed(),
        );
        // A hit is an index in the lower half, and a score.
        for hit in out.written("vitrum_topk", status) {
            assert!((*hit as u32 as usize) < count, "a vector that is not there");
        }
    }
}
