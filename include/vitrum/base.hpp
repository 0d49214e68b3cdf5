// What the models share: errors, pictures, contexts, progress. Include vitrum.hpp.
#ifndef VITRUM_BASE_HPP
#define VITRUM_BASE_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../vitrum.h"
#include "types.hpp"

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define VITRUM_HAS_EXCEPTIONS 1
#endif

#if __cplusplus >= 201703L || (defined(_MSVC_LANG) && _MSVC_LANG >= 201703L)
#define VITRUM_HAS_STRING_VIEW 1
#include <string_view>
#endif

#if __cplusplus >= 202002L || (defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
#include <version>
#ifdef __cpp_lib_span
#define VITRUM_HAS_SPAN 1
#include <span>
#endif
#endif

namespace vitrum {

// What every function here throws when it fails. In a program without exceptions it ends the program with the message;
// one that must go on after a failure calls the functions of vitrum.h.
class error : public std::runtime_error {
public:
    error(status code, const std::string &message) : std::runtime_error(message), code_(code) {}

    status code() const noexcept { return code_; }

private:
    status code_;
};

namespace detail {

[[noreturn]] inline void fail(status code, const std::string &message) {
#ifdef VITRUM_HAS_EXCEPTIONS
    throw error(code, message);
#else
    std::fprintf(stderr, "vitrum: %s (%s)\n", message.c_str(), status_string(code));
    std::abort();
#endif
}

// Runs `call(vitrum_error *)` and throws what it reports.
template <class Call> void check(Call call) {
    vitrum_error report;
    vitrum_error_init(&report, sizeof report);
    const vitrum_status code = call(&report);
    if (code != VITRUM_OK) {
        fail(status(code), report.message);
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
        fail(status::invalid_argument, "a text with a NUL in it");
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

#ifdef VITRUM_HAS_SPAN
// C strings end with a NUL, views need not.
inline std::vector<std::string> strings(std::span<const std::string_view> texts) {
    return std::vector<std::string>(texts.begin(), texts.end());
}
#endif

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
#ifdef VITRUM_HAS_EXCEPTIONS
        try {
            return callback() ? 0 : 1;
        } catch (...) {
            thrown_ = std::current_exception();
            return 1;
        }
#else
        return callback() ? 0 : 1;
#endif
    }

    // As `detail::check`.
    template <class Call> void check(Call call) {
        vitrum_error report;
        vitrum_error_init(&report, sizeof report);
        const vitrum_status code = call(&report);
#ifdef VITRUM_HAS_EXCEPTIONS
        if (thrown_) {
            std::rethrow_exception(thrown_);
        }
#endif
        if (code != VITRUM_OK) {
            fail(status(code), report.message);
        }
    }

#ifdef VITRUM_HAS_EXCEPTIONS

private:
    std::exception_ptr thrown_;
#endif
};

// As `collect`, for a call with callbacks.
template <class T, class Call> std::vector<T> collect(callback_guard &guard, Call call) {
    std::size_t needed = 0;
    check([&](vitrum_error *report) { return call(nullptr, 0, &needed, report); });
    std::vector<T> values(needed);
    guard.check([&](vitrum_error *report) { return call(values.data(), values.size(), &needed, report); });
    return values;
}

} // namespace detail

// A picture in memory that stays the caller's. Nothing is copied: the pixels must outlive the calls it is used in.
struct image : vitrum_image {
    // Rows that follow each other without a gap.
    image(const std::uint8_t *pixels, std::uint32_t columns, std::uint32_t rows, pixel_format layout)
        : image(pixels, columns, rows, layout, std::size_t(columns) * bytes_of(layout)) {}

#ifdef VITRUM_HAS_SPAN
    // The same, where it is known that there are enough of them.
    image(std::span<const std::uint8_t> pixels, std::uint32_t columns, std::uint32_t rows, pixel_format layout)
        : image(pixels.data(), columns, rows, layout) {
        if (pixels.size() < row_stride * rows) {
            detail::fail(status::image, "fewer pixels than the picture has");
        }
    }
#endif

    // Rows that begin `stride` bytes apart.
    image(const std::uint8_t *pixels, std::uint32_t columns, std::uint32_t rows, pixel_format layout,
          std::size_t stride)
        : vitrum_image() {
        vitrum_image_init(this, sizeof(vitrum_image));
        format = to_c(layout);
        data = pixels;
        width = columns;
        height = rows;
        row_stride = stride;
    }

    // What cameras and video decoders give: a plane of luma and one of U, V pairs, each with its bytes from row to row.
    static image nv12(const std::uint8_t *luma, std::size_t luma_stride, const std::uint8_t *chroma,
                      std::size_t chroma_stride, std::uint32_t columns, std::uint32_t rows,
                      luma_matrix matrix = luma_matrix::bt601, bool full_range = false) {
        image view(luma, columns, rows, pixel_format::nv12, luma_stride);
        view.chroma = chroma;
        view.chroma_stride = chroma_stride;
        view.yuv_matrix = to_c(matrix);
        view.yuv_full_range = full_range;
        return view;
    }

private:
    static std::size_t bytes_of(pixel_format layout) {
        switch (layout) {
        case pixel_format::gray8:
        case pixel_format::nv12: return 1;
        case pixel_format::rgba8:
        case pixel_format::bgra8: return 4;
        case pixel_format::rgb8:
        case pixel_format::bgr8: break;
        }
        return 3;
    }
};
static_assert(sizeof(image) == sizeof(vitrum_image), "a vector of images is an array of vitrum_image");

// What a context may be asked for, with the defaults; see vitrum_limits.
struct limits : vitrum_limits {
    limits() : vitrum_limits() { vitrum_limits_init(this, sizeof(vitrum_limits)); }
};

// How to make a context; see vitrum_context_options.
struct context_options {
    std::uint32_t threads = 0;
    instruction_set isa = instruction_set::best;
    vitrum_parallel_for parallel_for = nullptr;
    void *parallel_for_user = nullptr;
    // Has a side effect on the process; see there.
    bool amx = false;
    vitrum::limits limits;
};

// Threads and an instruction set.
class context {
public:
    explicit context(const context_options &options = context_options()) {
        vitrum_context_options c_options;
        vitrum_context_options_init(&c_options, sizeof c_options);
        c_options.threads = options.threads;
        c_options.isa = to_c(options.isa);
        c_options.parallel_for = options.parallel_for;
        c_options.parallel_for_user = options.parallel_for_user;
        c_options.amx = options.amx;
        c_options.limits = &options.limits;
        vitrum_context *handle = nullptr;
        detail::check([&](vitrum_error *report) { return vitrum_context_new(&c_options, &handle, report); });
        handle_.reset(handle);
    }

    std::uint32_t threads() const noexcept { return vitrum_context_threads(get()); }
    instruction_set isa() const noexcept { return instruction_set(vitrum_context_isa(get())); }
    amx_use amx() const noexcept { return amx_use(vitrum_context_amx(get())); }

    // Frees scratch memory that is kept for reuse.
    void trim() const noexcept { vitrum_context_trim(get()); }

    // The handle, which stays this object's.
    const vitrum_context *get() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<vitrum_context, detail::deleter> handle_;
};

// Called with the fraction done, maybe on a thread of the context, one at a time; false stops the work, which then throws
// status::cancelled. What it throws itself passes through. See vitrum_progress.
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

    // A C struct of options with this callback, or as it was if there is none.
    template <class Options> Options within(Options options) {
        if (callback) {
            options.progress = report;
            options.progress_user = this;
        }
        return options;
    }
};

} // namespace detail

// The version of the library that is linked.
inline std::string version() { return vitrum_version_string(); }

} // namespace vitrum

#endif // VITRUM_BASE_HPP
