// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the objects of <ddict/shared.h> share.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <ddict/shared.h>

namespace ddict {

class detail::SharedCount {
  public:
    explicit SharedCount(std::shared_ptr<const void> owned) : owned_(std::move(owned)) {}

  private:
    friend void detail::add_owner(SharedCount* count) noexcept;
    friend void detail::remove_owner(SharedCount* count) noexcept;

    std::atomic<std::size_t> owners_{1};
    const std::shared_ptr<const void> owned_;
};

namespace client {

/// What is owned so, for a public object to share.
template <class T>
detail::Shared<T> share(std::shared_ptr<T> owned) {
    T* const object = owned.get();
    if (object == nullptr) return {};
    return {object, new detail::SharedCount(std::move(owned))};
}

}  // namespace client
}  // namespace ddict
