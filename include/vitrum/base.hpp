// What the models share: errors, pictures, contexts, progress. Include vitrum.hpp.
#ifndef VITRUM_BASE_HPP
#define VITRUM_BASE_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../vitrum.h"

namespace vitrum {

// What every function here throws when it fails.
class error : public std::runtime_error {
public:
    error(vitrum_status status, const std::string &message) : std::runtime_error(message), code_(status) {}

    // One of VITRUM_E_*.
    vitrum_status code() const noexcept { return code_; }

private:
    vitrum_status code_;
};

namespace detail {

// Runs `call(vitrum_error *)` and throws what it reports.
template <class Call> void check(Call call) {
    vitrum_error report;
    vitrum_error_init(&report, sizeof report);
    const vitrum_status status = call(&report);
    if (status != VITRUM_OK) {
        throw error(status, report.message);
    }
}

// Runs `call(buffer, capacity, size_t *needed, vitrum_error *)` twice: for the size, and for the values.
template <class T, class Call> std::vector<T> collect(Call call) {
    std::size_t needed = 0;
    check([&](vitrum_error *report) { return call(nullptr, 0, &needed, report); });
    std::vector<T> values(needed);
    check([&](vitrum_error *report) { return call(values.data(), values.size(), &needed, report); });
    return values;
}

// The same for a text, whose NUL the library counts too.
template <class Call> std::string text(Call call) {
    const std::vector<char> bytes = collect<char>(call);
    return std::string(bytes.begin(), bytes.end() - 1);
}

// A C string cannot hold a NUL: rather than cutting the text there, say so.
inline const char *c_str(const std::string &text) {
    if (text.find('\0') != std::string::npos) {
        throw error(VITRUM_E_INVALID_ARGUMENT, "a text with a NUL in it");
    }
    return text.c_str();
}

inline std::vector<const char *> c_strs(const std::vector<std::string> &texts) {
    std::vector<const char *> pointers;
    pointers.reserve(texts.size());
    for (const std::string &text : texts) {
        pointers.push_back(c_str(text));
    }
    return pointers;
}

struct deleter {
    void operator()(vitrum_context *context) const noexcept { vitrum_context_free(context); }
    void operator()(vitrum_clip *clip) const noexcept { vitrum_clip_free(clip); }
    void operator()(vitrum_sam *sam) const noexcept { vitrum_sam_free(sam); }
    void operator()(vitrum_sam_embedding *embedding) const noexcept { vitrum_sam_embedding_free(embedding); }
    void operator()(vitrum_sam_prediction *prediction) const noexcept { vitrum_sam_prediction_free(prediction); }
    void operator()(vitrum_tracker *tracker) const noexcept { vitrum_tracker_free(tracker); }
};

// Runs `callback` for the library, which no exception may pass through: it is kept, the work stops, and `check`
// throws it after the call.
class callback_guard {
public:
    // What `callback` answers, or non-zero if it throws.
    template <class Callback> std::int32_t run(Callback callback) noexcept {
        try {
            return callback() ? 0 : 1;
        } catch (...) {
            thrown_ = std::current_exception();
            return 1;
        }
    }

    // As `detail::check`.
    template <class Call> void check(Call call) {
        vitrum_error report;
        vitrum_error_init(&report, sizeof report);
        const vitrum_status status = call(&report);
        if (thrown_) {
            std::rethrow_exception(thrown_);
        }
        if (status != VITRUM_OK) {
            throw error(status, report.message);
        }
    }

private:
    std::exception_ptr thrown_;
};

} // namespace detail

// A picture in memory that stays the caller's. Nothing is copied: the pixels must outlive the calls it is used in.
struct image : vitrum_image {
    // Rows that follow each other without a gap.
    image(const std::uint8_t *pixels, std::uint32_t columns, std::uint32_t rows, vitrum_pixel_format layout)
        : image(pixels, columns, rows, layout, std::size_t(columns) * bytes_of(layout)) {}

    // Rows that begin `stride` bytes apart.
    image(const std::uint8_t *pixels, std::uint32_t columns, std::uint32_t rows, vitrum_pixel_format layout,
          std::size_t stride)
        : vitrum_image() {
        vitrum_image_init(this, sizeof(vitrum_image));
        format = layout;
        data = pixels;
        width = columns;
        height = rows;
        row_stride = stride;
    }

    // What cameras and video decoders give: a plane of luma and one of U, V pairs, each with its bytes from row to row.
    static image nv12(const std::uint8_t *luma, std::size_t luma_stride, const std::uint8_t *chroma,
                      std::size_t chroma_stride, std::uint32_t columns, std::uint32_t rows,
                      vitrum_yuv_matrix matrix = VITRUM_YUV_BT601, bool full_range = false) {
        image view(luma, columns, rows, VITRUM_PIXEL_NV12, luma_stride);
        view.chroma = chroma;
        view.chroma_stride = chroma_stride;
        view.yuv_matrix = matrix;
        view.yuv_full_range = full_range;
        return view;
    }

private:
    static std::size_t bytes_of(vitrum_pixel_format layout) {
        switch (layout) {
        case VITRUM_PIXEL_GRAY8:
        case VITRUM_PIXEL_NV12: return 1;
        case VITRUM_PIXEL_RGBA8:
        case VITRUM_PIXEL_BGRA8: return 4;
        default: return 3;
        }
    }
};
static_assert(sizeof(image) == sizeof(vitrum_image), "a vector of images is an array of vitrum_image");

// How to make a context; see vitrum_context_options.
struct context_options {
    std::uint32_t threads = 0;
    vitrum_isa isa = VITRUM_ISA_BEST;
    vitrum_parallel_for parallel_for = nullptr;
    void *parallel_for_user = nullptr;
    // Has a side effect on the process; see there.
    bool amx = false;
};

// Threads and an instruction set.
class context {
public:
    explicit context(const context_options &options = context_options()) {
        vitrum_context_options c_options;
        vitrum_context_options_init(&c_options, sizeof c_options);
        c_options.threads = options.threads;
        c_options.isa = options.isa;
        c_options.parallel_for = options.parallel_for;
        c_options.parallel_for_user = options.parallel_for_user;
        c_options.amx = options.amx;
        vitrum_context *handle = nullptr;
        detail::check([&](vitrum_error *report) { return vitrum_context_new(&c_options, &handle, report); });
        handle_.reset(handle);
    }

    std::uint32_t threads() const noexcept { return vitrum_context_threads(get()); }
    vitrum_isa isa() const noexcept { return vitrum_context_isa(get()); }
    vitrum_amx amx() const noexcept { return vitrum_context_amx(get()); }

    // Frees scratch memory that is kept for reuse.
    void trim() const noexcept { vitrum_context_trim(get()); }

    // The handle, which stays this object's.
    const vitrum_context *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<vitrum_context, detail::deleter> handle_;
};

// Called with the fraction done, maybe on a thread of the context, while the call waits; false stops the work, which
// then throws VITRUM_E_CANCELLED. What it throws itself passes through.
using progress = std::function<bool(float)>;

namespace detail {

// A progress callback as the C function wants it.
struct progress_call {
    const progress &callback;
    callback_guard guard;

    explicit progress_call(const progress &of) : callback(of), guard() {}

    vitrum_progress function() const noexcept { return callback ? &report : nullptr; }

    static std::int32_t report(void *self, float fraction) {
        progress_call &call = *static_cast<progress_call *>(self);
        return call.guard.run([&] { return call.callback(fraction); });
    }
};

} // namespace detail

// The version of the library that is linked.
inline std::string version() { return vitrum_version_string(); }

} // namespace vitrum

#endif // VITRUM_BASE_HPP
