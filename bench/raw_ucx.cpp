// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/raw_ucx.h"

#include <sched.h>
#include <ucp/api/ucp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/repeat.h"
#include "wire/messages.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned message_id = 1;
constexpr std::chrono::seconds silence_max{20};

void check(ucs_status_t status, const char* what) {
    if (status != UCS_OK) throw std::runtime_error(std::string(what) + ": " + ucs_status_string(status));
}

struct ContextDeleter {
    void operator()(ucp_context_h context) const { ucp_cleanup(context); }
};
struct WorkerDeleter {
    void operator()(ucp_worker_h worker) const { ucp_worker_destroy(worker); }
};

/// One message: what goes into the header of the active message, and what follows.
struct Shape {
    std::size_t header = 0;
    std::size_t payload = 0;
};

struct Shapes {
    Shape request;
    Shape reply;
};

Shapes shapes_of(const Phase& phase, std::size_t key_bytes) {
    const Shape request{.header = sizeof(wire::RequestHeader) + key_bytes};
    const Shape reply{.header = sizeof(wire::ReplyHeader)};
    const auto value = static_cast<std::size_t>(phase.value_bytes);
    switch (phase.task) {
        case Task::raw_round_trip:
            return {{.payload = 8}, {.payload = 8}};
        case Task::raw_get:
            return {request, {.header = reply.header, .payload = value}};
        case Task::raw_put:
        case Task::raw_stream:
            return {{.header = request.header, .payload = value}, reply};
        default:
            throw std::logic_error("not a task of the raw baseline");
    }
}

}  // namespace

class RawPeer::Connection {
  public:
    /// `stores`: as a manager does, where a client receives each value in the same place.
    Connection(std::size_t buffer_bytes, std::size_t memory_bytes, bool stores)
        : out_(buffer_bytes), in_(std::max(buffer_bytes, memory_bytes)), stores_(stores) {
        ucp_params_t params{};
        params.field_mask = UCP_PARAM_FIELD_FEATURES;
        params.features = UCP_FEATURE_AM;
        ucp_context_h context = nullptr;
        check(ucp_init(&params, nullptr, &context), "UCX context of the raw baseline");
        context_.reset(context);

        ucp_worker_params_t worker_params{};
        worker_params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
        worker_params.thread_mode = UCS_THREAD_MODE_SINGLE;
        ucp_worker_h worker = nullptr;
        check(ucp_worker_create(context, &worker_params, &worker), "UCX worker of the raw baseline");
        worker_.reset(worker);

        ucp_am_handler_param_t handler{};
        handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB |
                             UCP_AM_HANDLER_PARAM_FIELD_ARG | UCP_AM_HANDLER_PARAM_FIELD_FLAGS;
        handler.id = message_id;
        handler.flags = UCP_AM_FLAG_WHOLE_MSG;
        handler.cb = &Connection::on_message;
        handler.arg = this;
        check(ucp_worker_set_am_recv_handler(worker, &handler), "UCX active messages");
    }

    void tell_address(RawAddress& out) {
        ucp_address_t* address = nullptr;
        std::size_t bytes = 0;
        check(ucp_worker_get_address(worker_.get(), &address, &bytes), "UCX address");
        const bool fits = bytes <= out.address.size();
        if (fits) std::memcpy(out.address.data(), address, bytes);
        out.bytes = static_cast<std::uint32_t>(bytes);
        ucp_worker_release_address(worker_.get(), address);
        if (!fits) throw std::runtime_error("UCX address longer than there is space for");
    }

    void connect(const RawAddress& peer) {
        ucp_ep_params_t params{};
        params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
        params.address = reinterpret_cast<const ucp_address_t*>(peer.address.data());
        check(ucp_ep_create(worker_.get(), &params, &endpoint_), "UCX endpoint of the raw baseline");
    }

    void send(const Shape& shape) { finish(begin(shape)); }

    /// Begins to send; what it returns is to be given to finish().
    ucs_status_ptr_t begin(const Shape& shape) {
        ucp_request_param_t params{};
        ucs_status_ptr_t request = ucp_am_send_nbx(endpoint_, message_id, out_.data(), shape.header,
                                                   out_.data() + shape.header, shape.payload, &params);
        if (UCS_PTR_IS_ERR(request)) check(UCS_PTR_STATUS(request), "UCX send");
        return request;
    }

    void finish(ucs_status_ptr_t request) {
        if (request == nullptr) return;
        progress_until([request] { return ucp_request_check_status(request) != UCS_INPROGRESS; });
        const ucs_status_t status = ucp_request_check_status(request);
        ucp_request_free(request);
        check(status, "UCX send");
    }

    /// Waits for the next message that has not been waited for.
    void await_message() {
        ++awaited_;
        progress_until([this] { return arrived_ >= awaited_; });
        check(status_, "UCX receive");
    }

    void flush() {
        ucp_request_param_t params{};
        ucs_status_ptr_t request = ucp_worker_flush_nbx(worker_.get(), &params);
        if (request == nullptr) return;
        if (UCS_PTR_IS_ERR(request)) check(UCS_PTR_STATUS(request), "UCX flush");
        progress_until([request] { return ucp_request_check_status(request) != UCS_INPROGRESS; });
        ucp_request_free(request);
    }

    /// "sysv/memory cma/memory", from what UCX prints of the endpoint.
    std::string transports() const {
        char* text = nullptr;
        std::size_t bytes = 0;
        std::FILE* file = open_memstream(&text, &bytes);
        if (file == nullptr) return {};
        ucp_ep_print_info(endpoint_, file);
        std::fclose(file);
        std::istringstream lines(text);
        std::free(text);
        std::set<std::string> seen;
        std::string all;
        for (std::string line; std::getline(lines, line);) {
            // "#                lane[0]:  2:sysv/memory.0 md[2]           -> md[2]/sysv/sysdev[255] am
            // am_bw#0"
            const std::size_t lane = line.find("lane[");
            const std::size_t colon = line.find(':', line.find(':', lane) + 1);
            if (lane == std::string::npos || colon == std::string::npos) continue;
            std::string name = line.substr(colon + 1, line.find_first_of(". ", colon) - colon - 1);
            if (!name.empty() && seen.insert(name).second) all += (all.empty() ? "" : " ") + name;
        }
        return all;
    }

  private:
    static ucs_status_t on_message(void* self_pointer, const void*, std::size_t, void* data,
                                   std::size_t bytes, const ucp_am_recv_param_t* params) noexcept {
        auto& self = *static_cast<Connection*>(self_pointer);
        const std::size_t length = std::min(bytes, self.in_.size());
        if (self.place_ + length > self.in_.size()) self.place_ = 0;
        std::byte* const into = self.in_.data() + self.place_;
        if (self.stores_) self.place_ += length;
        if ((params->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
            std::memcpy(into, data, length);  // from UCX's own buffer, good for this call only
            ++self.arrived_;
            return UCS_OK;
        }
        ucp_request_param_t receive{};
        receive.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
        receive.cb.recv_am = &Connection::on_payload;
        receive.user_data = &self;
        ucs_status_ptr_t request = ucp_am_recv_data_nbx(self.worker_.get(), data, into, length, &receive);
        if (request == nullptr || UCS_PTR_IS_ERR(request)) {
            self.status_ = UCS_PTR_STATUS(request);
            ++self.arrived_;
        }
        return UCS_INPROGRESS;
    }

    static void on_payload(void* request, ucs_status_t status, std::size_t, void* self_pointer) noexcept {
        auto& self = *static_cast<Connection*>(self_pointer);
        if (status != UCS_OK) self.status_ = status;
        ++self.arrived_;
        ucp_request_free(request);
    }

    template <class Condition>
    void progress_until(Condition condition) {
        constexpr std::uint32_t rounds_per_yield = 1 << 9;
        constexpr std::uint32_t rounds_per_clock = 1 << 16;
        Clock::time_point give_up{};
        for (std::uint32_t round = 1; !condition(); ++round) {
            ucp_worker_progress(worker_.get());
            if (round % rounds_per_yield != 0) continue;
            sched_yield();  // for lack of another, both processes may be on one processor
            if (round % rounds_per_clock != 0) continue;
            const Clock::time_point now = Clock::now();
            if (give_up == Clock::time_point{}) give_up = now + silence_max;
            if (now > give_up) throw std::runtime_error("UCX: the other process does not answer");
        }
    }

    // Declared in the order in which they have to be made; ended the other way round.
    std::unique_ptr<std::remove_pointer_t<ucp_context_h>, ContextDeleter> context_;
    std::unique_ptr<std::remove_pointer_t<ucp_worker_h>, WorkerDeleter> worker_;
    ucp_ep_h endpoint_ = nullptr;  // goes with the worker
    std::vector<std::byte> out_;
    std::vector<std::byte> in_;
    const bool stores_;
    std::size_t place_ = 0;  // in in_, for the next payload
    std::uint64_t arrived_ = 0;
    std::uint64_t awaited_ = 0;
    ucs_status_t status_ = UCS_OK;
};

RawPeer::RawPeer(const RawOptions& options, const RawAddresses& addresses, unsigned member)
    : options_(options), addresses_(addresses), member_(member) {}

RawPeer::~RawPeer() = default;

void RawPeer::prepare(const Phase& phase) {
    if (!connection_) {
        const std::size_t header = sizeof(wire::RequestHeader) + options_.key_bytes;
        connection_ =
            std::make_unique<Connection>(header + static_cast<std::size_t>(options_.value_bytes_max) + 8,
                                         static_cast<std::size_t>(options_.memory_bytes), member_ == 1);
    }
    if (phase.task == Task::raw_address) {
        connection_->tell_address(addresses_[member_]);
        return;
    }
    if (phase.task == Task::raw_connect) return;
    Tally not_counted;
    play(phase, phase.warm_up, not_counted);
}

std::string RawPeer::run(const Phase& phase, Tally& tally) {
    if (phase.task == Task::raw_address) return {};
    if (phase.task == Task::raw_connect) {
        make_connection();
        return connection_->transports();
    }
    play(phase, phase.operations, tally);
    return {};
}

/// One after the other: over tcp, two that connect to each other at the same time may both wait for ever.
void RawPeer::make_connection() {
    const RawAddress& other = addresses_[1 - member_];
    if (member_ == 1) connection_->await_message();
    connection_->connect(other);
    connection_->send({.payload = 8});
    if (member_ == 0) connection_->await_message();
    connection_->flush();
}

void RawPeer::play(const Phase& phase, std::uint64_t rounds, Tally& tally) {
    if (phase.task == Task::raw_stream) return stream(phase, rounds, tally);
    const Shapes shapes = shapes_of(phase, options_.key_bytes);
    if (member_ == 1) {
        for (std::uint64_t i = 0; i < rounds; ++i) {
            connection_->await_message();
            connection_->send(shapes.reply);
        }
        connection_->flush();
        return;
    }
    repeat(rounds, phase.each, 1, tally, [&] {
        connection_->send(shapes.request);
        connection_->await_message();
    });
}

void RawPeer::stream(const Phase& phase, std::uint64_t messages, Tally& tally) {
    const Shapes shapes = shapes_of(phase, options_.key_bytes);
    if (member_ == 1) {
        for (std::uint64_t i = 0; i < messages; ++i)
            connection_->await_message();
        connection_->send(shapes.reply);
        connection_->flush();
        return;
    }
    std::array<ucs_status_ptr_t, 4> under_way{};
    std::size_t next = 0;
    repeat(messages, phase.each, 1, tally, [&] {
        connection_->finish(std::exchange(under_way[next], nullptr));
        under_way[next] = connection_->begin(shapes.request);
        next = (next + 1) % under_way.size();
    });
    for (ucs_status_ptr_t& request : under_way)
        connection_->finish(std::exchange(request, nullptr));
    connection_->await_message();
}

std::string RawPeer::ucx_version() {
    return ucp_get_version_string();
}

}  // namespace ddict::bench
