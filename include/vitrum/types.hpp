// The C API's numbers as types of their own, so that a label is not taken for a picture's layout. Include vitrum.hpp.
#ifndef VITRUM_TYPES_HPP
#define VITRUM_TYPES_HPP

#include "../vitrum.h"

namespace vitrum {

// Why a call failed; see VITRUM_E_*. Later versions of the library may return others.
enum class status : vitrum_status {
    ok = VITRUM_OK,
    invalid_argument = VITRUM_E_INVALID_ARGUMENT,
    null_pointer = VITRUM_E_NULL_POINTER,
    struct_size = VITRUM_E_STRUCT_SIZE,
    buffer_too_small = VITRUM_E_BUFFER_TOO_SMALL,
    utf8 = VITRUM_E_UTF8,
    image = VITRUM_E_IMAGE,
    io = VITRUM_E_IO,
    not_found = VITRUM_E_NOT_FOUND,
    format = VITRUM_E_FORMAT,
    limit = VITRUM_E_LIMIT,
    missing_tensor = VITRUM_E_MISSING_TENSOR,
    tensor_shape = VITRUM_E_TENSOR_SHAPE,
    tensor_dtype = VITRUM_E_TENSOR_DTYPE,
    config = VITRUM_E_CONFIG,
    tokenizer = VITRUM_E_TOKENIZER,
    unsupported = VITRUM_E_UNSUPPORTED,
    out_of_memory = VITRUM_E_OUT_OF_MEMORY,
    cancelled = VITRUM_E_CANCELLED,
    panic = VITRUM_E_PANIC,
    non_finite = VITRUM_E_NON_FINITE
};

// An instruction set; see VITRUM_ISA_*.
enum class instruction_set : vitrum_isa {
    best = VITRUM_ISA_BEST,
    portable = VITRUM_ISA_PORTABLE,
    avx2 = VITRUM_ISA_AVX2,
    avx512 = VITRUM_ISA_AVX512,
    neon = VITRUM_ISA_NEON,
    simd128 = VITRUM_ISA_SIMD128
};

// Whether a context uses AMX; see VITRUM_AMX_*.
enum class amx_use : vitrum_amx {
    not_asked = VITRUM_AMX_NOT_ASKED,
    absent = VITRUM_AMX_ABSENT,
    refused = VITRUM_AMX_REFUSED,
    used = VITRUM_AMX_USED
};

// Layout of a picture, 8 bits a channel; see VITRUM_PIXEL_*.
enum class pixel_format : vitrum_pixel_format {
    rgb8 = VITRUM_PIXEL_RGB8,
    bgr8 = VITRUM_PIXEL_BGR8,
    rgba8 = VITRUM_PIXEL_RGBA8,
    bgra8 = VITRUM_PIXEL_BGRA8,
    gray8 = VITRUM_PIXEL_GRAY8,
    nv12 = VITRUM_PIXEL_NV12
};

// Weights of the colours in luma; see VITRUM_YUV_*.
enum class luma_matrix : vitrum_yuv_matrix { bt601 = VITRUM_YUV_BT601, bt709 = VITRUM_YUV_BT709 };

// What weights are kept as; see VITRUM_WEIGHTS_*.
enum class weight_format : vitrum_weights {
    of_files = VITRUM_WEIGHTS_OF_FILES,
    f32 = VITRUM_WEIGHTS_F32,
    f16 = VITRUM_WEIGHTS_F16,
    bf16 = VITRUM_WEIGHTS_BF16,
    int8 = VITRUM_WEIGHTS_INT8,
    q4 = VITRUM_WEIGHTS_Q4
};

// An activation of the towers; see VITRUM_ACTIVATION_*.
enum class activation_kind : vitrum_activation {
    of_files = VITRUM_ACTIVATION_OF_FILES,
    gelu = VITRUM_ACTIVATION_GELU,
    quick_gelu = VITRUM_ACTIVATION_QUICK_GELU
};

// What a click marks; see VITRUM_LABEL_*.
enum class point_label : vitrum_label {
    padding = VITRUM_LABEL_PADDING,
    background = VITRUM_LABEL_BACKGROUND,
    foreground = VITRUM_LABEL_FOREGROUND
};

// Whether an embedding was made from a picture; see VITRUM_PICTURE_*.
enum class picture_match : vitrum_picture_match {
    unknown = VITRUM_PICTURE_UNKNOWN,
    other = VITRUM_PICTURE_OTHER,
    same = VITRUM_PICTURE_SAME
};

// The direction in which a video is tracked; see VITRUM_DIRECTION_*.
enum class track_direction : vitrum_direction {
    forward = VITRUM_DIRECTION_FORWARD,
    backward = VITRUM_DIRECTION_BACKWARD
};

// The number behind a type of this file.
template <class Enum> constexpr std::int32_t to_c(Enum value) noexcept { return static_cast<std::int32_t>(value); }

// What a status means, in a few words.
inline const char *status_string(status of) noexcept { return vitrum_status_string(to_c(of)); }

} // namespace vitrum

#endif // VITRUM_TYPES_HPP
