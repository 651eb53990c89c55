// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/each_manager.h"

#include <algorithm>
#include <iostream>
#include <optional>

#include "tools/error_text.h"
#include "tools/escapes.h"
#include "tools/standard_streams.h"

namespace ddict::tools {
namespace {

using std::chrono::steady_clock;

/// Whether the others may answer all the same.
bool is_of_one_manager(const Error& error) {
    return error.code != Errc::not_attached && error.code != Errc::dictionary_gone &&
           error.code != Errc::frozen && error.code != Errc::invalid_argument;
}

/// Why each manager gives no sign of life, by id, as errors of an operation; nothing for those that do.
std::vector<std::optional<Error>> losses(const View& dict, Operation operation) {
    std::vector<std::optional<Error>> all;
    for (const ManagerHealth& manager : dict.health()) {
        all.resize(std::max<std::size_t>(all.size(), manager.manager + 1));
        all[manager.manager] = manager.error;
        if (manager.error) all[manager.manager]->set_operation(operation);
    }
    return all;
}

/// The next pair, which a manager that lives is waited for until the deadline.
Result<bool> next_of(Cursor& cursor, const View& manager, steady_clock::time_point deadline,
                     std::chrono::milliseconds silence, std::chrono::milliseconds asking) {
    for (;;) {
        Result<bool> more = cursor.next();
        if (more.has_value() || more.error().code != Errc::timeout ||
            steady_clock::now() + silence / 2 >= deadline)
            return more;
        const Result<std::vector<ManagerHealth>> health = manager.within(asking).try_health();
        if (!health || !health->front().alive()) return more;
    }
}

}  // namespace

ExitStatus Answers::tell(std::string_view command) const {
    if (missing.empty()) return success;
    if (!any) throw Exception(missing.front());
    finish_output();  // what there is comes first
    for (const Error& error : missing)
        std::cerr << "ddict: incomplete: " << printable_text(message_of(error, command)) << '\n';
    return partial;
}

Answers on_each_manager(const View& dict, const Waiting& waiting,
                        const std::function<Result<void>(const View&)>& whole,
                        const std::function<Result<void>(const View&)>& one) {
    const auto deadline = steady_clock::now() + waiting.timeout;
    const Result<void> all = whole(dict.within(std::min(waiting.timeout / 2, waiting.silence)));
    if (all) return {.any = true};
    if (dict.manager_count() < 2 || !is_of_one_manager(all.error())) throw Exception(all.error());
    const std::vector<std::optional<Error>> lost =
        losses(dict.within(std::min(waiting.timeout / 4, waiting.silence)), all.error().operation);
    Answers answers;
    for (std::uint32_t manager = 0; manager < lost.size(); ++manager) {
        if (lost[manager]) {
            answers.missing.push_back(*lost[manager]);
            continue;
        }
        const Result<void> done = one(dict.manager(manager).within(waiting.timeout).until(deadline));
        if (!done) answers.missing.push_back(done.error());
        answers.any = answers.any || done;
    }
    return answers;
}

Answers walk_managers(const View& dict, const Waiting& waiting, const ScanOptions& options,
                      const std::function<void(const Cursor&)>& visit) {
    Answers answers;
    // Of one that says nothing: half of the timeout, and a quarter each to ask it and all whether they live.
    const std::chrono::milliseconds silence = std::min(waiting.timeout / 2, waiting.silence);
    const std::chrono::milliseconds asking = std::min(waiting.timeout / 4, waiting.silence);
    auto deadline = steady_clock::now() + waiting.timeout;
    std::vector<std::optional<Error>> lost(dict.manager_count());
    for (std::uint32_t manager = 0; manager < lost.size(); ++manager) {
        if (lost[manager]) {
            answers.missing.push_back(*lost[manager]);
            continue;
        }
        const View quick = dict.manager(manager).within(silence);
        Cursor cursor = quick.cursor(options);
        Result<bool> more = next_of(cursor, quick, deadline, silence, asking);
        for (; more.has_value() && *more; more = next_of(cursor, quick, deadline, silence, asking)) {
            visit(cursor);
            deadline = steady_clock::now() + waiting.timeout;
        }
        answers.any = answers.any || more.has_value();
        if (more.has_value()) continue;
        if (!is_of_one_manager(more.error())) throw Exception(more.error());
        // Which others there is no use in waiting for is found out for all at once.
        if (answers.missing.empty()) {
            lost = losses(dict.within(asking), Operation::scan);
            lost.resize(dict.manager_count());
        }
        answers.missing.push_back(more.error());
    }
    return answers;
}

}  // namespace ddict::tools
