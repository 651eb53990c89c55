// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The dictionary of a command is found from another shell, by its record: status, env, exec and ddict --name.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class RecordsTest : public LauncherTest {
  protected:
    /// A wrapper whose command says its handle, and ends when its standard input does.
    Program wrapper(std::vector<std::string> options = {}) {
        options.insert(options.end(), {"--", "/bin/sh", "-c", "echo handle $DDICT_HANDLE.; exec cat"});
        return Program(launch(options), environment());
    }
    static std::string handle_of(Program& wrapper) {
        EXPECT_TRUE(wrapper.prints(".\n")) << wrapper.err();
        const std::string& out = wrapper.out();
        const std::size_t begin = out.find("handle ") + 7;
        return out.substr(begin, out.rfind('.') - begin);
    }
    std::vector<std::string> files() const {
        std::vector<std::string> found;
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(folder() + "/state", none))
            found.push_back(entry.path());
        return found;
    }
    json record() const {
        EXPECT_EQ(files().size(), 1U);
        return files().empty() ? json() : json::parse(std::ifstream(files()[0]));
    }
    Ran run_ddict(std::vector<std::string> words) const {
        words.insert(words.begin(), program("ddict"));
        return ran(words);
    }
    json running() const {
        json found = json::array();
        for (const auto& one : json::parse(run({"status", "--json"}).out))
            if (one.at("state") != "kept") found.push_back(one);
        return found;
    }
};

TEST_F(RecordsTest, ACommandsDictionaryIsFoundFromAnotherShell) {
    Program command = wrapper({"--name", "one", "--managers-per-node", "2"});
    const std::string handle = handle_of(command);
    ASSERT_EQ(files().size(), 1U);
    struct stat file {};
    ASSERT_EQ(::stat(files()[0].c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 07777, 0600U);
    ASSERT_EQ(::stat((folder() + "/state").c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0700U);

    const Ran status = run({"status"});
    EXPECT_EQ(status.status, 0) << status.err;
    EXPECT_NE(status.out.find("one: alive, 2 managers on 1 node ("), std::string::npos) << status.out;
    EXPECT_NE(status.out.find(", of the command of process " + std::to_string(command.pid()) + " on "),
              std::string::npos)
        << status.out;
    ASSERT_EQ(running().size(), 1U);
    EXPECT_EQ(running()[0].at("of_command"), true);
    EXPECT_EQ(running()[0].dump().find(handle), std::string::npos) << "status is for showing to others";
    EXPECT_EQ(run({"env", "--name", "one"}).out, "export DDICT_HANDLE=" + handle + " DDICT_NAME=one\n");

    EXPECT_EQ(run_ddict({"--name", "one", "put", "Hello", "Dragon"}).status, 0);
    const Ran got = run_ddict({"get", "Hello", "--name=one"});
    EXPECT_EQ(got.out, "Dragon") << got.err;
    EXPECT_EQ(run_ddict({"get", "nothing", "--name=one"}).status, 1);
    EXPECT_EQ(run_ddict({"health", "--name", "one"}).status, 0);
    const Ran exec =
        run({"exec", "--name", "one", "--", "/bin/sh", "-c", "echo $DDICT_NAME $0; exit 7", "$x"});
    EXPECT_EQ(exec.out, "one $x\n");
    EXPECT_EQ(exec.status, 7);
    EXPECT_EQ(run({"restart", "--manager", "1", "--name", "one"}).status, 0);

    command.close_stdin();
    EXPECT_EQ(command.wait(), 0) << command.err();
    EXPECT_TRUE(files().empty());
    EXPECT_EQ(run({"status"}).status, 1);
}

TEST_F(RecordsTest, AHandleInAFile) {
    Program command = wrapper();
    const std::string file = folder() + "/handle";
    std::ofstream(file) << handle_of(command) << "\n";
    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(run_ddict({"--handle-file", file, "size"}).out, "0\n");
    EXPECT_EQ(run_ddict({"--handle-file", file, "size"}).err, "");
    fs::permissions(file, fs::perms::group_read, fs::perm_options::add);
    const Ran open = run_ddict({"--handle-file", file, "size"});
    EXPECT_EQ(open.out, "0\n");
    EXPECT_NE(open.err.find("others can read " + file), std::string::npos) << open.err;
    std::ofstream(file).close();
    for (const std::string& wrong : {file, folder() + "/none", folder()}) {
        const Ran failed = run_ddict({"size", "--handle-file", wrong});
        EXPECT_EQ(failed.status, 2) << wrong;
        EXPECT_NE(failed.err.find("no handle can be read from " + wrong), std::string::npos) << failed.err;
    }
    const Ran both = run_ddict({"size", "--handle-file", file, "--name", "default"});
    EXPECT_EQ(both.status, 2) << both.err;
    command.close_stdin();
    EXPECT_EQ(command.wait(), 0) << command.err();
}

TEST_F(RecordsTest, ItIsNoneOfStart) {
    Program command = wrapper();
    handle_of(command);
    const Ran stopped = run({"stop"});
    EXPECT_EQ(stopped.status, 1);
    EXPECT_NE(stopped.err.find("'default' ends with its command"), std::string::npos) << stopped.err;
    // They may have the same name, and start's comes first.
    const Ran started = run({"start"});
    ASSERT_EQ(started.status, 0) << started.err;
    EXPECT_NE(run({"env"}).out.find(started.out.substr(0, started.out.find('\n'))), std::string::npos);
    EXPECT_EQ(run({"stop"}).status, 0);
    EXPECT_EQ(running().size(), 1U);
    command.close_stdin();
    EXPECT_EQ(command.wait(), 0) << command.err();
}

TEST_F(RecordsTest, SeveralOfOneNameAreToldApartOrRefused) {
    Program first = wrapper();
    Program second = wrapper();
    Program third = wrapper({"--name", "third"});
    for (Program* each : {&first, &second, &third})
        handle_of(*each);
    EXPECT_EQ(running().size(), 3U);
    const Ran which = run_ddict({"size", "--name", "default"});
    EXPECT_EQ(which.status, 2);
    EXPECT_NE(which.err.find("several dictionaries named 'default' are running"), std::string::npos)
        << which.err;
    EXPECT_EQ(run_ddict({"size", "--name", "third"}).status, 0);
    const Ran none = run_ddict({"size", "--name", "fourth"});
    EXPECT_EQ(none.status, 4) << "1 would say that a key is not there";
    EXPECT_NE(none.err.find("no dictionary named 'fourth' is running here"), std::string::npos) << none.err;
    first.close_stdin();
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(run_ddict({"size", "--name", "default"}).status, 0);
    for (Program* each : {&second, &third}) {
        each->close_stdin();
        EXPECT_EQ(each->wait(), 0);
    }
}

/// A command that is killed takes its record with it.
TEST_F(RecordsTest, AKilledWrapperLeavesNoRecord) {
    for (const int number : {SIGKILL, SIGTERM, SIGABRT}) {
        Program command = wrapper();
        handle_of(command);
        command.signal(number);
        EXPECT_NE(command.wait(), 0);
        EXPECT_TRUE(nothing_runs());
        EXPECT_TRUE(files().empty()) << number;
    }
}

TEST_F(RecordsTest, WhatIsLeftByAKillOfAllIsStaleAndRemoved) {
    for (const bool by_status : {true, false}) {
        Program command = wrapper();
        handle_of(command);
        const std::vector<pid_t> keepers = processes("--keep-record");
        ASSERT_EQ(keepers.size(), 1U);
        ::kill(keepers[0], SIGKILL);
        command.signal(SIGKILL);
        command.wait();
        ASSERT_TRUE(nothing_runs());
        ASSERT_EQ(files().size(), 1U) << "nobody could remove it";
        const Ran env = run({"env"});
        EXPECT_EQ(env.status, 1);
        EXPECT_NE(env.err.find("no dictionary named 'default' is running here"), std::string::npos)
            << env.err;
        if (by_status) {
            EXPECT_EQ(run({"status"}).status, 1);
        } else {
            EXPECT_EQ(run({"--", "/bin/true"}).status, 0);
        }
        EXPECT_TRUE(files().empty());
    }
}

/// As one that waits for a file system that does not answer.
TEST_F(RecordsTest, AKeeperThatIsHeldUpHoldsUpNobody) {
    Program command = wrapper();
    handle_of(command);
    const std::vector<pid_t> keepers = processes("--keep-record");
    ASSERT_EQ(keepers.size(), 1U);
    ::kill(keepers[0], SIGSTOP);
    command.close_stdin();
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(command.wait(), 0) << command.err();
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(10));
    ::kill(keepers[0], SIGCONT);
    EXPECT_TRUE(nothing_runs());
    EXPECT_TRUE(files().empty()) << "it removes the record when it can";
}

TEST_F(RecordsTest, WithoutAFolderForItTheCommandRuns) {
    const std::string file = folder() + "/file";
    std::ofstream(file) << "no folder";
    const Ran unusable = run({"--state-dir", file, "--", program("ddict"), "size"});
    EXPECT_EQ(unusable.status, 0);
    EXPECT_EQ(unusable.out, "0\n");
    EXPECT_NE(unusable.err.find("its record cannot be written"), std::string::npos) << unusable.err;
}

TEST_F(RecordsTest, ALossIsNoted) {
    Program command = wrapper({"--no-restart", "--managers-per-node", "2"});
    handle_of(command);
    const json stats = json::parse(run_ddict({"--name", "default", "stats", "--json"}).out);
    ::kill(stats.at("managers")[1].at("pid").get<pid_t>(), SIGKILL);
    ASSERT_TRUE(command.complains("manager 1"));
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    while (record().at("lost").empty() && std::chrono::steady_clock::now() < deadline)
        ::usleep(10'000);
    const Ran status = run({"status"});
    EXPECT_NE(status.out.find("lost: manager 1 on "), std::string::npos) << status.out;
    command.close_stdin();
    command.wait();
}

/// The parts of exec that reach into a job, with an srun and a squeue of the test.
TEST_F(RecordsTest, FromOutsideOfItsJobItGoesThroughSrun) {
    Program command = wrapper();
    const std::string handle = handle_of(command);
    json there = record();
    there["job"] = "27";
    there["step"] = "27.0";
    there["launcher"]["host"] = "n1";
    there["launcher"]["machine"] = "0123";
    there["nodes"] = {"n1", "n2"};
    const std::string path = folder() + "/state/27-default+" + std::string(16, 'a') + ".json";
    const auto script = [&](const std::string& name, const std::string& text) {
        std::ofstream(folder() + "/" + name) << "#!/bin/sh\n" << text;
        fs::permissions(folder() + "/" + name, fs::perms::owner_all);
    };
    const auto squeue = [](const std::string& steps, const std::string& jobs) {
        return "[ -z \"$SQUEUE_PARTITION$SLURM_CLUSTERS\" ] || exit 0\n"
               "case $* in *RestartCnt*) echo '" +
               jobs + "';; *) echo '" + steps + "';; esac\n";
    };
    script("squeue", squeue("27  25_2.0  27  25_2.batch", "27  0"));
    set("SQUEUE_PARTITION", "another");
    set("SLURM_CLUSTERS", "another");
    script("srun",
           "echo \"$@\"; echo $DDICT_HANDLE $SLURM_DDICT_HANDLE $SLURM_JOB_ID $SLURM_NTASKS "
           "$SLURM_EXIT_ERROR; exit 9\n");
    set("PATH", folder() + ":/usr/bin:/bin");
    set("SLURM_NTASKS", "5");
    const auto write = [&](const json& one) {
        std::ofstream(path) << one;
        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    };
    write(there);
    EXPECT_NE(run({"status", "--job", "27"}).out.find("default: alive, 1 manager on 2 nodes"),
              std::string::npos);
    EXPECT_EQ(run({"status", "--job", "28"}).status, 1);
    const Ran ran = run_ddict({"--job", "27", "stats", "--json"});
    EXPECT_EQ(ran.status, 9) << ran.err;
    EXPECT_NE(ran.out.find("--jobid=27 "), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("--overlap "), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find(program("ddict") + " stats --json\n" + handle + " " + handle + " 6\n"),
              std::string::npos)
        << ran.out;
    const Ran other = run_ddict({"--job", "28", "stats"});
    EXPECT_EQ(other.status, 4);
    EXPECT_NE(other.err.find("no dictionary of job 28 is running here"), std::string::npos) << other.err;
    script("squeue", "exit 1\n");
    EXPECT_EQ(run_ddict({"--job", "27", "stats"}).status, 6) << "that is not known";
    script("squeue", squeue("27  27.0", "27  1  28  0"));
    EXPECT_EQ(run_ddict({"--job", "27", "stats"}).status, 4) << "its steps are those of its next life";
    there["job_restart"] = "1";
    write(there);
    EXPECT_EQ(run_ddict({"--job", "27", "stats"}).status, 9);
    there["cluster"] = "north";
    write(there);
    script("squeue", "exit 0\n");
    script("scontrol", "echo 'ClusterName             = south'\n");
    const Ran of_another = run_ddict({"--job", "27", "stats"});
    EXPECT_EQ(of_another.status, 6);
    EXPECT_NE(of_another.err.find("it is of the cluster north, this one is south"), std::string::npos)
        << of_another.err;
    EXPECT_NE(run({"status", "--job", "27"}).out.find("default: unknown (it is of the cluster north"),
              std::string::npos);
    EXPECT_TRUE(fs::exists(path)) << "which Slurm here knows nothing of";
    script("scontrol", "echo 'ClusterName             = north'\n");
    EXPECT_EQ(run_ddict({"--job", "27", "stats"}).status, 4);
    EXPECT_TRUE(fs::exists(path));
    EXPECT_EQ(run({"status", "--job", "27"}).status, 1);
    EXPECT_FALSE(fs::exists(path)) << "it has gone with its job";
    command.close_stdin();
    EXPECT_EQ(command.wait(), 0) << command.err();
}

}  // namespace
}  // namespace ddict::launcher::testing
