//! Preprocessing profiles: pixels to model input, exactly as each reference does it.
