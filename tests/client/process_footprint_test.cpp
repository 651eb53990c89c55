// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the public library changes in the process that uses it: nothing of UCX, until a message must leave the
// host.
#include <ddict/dictionary.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace {

int memory_handlers = 0;

}  // namespace

/// In place of that of UCX, which finds this one first: how it is told of munmap() and the like.
extern "C" __attribute__((visibility("default"))) int ucm_set_event_handler(int, int, void (*)(), void*);
int ucm_set_event_handler(int, int, void (*)(), void*) {
    ++memory_handlers;
    return 0;
}

namespace ddict {
namespace {

namespace fs = std::filesystem;

bool has_loaded(const std::string& library) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find('/' + library) != line.npos) return true;
    }
    return false;
}

std::vector<std::string> loaded_of_ucx() {
    std::vector<std::string> loaded;
    for (const char* library : {"libucp.", "libuct.", "libucs.", "libucm.", "libddict_ucx"}) {
        if (has_loaded(library)) loaded.emplace_back(library);
    }
    return loaded;
}

auto threads() {
    return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
}

std::vector<int> handled_signals() {
    std::vector<int> handled;
    for (int number = 1; number < SIGRTMAX; ++number) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL &&
            action.sa_handler != SIG_IGN)
            handled.push_back(number);
    }
    return handled;
}

/// A bit of everything; what it returns is what was put.
std::string use(const Dictionary& dict) {
    dict.put("large", std::string(100'000, 'l'));
    dict.put("key", std::string("value"));
    dict.fetch_add("count", 5);
    static_cast<void>(dict.multi_get<std::string>({"large", "nobody"}));
    static_cast<void>(dict.wait_for<std::string>("large"));
    static_cast<void>(dict.stats());
    return dict.get<std::string>("key");
}

/// The exit status of a child that does this with the environment.
template <class Do>
int status_of_child(Do action) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        int status = 70;
        try {
            status = action();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        ::_exit(status);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

class ProcessFootprintTest : public ::testing::Test {
  protected:
    static constexpr auto two_managers = [] {
        return Dictionary::create({.managers_per_node = 2, .total_mem = 64 << 20, .name = "footprint"});
    };
};

TEST_F(ProcessFootprintTest, IsNoneOfUcxWithinTheHost) {
    const auto threads_before = threads();
    const std::vector<int> handled_before = handled_signals();
    Dictionary dict = two_managers();
    EXPECT_EQ(use(dict), "value");
    const Dictionary by_message = Dictionary::attach(dict.serialize(), {.local_reads = false});
    EXPECT_EQ(use(by_message), "value");
    EXPECT_EQ(loaded_of_ucx(), std::vector<std::string>());
    EXPECT_EQ(threads(), threads_before);
    EXPECT_EQ(handled_signals(), handled_before);
    // What is beyond, in a process of its own: it cannot be unloaded.
    EXPECT_EQ(status_of_child([handle = dict.serialize()] {
                  ::setenv("DDICT_SAME_HOST", "0", 1);
                  ::setenv("UCX_NET_DEVICES", "lo", 1);
                  const Dictionary over_network = Dictionary::attach(handle);
                  return use(over_network) == "value" && loaded_of_ucx().size() == 5 ? 0 : 1;
              }),
              0);
    dict.destroy();
}

/// They take locks, of which another thread may hold one at a fork: in the child munmap() would never return.
TEST_F(ProcessFootprintTest, HasNoHandlersOfUcxBehindTheFunctionsOfMemory) {
    Dictionary dict = two_managers();
    const auto handlers_of_child = [handle = dict.serialize()](const char* cache_of_registrations) {
        return status_of_child([&] {
            ::setenv("DDICT_SAME_HOST", "0", 1);
            ::setenv("UCX_NET_DEVICES", "lo", 1);
            if (cache_of_registrations != nullptr) ::setenv("UCX_RCACHE_ENABLE", cache_of_registrations, 1);
            const Dictionary over_network = Dictionary::attach(handle);
            return use(over_network) == "value" && !loaded_of_ucx().empty() ? memory_handlers : 99;
        });
    };
    EXPECT_EQ(handlers_of_child(nullptr), 0);
    EXPECT_EQ(handlers_of_child("try"), 1)
        << "where the user wants it, which shows that this test would see it";
    dict.destroy();
}

/// A child that has half of it crashes when UCX's own end of the process runs in it.
TEST_F(ProcessFootprintTest, IsWholeOrNoneInAChildOfFork) {
    Dictionary dict = two_managers();
    for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(status_of_child([handle = dict.serialize()] {
                      ::setenv("DDICT_SAME_HOST", "0", 1);
                      ::setenv("UCX_NET_DEVICES", "lo", 1);
                      std::atomic<bool> is_loaded{false};
                      std::thread loading([&] {
                          const Dictionary over_network = Dictionary::attach(handle);
                          is_loaded = true;  // later ends of UCX are not what this is about
                      });
                      int wrong = 0;
                      while (!is_loaded)
                          wrong += status_of_child([]() -> int { std::exit(0); }) != 0;
                      loading.join();
                      return wrong;
                  }),
                  0);
    }
    dict.destroy();
}

/// A copy of the library without the one that it loads, as of an installation that has lost it.
TEST_F(ProcessFootprintTest, WithoutUcxTheHostIsStillThere) {
    const fs::path folder =
        fs::path(::testing::TempDir()) / ("process_footprint." + std::to_string(::getpid()));
    fs::create_directories(folder);
    const fs::path libraries = DDICT_LIBRARIES;
    for (const auto& file : fs::directory_iterator(libraries)) {
        if (file.path().filename().string().starts_with("libddict_client"))
            fs::copy(file.path(), folder / file.path().filename(), fs::copy_options::copy_symlinks);
    }
    Dictionary dict = two_managers();
    const auto run = [&](const std::string& variables, const std::string& command) {
        const std::string line = "DDICT_HANDLE='" + dict.serialize() + "' LD_LIBRARY_PATH='" +
                                 folder.string() + "' UCX_NET_DEVICES=lo " + variables + " " DDICT_TOOL " " +
                                 command + " 2>&1";
        FILE* const out = ::popen(line.c_str(), "r");
        std::string text;
        for (int letter = std::fgetc(out); letter != EOF; letter = std::fgetc(out))
            text += static_cast<char>(letter);
        return std::pair(WEXITSTATUS(::pclose(out)), text);
    };
    EXPECT_EQ(run("", "put key 5").first, 0);
    EXPECT_EQ(run("", "get key"), std::pair(0, std::string("5")));
    const auto [status, text] = run("DDICT_SAME_HOST=0 DDICT_LOCAL_READS=0", "get key");
    EXPECT_NE(status, 0);
    EXPECT_NE(text.find("the library for messages to other hosts cannot be loaded"), text.npos) << text;
    EXPECT_NE(text.find("libddict_ucx"), text.npos) << text;
    dict.destroy();
    fs::remove_all(folder);
}

}  // namespace
}  // namespace ddict
