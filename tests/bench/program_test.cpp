// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Short runs of ddict-bench: not what the figures are, but that they are there and fit together.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace {

using nlohmann::json;

struct Outcome {
    int status = -1;
    std::string output;  // both streams
};

Outcome bench(const std::string& arguments) {
    const std::string command = "timeout -k 5 90 '" DDICT_BENCH "' " + arguments + " 2>&1";
    std::FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return {};
    Outcome outcome;
    std::array<char, 4096> chunk{};
    while (const std::size_t bytes = std::fread(chunk.data(), 1, chunk.size(), pipe))
        outcome.output.append(chunk.data(), bytes);
    const int status = pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
}

class BenchProgram : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "ddict_bench_test.XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    /// Runs with --json; the run must succeed.
    json figures(const std::string& arguments) {
        const std::string file = (folder_ / "figures.json").string();
        const Outcome outcome = bench(arguments + " --json '" + file + "'");
        output_ = outcome.output;
        EXPECT_EQ(outcome.status, 0) << outcome.output;
        std::ifstream in(file);
        return json::parse(in, nullptr, false);
    }

    std::filesystem::path folder_;
    std::string output_;
};

void expect_spread(const json& record, const std::string& figure) {
    SCOPED_TRACE(figure + " of " + record.dump());
    EXPECT_GT(record.at(figure).get<double>(), 0);
    EXPECT_LE(record.at(figure + "_min").get<double>(), record.at(figure).get<double>());
    EXPECT_GE(record.at(figure + "_max").get<double>(), record.at(figure).get<double>());
}

void expect_header(const json& all) {
    EXPECT_EQ(all.at("program"), "ddict-bench");
    EXPECT_EQ(all.at("schema"), 1);
    EXPECT_FALSE(all.at("commit").get<std::string>().empty());
    const json& machine = all.at("machine");
    for (const char* text : {"cpu", "kernel", "ucx_version"})
        EXPECT_FALSE(machine.at(text).get<std::string>().empty()) << text;
    EXPECT_GT(machine.at("cores").get<int>(), 0);
    EXPECT_GT(machine.at("clock_read_ns").get<double>(), 0);
}

void expect_headline_record(const json& record, int repetitions) {
    for (const char* figure : {"ops_per_second", "mean_us", "p50_us", "p99_us"})
        expect_spread(record, figure);
    EXPECT_LE(record.at("p50_us").get<double>(), record.at("p99_us").get<double>());
    EXPECT_FALSE(record.at("transport").get<std::string>().empty());
    EXPECT_EQ(record.at("operations_per_client"), 60);
    ASSERT_EQ(record.at("repetitions").size(), static_cast<std::size_t>(repetitions));
    const auto clients = record.at("clients").get<double>();
    for (const json& one : record.at("repetitions")) {
        const auto rate = one.at("ops_per_second").get<double>();
        EXPECT_NEAR(one.at("mean_us").get<double>(), 1e6 * clients / rate, 1e-6 * 1e6 * clients / rate);
        if (record.at("managers") == 0) continue;
        EXPECT_NEAR(one.at("ratio_to_raw_ucx").get<double>(),
                    one.at("mean_us").get<double>() / one.at("raw_ucx_us").get<double>(), 1e-6);
    }
}

TEST_F(BenchProgram, TheHeadlineWorkloadOverBothTransports) {
    for (const std::string transport : {"shm", "tcp"}) {
        SCOPED_TRACE(transport);
        const json all =
            figures("--transport " + transport +
                    " --clients 1,2 --managers 2 --pairs 100 --value-bytes 8,8192 --ops 60 --repetitions 3");
        ASSERT_FALSE(all.is_discarded());
        expect_header(all);
        EXPECT_EQ(all.at("options").at("transport"), transport);
        std::set<std::string> seen;
        for (const json& record : all.at("records")) {
            expect_headline_record(record, 3);
            if (transport == "tcp") {
                EXPECT_NE(record.at("transport").get<std::string>().find("tcp"), std::string::npos) << record;
            } else {
                EXPECT_EQ(record.at("transport").get<std::string>().find("tcp"), std::string::npos) << record;
            }
            seen.insert(record.at("op").get<std::string>() + " " + record.at("bytes").dump() + " " +
                        record.at("clients").dump() + " " + record.at("managers").dump());
        }
        EXPECT_EQ(seen, (std::set<std::string>{"raw_round_trip 8 1 0", "raw_get 8 1 0", "raw_put 8 1 0",
                                               "raw_get 8192 1 0", "raw_put 8192 1 0", "get 8 1 2",
                                               "put 8 1 2", "get 8192 1 2", "put 8192 1 2", "get 8 2 2",
                                               "put 8 2 2", "get 8192 2 2", "put 8192 2 2"}));
        EXPECT_EQ(all.at("records").size(), 20u);
    }
}

TEST_F(BenchProgram, EachLineOfTheTableFitsATerminal) {
    const Outcome outcome = bench("--pairs 50 --ops 50 --repetitions 1 --value-bytes 8");
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    std::istringstream lines(outcome.output);
    int rows = 0;
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 100u) << line;
        if (line.rfind("get ", 0) == 0 || line.rfind("put ", 0) == 0) ++rows;
    }
    EXPECT_EQ(rows, 2) << outcome.output;
}

TEST_F(BenchProgram, AnIdleDictionary) {
    const json all = figures("--idle 0.2 --managers 2 --pairs 100");
    ASSERT_FALSE(all.is_discarded());
    expect_header(all);
    ASSERT_EQ(all.at("records").size(), 1u);
    const json& record = all.at("records").at(0);
    EXPECT_EQ(record.at("op"), "idle");
    EXPECT_EQ(record.at("managers"), 2);
    ASSERT_EQ(record.at("repetitions").size(), 2u) << "one for each manager";
    for (const json& one : record.at("repetitions"))
        EXPECT_GE(one.at("manager_percent_of_a_core").get<double>(), 0);
    EXPECT_GE(record.at("seconds").get<double>(), 0.2);
    expect_spread(record, "first_request_us");
}

TEST_F(BenchProgram, BringUp) {
    const json all = figures("--bring-up --managers 1,2 --repetitions 2");
    ASSERT_FALSE(all.is_discarded());
    ASSERT_EQ(all.at("records").size(), 2u);
    for (const json& record : all.at("records")) {
        EXPECT_EQ(record.at("op"), "bring_up");
        EXPECT_EQ(record.at("repetitions").size(), 2u);
        for (const char* figure : {"create_ms", "destroy_ms", "gone_ms", "first_request_us"})
            expect_spread(record, figure);
        EXPECT_GE(record.at("gone_ms_max").get<double>(), record.at("destroy_ms_min").get<double>());
    }
}

TEST_F(BenchProgram, AttachedItLeavesTheOtherPairsAlone) {
    const std::filesystem::path bin = std::filesystem::path(DDICT_BENCH).parent_path();
    const std::filesystem::path file = folder_ / "figures.json";
    const std::string script = "'" + (bin / "ddict").string() +
                               "' put mine kept && '" DDICT_BENCH
                               "' --attach --pairs 50 --ops 50 --repetitions 1 --value-bytes 8 --json '" +
                               file.string() + "' && test \"$('" + (bin / "ddict").string() +
                               "' get mine)\" = kept && test \"$('" + (bin / "ddict").string() +
                               "' size)\" = 1";
    const std::filesystem::path script_file = folder_ / "script";
    std::ofstream(script_file) << script << "\n";
    const std::string command = "timeout -k 5 90 '" + (bin / "ddict-launch").string() +
                                "' --managers-per-node 3 --total-mem 64M -- sh '" + script_file.string() +
                                "'";
    const int status = std::system(command.c_str());
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    std::ifstream in(file);
    const json all = json::parse(in, nullptr, false);
    ASSERT_FALSE(all.is_discarded());
    EXPECT_EQ(all.at("records").back().at("managers"), 3);
}

TEST_F(BenchProgram, SaysWhatIsWrongWithTheCommandLine) {
    const Outcome outcome = bench("--clients none");
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.output.find("--clients: 'none'"), std::string::npos) << outcome.output;
}

TEST_F(BenchProgram, SaysWhyItCannotMeasure) {
    const Outcome no_dictionary = bench("--attach --pairs 10 --ops 10");
    EXPECT_EQ(no_dictionary.status, 1);
    EXPECT_NE(no_dictionary.output.find("DDICT_HANDLE"), std::string::npos) << no_dictionary.output;

    const Outcome no_file = bench("--json '" + (folder_ / "nowhere" / "figures.json").string() + "'");
    EXPECT_EQ(no_file.status, 1);
    EXPECT_NE(no_file.output.find("cannot write"), std::string::npos) << no_file.output;
}

}  // namespace
