// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How an attachment finds the first manager that answers, and what it says if there is none.
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "libclient/attachment.h"

namespace ddict::client {
namespace {

/// Why nobody has answered.
class AttachFailure {
  public:
    /// False if it is of no use to ask others.
    bool add(const Error& error) {
        ++asked_;
        const bool ended = error.manager_state == ManagerState::ended || error.code == Errc::dictionary_gone;
        ended_ += ended ? 1 : 0;
        is_sure_ = is_sure_ || error.code == Errc::dictionary_gone;
        // A reason to do something about is worth more than a death, and the first of them most.
        if (asked_ == 1 || rank(error) > rank(worst_)) worst_ = error;
        return error.code != Errc::access_denied && error.code != Errc::incompatible;
    }
    /// `no_directory`: nothing on this node says that the dictionary is running, of which there are so many
    /// managers.
    Error sum_up(bool no_directory, std::uint32_t managers) const {
        Error error = worst_;
        error.set_operation(Operation::attach);
        if (rank(error) > rank_of_managers) return error;
        const bool is_proof = no_directory || is_sure_ || asked_ == managers;
        const bool has_ended = ended_ == asked_ && is_proof;
        error.code = has_ended                     ? Errc::dictionary_gone
                     : error.code == Errc::timeout ? Errc::timeout
                                                   : Errc::manager_lost;
        // Of the manager that is named; the reason gets most of the text.
        const std::string why = worst_.detail.data();
        if (asked_ == 1) return error.set_detail(why.empty() ? how_they_are(has_ended) : why);
        return error.set_detail(how_they_are(has_ended) + (why.empty() ? "" : "; this one: " + why));
    }

  private:
    std::string how_they_are(bool have_ended) const {
        if (asked_ == 1) return have_ended ? "it has ended" : "it could not be reached";
        const std::string managers = std::to_string(asked_) + " managers asked ";
        return have_ended ? "all " + managers + "have ended" : "none of " + managers + "could be reached";
    }

    static constexpr int rank_of_managers = 2;
    static int rank(const Error& error) {
        if (error.code == Errc::dictionary_gone || error.manager_state == ManagerState::ended) return 0;
        if (error.code == Errc::manager_lost) return 1;
        if (error.code == Errc::timeout) return rank_of_managers;
        return error.code == Errc::access_denied || error.code == Errc::incompatible ? 4 : 3;
    }

    unsigned asked_ = 0;
    unsigned ended_ = 0;
    bool is_sure_ = false;
    Error worst_{Errc::dictionary_gone};
};

}  // namespace

/// Any of this node's directory, then the seeds; with a directory, some of the others too. Chosen at random,
/// so that the clients of a large job do not all begin with the same manager.
std::vector<std::uint32_t> Attachment::candidates_for_hello() const {
    constexpr std::size_t candidates_max = 16;
    std::minstd_rand random(static_cast<unsigned>(::getpid()));
    std::vector<std::uint32_t> candidates;
    const auto add = [&](std::uint32_t manager) {
        if (std::find(candidates.begin(), candidates.end(), manager) == candidates.end())
            candidates.push_back(manager);
    };
    const std::uint32_t first = std::uniform_int_distribution<std::uint32_t>(0, handle_.managers - 1)(random);
    if (directory_) add(first);
    const std::size_t before = candidates.size();
    for (const DirectoryEntry& seed : handle_.seeds)
        add(number_of(seed.shard));
    std::shuffle(candidates.begin() + static_cast<std::ptrdiff_t>(before), candidates.end(), random);
    for (std::uint32_t i = 1; directory_ && i < handle_.managers && candidates.size() < candidates_max; ++i)
        add((first + i) % handle_.managers);
    return candidates;
}

Result<void> Attachment::say_hello_first(Session& session, Time deadline) {
    return with_moved_seeds(deadline, [&] { return say_hello_to_one(session, deadline); });
}

/// Speaks to one manager. That none answers does not say that none lives: only the kernel of their own host,
/// or the managers' own word, does.
Result<void> Attachment::say_hello_to_one(Session& session, Time deadline) {
    const std::vector<std::uint32_t> candidates = candidates_for_hello();
    AttachFailure failure;
    const auto answered = session.call_any(
        static_cast<std::uint32_t>(candidates.size()), deadline,
        [&](std::uint32_t i) -> Result<Request> {
            const Result<DirectoryEntry> where = entry(session, ShardId{candidates[i]}, deadline);
            if (!where) return where.error();
            session.add_manager(*where);
            Request ping;
            ping.shard = ShardId{candidates[i]};
            return ping;
        },
        [&](std::uint32_t i, Error error) {
            error.set_manager(candidates[i]);
            name_node(error);
            return failure.add(error);
        });
    if (answered) return {};
    return failure.sum_up(!directory_, handle_.managers);
}

}  // namespace ddict::client
