// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/manager_pages.h"

namespace ddict::client {

Error ManagerPages::named(Error error) const {
    error.set_manager(number_of(shard_));
    attachment_.name_node(error);
    return error;
}

Result<std::uint64_t> ManagerPages::ask(std::uint16_t flags, std::uint64_t cursor) {
    Request request;
    request.verb = wire::Verb::scan;
    request.shard = shard_;
    request.argument = cursor;
    request.flags = flags;
    request.checkpoint = checkpoint_;
    request.sink = &sink_;
    sink_.clear();
    const Result<Reply> reply = attachment_.call(request, budget());
    if (!reply) return reply.error();
    return reply->argument;
}

Result<KeySet> ManagerPages::broadcasts() {
    KeySet found;
    std::uint64_t cursor = 0;
    do {
        const Result<std::uint64_t> next = ask(wire::scan_broadcasts, cursor);
        if (!next.has_value()) return next.error();
        wire::ItemReader keys = items();
        for (KeyBytes key; keys.key(key);)
            found.emplace(key);
        if (!keys.at_end()) return malformed();
        cursor = *next;
    } while (cursor != 0);
    return found;
}

Result<std::uint16_t> ManagerPages::value(KeyBytes key, AloneSink& value) {
    Request request;
    request.verb = wire::Verb::get;
    request.shard = shard_;
    request.key = key;
    request.flags = wire::at_once;
    request.sink = &value;
    request.checkpoint = checkpoint_;
    value.value.clear();
    const Result<Reply> reply = attachment_.call(request, budget());
    if (!reply) return reply.error();
    return reply->value_type;
}

}  // namespace ddict::client
