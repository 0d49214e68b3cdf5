//! Image resampling: Pillow-exact for 8-bit pixels, PyTorch `interpolate` for f32 planes.
