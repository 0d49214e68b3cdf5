// Qt's pictures: a view reads the pixels that the QImage has, row by row, and a mask becomes a picture.
#include <cstdio>

#include <vitrum/qt.hpp>

int main() {
    QImage picture(3, 2, QImage::Format_RGB888); // rows of 12 bytes
    picture.fill(Qt::black);
    picture.setPixelColor(2, 1, QColor(10, 20, 30));
    const vitrum::image view = vitrum::view_of(picture);
    const std::uint8_t *pixel = view.data + view.row_stride + 6;
    const QImage mask = vitrum::image_of({0, 1, 0, 0, 0, 1}, 3, 2);
    const bool right = view.format == VITRUM_PIXEL_RGB8 && view.row_stride == 12 && pixel[0] == 10 && pixel[2] == 30 &&
                       qGray(mask.pixel(1, 0)) == 255 && qGray(mask.pixel(2, 1)) == 255 && qGray(mask.pixel(0, 0)) == 0 &&
                       !vitrum::has_view(QImage::Format_Indexed8);
    std::puts(right ? "qt: ok" : "qt: WRONG");
    return !right;
}
