// Clicks on a picture and paints what is there: segment_opencv MODEL IMAGE OVERLAY X Y [X Y ...]
//
// Every click is a prompt of its own; all of them are answered in one call.
#include <iostream>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "vitrum/opencv.hpp"

namespace {

// Mixes a colour into the picture under a mask, and draws the mask's outline.
void paint(cv::Mat &picture, const cv::Mat &mask, const cv::Scalar &color) {
    cv::Mat tinted;
    cv::addWeighted(picture, 0.5, cv::Mat(picture.size(), picture.type(), color), 0.5, 0, tinted);
    tinted.copyTo(picture, mask);
    std::vector<std::vector<cv::Point>> outlines;
    cv::findContours(mask, outlines, cv::RETR_CCOMP, cv::CHAIN_APPROX_NONE);
    cv::drawContours(picture, outlines, -1, color, 2, cv::LINE_AA);
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 6 || argc % 2 != 0) {
        std::cerr << "usage: segment_opencv MODEL IMAGE OVERLAY X Y [X Y ...]\n";
        return 2;
    }
    try {
        cv::Mat picture = cv::imread(argv[2], cv::IMREAD_COLOR);
        if (picture.empty()) {
            throw std::runtime_error(std::string(argv[2]) + ": not a picture");
        }
        std::vector<vitrum::sam_prompt> clicks;
        for (int i = 4; i < argc; i += 2) {
            clicks.push_back(vitrum::sam_prompt().foreground(std::stof(argv[i]), std::stof(argv[i + 1])));
        }
        const vitrum::context context;
        const vitrum::sam sam = vitrum::sam::load(context, argv[1]);
        vitrum::sam_prediction prediction = sam.new_prediction();
        sam.predict(sam.encode(vitrum::view_of(picture)), clicks, prediction);

        const cv::Scalar colors[] = {{60, 60, 230}, {230, 160, 40}, {60, 190, 60}, {200, 60, 200}};
        for (std::size_t i = 0; i < clicks.size(); i++) {
            const cv::Mat mask = vitrum::mat_of(prediction.mask(i, prediction.best(i)), picture.size());
            std::cout << i << '\t' << cv::countNonZero(mask) << '\n';
            paint(picture, mask, colors[i % 4]);
        }
        if (!cv::imwrite(argv[3], picture)) {
            throw std::runtime_error(std::string(argv[3]) + ": cannot be written");
        }
    } catch (const std::exception &error) {
        std::cerr << "segment_opencv: " << error.what() << '\n';
        return 1;
    }
}
