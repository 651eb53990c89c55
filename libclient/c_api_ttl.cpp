// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Times to live, in the C API.
#include <ddict/ddict_ttl.h>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::given;
using c_api::on_key;

namespace {

std::chrono::nanoseconds ttl_of(std::int64_t ttl_ms) {
    return detail::TimeoutBudget::clamped(std::chrono::milliseconds(ttl_ms));
}

}  // namespace

int ddict_with_ttl(ddict_dictionary* dictionary, int64_t ttl_ms, ddict_dictionary** view,
                   ddict_error* error) {
    return c_api::make_view(
        Operation::none, dictionary, view, error,
        [&](const View& operations) -> Result<View> { return operations.with_ttl(ttl_of(ttl_ms)); });
}

int ddict_touch(ddict_dictionary* dictionary, ddict_key key, int64_t ttl_ms, bool* present,
                ddict_error* error) {
    return on_key(Operation::touch, dictionary, key, error, [&](View& view, KeyBytes k) {
        return c_api::put_out(
            view.touch_bytes(k, ttl_ms != DDICT_NO_TTL ? std::optional(ttl_of(ttl_ms)) : std::nullopt),
            present);
    });
}

int ddict_time_to_live(ddict_dictionary* dictionary, ddict_key key, int64_t* left_us, ddict_error* error) {
    return on_key(Operation::time_to_live, dictionary, key, error,
                  [&](View& view, KeyBytes k) -> Result<void> {
                      if (const Result<void> good = given({{left_us, "left_us"}}); !good) return good;
                      const auto left = view.time_to_live_bytes(k);
                      if (!left.has_value()) return left.error();
                      *left_us = *left ? (*left)->count() : DDICT_NO_TTL;
                      return {};
                  });
}
