// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/frozen_value.h>

#include <chrono>
#include <memory>
#include <utility>

#include "libclient/shared.h"
#include "libclient/view_calls.h"

namespace ddict {

struct FrozenValue::Impl {
    shm::FrozenView view;
    Error names;  // of where the value is
};

FrozenValue::FrozenValue(detail::Shared<const Impl> impl) : impl_(std::move(impl)) {}

Result<std::span<const std::byte>> FrozenValue::try_bytes() const {
    const Result<Bytes> bytes = impl_->view.bytes();
    if (!bytes) return name_error(bytes.error());
    return *bytes;
}

Result<std::string_view> FrozenValue::try_text() const {
    if (const Result<void> fits = detail::check_type(value_type(), type_text); !fits)
        return name_error(fits.error());
    const Result<Bytes> raw = try_bytes();
    if (!raw) return raw.error();
    return std::string_view(reinterpret_cast<const char*>(raw->data()), raw->size());
}

Error FrozenValue::name_error(Error error) const {
    Error named = impl_->names;
    named.code = error.code;
    named.manager_state = error.manager_state;
    return named.set_detail(error.detail.data());
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

Result<FrozenValue> View::view_frozen_bytes(KeyBytes key) const {
    if (const Result<void> good = Calls::check(*this, Operation::view, key); !good) return good.error();
    if (const Result<void> usable = attachment_->check_usable(); !usable)
        return name_error(usable.error(), Operation::view, key);
    const std::uint64_t hash = hash_of(key);
    const ShardId shard = Calls::owner(*this, key, hash);
    const Time started = std::chrono::steady_clock::now();
    Result<shm::FrozenView> view =
        attachment_->pools().view(shard, key, hash, Calls::checkpoint(*this), budget_.deadline(started));
    if (view || view.error().code == Errc::not_found) attachment_->count_local_read(shard);
    if (const client::Trace* const trace = client::Trace::current(); trace != nullptr) [[unlikely]]
        Calls::trace_read(*this, *trace, Operation::view, shard, key, started, view ? view->size() : 0,
                          view ? Result<void>() : name_error(view.error(), Operation::view, key));
    if (!view) return name_error(view.error(), Operation::view, key);
    return FrozenValue(client::share(std::make_shared<const FrozenValue::Impl>(
        FrozenValue::Impl{*std::move(view), name_error(Error(), Operation::view, key)})));
}

}  // namespace ddict
