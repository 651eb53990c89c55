// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the public headers need of <chrono>, <functional>, <iterator> and <ranges>: durations and clocks,
// std::function, the concepts of iterators and ranges. As a whole, these four are larger than all else that
// is included here. GNU's library has the parts in headers of their own; of another one the whole is taken.
//
// Programs include what they use themselves: <chrono> for dates and their output, <functional>, <ranges>. To
// call this library, durations and their literals (50ms) are here.
#pragma once

#include <span>

#if defined(_GLIBCXX_RELEASE) && __has_include(<bits/chrono.h>) && \
    __has_include(<bits/ranges_base.h>) && __has_include(<bits/std_function.h>)
#include <bits/chrono.h>
#include <bits/ranges_base.h>
#include <bits/std_function.h>
#else
#include <chrono>
#include <functional>
#include <iterator>
#include <ranges>
#endif
