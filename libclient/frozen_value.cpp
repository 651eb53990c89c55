// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/frozen_value.h>

#include <utility>

#include "libclient/view_calls.h"

namespace ddict {

struct FrozenValue::Impl {
    shm::FrozenView view;
};

FrozenValue::FrozenValue(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Result<std::span<const std::byte>> FrozenValue::try_bytes() const {
    return impl_->view.bytes();
}

bool FrozenValue::valid() const noexcept {
    return impl_->view.valid();
}

std::uint64_t FrozenValue::size() const noexcept {
    return impl_->view.size();
}

std::uint16_t FrozenValue::value_type() const noexcept {
    return impl_->view.value_type();
}

Result<FrozenValue> View::view_frozen_bytes(Bytes key) const {
    if (const Result<void> good = Calls::check(*this, Operation::view, key); !good) return good.error();
    const auto named = [&](const Error& error, std::uint32_t manager) {
        return Error(error).set_operation(Operation::view).set_key(text_of(key)).set_manager(manager);
    };
    const std::uint64_t hash = hash_of(key);
    const std::uint32_t manager = Calls::owner(*this, key, hash);
    if (const Result<void> usable = attachment_->check_usable(); !usable)
        return named(usable.error(), manager);
    Result<shm::FrozenView> view = attachment_->pools().view(manager, key, hash);
    if (!view) return named(view.error(), manager).set_node(attachment_->node());
    return FrozenValue(std::make_shared<const FrozenValue::Impl>(FrozenValue::Impl{*std::move(view)}));
}

}  // namespace ddict
