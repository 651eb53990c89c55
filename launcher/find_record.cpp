// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/find_record.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace ddict::launcher {
namespace {

std::string where(const RendezvousRecord& record) {
    return record.job.empty() ? "on " + record.launcher.host : "of job " + record.job;
}

/// Why it cannot be told whether a dictionary of that name runs; empty if it can.
std::string doubt_about(const ListedRecord& listed, const std::string& name,
                        const os::Environment& environment) {
    if (!listed.record)
        return is_doubtful(listed) ? printable(listed.path) + ": " + listed.record.error().detail.data()
                                   : std::string();
    if (listed.record->name != name) return {};
    return liveness_of(*listed.record, environment).why;
}

/// A dictionary that was started in a job, or under another name of this host, and that lives: status shows
/// it here too, so it can be used and ended from here. Not if there are several.
Result<Found> find_elsewhere(const std::string& folder, const std::string& name,
                             const os::Environment& environment) {
    std::vector<Found> alive;
    const auto records = list_records(folder);
    if (!records) return records.error();
    std::string doubt;
    for (const ListedRecord& listed : *records) {
        if (doubt.empty()) doubt = doubt_about(listed, name, environment);
        if (!listed.record || listed.record->name != name) continue;
        Verdict verdict = liveness_of(*listed.record, environment);
        if (verdict.liveness == Liveness::alive || verdict.liveness == Liveness::ending)
            alive.push_back({listed.path, *listed.record, std::move(verdict)});
    }
    if (alive.size() == 1) return alive.front();
    if (alive.empty())
        return Error(doubt.empty() ? Errc::not_found : Errc::system,
                     none_running(name, doubt, environment) + "; see ddict-launch status");
    std::string places = where(alive.front().record);
    for (std::size_t i = 1; i < alive.size(); ++i)
        places += (i + 1 < alive.size() ? ", " : " and ") + where(alive[i].record);
    return Error(Errc::invalid_argument, "several dictionaries named '" + name + "' are running, " + places +
                                             ": set SLURM_JOB_ID to the job of the one that is meant");
}

}  // namespace

Result<Found> find_record(const Options& options, const os::Environment& environment) {
    const auto folder = state_folder(options, environment);
    if (!folder) return folder.error();
    const std::string path = record_path(*folder, options.name, environment);
    auto record = read_record(path);
    if (!record && record.error().code == Errc::not_found)
        return find_elsewhere(*folder, options.name, environment);
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

bool is_doubtful(const ListedRecord& listed) {
    if (listed.record) return false;
    if (listed.record.error().code == Errc::system) return true;
    struct stat info {};
    return listed.record.error().code == Errc::access_denied && ::lstat(listed.path.c_str(), &info) == 0 &&
           info.st_uid == ::geteuid();
}

std::string none_running(const std::string& name, const std::string& doubt,
                         const os::Environment& environment) {
    const bool has_handle = !os::value_of(environment, "DDICT_HANDLE").empty();
    return "no dictionary " + (name.empty() ? "" : "named '" + name + "' ") + "of ddict-launch start is " +
           (doubt.empty() ? "running here" : "known to run here (" + doubt + ")") +
           (has_handle ? "; that of DDICT_HANDLE is a command's own, or has ended" : "");
}

std::string printable(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
    return text;
}

}  // namespace ddict::launcher
