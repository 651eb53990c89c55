// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a transport does for tunnels: see tunnel_port.h.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "os/error.h"
#include "samehost/reason.h"
#include "samehost/transport.h"

namespace ddict::samehost {

// ---- a process that asks for one ----

Result<PeerId> Transport::connect_through(const std::string& path, Bytes request) {
    try {
        return connect_through_now(path, request);
    } catch (const std::bad_alloc&) {
        return Error(Errc::system, "this process has no memory for another connection");
    }
}

/// Its memory is not that of the process that is meant: without a process nobody reads there.
Result<PeerId> Transport::connect_through_now(const std::string& path, Bytes request) {
    Result<Met> met = meet_at(path);
    if (!met) return met.error();
    const Result<Link*> made = add_link(std::move(met->socket), std::move(met->channel), Side::connecting, 0);
    if (!made) return made.error();
    Link& link = **made;
    link.use = LinkUse::through_tunnel;
    link.state = LinkState::open;
    link.send(RecordKind::tunnel, request, {});  // the ring is empty
    start_polling(link);
    return link.id;
}

bool Transport::is_through_tunnel(PeerId peer) const noexcept {
    const Link* const link = const_cast<Transport*>(this)->find(peer);
    return link != nullptr && link->use == LinkUse::through_tunnel;
}

bool Transport::take_tunnel_end(Link& link, const Record& record) {
    if (link.use != LinkUse::through_tunnel || link.side() != Side::connecting) return false;
    const std::optional<Bytes> copy = copied(record.content);
    const std::optional<Error> why = copy ? unpack_reason(*copy) : std::nullopt;
    if (!why) return false;
    // The hang-up may have been heard before this was read, which says more.
    if (!link.trouble) link.trouble = *why;
    mark_lost(link);
    return true;
}

// ---- a process that passes on ----

bool Transport::take_tunnel(Link& link, const Record& record) {
    if (tunnels_ == nullptr || link.state != LinkState::unclaimed || link.use != LinkUse::between_two)
        return false;
    stop_waiting_for_claim(link);
    link.use = LinkUse::passed_on;
    events_.forget();  // the port is told of its loss
    link.is_loss_promised = false;
    const std::optional<Bytes> copy = copied(record.content);
    return copy && tunnels_->on_request(link.id, link.name, *copy);
}

Result<PeerId> Transport::make_tunnel_end(const LinkName& name) {
    try {
        return make_tunnel_end_now(name);
    } catch (const std::bad_alloc&) {
        return Error(Errc::system, "this process has no memory for another connection");
    }
}

/// Both ends are this transport's own: what comes from elsewhere is checked as that of any other peer.
Result<PeerId> Transport::make_tunnel_end_now(const LinkName& name) {
    Result<Channel::Made> made = Channel::make();
    if (!made) return made.error();
    Result<Channel> second = Channel::map(made->memory);
    if (!second) return second.error();
    std::array<int, 2> pair{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0)
        return os::error_of(errno, "making a connection for a tunnel");
    os::FileDescriptor passing_socket(pair[0]);
    os::FileDescriptor claimed_socket(pair[1]);
    if (!leaves_descriptors(std::max(pair[0], pair[1]))) {
        ++counters_.links_without_descriptor;
        return Error(Errc::system,
                     "the manager's file descriptors (ulimit -n) are used up but for a reserve");
    }
    const Result<Link*> passing = add_link(os::UnsharedDescriptor(std::move(passing_socket)),
                                           std::move(made->channel), Side::connecting, 0);
    if (!passing) return passing.error();
    Link& end = **passing;
    end.state = LinkState::open;
    end.use = LinkUse::passed_on;
    events_.forget();
    end.is_loss_promised = false;
    const Result<Link*> claimed =
        add_link(os::UnsharedDescriptor(std::move(claimed_socket)), *std::move(second), Side::accepting, 0);
    if (!claimed || !make_claimable(**claimed, name)) {
        mark_closed(end);
        return claimed ? Error(Errc::system, "this process has no memory for another connection")
                       : claimed.error();
    }
    (*claimed)->use = LinkUse::through_tunnel;
    start_polling(**claimed);
    start_polling(end);
    return end.id;
}

/// As many as there are, or until one has to wait.
unsigned Transport::pass_on_records(Link& link, bool are_last) {
    if (link.is_held && !are_last) return 0;
    RingReader& reader = link.reader();
    unsigned taken = 0;
    for (; taken < records_at_once_max && link.state == LinkState::open; ++taken) {
        const std::optional<Record> record = reader.next();
        if (!record) break;
        if (!tunnels_->on_record(link.id, *record, are_last)) {
            link.is_held = true;
            break;
        }
        reader.advance();
    }
    if (taken != 0) {
        link.last_active = turn_;
        tunnels_->on_records_end(link.id);
    }
    if (reader.is_broken()) malformed(link, "it sent a record that cannot be; the connection was dropped");
    if (reader.publish()) link.ring();
    return taken;
}

void Transport::write(PeerId peer, const Record& record) {
    Link* const link = find(peer);
    if (link == nullptr || link->is_lost) return;
    if (!link->pass_on(record)) note_waiting(*link);
    if (!link->is_polled) start_polling(*link);
}

bool Transport::has_waiting(PeerId peer) noexcept {
    const Link* const link = find(peer);
    return link != nullptr && link->has_waiting();
}

void Transport::resume(PeerId peer) {
    Link* const link = find(peer);
    if (link == nullptr || !link->is_held) return;
    link->is_held = false;
    start_polling(*link);
}

void Transport::end_tunnel(PeerId peer, const Error& why) {
    Link* const link = find(peer);
    if (link == nullptr) return;
    if (link->side() == Side::accepting) {
        try {
            if (!link->send(RecordKind::tunnel_end, pack_reason(why), {})) note_waiting(*link);
        } catch (const std::bad_alloc&) {
        }  // it learns that there is no connection any more
    }
    close(peer);
}

void Transport::pass_on_all() {
    links_.for_each([this](std::uint64_t, const std::unique_ptr<Link>& link) {
        while (link->use == LinkUse::passed_on && link->state == LinkState::open && !link->is_lost) {
            if (pass_on_records(*link, true) == 0) break;
        }
    });
}

}  // namespace ddict::samehost
