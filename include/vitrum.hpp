// Vitrum for C++11 and later: handles that free themselves, exceptions, vectors. Header-only, over vitrum.h.
//
// Handles are movable, not copyable. A const handle may be used by several threads at the same time.
#ifndef VITRUM_HPP
#define VITRUM_HPP

#include "vitrum/base.hpp"
#include "vitrum/clip.hpp"
#include "vitrum/sam.hpp"
#include "vitrum/search.hpp"
#include "vitrum/tracker.hpp"

#endif // VITRUM_HPP
