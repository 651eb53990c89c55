// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A checked client for tests/slurm/soak_test.py, which kills it, cuts the network of its host, and starts it
// again. What must be in the dictionary stands in files of FOLDER, which all hosts share:
//
//   cluster_client run FOLDER HOST NUMBER SEED     works as client NUMBER on host nHOST until it is told to
//   stop cluster_client check FOLDER HOST CLIENTS       that all is there; prints what was done, as JSON
//
// FOLDER/handle is that of the dictionary, FOLDER/control has the words of Control, FOLDER/client.N a record.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/faults/checked_client.h"

namespace ddict::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// What the test tells its clients. It writes before it does something to a host, and after it has undone it.
struct Control {
    static constexpr std::size_t hosts_max = 16;
    struct Host {
        std::atomic<std::uint64_t> is_away;  // its network is cut, or it is off
        std::atomic<std::uint64_t> is_lost;  // its managers have gone for good
        std::atomic<std::uint64_t> back_ns;  // when it was last joined, on the clock of all hosts
    };
    std::atomic<std::uint64_t> stop;
    std::array<Host, hosts_max> hosts;  // by number; the first is not used
};

// No operation takes longer, save where its client is stopped; and so soon after the network of a host is
// back its managers answer everybody.
constexpr auto operation_time_max = 10s;
constexpr auto back_within = 8s;
constexpr auto lost_within = 3s;

/// A file of that size as memory; it is made if it is not there.
template <class T>
T& mapped(const std::filesystem::path& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, sizeof(T)) != 0)
        throw std::runtime_error("cannot make " + path.string());
    void* const memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (memory == MAP_FAILED) throw std::runtime_error("cannot map " + path.string());
    return *static_cast<T*>(memory);
}

std::uint64_t number_in(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument(std::string(text));
    return number;
}

class Rules {
  public:
    Rules(const std::filesystem::path& folder, std::uint64_t host)
        : control_(mapped<Control>(folder / "control")), own_(control_.hosts.at(host)) {}

    bool is_over() const { return control_.stop != 0; }

    /// Only manager_lost, and only if the network between the two was away while the operation went on.
    bool may_fail(const Error& error, steady_clock::time_point begin) const {
        if (error.code != Errc::manager_lost) return false;
        const std::string_view node(error.node.data());
        if (!node.starts_with('n')) return false;
        return was_away(own_, begin) || was_away(control_.hosts.at(number_in(node.substr(1))), begin);
    }

    /// Managers that have gone for good: asked now and then only, since each answer may take its time.
    bool is_lost(const Dictionary& dict, const std::string& key) const {
        const std::string node = dict.manager_nodes().at(dict.which_manager(key));
        return control_.hosts.at(number_in(node.substr(1))).is_lost != 0;
    }

  private:
    static bool was_away(const Control::Host& host, steady_clock::time_point begin) {
        const auto back = steady_clock::time_point(std::chrono::nanoseconds(host.back_ns.load()));
        return host.is_away != 0 || host.is_lost != 0 || begin < back + back_within;
    }

    const Control& control_;
    const Control::Host& own_;
};

Dictionary attach(const std::filesystem::path& folder, std::uint64_t number) {
    std::ifstream file(folder / "handle");
    const std::string handle{std::istreambuf_iterator<char>(file), {}};
    return Dictionary::attach(handle.substr(0, handle.find('\n')),
                              {.timeout = operation_time_max, .local_reads = number % 2 == 0});
}

/// Where no manager is, none can be reached while the network is away. None if it is over before one is.
std::optional<Dictionary> attach_in_the_end(const std::filesystem::path& folder, std::uint64_t number,
                                            const Rules& rules) {
    while (!rules.is_over()) {
        const auto begin = steady_clock::now();
        try {
            return attach(folder, number);
        } catch (const Exception& refused) {
            if (!rules.may_fail(refused.error(), begin)) throw;
        }
        std::this_thread::sleep_for(100ms);
    }
    return std::nullopt;
}

ClientRecord& record_of(const std::filesystem::path& folder, std::uint64_t number) {
    return mapped<ClientRecord>(folder / ("client." + std::to_string(number)));
}

std::string name_of(std::uint64_t number) {
    return "c" + std::to_string(number) + "/";
}

int run(const std::filesystem::path& folder, std::uint64_t host, std::uint64_t number, std::uint64_t seed) {
    const Rules rules(folder, host);
    const std::optional<Dictionary> attached = attach_in_the_end(folder, number, rules);
    if (!attached) return 0;
    const Dictionary& dict = *attached;
    std::mt19937_64 random(seed);
    CheckedClient client(
        dict, record_of(folder, number), name_of(number), random(),
        {.may_fail = [&](const Error& error, auto begin) { return rules.may_fail(error, begin); },
         .avoids = [&](const std::string& key) { return random() % 50 != 0 && rules.is_lost(dict, key); }});
    while (!rules.is_over()) {
        client.step();
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    }
    return 0;
}

/// Those of hosts that have gone say so, in time, and name the host. Returns how many there are.
std::uint64_t check_lost(const Dictionary& dict, const Rules& rules) {
    std::uint64_t lost = 0;
    for (std::uint32_t manager = 0; manager < dict.manager_count(); ++manager) {
        std::string key = "lost";
        while (dict.which_manager(key) != manager)
            key += '+';
        if (!rules.is_lost(dict, key)) continue;
        ++lost;
        const auto begin = steady_clock::now();
        const auto got = dict.try_get(key);
        if (got || got.error().code != Errc::manager_lost ||
            got.error().node.data() != dict.manager_nodes().at(manager))
            throw std::runtime_error(
                key + " is on a lost manager: " + (got ? "it is there" : got.error().message()));
        if (steady_clock::now() - begin > lost_within)
            throw std::runtime_error("told too late: " + got.error().message());
    }
    return lost;
}

int check(const std::filesystem::path& folder, std::uint64_t host, std::uint64_t clients) {
    const Rules rules(folder, host);
    const Dictionary dict = attach(folder, 0);
    const auto avoids = [&](const std::string& key) { return rules.is_lost(dict, key); };
    nlohmann::json report{
        {"operations", 0}, {"refused", 0}, {"lives", 0}, {"longest_ms", 0}, {"longest_refused_ms", 0}};
    std::vector<const ClientRecord*> records;
    for (std::uint64_t number = 0; number < clients; ++number) {
        ClientRecord& record = record_of(folder, number);
        // As a later life would, but for its own keys, which are none.
        CheckedClient(
            dict, record, name_of(number), number,
            {.may_fail = [&](const Error& error, auto begin) { return rules.may_fail(error, begin); },
             .avoids = avoids})
            .check_all();
        records.push_back(&record);
        const auto add = [&](const char* name, std::uint64_t value) {
            report[name] = report[name].get<std::uint64_t>() + value;
        };
        const auto raise = [&](const char* name, std::uint64_t us) {
            report[name] = std::max(report[name].get<std::uint64_t>(), us / 1000);
        };
        add("operations", record.operations);
        add("refused", record.refused);
        add("lives", record.lives - 1);
        raise("longest_ms", record.longest_us);
        raise("longest_refused_ms", record.longest_refused_us);
    }
    check_shared_counters(dict, records, avoids);
    report["lost_managers"] = check_lost(dict, rules);
    std::cout << report.dump() << std::endl;
    return 0;
}

}  // namespace
}  // namespace ddict::faults

int main(int argc, char** argv) {
    using namespace ddict::faults;
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.size() == 5 && words[0] == "run")
            return run(words[1], number_in(words[2]), number_in(words[3]), number_in(words[4]));
        if (words.size() == 4 && words[0] == "check")
            return check(words[1], number_in(words[2]), number_in(words[3]));
    } catch (const std::exception& error) {
        std::cerr << "cluster_client " << words.at(0) << ": " << error.what() << std::endl;
        return 1;
    }
    std::cerr << "usage: see cluster_client.cpp\n";
    return 2;
}
