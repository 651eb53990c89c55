// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/reply_errors.h"

#include <algorithm>
#include <string>

#include <ddict/value_type.h>

#include "base/counted.h"
#include "base/limits.h"

namespace ddict {
namespace {

Error wrong_type_of(const wire::ReplyHeader& header, const Request& request) {
    const auto refused = static_cast<std::uint16_t>(header.argument);
    if (refused != request.value_type) return detail::wrong_type(refused, request.value_type);
    const std::string words = type_in_words(refused);
    if (request.verb == wire::Verb::append)
        return Error(Errc::wrong_type, "values of this type cannot be appended to: " + words);
    return Error(Errc::wrong_type, "the value, of type " + words + ", has " +
                                       detail::bytes_in_words(header.argument2) + ", not the 8 of a number");
}

/// Of a broadcast: at which manager it failed. If that is not the root, the root and others have done it.
Error broadcast_error_of(const wire::ReplyHeader& header, const Request& request, Error error) {
    error.set_manager(static_cast<std::uint32_t>(header.argument2));
    if (error.code == Errc::no_space) {
        error.set_detail("it has no space for a pair of " +
                         std::to_string(request.key.size() + request.value_bytes()) + " bytes");
    } else if (error.code == Errc::invalid_argument) {
        error.set_detail("the key holds a value that no broadcast has stored: erase it");
    }
    if (error.manager == number_of(request.shard)) return error;
    error.in_doubt = true;
    return error.set_state(ManagerState::unknown);
}

/// Whether the loss of a manager is that of the dictionary.
bool is_end_of_dictionary(const Error& error, const Connection& connection, LostManagers& lost) {
    if (lost.dictionary_has_ended()) return true;
    if (error.manager_state != ManagerState::ended || !connection.is_on_this_host()) return false;
    if (!lost.ended_in_order || !lost.ended_in_order(connection.entry().shard)) return false;
    lost.note_end(dictionary_ended());
    return true;
}

std::string failure_in_words(wire::ValueFailure why, std::size_t bytes) {
    const std::string size = std::to_string(bytes) + " bytes";
    switch (why) {
        case wire::ValueFailure::no_memory_to_receive:
            return "the manager's process has no memory left to receive the value of " + size;
        case wire::ValueFailure::cannot_be_received:
            return "the manager could not copy the value of " + size + ", whose memory may have changed";
        case wire::ValueFailure::no_memory_to_send:
            return "the manager's process has no memory left to send its answer";
        case wire::ValueFailure::not_taken:
            break;
    }
    return "no memory is left to receive its answer";
}

/// What a manager says when the time of a wait is over.
std::string end_of_wait(const wire::ReplyHeader& header, const Request& request) {
    const bool for_value = (request.flags & wire::wait_for_value) != 0;
    const std::string what = for_value ? "the key did not take the value" : "the key did not appear";
    if (request.argument > wait_argument(limits::wait_max))
        return what + ", and a wait ends after 24 hours: wait again";
    constexpr const char* longer = "; its manager answers: wait for longer";
    if (!for_value || header.argument == 0) return what + " in time" + longer;
    const bool may_be_equal =
        header.value_type == request.value_type || header.value_type == 0 || request.value_type == 0;
    if (may_be_equal) return what + " in time: it has another one" + longer;
    return what + " in time: it has one of type " + type_in_words(header.value_type) + ", not " +
           type_in_words(request.value_type) + ", and no value of another type is the one waited for";
}

}  // namespace

Error error_of(const wire::ReplyHeader& header, const Request& request) {
    Error error(static_cast<Errc>(header.status));
    error.set_state(ManagerState::answered);
    const wire::VerbRule& rule = wire::rule_of(request.verb);
    if (rule.is_broadcast) return broadcast_error_of(header, request, error);
    if (rule.waits && error.code == Errc::timeout) return error.set_detail(end_of_wait(header, request));
    if (error.code == Errc::system) {
        const auto why = static_cast<wire::ValueFailure>(header.argument);
        error.set_detail(failure_in_words(why, request.value.size()));
        error.in_doubt = wire::is_change(request.verb) && why != wire::ValueFailure::no_memory_to_receive &&
                         why != wire::ValueFailure::cannot_be_received;
    } else if (error.code == Errc::no_space || error.code == Errc::too_large) {
        error.set_bytes(header.argument, header.argument2);
    } else if (error.code == Errc::wrong_type) {
        return wrong_type_of(header, request).set_state(ManagerState::answered);
    } else if (error.code == Errc::manager_lost) {
        error.set_detail("the connection broke, and the manager has forgotten what came of this request");
        error.in_doubt = wire::is_cached(request.verb);
    } else if (request.verb == wire::Verb::restart && error.code == Errc::invalid_argument) {
        error.set_detail("its dictionary was started without restarts (--no-restart)");
    } else if (error.code == Errc::protocol) {
        error.set_detail("the manager was killed each time that it executed this request: its log names it");
        error.in_doubt = wire::is_change(request.verb);
    } else if (wire::is_cached(request.verb)) {
        error.set_detail(reason_of_refusal(error.code));
    }
    return error;
}

std::string_view overdue_text(const Request& request, bool was_sent) {
    if (!was_sent)
        return "no connection to the manager was made in time: it is busy or stopped, or the handle is not "
               "of this dictionary";
    if (!wire::rule_of(request.verb).waits) return "the manager did not answer in time";
    return (request.flags & wire::wait_for_value) != 0
               ? "the manager did not answer in time: whether the key took the value is not known"
               : "the manager did not answer in time: whether the key appeared is not known";
}

std::string overdue_text(const Request& request, const wire::AskAgain& awaited) {
    using Awaited = wire::AskAgain::Awaited;
    const std::string at = request.checkpoint == limits::newest_checkpoint
                               ? "the newest checkpoint"
                               : "checkpoint " + std::to_string(request.checkpoint);
    if (awaited.what == Awaited::key)
        return "this dictionary waits for keys, and nothing was written at " + at +
               " in time; wait for longer";
    const bool is_one = awaited.count == 1;
    const std::string who =
        awaited.what == Awaited::keys
            ? counted(awaited.count, "key") + " of that " + (is_one ? "is" : "are") + " not written at " +
                  std::to_string(awaited.checkpoint + 1)
            : counted(awaited.count, "client") + (is_one ? " writes" : " write") + " there still";
    return at + " begins when " + std::to_string(awaited.checkpoint) + " is retired, and " + who +
           "; wait for longer";
}

std::string_view reason_of_refusal(Errc code) noexcept {
    if (code != Errc::invalid_argument) return "";
    return "the value was stored by a broadcast: only bput and berase change it";
}

Error with_context(Error error, const Request& request, const Connection& connection,
                   const ConnectionTable& connections, LostManagers* lost) {
    error.set_operation(operation_of(request.verb));
    if (error.code == Errc::manager_lost && !ends_manager(request.verb) && lost != nullptr &&
        is_end_of_dictionary(error, connection, *lost)) {
        error.code = Errc::dictionary_gone;
        error.set_detail(dictionary_ended().detail.data()).set_state(ManagerState::ended);
    }
    if (error.manager == Error::no_manager) error.set_manager(number_of(connection.entry().shard));
    if (const Connection* named = connections.find(ShardId{error.manager}); named != nullptr)
        error.set_node(named->entry().node);
    if (!request.key.empty()) error.set_key(request.key);
    return error;
}

}  // namespace ddict
