// The same through the C++ wrapper, also without exceptions and run-time types.
#include <cstdio>

#include <vitrum.hpp>

int main(int argc, char **argv) {
    if (argc != 2) {
        return 2;
    }
    const std::vector<std::uint8_t> pixels(32 * 32 * 3, 200);
    const vitrum::context context;
    const vitrum::clip clip = vitrum::clip::load(context, argv[1]);
#ifdef VITRUM_HAS_SPAN
    const vitrum::image image(pixels, 32, 32, vitrum::pixel_format::rgb8);
    const std::string_view labels[] = {"red heart", "octopus"};
    const std::vector<float> probabilities = clip.classify(image, std::span<const std::string_view>(labels));
#else
    const vitrum::image image(pixels.data(), 32, 32, vitrum::pixel_format::rgb8);
    const std::vector<float> probabilities = clip.classify(image, {"red heart", "octopus"});
#endif
    std::printf("%s %.4f %.4f\n", vitrum::version().c_str(), double(probabilities[0]), double(probabilities[1]));
}
