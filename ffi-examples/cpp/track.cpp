// Follows what is at a place in the first picture through the others: track MODEL X Y FRAME.ppm...
#include <iomanip>
#include <iostream>

#include "ppm.hpp"
#include "vitrum.hpp"

namespace {

vitrum::image view_of(const picture &photo) {
    return vitrum::image(photo.rgb.data(), photo.width, photo.height, vitrum::pixel_format::rgb8);
}

// Prints what is on a frame: frame, object, how sure it is that the object is seen, area, box.
void print_mask(const vitrum::tracker &tracker, std::uint32_t object, std::int64_t frame) {
    const vitrum_tracker_stats stats = tracker.mask_stats(object, frame);
    const auto &box = stats.bounding_box;
    std::cout << frame << '\t' << object << '\t' << stats.object_score << '\t' << stats.area << '\t' << box[0] << ','
              << box[1] << ',' << box[2] << ',' << box[3] << '\n';
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 5) {
        std::cerr << "usage: track MODEL X Y FRAME.ppm...\n";
        return 2;
    }
    try {
        const std::vector<std::string> paths(argv + 4, argv + argc);
        picture photo = read_ppm(paths[0]);

        const vitrum::context context;
        const vitrum::sam sam = vitrum::sam::load(context, argv[1]);
        vitrum::tracker tracker(sam, photo.width, photo.height);
        const std::int64_t first = tracker.push_frame(view_of(photo));
        const std::uint32_t object = 1;
        tracker.add_points(object, vitrum::sam_prompt().foreground(std::stof(argv[2]), std::stof(argv[3])), first);

        // From here on frames are read as they are needed: files here, a decoder elsewhere.
        std::cout << std::fixed << std::setprecision(4);
        tracker.propagate(
            [&](std::int64_t frame, vitrum::image &image) {
                if (std::size_t(frame) >= paths.size()) {
                    return false;
                }
                photo = read_ppm(paths[std::size_t(frame)]);
                image = view_of(photo);
                return true;
            },
            [&](std::int64_t frame) {
                print_mask(tracker, object, frame);
                return true;
            });
    } catch (const vitrum::error &error) {
        std::cerr << "track: " << error.what() << " (" << vitrum::status_string(error.code()) << ")\n";
        return 1;
    } catch (const std::exception &error) {
        std::cerr << "track: " << error.what() << '\n';
        return 1;
    }
}
