// Qt's pictures and Vitrum's pictures and masks, for Qt 5.14 and later. Include it yourself; vitrum.hpp does not.
#ifndef VITRUM_QT_HPP
#define VITRUM_QT_HPP

#include <algorithm>

#include <QImage>

#include "../vitrum.hpp"

namespace vitrum {

// Whether `view_of` takes a picture of this format. Others: picture.convertToFormat(QImage::Format_RGB888).
inline bool has_view(QImage::Format format) noexcept {
    switch (format) {
    case QImage::Format_Grayscale8:
    case QImage::Format_RGB888:
    case QImage::Format_BGR888:
    case QImage::Format_RGBX8888:
    case QImage::Format_RGBA8888: return true;
    // 0xAARRGGBB in the machine's order of bytes.
    case QImage::Format_RGB32:
    case QImage::Format_ARGB32: return Q_BYTE_ORDER == Q_LITTLE_ENDIAN;
    default: return false;
    }
}

// A picture whose pixels stay Qt's. Nothing is copied; alpha is ignored.
inline image view_of(const QImage &picture) {
    if (!has_view(picture.format())) {
        detail::fail(status::invalid_argument, "a QImage of a format that must be converted to Format_RGB888 first");
    }
    pixel_format layout = pixel_format::bgra8;
    switch (picture.format()) {
    case QImage::Format_Grayscale8: layout = pixel_format::gray8; break;
    case QImage::Format_RGB888: layout = pixel_format::rgb8; break;
    case QImage::Format_BGR888: layout = pixel_format::bgr8; break;
    case QImage::Format_RGBX8888:
    case QImage::Format_RGBA8888: layout = pixel_format::rgba8; break;
    default: break;
    }
    return image(picture.constBits(), std::uint32_t(picture.width()), std::uint32_t(picture.height()), layout,
                 std::size_t(picture.bytesPerLine()));
}

// A mask of this size as a picture of 0 and 255.
inline QImage image_of(const std::vector<std::uint8_t> &mask, int width, int height) {
    if (mask.size() != std::size_t(width) * std::size_t(height)) {
        detail::fail(status::invalid_argument, "a mask of another size");
    }
    QImage picture(width, height, QImage::Format_Grayscale8);
    for (int row = 0; row < height; row++) {
        const std::uint8_t *from = mask.data() + std::size_t(row) * std::size_t(width);
        std::transform(from, from + width, picture.scanLine(row),
                       [](std::uint8_t inside) { return std::uint8_t(inside ? 255 : 0); });
    }
    return picture;
}

} // namespace vitrum

#endif // VITRUM_QT_HPP
