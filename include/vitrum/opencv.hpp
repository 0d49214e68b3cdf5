// OpenCV's matrices and Vitrum's pictures and masks. Include it yourself; vitrum.hpp does not.
#ifndef VITRUM_OPENCV_HPP
#define VITRUM_OPENCV_HPP

#include <opencv2/core.hpp>

#include "../vitrum.hpp"

namespace vitrum {

// A matrix of 8 bits and one, three or four channels in OpenCV's order as a picture. Nothing is copied; rows may have gaps.
inline image view_of(const cv::Mat &mat) {
    const int type = mat.type();
    if (mat.dims != 2 || (type != CV_8UC1 && type != CV_8UC3 && type != CV_8UC4)) {
        detail::fail(status::invalid_argument, "a cv::Mat that is not CV_8UC1, CV_8UC3 or CV_8UC4");
    }
    const pixel_format layout = type == CV_8UC1   ? pixel_format::gray8
                                : type == CV_8UC3 ? pixel_format::bgr8
                                                  : pixel_format::bgra8;
    return image(mat.data, std::uint32_t(mat.cols), std::uint32_t(mat.rows), layout, mat.step[0]);
}

// A mask of `size` as a matrix of 0 and 255, as OpenCV's functions take masks.
inline cv::Mat mat_of(const std::vector<std::uint8_t> &mask, cv::Size size) {
    if (mask.size() != std::size_t(size.width) * std::size_t(size.height)) {
        detail::fail(status::invalid_argument, "a mask of another size");
    }
    cv::Mat mat(size, CV_8UC1);
    for (int row = 0; row < size.height; row++) {
        const std::uint8_t *from = mask.data() + std::size_t(row) * std::size_t(size.width);
        std::uint8_t *to = mat.ptr<std::uint8_t>(row);
        for (int column = 0; column < size.width; column++) {
            to[column] = from[column] ? 255 : 0;
        }
    }
    return mat;
}

} // namespace vitrum

#endif // VITRUM_OPENCV_HPP
