// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The managers that the handle names, from which the rest of the directory is fetched. They may have moved
// since it was written: ddict-launch keeps up with that in the dictionary's record, a file.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/hex.h"
#include "libclient/attachment.h"
#include "libclient/page_sink.h"
#include "os/own_file.h"
#include "os/state_folder.h"

namespace ddict::client {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds between_looks{100};
constexpr std::size_t record_bytes_max = std::size_t{4} << 20;

std::string state_folder() {
    const char* const chosen = std::getenv("DDICT_STATE_DIR");
    return chosen != nullptr && *chosen != '\0' ? chosen
                                                : os::default_state_folder(os::environment_of_this_process());
}

/// Of the dictionary with that id, as hex digits, if there is a record of it that only this user can have
/// written.
std::optional<Handle> recorded_handle(const fs::path& file, const std::string& dictionary) {
    const Result<std::string> text = os::read_own_file(file.string(), record_bytes_max);
    if (!text) return std::nullopt;
    const auto record = nlohmann::json::parse(*text, nullptr, false);
    if (!record.is_object() || record.value("dictionary", nlohmann::json()) != dictionary)
        return std::nullopt;
    const auto handle = record.value("handle", nlohmann::json());
    if (!handle.is_string()) return std::nullopt;
    const Result<Handle> parsed = Handle::parse(handle.get<std::string>());
    return parsed ? std::optional(*parsed) : std::nullopt;
}

std::optional<Handle> recorded_handle(const std::string& dictionary) {
    std::error_code error;
    for (fs::directory_iterator at(state_folder(), error), end; !error && at != end; at.increment(error)) {
        if (at->path().extension() != ".json") continue;
        if (auto handle = recorded_handle(at->path(), dictionary)) return handle;
    }
    return std::nullopt;
}

}  // namespace

Result<void> Attachment::with_moved_seeds(Time deadline, const std::function<Result<void>()>& ask) {
    Result<void> done = ask();
    const Time until = std::min(deadline, steady_clock::now() + limits::moved_seeds_awaited);
    while (!done && !directory_ && done.error().code == Errc::manager_lost && await_moved_seeds(until))
        done = ask();
    return done;
}

/// Of all calls that find nobody one waits, now and then: others end at once meanwhile.
bool Attachment::await_moved_seeds(Time until) {
    Time next = seeds_awaited_again_.load();
    if (steady_clock::now() < next ||
        !seeds_awaited_again_.compare_exchange_strong(next, until + limits::lost_remembered))
        return false;
    const bool have_moved = read_where_seeds_are(until);
    if (have_moved) seeds_awaited_again_ = Time{};
    return have_moved;
}

bool Attachment::read_where_seeds_are(Time until) {
    for (;;) {
        const std::optional<Handle> recorded = recorded_handle(hex(handle_.dictionary_id));
        if (!recorded || !equal_in_constant_time(recorded->secret, handle_.secret)) return false;
        bool have_moved = false;
        for (const DirectoryEntry& seed : recorded->seeds) {
            const auto known = look_up(seed.shard);
            have_moved = have_moved || !known || is_newer(seed, *known);
            learn(seed);
        }
        if (have_moved || steady_clock::now() >= until) return have_moved;
        std::this_thread::sleep_for(between_looks);
    }
}

Result<void> Attachment::fetch_directory_page(Session& session, ShardId shard, Time deadline) {
    return with_moved_seeds(deadline, [&] { return fetch_from_seeds(session, shard, deadline); });
}

/// From one of the seeds. Each process asks them in an order of its own.
Result<void> Attachment::fetch_from_seeds(Session& session, ShardId shard, Time deadline) {
    const auto count = static_cast<std::uint32_t>(handle_.seeds.size());
    std::vector<PageSink> sinks(count);
    const auto seed_of = [&](std::uint32_t i) {
        const DirectoryEntry& seed = handle_.seeds[(static_cast<std::size_t>(::getpid()) + i) % count];
        return look_up(seed.shard).value_or(seed);
    };
    Error failure(Errc::manager_lost);
    const auto answered = session.call_any(
        count, deadline,
        [&](std::uint32_t i) -> Result<Request> {
            const DirectoryEntry seed = seed_of(i);
            session.add_manager(seed);
            Request request;
            request.verb = wire::Verb::directory;
            request.shard = seed.shard;
            request.argument = number_of(shard);
            request.sink = &sinks[i];
            return request;
        },
        [&](std::uint32_t, const Error& error) {
            failure = error;
            return true;
        });
    if (!answered) {
        const std::string_view why = failure.detail.data();
        return failure.set_detail("asked for the address of manager " + std::to_string(number_of(shard)) +
                                  (why.empty() ? "" : ": ") + std::string(why));
    }
    Unpacker in(sinks[*answered].page());
    while (in.good() && !in.at_end()) {
        const DirectoryEntry entry = unpack_directory_entry(in);
        if (in.good()) learn(entry);
    }
    return {};
}

}  // namespace ddict::client
