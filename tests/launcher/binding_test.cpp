// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// --bind: dealing managers out over machines that hwloc makes up, and where managers then really are.
#include "launcher/binding.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <regex>
#include <set>
#include <thread>

#include "launcher/options.h"
#include "launcher/topology.h"
#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

/// hwloc takes it for this machine.
class MadeUpMachine {
  public:
    explicit MadeUpMachine(const char* description) { ::setenv("HWLOC_SYNTHETIC", description, 1); }
    MadeUpMachine(const MadeUpMachine&) = delete;
    MadeUpMachine& operator=(const MadeUpMachine&) = delete;
    ~MadeUpMachine() { ::unsetenv("HWLOC_SYNTHETIC"); }

    static std::vector<Domain> domains(const char* permitted = "0-1023") {
        return find_domains(os::parse_cpus(permitted).value()).value();
    }
};

std::vector<std::string> cpus_of(const std::vector<Domain>& domains, Bind bind, std::uint32_t managers) {
    std::vector<std::string> texts;
    const auto places = deal_out(domains, bind, managers);
    if (!places) return {places.error().detail.data()};
    for (const Place& place : *places)
        texts.push_back(os::format_cpus(place.cpus));
    return texts;
}

using Texts = std::vector<std::string>;

TEST(Cpus, AreWrittenAsTheKernelDoes) {
    for (const char* const text : {"0", "0-3", "0-1,4-7,9", "8191"})
        EXPECT_EQ(os::format_cpus(os::parse_cpus(text).value()), text);
    EXPECT_EQ(os::parse_cpus("3,1,2-3"), (os::Cpus{1, 2, 3}));
    for (const char* const text : {"", ",", "1,", "3-1", "-1", "a", "1 2", "8192", "1--2", "99999999999"})
        EXPECT_FALSE(os::parse_cpus(text)) << text;
}

TEST(Binding, ManagersAreDealtRoundTheDomains) {
    const MadeUpMachine machine("numa:2 core:4 pu:2");
    const auto domains = MadeUpMachine::domains();
    ASSERT_EQ(domains.size(), 2U);
    EXPECT_EQ(domains[0].cores.size(), 4U);
    EXPECT_EQ(cpus_of(domains, Bind::none, 3), Texts());
    EXPECT_EQ(cpus_of(domains, Bind::numa, 3), (Texts{"0-7", "8-15", "0-7"}));
    EXPECT_EQ(deal_out(domains, Bind::numa, 3).value()[1].domain, 1U);
}

TEST(Binding, EachGetsACoreOfItsOwnTheLastFirst) {
    const MadeUpMachine machine("numa:2 core:2 pu:2");
    const auto domains = MadeUpMachine::domains();
    EXPECT_EQ(cpus_of(domains, Bind::core, 3), (Texts{"2-3", "6-7", "0-1"}));
    EXPECT_EQ(cpus_of(domains, Bind::core, 4), (Texts{"2-3", "6-7", "0-1", "4-5"}));
    const Texts refused = cpus_of(domains, Bind::core, 5);
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_NE(refused[0].find("5 managers and 4 cores"), std::string::npos) << refused[0];
    EXPECT_NE(refused[0].find("--managers-per-node"), std::string::npos) << refused[0];
    EXPECT_EQ(cpus_of(domains, Bind::numa, 5).size(), 5U) << "there they share";
}

TEST(Binding, OnlyWhatTheJobHasIsTaken) {
    const MadeUpMachine machine("numa:4 core:2 pu:2");
    const auto domains = MadeUpMachine::domains("1-3,9,12-15");
    EXPECT_EQ(cpus_of(domains, Bind::numa, 3), (Texts{"1-3", "9", "12-15"}));
    // Of a domain with fewer cores fewer are taken.
    EXPECT_EQ(cpus_of(domains, Bind::core, 5), (Texts{"2-3", "9", "14-15", "1", "12-13"}));
    EXPECT_EQ(domains[2].number, 3U) << "as the kernel counts";
    const auto nothing = deal_out(MadeUpMachine::domains("100-101"), Bind::numa, 1);
    ASSERT_FALSE(nothing);
    EXPECT_NE(nothing.error().message().find("no processor"), std::string::npos);
}

TEST(Binding, MemoryOfSeveralKindsIsOneDomain) {
    // Each socket has a memory of its own, and each half of a socket another.
    const MadeUpMachine machine("[numa] pack:2 [numa] group:2 [numa] core:2 pu:1");
    const auto domains = MadeUpMachine::domains();
    EXPECT_EQ(cpus_of(domains, Bind::numa, 4), (Texts{"0-1", "2-3", "4-5", "6-7"}));
}

TEST(Binding, IsDescribedForPeople) {
    EXPECT_EQ(describe(Place{.cpus = {0, 1, 5}, .domain = 3}), "on cpus 0-1,5 of NUMA domain 3");
    EXPECT_EQ(describe(Place{.cpus = {4}}), "on cpu 4 of NUMA domain 0");
    const std::string many = describe(std::vector<Place>(128, Place{.cpus = {4}}));
    EXPECT_NE(many.find("and 120 more"), std::string::npos) << many;
}

TEST(Binding, OtherWordsAreRefused) {
    const auto options = parse_options({"--bind", "socket", "--", "x"}, {});
    ASSERT_FALSE(options);
    EXPECT_NE(options.error().message().find("none, numa or core"), std::string::npos);
    EXPECT_EQ(parse_options({"--", "x"}, {{"DDICT_BIND", "numa"}}).value().bind, Bind::numa);
    EXPECT_FALSE(parse_options({"stop", "--bind", "numa"}, {}));
}

std::string line_with(const std::string& path, const std::string& word) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
        if (line.find(word) != std::string::npos) return line;
    return {};
}

/// Of a file in /proc that has a line for each mapping of this process.
std::string line_of_pool(pid_t pid, const std::string& file, std::uint32_t number) {
    std::ifstream lines("/proc/" + std::to_string(pid) + "/" + file);
    const std::regex pool("/dev/shm/ddict-[0-9a-f]+-m" + std::to_string(number) + "( |$)");
    for (std::string line; std::getline(lines, line);)
        if (std::regex_search(line, pool)) return line;
    return {};
}

class BoundTest : public LauncherTest {
  protected:
    static std::uint32_t managers() {
        std::size_t cores = 0;
        const std::vector<Domain> domains = find_domains(os::own_cpus().value()).value();
        for (const Domain& domain : domains)
            cores += domain.cores.size();
        return static_cast<std::uint32_t>(std::min<std::size_t>(cores, 2));
    }

    void bring_up(const std::string& bind) {
        dictionary_.emplace(
            launch({"--bind", bind, "--managers-per-node", std::to_string(managers()), "--total-mem", "16M",
                    "--log", folder() + "/log", "--", "/bin/bash", "-c",
                    program("ddict") + " put a b; echo up; read; " + program("ddict") + " get a"}),
            environment());
        ASSERT_TRUE(dictionary_->prints("up"));
        const auto places = find_places(*bind_named(bind), managers());
        ASSERT_TRUE(places);
        for (std::uint32_t i = 0; i < managers(); ++i)
            expect_bound(i, places->at(i));
    }

    /// The only process on this pool.
    pid_t manager(std::uint32_t number) const {
        for (const pid_t pid : processes("ddict-manager"))
            if (!line_of_pool(pid, "maps", number).empty()) return pid;
        return -1;
    }

    void expect_bound(std::uint32_t number, const Place& place) const {
        const pid_t pid = manager(number);
        ASSERT_GT(pid, 0);
        EXPECT_EQ(line_with("/proc/" + std::to_string(pid) + "/status", "Cpus_allowed_list"),
                  "Cpus_allowed_list:\t" + os::format_cpus(place.cpus));
        const std::string memory = line_of_pool(pid, "numa_maps", number);
        EXPECT_NE(memory.find(" prefer:" + std::to_string(place.domain) + " "), std::string::npos) << memory;
    }

    /// Another process takes its place, with its pool.
    void kill_and_look(std::uint32_t number, const Place& place) {
        const pid_t before = manager(number);
        ASSERT_GT(before, 0);
        ::kill(before, SIGKILL);
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        const auto is_back = [&] {
            const pid_t now = manager(number);
            return now > 0 && now != before;
        };
        while (!is_back() && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(milliseconds(10));
        ASSERT_TRUE(is_back());
        expect_bound(number, place);
    }

    void end() {
        dictionary_->close_stdin();
        EXPECT_EQ(dictionary_->wait(), 0) << dictionary_->err();
        EXPECT_NE(dictionary_->out().find("up\nb"), std::string::npos) << dictionary_->out();
    }

    std::optional<Program> dictionary_;
};

TEST_F(BoundTest, ToACoreEachAlsoWhenItIsStartedAgain) {
    bring_up("core");
    const auto places = find_places(Bind::core, managers()).value();
    std::set<std::uint32_t> taken;
    for (const Place& place : places)
        for (const std::uint32_t cpu : place.cpus)
            EXPECT_TRUE(taken.insert(cpu).second) << "two managers on cpu " << cpu;
    kill_and_look(0, places[0]);
    end();
    EXPECT_NE(line_with(folder() + "/log", "manager=0 manager:").find("has started on cpu"),
              std::string::npos);
}

TEST_F(BoundTest, ToTheCoresOfADomain) {
    bring_up("numa");
    kill_and_look(managers() - 1, find_places(Bind::numa, managers()).value().back());
    end();
}

TEST_F(BoundTest, WithoutTheOptionNobodyIs) {
    Program started(launch({"--", "/bin/bash", "-c", "echo up; read; true"}), environment());
    ASSERT_TRUE(started.prints("up"));
    ASSERT_EQ(processes("ddict-manager").size(), 1U);
    const pid_t pid = processes("ddict-manager")[0];
    EXPECT_EQ(line_with("/proc/" + std::to_string(pid) + "/status", "Cpus_allowed_list"),
              "Cpus_allowed_list:\t" + os::format_cpus(os::own_cpus().value()));
    EXPECT_NE(line_of_pool(pid, "numa_maps", 0).find(" default "), std::string::npos);
    started.close_stdin();
    EXPECT_EQ(started.wait(), 0);
}

TEST_F(BoundTest, MemoryThatIsNotThereIsAWarning) {
    const std::string cores = std::to_string(os::own_cpus().value().back() + 1);
    set("HWLOC_SYNTHETIC", "numa:1(indexes=511) core:" + cores + " pu:1");
    const Ran ended = run({"--bind", "numa", "--", program("ddict"), "put", "a", "b"});
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_NE(ended.err.find("taking memory from NUMA domain 511: Invalid argument"), std::string::npos)
        << ended.err;
}

TEST_F(BoundTest, ThereMustBeACoreForEach) {
    set("HWLOC_SYNTHETIC", "numa:1 core:1 pu:1024");
    const Ran refused = run({"--bind", "core", "--managers-per-node", "2", "--", "true"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find("2 managers and 1 core"), std::string::npos) << refused.err;
    const Ran checked = run({"--check", "--bind", "core", "--managers-per-node", "2"});
    EXPECT_EQ(checked.status, 1);
    EXPECT_NE(checked.out.find("managers are not bound"), std::string::npos) << checked.out;
    EXPECT_NE(run({"--check", "--bind", "numa"}).out.find("managers are bound: on cpu"), std::string::npos);
}

}  // namespace
}  // namespace ddict::launcher::testing
