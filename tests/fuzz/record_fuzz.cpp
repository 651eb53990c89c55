// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The record that "ddict-launch start" leaves in the state folder: any text, and records with any fields.
// What is accepted goes into shells, into the command lines of Slurm's programs, and decides on who gets a
// signal.
#include <sys/types.h>

#include <algorithm>
#include <limits>
#include <string>

#include "base/limits.h"
#include "cluster/handle.h"
#include "launcher/rendezvous_file.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;
using namespace ddict::launcher;

namespace {

bool is_harmless(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return std::string_view("._-:[]+?").find(c) != std::string_view::npos || (c >= '0' && c <= '9') ||
               (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
}

void check(const RendezvousRecord& record) {
    const ProcessRecord& process = record.launcher;
    for (const std::string* word :
         {&record.name, &record.dictionary, &record.handle, &record.job, &record.job_restart, &record.step,
          &process.host, &process.machine, &process.boot_id, &process.pid_namespace})
        fuzz::require(is_harmless(*word));
    fuzz::require(!record.name.empty() && record.name.size() <= limits::name_bytes_max);
    fuzz::require(Handle::parse(record.handle).has_value());
    fuzz::require(process.pid > 1 && process.pid <= std::numeric_limits<pid_t>::max());
    fuzz::require(record.managers >= 1 && record.managers <= limits::managers_max);
    fuzz::require(std::all_of(record.nodes.begin(), record.nodes.end(), is_harmless));
}

bool are_same(const RendezvousRecord& a, const RendezvousRecord& b) {
    return a.name == b.name && a.handle == b.handle && a.dictionary == b.dictionary && a.job == b.job &&
           a.job_restart == b.job_restart && a.step == b.step && a.launcher == b.launcher &&
           a.nodes == b.nodes && a.managers == b.managers && a.total_bytes == b.total_bytes &&
           a.created == b.created && a.lost == b.lost;
}

/// What is accepted is written, and read as the same.
void read(const std::string& text) {
    const Result<RendezvousRecord> record = parse_record(text);
    if (!record) return fuzz::require(record.error().code == Errc::protocol);
    check(*record);
    const Result<RendezvousRecord> again = parse_record(format_record(*record));
    fuzz::require(again.has_value() && are_same(*again, *record));
}

RendezvousRecord good_record() {
    Handle handle;
    handle.dictionary_id = 7;
    handle.managers = 1;
    DirectoryEntry seed;
    seed.address.assign(4, std::byte{1});
    handle.seeds.push_back(seed);
    RendezvousRecord record;
    record.name = "default";
    record.handle = handle.serialize();
    record.dictionary = "0000000000000007";
    record.launcher = {.host = "n1",
                       .machine = "00ff",
                       .boot_id = "1-2",
                       .pid_namespace = "pid:[4026531836]",
                       .pid = 100,
                       .start_time = 5};
    record.nodes = {"n1"};
    record.managers = 1;
    return record;
}

/// Fields with anything in them: whoever can write the file can write that.
RendezvousRecord changed_record(fuzz::Input& input) {
    RendezvousRecord record = good_record();
    fuzz::require(parse_record(format_record(record)).has_value());
    const std::array<std::string*, 11> texts{&record.name,
                                             &record.handle,
                                             &record.dictionary,
                                             &record.job,
                                             &record.job_restart,
                                             &record.step,
                                             &record.launcher.host,
                                             &record.launcher.machine,
                                             &record.launcher.boot_id,
                                             &record.launcher.pid_namespace,
                                             &record.nodes[0]};
    while (!input.is_empty()) {
        const std::size_t what = input.below(texts.size() + 6);
        if (what < texts.size()) {
            const auto bytes = input.take_bytes(input.below(64));
            texts[what]->assign(bytes.begin(), bytes.end());
            continue;
        }
        const std::uint64_t number = input.number();
        switch (what - texts.size()) {
            case 0:
                record.launcher.pid = static_cast<std::int64_t>(number);
                break;
            case 1:
                record.launcher.start_time = number;
                break;
            case 2:
                record.managers = static_cast<std::uint32_t>(number);
                break;
            case 3:
                record.total_bytes = number;
                break;
            case 4:
                record.created = static_cast<std::int64_t>(number);
                break;
            default:
                record.lost.assign(number % 4, "manager 3: n2: was killed\n");
        }
    }
    return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    if (input.flip()) {
        read(format_record(changed_record(input)));
    } else {
        const auto rest = input.take_bytes(size);
        read(std::string(rest.begin(), rest.end()));
    }
    return 0;
}
