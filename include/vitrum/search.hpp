// Exact search among embeddings: vectors in f32 or as 8-bit integers, and the best of them for each query.
#ifndef VITRUM_SEARCH_HPP
#define VITRUM_SEARCH_HPP

#include "base.hpp"

namespace vitrum {

using hit = vitrum_hit;

namespace detail {

inline std::size_t rows_of(std::size_t len, std::size_t dim) {
    if (dim == 0 || len % dim != 0) {
        fail(status::invalid_argument, "values that are not whole rows");
    }
    return len / dim;
}

} // namespace detail

// Rows of `dim` values that stay the caller's, who keeps them as long as this is used.
struct vectors : vitrum_vectors {
    vectors(const float *rows, std::size_t row_count, std::size_t row_dim) : vectors(row_count, row_dim) {
        values = rows;
    }

    vectors(const std::vector<float> &rows, std::size_t row_dim)
        : vectors(rows.data(), detail::rows_of(rows.size(), row_dim), row_dim) {}
    vectors(std::vector<float> &&, std::size_t) = delete;

    // As `quantized_vectors` has them.
    vectors(const std::int8_t *row_codes, const float *row_scales, std::size_t row_count, std::size_t row_dim)
        : vectors(row_count, row_dim) {
        codes = row_codes;
        scales = row_scales;
    }

private:
    vectors(std::size_t row_count, std::size_t row_dim) : vitrum_vectors() {
        vitrum_vectors_init(this, sizeof(vitrum_vectors));
        count = row_count;
        dim = row_dim;
    }
};

// Vectors rounded to 8-bit integers, each with a scale: a quarter of the memory.
class quantized_vectors {
public:
    quantized_vectors(const std::vector<float> &rows, std::size_t dim)
        : codes_(rows.size()), scales_(detail::rows_of(rows.size(), dim)), dim_(dim) {
        detail::check([&](vitrum_error *report) {
            return vitrum_quantize_vectors(rows.data(), scales_.size(), dim, codes_.data(), scales_.data(), report);
        });
    }

    // These, to be searched as long as this object lives.
    vectors view() const { return vectors(codes_.data(), scales_.data(), scales_.size(), dim_); }

private:
    std::vector<std::int8_t> codes_;
    std::vector<float> scales_;
    std::size_t dim_;
};

// For each query, the `k` vectors with the largest dot product, or all if they are fewer; the best first, query after query.
inline std::vector<hit> topk(const context &context, const std::vector<float> &queries, const vectors &among,
                             std::size_t k, const progress &watcher = progress()) {
    const std::size_t count = detail::rows_of(queries.size(), among.dim);
    detail::progress_call call(watcher);
    vitrum_topk_options c_options;
    vitrum_topk_options_init(&c_options, sizeof c_options);
    c_options = call.within(c_options);
    return detail::collect<hit>(call.guard, [&](hit *out, std::size_t capacity, std::size_t *needed,
                                                vitrum_error *report) {
        return vitrum_topk(context.get(), queries.data(), count, &among, k, &c_options, out, capacity, needed, report);
    });
}

} // namespace vitrum

#endif // VITRUM_SEARCH_HPP
