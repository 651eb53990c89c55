// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/time_left.h"

#include <charconv>
#include <sstream>

namespace ddict::slurm {
namespace {

using std::chrono::seconds;

/// Takes the digits up to one of these characters off the text.
std::optional<std::int64_t> take_number(std::string_view& text, char until) {
    const std::size_t end = text.find(until);
    if (end == std::string_view::npos) return std::nullopt;
    std::int64_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + end, number);
    if (error != std::errc() || stop != text.data() + end || number < 0 || number > 1'000'000)
        return std::nullopt;
    text.remove_prefix(end + 1);
    return number;
}

/// "4:05", "3:04:05" or "2-03:04:05".
std::optional<seconds> duration_of(std::string_view text) {
    std::int64_t days = 0;
    if (text.find('-') != std::string_view::npos) {
        const auto taken = take_number(text, '-');
        if (!taken) return std::nullopt;
        days = *taken;
    }
    const std::string with_end = std::string(text) + ':';
    std::string_view rest = with_end;
    std::int64_t total = 0;
    int parts = 0;
    for (; !rest.empty(); ++parts) {
        const auto part = take_number(rest, ':');
        if (!part || (parts > 0 && *part > 59)) return std::nullopt;
        total = total * 60 + *part;
    }
    if (parts < 2 || parts > 3) return std::nullopt;
    return seconds(days * 86'400 + total);
}

}  // namespace

SrunCommand ask_for_time_left(std::string_view job_id, const os::Environment& environment) {
    SrunCommand command;
    // The last task of an array has the number of the whole array, which stands for all of its tasks: with
    // its index it is that task alone. In a job that was started by an array's task, both numbers differ.
    std::string job(job_id);
    const std::string_view index = os::value_of(environment, "SLURM_ARRAY_TASK_ID");
    if (!index.empty() && os::value_of(environment, "SLURM_ARRAY_JOB_ID") == job_id)
        job.append("_").append(index);
    // Of a heterogeneous job squeue prints several lines, so each has its job's own number.
    command.argv = {"squeue", "--noheader", "--jobs=" + job, "--format=%A %L"};
    command.environment = without_squeue_settings(environment);
    return command;
}

os::Environment without_squeue_settings(os::Environment environment) {
    std::erase_if(environment, [](const auto& variable) {
        return variable.first.starts_with("SQUEUE_") || variable.first == "SLURM_CLUSTERS";
    });
    return environment;
}

Result<std::optional<seconds>> time_left(std::string_view output, std::string_view job_id) {
    std::istringstream lines{std::string(output)};
    for (std::string id, left; lines >> id >> left;) {
        if (id != job_id) continue;
        if (left == "UNLIMITED") return std::optional<seconds>();
        if (left == "INVALID") return std::optional(seconds(0));  // negative
        if (const auto duration = duration_of(left)) return std::optional(*duration);
        break;
    }
    return Error(Errc::system, "squeue does not say how much time the job has left: '" +
                                   std::string(output.substr(0, 60)) + "'");
}

}  // namespace ddict::slurm
