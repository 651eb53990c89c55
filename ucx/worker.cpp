// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/worker.h"

#include <utility>

#include "ucx/worker_impl.h"

namespace ddict::ucx {

Worker::Worker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Worker::~Worker() = default;

Result<std::unique_ptr<Worker>> Worker::create(const DeviceOptions& devices, os::Poller& poller,
                                               os::WaitPolicy& waiting) {
    auto impl = Impl::create(devices, poller, waiting);
    if (!impl) return impl.error();
    return std::unique_ptr<Worker>(new Worker(*std::move(impl)));
}

unsigned Worker::poll(TransportEvents& events) {
    return impl_->poll(events);
}

bool Worker::is_quiet() const noexcept {
    return impl_->is_quiet();
}

os::WaitPolicy::Arming Worker::prepare_to_sleep() {
    return impl_->prepare_to_sleep();
}

void Worker::end_sleep() {
    impl_->end_sleep();
}

bool Worker::needs_attention() const noexcept {
    return impl_->needs_attention();
}

void Worker::stop(std::chrono::steady_clock::time_point deadline) {
    impl_->stop(deadline);
}

const WorkerCounters& Worker::counters() const noexcept {
    return impl_->counters;
}

Result<PeerId> Worker::connect(Bytes address) {
    return impl_->connect(address);
}

void Worker::close(PeerId peer) {
    impl_->close(peer);
}

void Worker::send(PeerId peer, Bytes head) {
    impl_->send(peer, head);
}

void Worker::send(PeerId peer, Bytes head, Bytes body, std::uint64_t tag) {
    impl_->send_with_body(peer, head, body, tag);
}

void Worker::receive_body(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) {
    impl_->receive_body(from, token, into, tag);
}

void Worker::discard_body(std::uint64_t token) {
    impl_->discard_body(token);
}

std::string Worker::describe(PeerId peer) const {
    return impl_->describe(peer);
}

Bytes Worker::address() const {
    return impl_->address;
}

}  // namespace ddict::ucx
