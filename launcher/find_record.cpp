// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/find_record.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "launcher/remote_host.h"
#include "os/host_name.h"

namespace ddict::launcher {
namespace {

std::string where(const RendezvousRecord& record) {
    return record.job.empty() ? "on " + record.launcher.host : "of job " + record.job;
}

/// Leaves those alone that `is_nearer` chooses, if there are any.
void prefer(std::vector<Found>& all, const std::function<bool(const RendezvousRecord&)>& is_nearer) {
    if (std::any_of(all.begin(), all.end(), [&](const Found& one) { return is_nearer(one.record); }))
        std::erase_if(all, [&](const Found& one) { return !is_nearer(one.record); });
}

Error several(const std::vector<Found>& alive, const Options& options) {
    const auto differ = [&](auto member) {
        return std::any_of(alive.begin(), alive.end(), [&](const Found& one) {
            return one.record.*member != alive.front().record.*member;
        });
    };
    const bool of_jobs = differ(&RendezvousRecord::job);
    const bool of_names = differ(&RendezvousRecord::name);
    std::string which;
    for (std::size_t i = 0; i < alive.size(); ++i) {
        const RendezvousRecord& record = alive[i].record;
        which += i == 0 ? "" : i + 1 < alive.size() ? ", " : " and ";
        which += of_names ? "'" + record.name + "'" : where(record);
    }
    return Error(Errc::invalid_argument,
                 (of_names ? "job " + options.job + " has several dictionaries, " + which
                           : "several dictionaries named '" + options.name + "' are running, " + which) +
                     (of_names  ? ": choose one by --name"
                      : of_jobs ? ": choose one by --job"
                                : ": for the next time, give each a --name of its own"));
}

/// A dictionary of a command, or of start elsewhere, that lives. Not if there are several.
Result<Found> find_among_all(const std::string& folder, const Options& options,
                             const os::Environment& environment) {
    std::vector<Found> alive;
    const auto records = list_records(folder);
    if (!records) return records.error();
    std::string doubt;  // why it cannot be told whether one that is meant runs
    OwnJobs jobs(environment);
    OtherHosts hosts(environment);
    for (const ListedRecord& listed : *records)
        if (listed.record && is_meant(*listed.record, options)) hosts.foresee(*listed.record);
    for (const ListedRecord& listed : *records) {
        if (doubt.empty() && is_doubtful(listed))
            doubt = printable(listed.path) + ": " + listed.record.error().detail.data();
        if (!listed.record || !is_meant(*listed.record, options)) continue;
        Verdict verdict = liveness_of(*listed.record, environment, jobs, hosts);
        if (doubt.empty()) doubt = verdict.why;
        if (verdict.liveness == Liveness::alive || verdict.liveness == Liveness::ending)
            alive.push_back({listed.path, *listed.record, std::move(verdict)});
    }
    const std::string_view own_job = os::value_of(environment, "SLURM_JOB_ID");
    if (options.job.empty())
        prefer(alive, [&](const RendezvousRecord& record) {
            return record.job == own_job && (!own_job.empty() || record.launcher.host == os::host_name());
        });
    prefer(alive, [](const RendezvousRecord& record) { return !record.of_command; });
    if (alive.size() == 1) return alive.front();
    if (!alive.empty()) return several(alive, options);
    const bool any_name = !options.job.empty() && !options.name_given;
    return Error(
        doubt.empty() ? Errc::not_found : Errc::system,
        none_running({.name = any_name ? "" : options.name, .job = options.job}, doubt, environment) +
            "; see ddict-launch status");
}

}  // namespace

bool is_meant(const RendezvousRecord& record, const Options& options) {
    if (options.job.empty()) return record.name == options.name;
    return record.job == options.job && (!options.name_given || record.name == options.name);
}

Result<Found> find_record(const Options& options, const os::Environment& environment) {
    const auto folder = state_folder(options, environment);
    if (!folder) return folder.error();
    if (!options.job.empty()) return find_among_all(*folder, options, environment);
    const std::string path = record_path(*folder, options.name, environment);
    auto record = read_record(path);
    if (!record && record.error().code == Errc::not_found)
        return find_among_all(*folder, options, environment);
    if (!record && record.error().code == Errc::protocol)
        return Error(Errc::protocol, path + ": " + record.error().detail.data() + "; remove it");
    if (!record && record.error().code == Errc::system)
        return Error(Errc::system,
                     std::string(record.error().detail.data()) + "; check --state-dir (" + path + ")");
    if (!record) return Error(record.error().code, path + ": " + record.error().detail.data());
    if (record->name != options.name)
        return Error(Errc::protocol, path + ": this file is of a dictionary named '" + record->name +
                                         "'; put it back in its place, or remove it");
    Verdict verdict = liveness_of(*record, environment);
    return Found{path, *std::move(record), std::move(verdict)};
}

Result<Found> find_running(const Options& options, const os::Environment& environment) {
    Result<Found> found = find_record(options, environment);
    if (!found) return found;
    // A command's of the same name may run while start's has ended without a word.
    if (found->verdict.liveness == Liveness::stale && options.job.empty()) {
        const auto folder = state_folder(options, environment);
        if (Result<Found> other = folder ? find_among_all(*folder, options, environment) : folder.error())
            found = std::move(other);
    }
    const std::string name = "'" + found->record.name + "'";
    if (found->verdict.liveness == Liveness::stale)
        return Error(Errc::not_found, name + " has ended without a word; start it again");
    if (found->verdict.liveness == Liveness::ending)
        return Error(Errc::not_found, name + " was destroyed by a client; start it again");
    return found;
}

bool is_doubtful(const ListedRecord& listed) {
    if (listed.record) return false;
    if (listed.record.error().code == Errc::system) return true;
    struct stat info {};
    return listed.record.error().code == Errc::access_denied && ::lstat(listed.path.c_str(), &info) == 0 &&
           info.st_uid == ::geteuid();
}

std::string none_running(const Sought& sought, const std::string& doubt, const os::Environment& environment) {
    const bool has_handle = !os::value_of(environment, "DDICT_HANDLE").empty();
    return "no dictionary " + (sought.name.empty() ? "" : "named '" + sought.name + "' ") +
           (sought.job.empty() ? "" : "of job " + sought.job + " ") + "is " +
           (doubt.empty() ? "running here" : "known to run here (" + doubt + ")") +
           (has_handle ? "; that of DDICT_HANDLE has no record, or has ended" : "");
}

std::string printable(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
    return text;
}

}  // namespace ddict::launcher
