// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a container, a sandbox, a batch system or an administrator makes of a host, a cell each: there a
// client attaches, puts, gets, waits and sends batches all the same, and is told over which way it speaks to
// managers, and why, if that is not the memory that they share. Real programs; the clients are this one
// again.
#include <ddict/dictionary.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/platforms.h"
#include "tests/client/segments.h"
#include "tests/own_host/run_tests.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

/// Who is on the changed host.
enum class Side { client, managers, all };

struct Cell {
    const char* name;
    Side side;
    platforms::Change change;
    /// What stats say of each manager.
    std::string way;
    std::map<std::string, std::string> variables{};
};

const Cell untouched{"", Side::client, platforms::nothing, {}};

void PrintTo(const Cell& cell, std::ostream* out) {
    *out << cell.name;
}

constexpr const char* within = "same host";
// Where one side may not read the other's memory.
constexpr const char* in_pieces = "same host, large values in pieces";

std::string over_network(const std::string& why) {
    return "tcp/lo, on one node: " + why;
}

std::vector<Cell> cells() {
    using namespace platforms;
    using enum Side;
    const std::string no_memfd =
        "this process may not make memory to share (memfd_create): Function not implemented";
    return {
        {"AsItIs", client, nothing, within},
        {"AsItIsForAll", all, nothing, within},

        {"WithoutProcessVmReadv", client, no_process_vm_readv, in_pieces},
        {"ManagersWithoutProcessVmReadv", managers, no_process_vm_readv, in_pieces},
        {"AllWithoutProcessVmReadv", all, no_process_vm_readv, in_pieces},
        {"NotPermittedToReadMemory", client, process_vm_readv_not_permitted, in_pieces},
        {"ManagersNotPermittedToReadMemory", managers, process_vm_readv_not_permitted, in_pieces},
        {"UcxWithoutCma", client, nothing, within, {{"UCX_TLS", "^cma"}}},
        {"AllUcxWithoutCma", all, nothing, within, {{"UCX_TLS", "^cma"}}},

        {"UserNamespace", client, user_namespace, in_pieces},
        {"ManagersInAUserNamespace", managers, user_namespace, in_pieces},
        {"PidNamespace", client, pid_namespace, in_pieces},
        {"IpcNamespace", client, ipc_namespace, within},
        {"NetworkNamespace", client, network_namespace, within},
        {"TimeNamespace", client, time_namespace, within},
        {"CgroupNamespace", client, cgroup_namespace, within},
        {"Container", client, container, in_pieces},
        {"ManagersInAContainer", managers, container, in_pieces},
        {"AllInAContainer", all, container, within},
        {"AnotherGroup", client, another_group, within},
        {"ManagersOfAnotherGroup", managers, another_group, within},

        {"ManyInterfaces", all, many_interfaces, within},
        {"NoInterface", all, network_namespace, within},
        {"LittleSharedMemory", all, little_shared_memory, within},
        {"FewDescriptors", client, few_descriptors, within},
        {"AllWithFewDescriptors", all, few_descriptors, within},
        {"NoStandardDescriptors", client, no_standard_descriptors, within},
        {"AllWithoutStandardDescriptors", all, no_standard_descriptors, within},

        // Where the memory cannot be shared, the network is taken.
        {"OwnSharedMemory", client, own_shared_memory,
         over_network("they do not share /dev/shm, or are of different users")},
        {"SwitchedOff", client, nothing, over_network("DDICT_SAME_HOST=0"), {{"DDICT_SAME_HOST", "0"}}},
        {"NoMemfd", client, no_memfd_create, over_network(no_memfd)},
        {"AllWithoutMemfd", all, no_memfd_create, over_network(no_memfd)},
        {"NoUnixSockets", client, no_unix_sockets,
         over_network("this process may make no socket to speak within the node: Address family not "
                      "supported by protocol")},
    };
}

// ---- the client ----

void require(bool good, const char* what) {
    if (!good) throw std::runtime_error(what);
}

void use(const Dictionary& dict) {
    const std::string large(1 << 20, 'l');
    dict.put("small", 7);
    require(dict.get<int>("small") == 7, "a small value");
    for (std::uint32_t manager = 0; manager < dict.manager_count(); ++manager) {
        dict.manager(manager).put("large", large);
        require(dict.manager(manager).get<std::string>("large") == large, "a large value");
    }
    const std::map<std::string, int> pairs{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}};
    dict.multi_put(pairs);
    const auto got = dict.multi_get<int>({"a", "b", "c", "d", "nobody"});
    require(got.size() == 5 && got[0] == 1 && got[3] == 4 && !got[4], "a batch");
    std::thread putter([&] {
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        const auto waits = [&] { return dict.stats(dict.which_manager("later")).waiting == 1; };
        while (!waits() && std::chrono::steady_clock::now() < deadline) {
        }
        dict.put("later", large);
    });
    const std::string later = dict.within(30s).wait_for<std::string>("later");
    putter.join();
    require(later == large, "a value that was waited for");
    std::size_t pairs_of_items = 0;
    for (const auto& [key, value] : dict.items<std::string, std::string>("later"))
        pairs_of_items += value == large ? 1U : 0U;
    require(pairs_of_items == 1, "items");
    require(dict.pop<std::string>("later") == large, "a large value that was removed");
}

/// Writes what stats say of the managers, a line each; or what went wrong.
int run_client(const std::string& report_file) {
    std::ofstream report(report_file);
    try {
        // Whether or not anything large has come that way.
        std::string first;
        for (const ManagerStats& stats : Dictionary::attach({.local_reads = false}).stats())
            first += stats.transport + '\n';
        use(Dictionary::attach());
        const Dictionary by_message = Dictionary::attach({.local_reads = false});
        use(by_message);
        std::string last;
        for (const ManagerStats& stats : by_message.stats()) {
            last += stats.transport + '\n';
            require(stats.restarts == 0, "a manager has died");
        }
        require(first == last, ("at first stats say " + first).c_str());
        report << last;
        return report.flush() ? 0 : 1;
    } catch (const std::exception& error) {
        report << error.what() << std::endl;
        return 1;
    }
}

// ---- the test ----

class Process {
  public:
    /// Runs `argv` where `change` has been made, with these variables. `input` and `output`: descriptors for
    /// the standard ones. What goes wrong before, and the rest of its output, go to the file `said`.
    Process(platforms::Change change, const std::vector<std::string>& argv,
            const std::map<std::string, std::string>& variables, const std::string& said, int input = -1,
            int output = -1) {
        std::vector<char*> words;
        for (const std::string& word : argv)
            words.push_back(const_cast<char*>(word.c_str()));
        words.push_back(nullptr);
        pid_ = ::fork();
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::alarm(90);  // however it hangs
        if (input >= 0) ::dup2(input, STDIN_FILENO);
        if (output >= 0) ::dup2(output, STDOUT_FILENO);
        ::close_range(STDERR_FILENO + 1, ~0U, 0);
        const int words_said = ::open(said.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        ::dup2(words_said, STDERR_FILENO);
        if (output < 0) ::dup2(words_said, STDOUT_FILENO);
        for (const auto& [name, value] : variables)
            ::setenv(name.c_str(), value.c_str(), 1);
        const std::string failure = change();
        if (!failure.empty()) {
            const std::string text = "cannot make this platform here: " + failure + "\n";
            ::_exit(::write(words_said, text.data(), text.size()) < 0 ? 126 : 125);
        }
        ::execv(words[0], words.data());
        ::_exit(127);
    }
    ~Process() { static_cast<void>(wait()); }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    int wait() {
        if (pid_ > 0) ::waitpid(pid_, &status_, 0);
        pid_ = -1;
        return status_;
    }

  private:
    pid_t pid_ = -1;
    int status_ = -1;
};

class PlatformsTest : public ::testing::TestWithParam<Cell> {
  protected:
    static constexpr unsigned managers = 2;

    void SetUp() override {
        folder_ = ::testing::TempDir() + "platforms." + std::to_string(::getpid());
        std::filesystem::create_directories(folder_);
        program_ = std::filesystem::read_symlink("/proc/self/exe");
        launcher_ = std::getenv("DDICT_LAUNCH");
        segments_before_ = segments();
    }
    void TearDown() override {
        std::filesystem::remove_all(folder_);
        EXPECT_EQ(segments(), segments_before_);
    }

    std::vector<std::string> client() const { return {program_, "client", report_file()}; }
    std::string report_file() const { return folder_ + "/report"; }
    std::string said_file() const { return folder_ + "/said"; }
    static std::string text_of(const std::string& path) {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    /// The launcher, the managers and the client there.
    int run_all(const Cell& cell) {
        std::vector<std::string> argv = launcher_with({"--"});
        for (const std::string& word : client())
            argv.push_back(word);
        return Process(cell.change, argv, variables(cell), said_file()).wait();
    }
    /// Either the client or the managers.
    int run_apart(const Cell& cell) {
        std::array<int, 2> lifeline{};
        std::array<int, 2> ready{};
        if (::pipe2(lifeline.data(), O_CLOEXEC) != 0 || ::pipe2(ready.data(), O_CLOEXEC) != 0) return -1;
        const bool managers_there = cell.side == Side::managers;
        auto theirs = variables(managers_there ? cell : untouched);
        Process serve(managers_there ? cell.change : platforms::nothing, launcher_with({}, "serve"), theirs,
                      said_file(), lifeline[0], ready[1]);
        ::close(ready[1]);
        auto ours = variables(managers_there ? untouched : cell);
        ours["DDICT_HANDLE"] = handle_from(ready[0]);
        const int status =
            Process(managers_there ? platforms::nothing : cell.change, client(), ours, said_file()).wait();
        ::close(ready[0]);
        ::close(lifeline[1]);
        EXPECT_EQ(serve.wait(), 0) << text_of(said_file());
        ::close(lifeline[0]);
        return status;
    }

  private:
    std::vector<std::string> launcher_with(const std::vector<std::string>& more,
                                           const char* verb = nullptr) const {
        std::vector<std::string> argv{launcher_};
        if (verb != nullptr) argv.emplace_back(verb);
        for (const std::string& word : {std::string("--total-mem"), std::string("32M"),
                                        std::string("--managers-per-node"), std::to_string(managers)})
            argv.push_back(word);
        argv.insert(argv.end(), more.begin(), more.end());
        return argv;
    }
    std::map<std::string, std::string> variables(const Cell& cell) const {
        auto variables = cell.variables;
        if (cell.change != platforms::many_interfaces) variables.insert({"DDICT_UCX_NET_DEVICES", "lo"});
        variables.insert({"DDICT_STATE_DIR", folder_ + "/state"});
        return variables;
    }
    static std::string handle_from(int fd) {
        std::string text;
        std::array<char, 1024> buffer;
        for (ssize_t got;
             text.find('\n') == text.npos && (got = ::read(fd, buffer.data(), buffer.size())) > 0;)
            text.append(buffer.data(), static_cast<std::size_t>(got));
        constexpr std::string_view ready = "ready ";
        EXPECT_TRUE(text.starts_with(ready)) << text;
        return text.starts_with(ready) ? text.substr(ready.size(), text.find('\n') - ready.size())
                                       : std::string();
    }

    std::string folder_;
    std::string program_;
    std::string launcher_;
    std::set<std::string> segments_before_;
};

TEST_P(PlatformsTest, AClientWorksAndIsToldTheWay) {
    const Cell& cell = GetParam();
    const int status = cell.side == Side::all ? run_all(cell) : run_apart(cell);
    const std::string report = text_of(report_file());
    EXPECT_EQ(status, 0) << report << text_of(said_file());
    std::string expected;
    for (unsigned i = 0; i < managers; ++i)
        expected += cell.way + '\n';
    EXPECT_EQ(report, expected);
}

INSTANTIATE_TEST_SUITE_P(Cells, PlatformsTest, ::testing::ValuesIn(cells()),
                         [](const auto& cell) { return cell.param.name; });

}  // namespace
}  // namespace ddict

int main(int argc, char** argv) {
    if (argc == 3 && std::string(argv[1]) == "client") return ddict::run_client(argv[2]);
    return ddict::testing::run_all_tests(argc, argv);
}
