//! Links the library's C ABI into a shared object. The symbols that `include/vitrum.h` declares are all that it exports;
//! Python calls them through cffi.

// Without a mention the crate, and with it its symbols, would not be linked.
extern crate vitrum as _;
