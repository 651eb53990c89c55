// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Replies, and the payloads that go with them or come with requests.
//
// A request is answered by reply(), answer(), refuse(), reply_info() or one of the calls that send a value.
// reply() and refuse() also cache the reply, if the request's are cached; before the others that has been
// done. A large pair is sent from where it lies, pinned until the transport has sent it, whatever happens to
// its key meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "base/slot_table.h"
#include "manager/call.h"
#include "manager/private_memory.h"
#include "manager/sessions.h"
#include "rpc/transport.h"
#include "store/store.h"

namespace ddict::manager {

/// A payload on its way: of a put into `reserved`, of an operand into `buffer` behind its key, or out of
/// `pinned` or `buffer`.
struct Transfer {
    wire::RequestHeader request;
    PeerId peer = no_peer;        // at the other end
    std::uint64_t placement = 0;  // of a request with an operand
    std::uint64_t until = 0;      // of the same
    shm::Block* reserved = nullptr;
    const shm::Block* pinned = nullptr;
    PrivateMemory::Buffer buffer{};
    std::uint32_t pings = 0;  // of the peer, meanwhile

    std::uint64_t bytes() const noexcept {
        const shm::Block* const block = reserved != nullptr ? reserved : pinned;
        return block != nullptr ? block->value_bytes() : buffer.bytes().size();
    }
};

class Replies {
  public:
    using Buffer = PrivateMemory::Buffer;
    static constexpr std::uint64_t transfer_tag = std::uint64_t{1} << 63;

    /// All must outlive it.
    Replies(store::Store& store, Sessions& sessions, Transport& transport);

    /// A request whose message is long gone, and whose client may be too.
    Call call_of(const wire::RequestHeader& request) const;

    /// A request of which a kill has left a part made: it goes on, or is not answered, but is not refused.
    static bool is_half_made(const Call& call) noexcept {
        return call.slot.reply != nullptr && call.slot.reply->pending == call.header.request;
    }

    void reply(const Call& call, std::uint64_t argument = 0, std::uint64_t argument2 = 0);
    /// Whether there is a pair (the block may be null), the type and size of its value, and what is left of
    /// its time to live: microseconds, 0 if it has none.
    void reply_info(const Call& call, const shm::Block* block, Errc status = Errc{}, std::uint64_t left = 0);
    /// To a request whose change has been applied, and whose reply is cached.
    void answer(const Call& call, const store::Applied& applied) {
        answer(call, applied.code, applied.argument, applied.argument2);
    }
    /// Nothing has come of it, and it is to come again. Nothing is cached.
    void ask_again(const Call& call, const wire::AskAgain& why);
    void refuse(const Call& call, Errc code);
    void refuse(const Call& call, const Error& error);
    /// Says which type it is that will not do: the stored one, or that of the request itself.
    void refuse_type(const Call& call, std::uint16_t type, std::uint64_t bytes);
    /// The value of a pair, from where it lies. False if it was refused instead: too many payloads are on
    /// their way.
    bool reply_pair(const Call& call, const shm::Block& block);
    /// The same, when that has been asked before.
    void send_pair(const Call& call, const shm::Block& block);
    /// The page begins after the bytes that `buffer` leaves for the header.
    void reply_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument);
    /// The same, when that has been asked before.
    void send_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument);
    void reply_copy(const Call& call, Bytes value, std::uint64_t argument);
    /// As the request was answered before; not at all while the reply is still to come, or if the client
    /// has sent a later one in its slot.
    void repeat(const Call& call, const store::CachedReply& cached);
    /// Without memory to send it nothing is thrown: the session lacks_reply then.
    void send(PeerId peer, const wire::ReplyHeader& header, Bytes inline_value = {});
    /// Whether a session may lack a reply since take_unsent() was called last.
    bool has_unsent() const noexcept { return has_unsent_; }
    void note_unsent() noexcept { has_unsent_ = true; }
    bool take_unsent() noexcept { return std::exchange(has_unsent_, false); }

    /// After a value that was sent and that its client has not taken. If its connection has broken, this goes
    /// nowhere, and the client will ask again; if not, it has no memory for the value.
    void answer_untaken(const Transfer& transfer);

    /// Nothing has come of the request, or the answer to it cannot be sent. The reply is not cached: the same
    /// request may come again.
    void answer_failed(const Call& call, wire::ValueFailure why);

    /// Has the value of a put received into the block. What memory is missing for is answered.
    void receive_into(shm::Block& block, const Call& call);
    /// Has the operand of a request received behind a copy of its key. The request is executed when it is
    /// there.
    void receive_operand(const Call& call);
    void discard_payload(std::uint64_t token) {
        if (token != 0) transport_.discard_payload(token);
    }
    /// The transport has ended it.
    Transfer end_transfer(std::uint64_t tag) { return transfers_.remove(static_cast<std::uint32_t>(tag)); }

    /// A client of another host that waits asks whether the manager lives, every limits::silence_before_ping.
    /// True if a payload to or from it has been under way for so many of these questions that it will not
    /// arrive any more. Cost: a look at each payload under way.
    bool is_stalled_after_ping(PeerId peer);

    std::size_t payloads_in_flight() const noexcept { return transfers_.size(); }
    bool has_capacity_for_payload() const noexcept {
        return payloads_in_flight() < limits::payloads_in_flight_max;
    }
    PrivateMemory& memory() noexcept { return memory_; }
    const PrivateMemory& memory() const noexcept { return memory_; }
    /// Requests that came again and were answered as before.
    std::uint64_t repeated() const noexcept { return repeated_; }
    /// Refused for want of space, alone or in batches.
    std::uint64_t refused_puts() const noexcept { return refused_puts_; }
    void count_refused(Errc code) noexcept {
        if (code == Errc::no_space || code == Errc::too_large) ++refused_puts_;
    }

  private:
    void answer(const Call& call, Errc code, std::uint64_t argument, std::uint64_t argument2);
    void send_message(PeerId peer, Bytes message) noexcept;
    bool receive(const Call& call, MutableBytes into, Transfer transfer);
    void send_value(const Call& call, const wire::ReplyHeader& header, Bytes value, Transfer transfer);
    void send_large_pair(const Call& call, const wire::ReplyHeader& header, const shm::Block& block);
    void repeat_statuses(const Call& call, const store::CachedReply& cached);
    std::uint64_t start_transfer(Transfer transfer) {
        return transfers_.add(std::move(transfer)) | transfer_tag;
    }

    store::Store& store_;
    Sessions& sessions_;
    Transport& transport_;
    PrivateMemory memory_;
    SlotTable<Transfer> transfers_;
    std::vector<std::byte> message_;  // scratch of header_bytes_max: a reply being put together
    std::uint64_t repeated_ = 0;
    std::uint64_t refused_puts_ = 0;
    bool has_unsent_ = false;
};

/// The header of the reply to a request, for success and without a value.
inline wire::ReplyHeader reply_header(const wire::RequestHeader& request) noexcept {
    wire::ReplyHeader header;
    header.verb_and_reply_bit = static_cast<std::uint8_t>(request.verb) | wire::reply_bit;
    header.request = request.request;
    return header;
}

}  // namespace ddict::manager
