// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The rendezvous file: what "start", or the wrapper of a command, leaves for people, scripts and the other
// verbs to find a dictionary by. One JSON object, for this user's eyes only; it appears whole, after the
// dictionary is ready, and goes when that ends. A file whose launcher is gone is stale: that is found out,
// never waited for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "launcher/options.h"
#include "launcher/own_jobs.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

class OtherHosts;

/// Which process, so exactly that no other can be taken for it.
struct ProcessRecord {
    std::string host;
    std::string machine;  // tells hosts of one name apart; empty if this one does not say
    std::string boot_id;
    std::string pid_namespace;
    std::int64_t pid = 0;
    std::uint64_t start_time = 0;  // clock ticks after boot

    bool operator==(const ProcessRecord&) const = default;
};
ProcessRecord this_process();
/// A pidfd of a process of this user that lives on this host; closed if it does not.
os::FileDescriptor open_process(const ProcessRecord& process);

struct RendezvousRecord {
    std::string name;
    std::string handle;
    std::string dictionary;   // id, as hex digits
    std::string job;          // empty: no Slurm
    std::string job_restart;  // SLURM_RESTART_COUNT
    std::string cluster;      // SLURM_CLUSTER_NAME
    std::string step;         // "JOB.STEP" of the node launchers
    bool of_command = false;  // it ends with the command that `launcher` runs
    bool of_hosts = false;    // of --hosts: its host can be asked by a remote shell
    ProcessRecord launcher;
    std::vector<std::string> nodes;
    std::uint32_t managers = 0;
    std::uint64_t total_bytes = 0;
    std::int64_t created = 0;       // seconds since 1970
    std::vector<std::string> lost;  // "manager 3: n2: was killed ..."
};

std::string format_record(const RendezvousRecord& record);
/// protocol if the text is not what format_record() writes.
Result<RendezvousRecord> parse_record(std::string_view text);

/// Where the files of this user are: DDICT_STATE_DIR, $XDG_STATE_HOME/ddict, or ~/.local/state/ddict.
Result<std::string> state_folder(const Options& options, const os::Environment& environment);
/// Whether a record could be written there, by trying it; leaves nothing. Errors: as of publish().
Result<void> try_state_folder(const std::string& folder);
/// Of the dictionary of that name in this job, or else on this host.
std::string record_path(const std::string& folder, const std::string& name,
                        const os::Environment& environment);

/// Of a command's dictionary: of those there may be several of one name.
std::string command_record_path(const std::string& folder, const RendezvousRecord& record,
                                const os::Environment& environment);

enum class Liveness {
    alive,
    ending,  // destroyed by a client: its launcher is about to end
    stale,
    unknown
};
struct Verdict {
    Liveness liveness = Liveness::unknown;
    std::string why;  // of unknown
};
/// Asks the kernel about a process of this host, Slurm about a step of another, or that host: once for all
/// records that have the same `jobs` and `hosts`.
Verdict liveness_of(const RendezvousRecord& record, const os::Environment& environment, OwnJobs& jobs,
                    OtherHosts& hosts);
Verdict liveness_of(const RendezvousRecord& record, const os::Environment& environment);

/// Only what this user has written, and nobody else can have changed. not_found; access_denied if it is
/// somebody else's, or others may write to it; protocol if it is no record, or makes no sense.
Result<RendezvousRecord> read_record(const std::string& path);

/// Removes the file if it is still this dictionary's (its id): another may have published its own there since
/// it was read. Nothing happens then, or if there is none. Errors: system, naming the file.
Result<void> remove_record(const std::string& path, const std::string& dictionary);

/// A rendezvous file that this process has written; removed with the object.
class RendezvousFile {
  public:
    /// Makes the folder if need be (mode 0700). invalid_argument, saying where, if one of a living dictionary
    /// is there already; a stale one is replaced.
    static Result<RendezvousFile> publish(const std::string& path, const RendezvousRecord& record,
                                          const os::Environment& environment);
    ~RendezvousFile();
    RendezvousFile(RendezvousFile&& other) noexcept
        : path_(std::exchange(other.path_, {})), dictionary_(std::move(other.dictionary_)) {}
    RendezvousFile& operator=(RendezvousFile&&) = delete;

    /// Writes a changed record in its place.
    Result<void> update(const RendezvousRecord& record) const;

  private:
    RendezvousFile(std::string path, std::string dictionary)
        : path_(std::move(path)), dictionary_(std::move(dictionary)) {}
    std::string path_;
    std::string dictionary_;
};

/// invalid_argument if a dictionary that lives or ends, or one whose life cannot be told, has this file, or
/// if it cannot be read. Removes a stale file.
Result<void> require_free(const std::string& path, const os::Environment& environment);

/// Removes what commands of this job, or outside of a job of this host, have left that were killed: records
/// that stand beside `path` in the folder, of launchers that have ended here.
void remove_left_records(const std::string& folder, const std::string& path);

struct ListedRecord {
    std::string path;
    Result<RendezvousRecord> record;
};
/// All of the folder, by path; none if there is no such folder. system if it cannot be read.
Result<std::vector<ListedRecord>> list_records(const std::string& folder);

}  // namespace ddict::launcher
