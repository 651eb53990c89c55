// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/rendezvous_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/hash.h"
#include "base/hex.h"
#include "cluster/handle.h"
#include "launcher/ending.h"
#include "launcher/remote_host.h"
#include "os/boot_id.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/host_name.h"
#include "os/own_file.h"
#include "os/process_stat.h"
#include "os/process_watch.h"
#include "os/small_file.h"
#include "os/state_folder.h"

namespace ddict::launcher {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int format_number = 1;
constexpr char command_mark = '+';  // no character of a name
constexpr std::size_t record_bytes_max = std::size_t{4} << 20;

Error file_error(const std::string& what, const std::string& path, int error) {
    return Error(Errc::system,
                 what + " " + path + ": " + std::strerror(error) + "; choose another --state-dir")
        .set_operation(Operation::launch);
}

/// A hash of the machine's id, which itself is for programs of this host only (machine-id(5)).
std::string machine() {
    const std::string id = os::first_line_of("/etc/machine-id");
    return id.empty() ? id : hex(hash_of(bytes_of("ddict" + id)));
}

/// Empty if /proc does not show this process by its number: it may be that of another namespace.
std::string pid_namespace() {
    std::error_code error;
    if (fs::read_symlink("/proc/self", error).string() != std::to_string(getpid())) return {};
    return fs::read_symlink("/proc/self/ns/pid", error).string();
}

/// Whether the process, which lives, is this user's.
bool is_own(std::int64_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("Uid:")) continue;
        std::istringstream fields(line.substr(4));
        uid_t real = 0;
        uid_t effective = 0;
        return fields >> real >> effective && real == getuid() && effective == geteuid();
    }
    return false;
}

/// What is needed to tell a process from all others could be found out.
bool is_known(const ProcessRecord& process) {
    return !process.boot_id.empty() && !process.pid_namespace.empty() && process.start_time != 0;
}

/// Whether this process can see the other one, if that lives.
bool is_visible(const ProcessRecord& process, const ProcessRecord& here) {
    return process.host == here.host && process.machine == here.machine && process.boot_id == here.boot_id &&
           process.pid_namespace == here.pid_namespace;
}

/// Of a process of this boot and pid namespace, by `here`, this process, which sees them. What could not be
/// found out is unknown, never stale: a record is thrown away for that.
Liveness liveness_here(const ProcessRecord& process, const ProcessRecord& here) {
    if (process.pid <= 0) return Liveness::stale;
    if (!is_known(process) || !is_known(here)) return Liveness::unknown;
    const Result<os::ProcessStat> now = os::process_stat(static_cast<pid_t>(process.pid));
    if (now) {
        const bool same = !now->has_ended() && now->start_time == process.start_time && is_own(process.pid);
        return same ? Liveness::alive : Liveness::stale;
    }
    // A /proc that hides processes of others shows all of this user's, but another one may be mounted there.
    const bool has_gone = kill(static_cast<pid_t>(process.pid), 0) != 0 && (errno == ESRCH || errno == EPERM);
    return now.error().code == Errc::manager_lost && has_gone ? Liveness::stale : Liveness::unknown;
}

/// Not empty, not long, and nothing but these characters, letters and digits.
bool is_word(std::string_view text, std::string_view also = "") {
    constexpr std::size_t word_bytes_max = 256;
    const auto good = [also](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               also.find(c) != std::string_view::npos;
    };
    return !text.empty() && text.size() <= word_bytes_max && std::all_of(text.begin(), text.end(), good);
}

bool is_number(std::string_view text) {
    return is_word(text) && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_host(std::string_view text) {
    return text == "?" || is_word(text, "-._");
}

bool is_step(std::string_view text) {
    return is_word(text, ".+_") && text[0] >= '0' && text[0] <= '9';
}

/// An integer, if it is one that fits.
template <class T>
bool take(const json& value, T& into) {
    if (!value.is_number_integer()) return false;
    into = value.get<T>();
    return json(into) == value;
}

/// What goes into a shell, into the command lines of Slurm's programs, or decides on who gets a signal.
bool makes_sense(const RendezvousRecord& record) {
    const ProcessRecord& process = record.launcher;
    constexpr std::int64_t year_9999 = 253'402'300'799;
    return is_word(record.name, "._-") && record.name.size() <= limits::name_bytes_max &&
           is_word(record.dictionary) && record.handle.size() <= limits::handle_bytes_max &&
           record.handle.find_first_of(" \r\n") == std::string::npos && Handle::parse(record.handle) &&
           (record.job.empty() || is_number(record.job)) &&
           (record.job_restart.empty() || is_number(record.job_restart)) &&
           (record.cluster.empty() || is_word(record.cluster, "-._")) &&
           (record.step.empty() || is_step(record.step)) && is_host(process.host) &&
           (process.machine.empty() || is_word(process.machine)) &&
           (process.boot_id.empty() || is_word(process.boot_id, "-")) &&
           (process.pid_namespace.empty() || is_word(process.pid_namespace, ":[]")) && process.pid > 1 &&
           process.pid <= std::numeric_limits<pid_t>::max() && record.managers >= 1 &&
           record.managers <= limits::managers_max && record.nodes.size() <= limits::hosts_max &&
           std::all_of(record.nodes.begin(), record.nodes.end(), is_host) && record.created >= 0 &&
           record.created <= year_9999;
}

/// With those above it that are missing, each for this user alone whatever its umask says.
Result<void> make_folder(const fs::path& folder) {
    if (mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
    if (errno != ENOENT || !folder.has_parent_path() || folder.parent_path() == folder)
        return file_error("cannot make", folder.string(), errno);
    if (const auto above = make_folder(folder.parent_path()); !above) return above;
    if (mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
    return file_error("cannot make", folder.string(), errno);
}

/// access_denied if any user of the machine may take this folder's files away and put others in their place.
/// A folder that is not there yet is good.
Result<void> require_safe_folder(const std::string& folder) {
    struct stat info {};
    if (::stat(folder.c_str(), &info) != 0)
        return {};  // whoever makes it, or a file in it, says what is wrong
    if ((info.st_mode & S_IWOTH) == 0 || (info.st_mode & S_ISVTX) != 0) return {};
    return Error(Errc::access_denied, "any user may replace the files in " + folder + " (mode " +
                                          os::mode_text(info.st_mode) +
                                          "): chmod o-w it, or choose another --state-dir")
        .set_operation(Operation::launch);
}

/// A new file beside `path` with the text in it, safely on the disk. Its name, or an error.
Result<std::string> write_beside(const std::string& path, const std::string& text) {
    std::string name = path + ".XXXXXX";
    const os::FileDescriptor file(mkostemp(name.data(), O_CLOEXEC));  // mode 0600
    if (!file.is_open()) return file_error("cannot write", path, errno);
    struct stat info {};
    if (fstat(file.fd(), &info) != 0 || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
        unlink(name.c_str());
        return Error(Errc::access_denied, "files that are made in " + fs::path(path).parent_path().string() +
                                              " are not this user's alone: choose another --state-dir")
            .set_operation(Operation::launch);
    }
    if (!os::write_fully(file.fd(), text) || fsync(file.fd()) != 0) {
        const int error = errno;
        unlink(name.c_str());
        return file_error("cannot write", path, error);
    }
    return name;
}

Verdict ask_slurm(const RendezvousRecord& record, OwnJobs& jobs) {
    if (record.step.empty()) return {Liveness::unknown, "it was started on " + record.launcher.host};
    const Result<bool> there = jobs.has(
        {.id = record.step, .job = record.job, .restarts = record.job_restart, .cluster = record.cluster});
    if (!there.has_value()) return {Liveness::unknown, there.error().detail.data()};
    return {*there ? Liveness::alive : Liveness::stale, {}};
}

Error is_running(const std::string& path, const RendezvousRecord& record, const Verdict& verdict) {
    std::string text = "a dictionary named '" + record.name + "' ";
    if (verdict.liveness == Liveness::ending) {
        text += "was destroyed by a client, and has not ended yet: wait, or choose another --name";
    } else if (verdict.liveness == Liveness::alive) {
        text += "is running already: end it with ddict-launch stop --name " + record.name +
                ", or choose another --name";
    } else {
        text += "may be running (" + verdict.why + "); if it is not, remove " + path;
    }
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

/// The launcher in the background leaves the folder that it was started in.
Result<std::string> absolute_folder(const std::string& folder) {
    std::error_code error;
    const fs::path absolute = fs::absolute(folder, error);
    if (!error) return absolute.string();
    return Error(Errc::system, "the current folder cannot be found (" + error.message() + "), to which '" +
                                   folder +
                                   "' is relative: change to one that exists, or name an absolute path")
        .set_operation(Operation::launch);
}

}  // namespace

ProcessRecord this_process() {
    ProcessRecord record;
    record.host = os::host_name();
    record.machine = machine();
    record.boot_id = os::boot_id().value_or("");
    record.pid_namespace = pid_namespace();
    record.pid = getpid();
    if (const auto self = os::process_stat(getpid())) record.start_time = self->start_time;
    return record;
}

os::FileDescriptor open_process(const ProcessRecord& process) {
    const ProcessRecord here = this_process();
    if (!is_visible(process, here)) return {};
    // First hold on to whatever has the number now, then look whether it is the right one.
    os::FileDescriptor pidfd = os::open_pidfd(static_cast<pid_t>(process.pid));
    if (liveness_here(process, here) != Liveness::alive) pidfd.reset();
    return pidfd;
}

std::string format_record(const RendezvousRecord& record) {
    const ProcessRecord& process = record.launcher;
    const json object{{"format", format_number},
                      {"name", record.name},
                      {"handle", record.handle},
                      {"dictionary", record.dictionary},
                      {"job", record.job},
                      {"job_restart", record.job_restart},
                      {"cluster", record.cluster},
                      {"step", record.step},
                      {"of_command", record.of_command},
                      {"of_hosts", record.of_hosts},
                      {"launcher",
                       {{"host", process.host},
                        {"machine", process.machine},
                        {"boot_id", process.boot_id},
                        {"pid_namespace", process.pid_namespace},
                        {"pid", process.pid},
                        {"start_time", process.start_time}}},
                      {"nodes", record.nodes},
                      {"managers", record.managers},
                      {"total_bytes", record.total_bytes},
                      {"created", record.created},
                      {"lost", record.lost}};
    return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<RendezvousRecord> parse_record(std::string_view text) {
    const Error bad(Errc::protocol, "this is no rendezvous file of this version of ddict");
    const json object = json::parse(text, nullptr, false);
    if (!object.is_object() || object.value("format", json()) != json(format_number)) return bad;
    try {
        RendezvousRecord record;
        object.at("name").get_to(record.name);
        object.at("handle").get_to(record.handle);
        object.at("dictionary").get_to(record.dictionary);
        object.at("job").get_to(record.job);
        object.at("job_restart").get_to(record.job_restart);
        record.cluster = object.value("cluster", "");  // which not all versions write
        object.at("step").get_to(record.step);
        record.of_command = object.value("of_command", json()) == json(true);  // nor this
        record.of_hosts = object.value("of_hosts", json()) == json(true);      // nor this
        const json& process = object.at("launcher");
        process.at("host").get_to(record.launcher.host);
        record.launcher.machine = process.value("machine", "");  // nor this
        process.at("boot_id").get_to(record.launcher.boot_id);
        process.at("pid_namespace").get_to(record.launcher.pid_namespace);
        object.at("nodes").get_to(record.nodes);
        object.at("lost").get_to(record.lost);
        const bool numbers = take(process.at("pid"), record.launcher.pid) &&
                             take(process.at("start_time"), record.launcher.start_time) &&
                             take(object.at("managers"), record.managers) &&
                             take(object.at("total_bytes"), record.total_bytes) &&
                             take(object.at("created"), record.created);
        if (!numbers || !makes_sense(record)) return bad;
        return record;
    } catch (const json::exception&) {
        return bad;
    }
}

Result<std::string> state_folder(const Options& options, const os::Environment& environment) {
    if (!options.state_dir.empty()) return absolute_folder(options.state_dir);
    if (const std::string folder = os::default_state_folder(environment); !folder.empty())
        return absolute_folder(folder);
    return Error(Errc::invalid_argument, "neither HOME nor XDG_STATE_HOME is set: say --state-dir")
        .set_operation(Operation::launch);
}

Result<void> try_state_folder(const std::string& folder) {
    std::vector<fs::path> missing;
    std::error_code none;
    for (fs::path at = folder; !fs::exists(at, none) && at != at.parent_path(); at = at.parent_path())
        missing.push_back(at);
    Result<void> usable = make_folder(folder);
    if (usable) usable = require_safe_folder(folder);
    if (usable) {
        const auto written = write_beside(folder + "/check", "{}\n");
        if (written) unlink(written->c_str());
        if (!written) usable = written.error();
    }
    for (const fs::path& made : missing)
        rmdir(made.c_str());
    return usable;
}

std::string record_path(const std::string& folder, const std::string& name,
                        const os::Environment& environment) {
    const std::string job(os::value_of(environment, "SLURM_JOB_ID"));
    return folder + "/" + (job.empty() ? "local@" + os::host_name() : job) + "-" + name + ".json";
}

std::string command_record_path(const std::string& folder, const RendezvousRecord& record,
                                const os::Environment& environment) {
    const fs::path path = record_path(folder, record.name, environment);
    return folder + "/" + path.stem().string() + command_mark + record.dictionary + ".json";
}

Verdict liveness_of(const RendezvousRecord& record, const os::Environment& environment) {
    OwnJobs jobs(environment);
    OtherHosts hosts(environment);
    return liveness_of(record, environment, jobs, hosts);
}

Verdict liveness_of(const RendezvousRecord& record, const os::Environment& environment, OwnJobs& jobs,
                    OtherHosts& hosts) {
    const ProcessRecord here = this_process();
    const ProcessRecord& there = record.launcher;
    if (there.host == here.host) {
        const std::string unreadable = "/proc does not show here whether its launcher lives";
        if (there.boot_id.empty() || here.boot_id.empty() || here.pid_namespace.empty())
            return {Liveness::unknown, unreadable};
        // Of this machine before it was started again, or of another one with the same name?
        const bool same_machine = !there.machine.empty() && there.machine == here.machine;
        if (there.boot_id != here.boot_id && same_machine) return {Liveness::stale, {}};
        if (there.boot_id != here.boot_id && record.job.empty())
            return {Liveness::unknown, "it was started on another machine that is called " + there.host +
                                           " too, or before that was started again"};
        if (there.boot_id == here.boot_id && there.pid_namespace == here.pid_namespace) {
            Liveness liveness = liveness_here(there, here);
            if (liveness == Liveness::alive && is_ending(record)) liveness = Liveness::ending;
            return {liveness, liveness == Liveness::unknown ? unreadable : std::string()};
        }
        if (record.job.empty())
            return {Liveness::unknown, "it was started in another container on this host"};
    }
    if (record.of_hosts) return hosts.ask(there);
    if (record.job.empty()) return {Liveness::unknown, "it was started on " + there.host};
    // The same job, put back into the queue and started again: what ran before is gone.
    if (record.job == os::value_of(environment, "SLURM_JOB_ID") &&
        record.job_restart != os::value_of(environment, "SLURM_RESTART_COUNT"))
        return {Liveness::stale, {}};
    return ask_slurm(record, jobs);
}

Result<RendezvousRecord> read_record(const std::string& path) {
    const auto text = os::read_own_file(path, record_bytes_max);
    return text ? parse_record(*text) : text.error();
}

Result<void> require_free(const std::string& path, const os::Environment& environment) {
    if (const auto safe = require_safe_folder(fs::path(path).parent_path().string()); !safe) return safe;
    if (!is_known(this_process()))
        return Error(Errc::system,
                     "/proc does not show this process, by which others are to find the dictionary: mount it")
            .set_operation(Operation::launch);
    const auto record = read_record(path);
    if (!record && record.error().code == Errc::not_found) return {};
    if (!record && record.error().code == Errc::access_denied)
        return Error(Errc::access_denied,
                     path + ": " + record.error().detail.data() + "; choose another --name or --state-dir")
            .set_operation(Operation::launch);
    if (!record && record.error().code == Errc::system)
        return Error(Errc::system, std::string(record.error().detail.data()) +
                                       "; choose another --state-dir (" + path + ")")
            .set_operation(Operation::launch);
    // Files of ours come into being whole: what cannot be read is another version's, and may be in use.
    if (!record)
        return Error(Errc::invalid_argument,
                     path + ": " + record.error().detail.data() + "; remove it, or choose another --name")
            .set_operation(Operation::launch);
    const Verdict verdict = liveness_of(*record, environment);
    if (verdict.liveness != Liveness::stale) return is_running(path, *record, verdict);
    return remove_record(path, record->dictionary);
}

Result<void> remove_record(const std::string& path, const std::string& dictionary) {
    // Taken out of the way first: between a look and an unlink another dictionary could publish its own.
    const std::string aside = path + "." + std::to_string(getpid()) + ".old";
    if (rename(path.c_str(), aside.c_str()) != 0)
        return errno == ENOENT ? Result<void>() : file_error("cannot remove", path, errno);
    const auto record = read_record(aside);
    if (record && record->dictionary != dictionary && link(aside.c_str(), path.c_str()) != 0 &&
        errno != EEXIST) {
        const int error = errno;
        return file_error("cannot put back, from " + aside + ",", path, error);
    }
    if (unlink(aside.c_str()) != 0) return file_error("cannot remove", aside, errno);
    return {};
}

Result<RendezvousFile> RendezvousFile::publish(const std::string& path, const RendezvousRecord& record,
                                               const os::Environment& environment) {
    const fs::path folder = fs::path(path).parent_path();
    if (const auto made = make_folder(folder); !made) return made.error();
    if (const auto safe = require_safe_folder(folder.string()); !safe) return safe.error();
    const auto written = write_beside(path, format_record(record));
    if (!written) return written.error();
    // A link, unlike a renaming, never replaces what another start has published meanwhile.
    for (int attempt = 0; attempt < 3; ++attempt) {
        if (link(written->c_str(), path.c_str()) == 0) {
            unlink(written->c_str());
            return RendezvousFile(path, record.dictionary);
        }
        if (errno != EEXIST) break;
        if (const auto free = require_free(path, environment); !free) {
            unlink(written->c_str());
            return free.error();
        }
    }
    const int link_error = errno;
    unlink(written->c_str());
    return file_error("cannot write", path, link_error);
}

RendezvousFile::~RendezvousFile() {
    if (path_.empty()) return;
    // If it stays, it is stale: whoever meets it finds that out.
    [[maybe_unused]] const auto removed = remove_record(path_, dictionary_);
}

Result<void> RendezvousFile::update(const RendezvousRecord& record) const {
    const auto written = write_beside(path_, format_record(record));
    if (!written) return written.error();
    if (rename(written->c_str(), path_.c_str()) == 0) return {};
    const int error = errno;
    unlink(written->c_str());
    return file_error("cannot write", path_, error);
}

void remove_left_records(const std::string& folder, const std::string& path) {
    const std::string own = fs::path(path).filename().string();
    const std::string beginning = own.substr(0, own.rfind(command_mark) + 1);
    const ProcessRecord here = this_process();
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (!at->path().filename().string().starts_with(beginning)) continue;
        const auto record = read_record(at->path().string());
        if (!record || !record->of_command) continue;
        // What cannot be removed stays stale, and the next one may succeed.
        if (is_visible(record->launcher, here) && liveness_here(record->launcher, here) == Liveness::stale)
            [[maybe_unused]]
            const auto removed = remove_record(at->path().string(), record->dictionary);
    }
}

Result<std::vector<ListedRecord>> list_records(const std::string& folder) {
    std::vector<ListedRecord> records;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (at->path().extension() != ".json") continue;
        ListedRecord listed{at->path().string(), read_record(at->path().string())};
        const bool gone = !listed.record && listed.record.error().code == Errc::not_found;  // meanwhile
        if (!gone) records.push_back(std::move(listed));
    }
    if (error && error != std::errc::no_such_file_or_directory)
        return Error(Errc::system, "cannot read the folder of records: " + error.message() +
                                       "; check --state-dir (" + folder + ")")
            .set_operation(Operation::launch);
    std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return records;
}

}  // namespace ddict::launcher
