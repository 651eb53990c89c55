// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Asks other managers where a shard is served now, while operations wait for one whose manager does not
// answer. A question is a message of the connection to the manager that is asked, and takes no slot of an
// operation; one that is not answered is not missed, since another follows.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "rpc/connection_table.h"
#include "rpc/request_context.h"
#include "rpc/whereabouts.h"

namespace ddict {

class Inquiry {
  public:
    /// All must outlive it. `whereabouts` may be null: then nobody is asked.
    Inquiry(RequestContext& context, ConnectionTable& connections, ConnectionUser& user)
        : context_(context), connections_(connections), user_(user) {}

    /// Asks what is due, and returns when to call again; Time::max() if nobody need be asked.
    Time tick();
    /// A reply to a question: the entry, if it is well-formed and was asked for.
    std::optional<DirectoryEntry> read_reply(const wire::ReplyHeader& header, Bytes value);

  private:
    struct Question {
        Time next{};               // when to ask again
        unsigned turn = 0;         // of those who may know
        unsigned asked = 0;        // how often
        std::uint64_t number = 0;  // of the latest message; 0: none
    };
    void ask(Connection& about, Question& question);

    RequestContext& context_;
    ConnectionTable& connections_;
    ConnectionUser& user_;
    std::unordered_map<ShardId, Question> questions_;  // by the shard in question
};

}  // namespace ddict
