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
#include <map>
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
    EXPECT_EQ(all.at("schema"), 2);
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
    EXPECT_EQ(record.at("operations_per_client"), 24);
    ASSERT_EQ(record.at("repetitions").size(), static_cast<std::size_t>(repetitions));
    const auto clients = record.at("clients").get<double>();
    for (const json& one : record.at("repetitions")) {
        const auto rate = one.at("ops_per_second").get<double>();
        EXPECT_NEAR(one.at("mean_us").get<double>(), 1e6 * clients / rate, 1e-6 * 1e6 * clients / rate);
        if (!one.contains("ratio_to_raw_ucx")) continue;
        EXPECT_NEAR(one.at("ratio_to_raw_ucx").get<double>(),
                    one.at("mean_us").get<double>() / one.at("raw_ucx_us").get<double>(), 1e-6);
    }
}

std::string name_of(const json& record) {
    return record.at("op").get<std::string>() + " " + record.at("bytes").dump() + " " +
           record.at("clients").dump() + " " + record.at("managers").dump();
}

TEST_F(BenchProgram, SaysItsVersion) {
    const Outcome outcome = bench("--version");
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.output.substr(0, 12), "ddict-bench ") << outcome.output;
}

TEST_F(BenchProgram, TheHeadlineWorkloadOverBothTransports) {
    for (const std::string transport : {"samehost", "ucx"}) {
        SCOPED_TRACE(transport);
        const json all =
            figures("--transport " + transport +
                    " --clients 1,2 --managers 2 --pairs 100 --value-bytes 8,8192 --ops 24 --repetitions 2");
        ASSERT_FALSE(all.is_discarded());
        expect_header(all);
        EXPECT_EQ(all.at("options").at("transport"), transport);
        std::set<std::string> seen;
        for (const json& record : all.at("records")) {
            expect_headline_record(record, 2);
            if (record.at("transport") == "memory") {
                EXPECT_EQ(record.at("op").get<std::string>().rfind("map_", 0), 0u) << record;
            } else if (transport == "ucx") {
                EXPECT_NE(record.at("transport").get<std::string>().find("tcp"), std::string::npos) << record;
            } else {
                EXPECT_EQ(record.at("transport").get<std::string>().find("tcp"), std::string::npos) << record;
            }
            seen.insert(name_of(record));
        }
        std::set<std::string> expected{"raw_round_trip 8 1 0"};
        for (const std::string bytes : {" 8 ", " 8192 "}) {
            for (const char* op : {"raw_get", "raw_put", "map_get", "map_put"})
                expected.insert(op + bytes + "1 0");
            for (const char* op : {"get", "get_message", "put"}) {
                expected.insert(op + bytes + "1 2");
                expected.insert(op + bytes + "2 2");
            }
        }
        EXPECT_EQ(seen, expected);
        EXPECT_EQ(all.at("records").size(), 32u);
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
    EXPECT_EQ(rows, 2) << outcome.output;  // get_message has a longer name
}

TEST_F(BenchProgram, EveryOperation) {
    const json all = figures(
        "--operations "
        "get,get_message,put,mixed,mixed_message,batch_get,batch_get_message,batch_put,async_get,"
        "async_get_message,async_put,bget,bput --batch 16 --in-flight 8 --put-percent 30 --managers 2 "
        "--distribution zipf --pairs 100 --value-bytes 8,5000 --ops 40 --repetitions 1");
    ASSERT_FALSE(all.is_discarded());
    EXPECT_EQ(all.at("options").at("zipf_exponent"), 0.99);
    std::map<std::string, json> seen;
    for (const json& record : all.at("records"))
        seen[name_of(record)] = record;
    for (const std::string op :
         {"get", "get_message", "put", "mixed", "mixed_message", "batch_get", "batch_get_message",
          "batch_put", "async_get", "async_get_message", "async_put", "bget", "bput"}) {
        for (const std::string bytes : {"8", "5000"}) {
            SCOPED_TRACE(op + " of " + bytes);
            const auto found = seen.find(op + " " + bytes + " 1 2");
            ASSERT_NE(found, seen.end());
            expect_spread(found->second, "ops_per_second");
            expect_spread(found->second, "p50_us");
            const bool batch = op.rfind("batch", 0) == 0;
            EXPECT_EQ(found->second.value("group", 1), batch ? 16 : op.rfind("async", 0) == 0 ? 8 : 1);
            EXPECT_EQ(found->second.at("operations_per_client"), batch ? 48 : 40) << "whole batches";
        }
    }
    for (const json& one : seen.at("get 8 1 2").at("repetitions"))
        EXPECT_GT(one.at("ratio_to_map").get<double>(), 0);
}

TEST_F(BenchProgram, ARedisBesideIt) {
    const std::string arguments =
        "--peer redis --operations get,put,batch_get,batch_put,mixed --pairs 50 "
        "--value-bytes 8 --ops 50 --batch 16 --repetitions 2";
    if (std::system("command -v redis-server > /dev/null") != 0) {
        const Outcome outcome = bench(arguments);
        EXPECT_EQ(outcome.status, 1);
        EXPECT_NE(outcome.output.find("redis-server"), std::string::npos) << outcome.output;
        return;
    }
    const json all = figures(arguments);
    ASSERT_FALSE(all.is_discarded());
    std::map<std::string, json> seen;
    for (const json& record : all.at("records"))
        seen[record.at("op")] = record;
    for (const std::string op : {"get", "put", "batch_get", "batch_put"}) {
        ASSERT_TRUE(seen.count("redis_" + op) == 1) << op;
        expect_spread(seen.at("redis_" + op), "ops_per_second");
        EXPECT_EQ(seen.at("redis_" + op).value("group", 1), seen.at(op).value("group", 1));
        for (std::size_t i = 0; i < 2; ++i) {
            const auto rate = [&](const std::string& of) {
                return seen.at(of).at("repetitions").at(i).at("ops_per_second").get<double>();
            };
            EXPECT_NEAR(seen.at(op).at("repetitions").at(i).at("ratio_to_peer").get<double>(),
                        rate(op) / rate("redis_" + op), 1e-6);
        }
    }
    EXPECT_FALSE(seen.at("mixed").contains("ratio_to_peer"));
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

TEST_F(BenchProgram, Saving) {
    std::string folder = (std::filesystem::temp_directory_path() / "ddict-bench-save-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const json all =
        figures("--save " + folder + " --managers 2 --pairs 300 --value-bytes 8,16384 --repetitions 2");
    ASSERT_FALSE(all.is_discarded());
    ASSERT_EQ(all.at("records").size(), 2u);
    for (const json& record : all.at("records")) {
        EXPECT_EQ(record.at("repetitions").size(), 2u);
        for (const char* figure : {"save_gb_per_second", "write_fsync_gb_per_second", "save_ratio_to_write",
                                   "load_gb_per_second", "memcpy_gb_per_second", "load_ratio_to_memcpy"})
            expect_spread(record, figure);
        EXPECT_GT(record.at("save_gb_per_second_min").get<double>(), 0);
    }
    EXPECT_TRUE(std::filesystem::remove(folder)) << "something is left in it";
}

TEST_F(BenchProgram, Connections) {
    const json all = figures("--connections --managers 1,3 --repetitions 2");
    ASSERT_FALSE(all.is_discarded());
    ASSERT_EQ(all.at("records").size(), 2u);
    for (const json& record : all.at("records")) {
        EXPECT_EQ(record.at("op"), "connections");
        EXPECT_EQ(record.at("attach_connections"), 1.0) << "whatever the number of managers";
        EXPECT_EQ(record.at("attach_requests"), 1.0);
        for (const char* figure : {"attach_us", "attach_kib", "first_request_us", "second_request_us"})
            expect_spread(record, figure);
    }
    EXPECT_EQ(all.at("records").back().at("managers"), 3);
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
