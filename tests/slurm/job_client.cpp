// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the jobs of jobs_test.py run. Finds the dictionary in its environment.
//
//   job_client roundtrip PREFIX COUNT       puts and gets COUNT values of many sizes
//   job_client large KEY BYTES TIMES        puts one large value, again and again
//   job_client watch READY STOP             one thread a manager puts and gets a key of that manager, until
//   the file
//                                           STOP exists; makes READY when all have answered; prints what it
//                                           saw, as JSON
//   job_client create NODES HANDLE STOP     makes a dictionary, writes its handle to a file, destroys it when
//   STOP exists
//   job_client forked PREFIX COUNT          the same as roundtrip, and then in a child of fork(); prints how
//   that reaches each manager, or why it does not, as JSON job_client where                        prints
//   which managers are on this node, and what is on them, as JSON
#include <ddict/dictionary.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using ddict::Dictionary;
using std::chrono::duration;
using std::chrono::steady_clock;

/// On the clock that all hosts of the cluster share, since they are one machine.
double seconds_of(steady_clock::time_point when) {
    return duration<double>(when.time_since_epoch()).count();
}

std::string value_of(std::size_t number, std::size_t bytes) {
    std::string value(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i)
        value[i] = static_cast<char>((number * 131 + i * 7) & 0xff);
    return value;
}

/// A file that is either not there or whole.
void write_file(const std::filesystem::path& path, const std::string& text) {
    const std::filesystem::path unfinished = path.string() + ".new";
    std::ofstream out(unfinished);
    out << text << std::flush;
    if (!out) throw std::runtime_error("cannot write " + unfinished.string());
    std::filesystem::rename(unfinished, path);
}

int roundtrip(const std::string& prefix, std::size_t count) {
    constexpr std::size_t sizes[] = {0, 8, 100, 4096, 4097, 70'000, 1'000'000};
    auto dict = Dictionary::attach();
    for (std::size_t i = 0; i < count; ++i)
        dict.put(prefix + std::to_string(i), value_of(i, sizes[i % std::size(sizes)]));
    for (std::size_t i = 0; i < count; ++i) {
        if (dict.get(prefix + std::to_string(i)) == value_of(i, sizes[i % std::size(sizes)])) continue;
        std::cerr << "job_client: the value of " << prefix << i << " is not the one that was stored\n";
        return 1;
    }
    return 0;
}

int large(const std::string& key, std::size_t bytes, std::size_t times) {
    auto dict = Dictionary::attach();
    const std::string value = value_of(bytes, bytes);
    for (std::size_t i = 0; i < times; ++i)
        dict.put(key, value);
    return 0;
}

/// What one thread of `watch` saw of its manager.
struct Observations {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    double longest_done = 0;    // seconds
    double longest_failed = 0;  // seconds
    double last_done_at = 0;
    nlohmann::json first_error;

    void add(const ddict::Result<void>& result, steady_clock::time_point begin) {
        const auto end = steady_clock::now();
        const double took = duration<double>(end - begin).count();
        if (result) {
            ++done;
            longest_done = std::max(longest_done, took);
            last_done_at = seconds_of(end);
            return;
        }
        longest_failed = std::max(longest_failed, took);
        if (failed++ == 0)
            first_error = {{"at", seconds_of(end)},
                           {"took", took},
                           {"code", name(result.error().code)},
                           {"message", result.error().message()}};
    }
};

ddict::Result<void> put_and_get(Dictionary& dict, const std::string& key, const std::string& value) {
    if (const auto put = dict.try_put(key, value); !put) return put;
    const auto got = dict.try_get(key);
    if (!got) return got.error();
    if (*got != value) return ddict::Error(ddict::Errc::protocol, "another value than the one that was put");
    return {};
}

int watch(const std::string& ready, const std::filesystem::path& stop) {
    auto dict = Dictionary::attach();
    const std::uint32_t managers = dict.manager_count();
    std::vector<Observations> seen(managers);
    std::atomic<std::uint32_t> answered = 0;
    std::atomic<bool> ending = false;
    std::vector<std::thread> threads;
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        threads.emplace_back([&, manager] {
            std::string key;
            for (std::size_t i = 0; key.empty() || dict.which_manager(key) != manager; ++i)
                key = "watch" + std::to_string(i);
            for (std::uint64_t i = 0; !ending; ++i) {
                const auto begin = steady_clock::now();
                seen[manager].add(put_and_get(dict, key, std::to_string(i)), begin);
                if (i == 0) ++answered;
                std::this_thread::sleep_for(5ms);
            }
        });
    bool said = false;
    while (!std::filesystem::exists(stop)) {
        if (!said && answered == managers) {
            write_file(ready, "ready\n");
            said = true;
        }
        std::this_thread::sleep_for(10ms);
    }
    ending = true;
    for (auto& thread : threads)
        thread.join();
    nlohmann::json report = nlohmann::json::array();
    for (const auto& one : seen)
        report.push_back({{"done", one.done},
                          {"failed", one.failed},
                          {"longest_done", one.longest_done},
                          {"longest_failed", one.longest_failed},
                          {"last_done_at", one.last_done_at},
                          {"first_error", one.first_error}});
    std::cout << report.dump() << '\n';
    return 0;
}

int create(std::uint32_t nodes, const std::string& handle, const std::filesystem::path& stop) {
    auto dict = Dictionary::create({.nodes = nodes, .total_mem = std::uint64_t{32} << 20});
    write_file(handle, dict.serialize());
    while (!std::filesystem::exists(stop))
        std::this_thread::sleep_for(10ms);
    dict.destroy();
    return 0;
}

int where() {
    auto dict = Dictionary::attach();
    std::uint64_t keys = 0, items = 0, on_them = 0;
    for ([[maybe_unused]] const std::string& key : dict.local_keys())
        ++keys;
    for ([[maybe_unused]] const auto& item : dict.local_items())
        ++items;
    for (const std::uint32_t manager : dict.local_managers())
        on_them += dict.manager(manager).size();
    nlohmann::json local_manager;
    if (const auto one = dict.local_manager()) local_manager = *one;
    const nlohmann::json report{{"nodes", dict.manager_nodes()},
                                {"local_managers", dict.local_managers()},
                                {"local_manager", local_manager},
                                {"main_manager", dict.main_manager()},
                                {"size", dict.size()},
                                {"local_size", dict.local_size()},
                                {"local_keys", keys},
                                {"local_items", items},
                                {"on_them", on_them}};
    std::cout << report.dump() + "\n" << std::flush;
    return 0;
}

/// The parent speaks to all managers, those of other nodes included, until the child has ended.
int forked(const std::string& prefix, std::size_t count) {
    const auto dict = Dictionary::attach();
    static_cast<void>(dict.stats());
    if (roundtrip(prefix, count) != 0) return 1;
    const pid_t child = ::fork();
    if (child != 0) {
        int status = 1;
        ::waitpid(child, &status, 0);
        return status == 0 ? roundtrip(prefix, count) : 1;
    }
    nlohmann::json report{{"node", std::getenv("SLURMD_NODENAME")}};
    int status = 0;
    if (const auto own = Dictionary::try_attach(); !own) {
        report["refused"] = own.error().message();
    } else {
        status = roundtrip(prefix + "child", count);
        for (const auto& stats : own->stats())
            report["ways"].push_back(stats.transport);
    }
    std::cout << report.dump() + "\n" << std::flush;
    ::_exit(status);
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const std::string command = words.empty() ? "" : words[0];
    try {
        if (command == "roundtrip" && words.size() == 3) return roundtrip(words[1], std::stoul(words[2]));
        if (command == "large" && words.size() == 4)
            return large(words[1], std::stoul(words[2]), std::stoul(words[3]));
        if (command == "watch" && words.size() == 3) return watch(words[1], words[2]);
        if (command == "create" && words.size() == 4)
            return create(static_cast<std::uint32_t>(std::stoul(words[1])), words[2], words[3]);
        if (command == "forked" && words.size() == 3) return forked(words[1], std::stoul(words[2]));
        if (command == "where" && words.size() == 1) return where();
    } catch (const std::exception& error) {
        std::cerr << "job_client: " << error.what() << '\n';
        return 1;
    }
    std::cerr << "usage: see job_client.cpp\n";
    return 2;
}
