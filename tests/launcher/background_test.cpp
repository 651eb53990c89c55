// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// start, stop, status, env, serve and --check as whole programs.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/handle.h"
#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

class BackgroundTest : public LauncherTest {
  protected:
    std::string only_file() {
        std::string path;
        for (const auto& entry : std::filesystem::directory_iterator(folder() + "/state")) {
            EXPECT_EQ(path, "");
            path = entry.path();
        }
        return path;
    }
    pid_t launcher_pid() {
        return nlohmann::json::parse(std::ifstream(only_file())).at("launcher").at("pid").get<pid_t>();
    }
    /// What status --json says of dictionaries that start began. It tells of kept ones too, and those are
    /// this user's on the whole host, so that another test's may be among them.
    nlohmann::json started_ones() {
        nlohmann::json started = nlohmann::json::array();
        for (const auto& one : nlohmann::json::parse(run({"status", "--json"}).out))
            if (one.at("state") != "kept") started.push_back(one);
        return started;
    }
};

TEST_F(BackgroundTest, StartStatusEnvStop) {
    const Ran started = run({"start", "--managers-per-node", "2"});
    ASSERT_EQ(started.status, 0) << started.err;
    const std::string handle = started.out.substr(0, started.out.find('\n'));
    ASSERT_TRUE(Handle::parse(handle)) << started.out;

    struct stat file {};
    ASSERT_EQ(stat(only_file().c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0600U);

    const Ran status = run({"status"});
    EXPECT_EQ(status.status, 0);
    EXPECT_NE(status.out.find("default: alive, 2 managers on 1 node ("), std::string::npos) << status.out;
    const auto json = started_ones();
    ASSERT_EQ(json.size(), 1U);
    EXPECT_EQ(json[0].at("state"), "alive");
    EXPECT_EQ(json[0].at("managers"), 2);
    EXPECT_EQ(json[0].at("total_bytes"), 8U << 20);
    EXPECT_FALSE(json[0].contains("handle")) << "status is for showing to others; the handle is a secret";

    EXPECT_EQ(run({"env"}).out, "export DDICT_HANDLE=" + handle + " DDICT_NAME=default\n");

    set("DDICT_HANDLE", handle);
    Program put({program("ddict"), "put", "Hello", "Dragon"}, environment());
    EXPECT_EQ(put.wait(), 0) << put.err();

    EXPECT_EQ(run({"stop"}).status, 0);
    EXPECT_EQ(processes("").size(), 0U) << "stop returns when all is gone";
    EXPECT_EQ(run({"status"}).status, 1);
}

TEST_F(BackgroundTest, ExportsForAShell) {
    const Ran started = run({"start", "--export", "--name", "shell"});
    ASSERT_EQ(started.status, 0) << started.err;
    Program shell({"/bin/sh", "-c", "eval \"$0\"; exec '" + program("ddict") + "' size", started.out},
                  environment());
    EXPECT_EQ(shell.wait(), 0) << shell.err();
    EXPECT_EQ(shell.out(), "0\n");
    EXPECT_EQ(run({"stop", "--name", "shell"}).status, 0);
}

TEST_F(BackgroundTest, AFailureFailsTheShellThatEvaluatesIt) {
    for (const std::string args : {"start --export --total-mem 100T", "start --export --total-mem nothing",
                                   "env --name nobody", "env --name /", "--name nobody env"}) {
        Program shell(
            {"/bin/sh", "-ec", "eval \"$('" + program("ddict-launch") + "' " + args + ")\"; echo went on"},
            environment());
        EXPECT_NE(shell.wait(), 0) << args;
        EXPECT_EQ(shell.out(), "") << args;
    }
}

TEST_F(BackgroundTest, ASecondOfTheSameNameIsRefused) {
    ASSERT_EQ(run({"start"}).status, 0);
    const Ran second = run({"start"});
    EXPECT_EQ(second.status, 1);
    EXPECT_NE(second.err.find("a dictionary named 'default' is running already"), std::string::npos)
        << second.err;
    EXPECT_EQ(run({"stop"}).status, 0);
}

TEST_F(BackgroundTest, AFolderThatCannotBeReadIsNoAnswer) {
    const std::string file = folder() + "/file";
    std::ofstream(file) << "no folder";
    for (const auto& [state_dir, why] : {std::pair(file, "Not a directory"),
                                         {file + "/below", "Not a directory"},
                                         {folder() + "/" + std::string(300, 'x'), "File name too long"}}) {
        for (const std::string verb : {"status", "env", "stop", "start"}) {
            const Ran ran = run({verb, "--state-dir", state_dir});
            EXPECT_EQ(ran.status, verb == "status" ? 3 : 1) << verb;
            EXPECT_NE(ran.err.find(why), std::string::npos) << verb << ": " << ran.err;
            EXPECT_NE(ran.err.find("--state-dir"), std::string::npos) << verb << ": " << ran.err;
            EXPECT_EQ((ran.out + ran.err).find("is running here"), std::string::npos) << ran.out << ran.err;
        }
    }
    EXPECT_TRUE(nothing_runs());
    std::string said;
    std::istringstream lines(run({"status", "--state-dir", folder() + "/not there"}).out);
    for (std::string line; std::getline(lines, line);)
        if (line.find(": kept, ") == std::string::npos) said += line + "\n";
    EXPECT_EQ(said, "no dictionary is running here\n");
}

TEST_F(BackgroundTest, ARecordThatCannotBeReadIsNoAnswer) {
    ASSERT_EQ(run({"start"}).status, 0);
    for (const std::string verb : {"status", "stop"}) {
        std::vector<std::string> words = launch({verb, "--name", "other"});
        words.insert(words.begin(), {"/bin/sh", "-c", "ulimit -n 4; exec \"$@\"", "sh"});
        Program limited(words, environment());
        EXPECT_EQ(limited.wait(), verb == "status" ? 3 : 1) << verb;
        const std::string said = limited.out() + limited.err();
        EXPECT_NE(said.find("Too many open files"), std::string::npos) << said;
        EXPECT_EQ(said.find("is running here"), std::string::npos) << said;
    }
    EXPECT_EQ(run({"stop"}).status, 0);
}

/// It is this user's, and its dictionary runs.
TEST_F(BackgroundTest, ARecordThatIsNotBelievedIsNoAnswer) {
    ASSERT_EQ(run({"start"}).status, 0);
    const std::string file = only_file();
    ASSERT_EQ(::chmod(file.c_str(), 0620), 0);
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"status"}, {"status", "--json"}, {"status", "--name", "default"}}) {
        const Ran ran = run(words);
        EXPECT_EQ(ran.status, 3) << words.back();
        EXPECT_NE((ran.out + ran.err).find("not believed"), std::string::npos) << ran.out << ran.err;
        EXPECT_EQ((ran.out + ran.err).find("is running here"), std::string::npos) << ran.out << ran.err;
    }
    ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
    Program full({"/bin/sh", "-c", "exec '" + program("ddict-launch") + "' status >/dev/full"},
                 environment());
    EXPECT_EQ(full.wait(), 3) << "it could not be told";
    EXPECT_EQ(run({"stop"}).status, 0);
}

TEST_F(BackgroundTest, AHandleOfAnotherDictionaryThatStepsWouldUseIsNamed) {
    const Ran first = run({"start", "--name", "first"});
    ASSERT_EQ(first.status, 0) << first.err;
    EXPECT_EQ(first.err.find("SLURM_DDICT_HANDLE"), std::string::npos) << first.err;
    set("SLURM_DDICT_HANDLE", first.out.substr(0, first.out.find('\n')));
    const Ran second = run({"start", "--name", "second"});
    EXPECT_EQ(second.status, 0);
    EXPECT_NE(second.err.find("SLURM_DDICT_HANDLE is set, to another dictionary"), std::string::npos)
        << second.err;
    EXPECT_EQ(run({"stop", "--name", "first"}).status, 0);
    EXPECT_EQ(run({"stop", "--name", "second"}).status, 0);
}

TEST_F(BackgroundTest, NamesOfFilesDoNotActOnATerminal) {
    std::filesystem::create_directory(folder() + "/state");
    const std::string file = folder() + "/state/a\233[2J.json";
    std::ofstream(file) << "nothing";
    const std::string out = run({"status"}).out;
    std::filesystem::remove(file);
    EXPECT_NE(out.find("a?[2J.json: "), std::string::npos) << out;
}

TEST_F(BackgroundTest, TwoNamesLiveSideBySide) {
    ASSERT_EQ(run({"start", "--name", "one"}).status, 0);
    ASSERT_EQ(run({"start", "--name", "two"}).status, 0);
    EXPECT_EQ(started_ones().size(), 2U);
    const auto one = nlohmann::json::parse(run({"status", "--json", "--name", "one"}).out);
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one[0].at("name"), "one");
    const Ran none = run({"status", "--name", "three"});
    EXPECT_EQ(none.status, 1);
    EXPECT_EQ(none.out, "no dictionary named 'three' is running here\n");
    EXPECT_EQ(run({"stop", "--name", "one"}).status, 0);
    const auto left = started_ones();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].at("name"), "two");
    EXPECT_EQ(run({"stop", "--name", "two"}).status, 0);
}

TEST_F(BackgroundTest, AFileWithoutItsLauncherIsStale) {
    ASSERT_EQ(run({"start"}).status, 0);
    kill(launcher_pid(), SIGKILL);
    ASSERT_TRUE(nothing_runs(seconds(2)));
    const Ran status = run({"status"});
    EXPECT_EQ(status.status, 1);
    EXPECT_NE(status.out.find("default: stale"), std::string::npos) << status.out;
    const Ran env = run({"env"});
    EXPECT_EQ(env.status, 1);
    EXPECT_EQ(env.out, "false\n") << "eval fails as well";

    ASSERT_EQ(run({"start"}).status, 0) << "takes the place of the stale one";
    kill(launcher_pid(), SIGKILL);
    ASSERT_TRUE(nothing_runs(seconds(2)));
    EXPECT_EQ(run({"stop"}).status, 0) << "removes the stale file";
}

/// As a batch script does that saves when it gets it.
TEST_F(BackgroundTest, StopsThoughItsCallerIgnoredTerm) {
    Program shell(
        {"/bin/sh", "-c",
         "trap '' TERM; exec '" + program("ddict-launch") + "' start --managers-per-node 1 --total-mem 8M"},
        environment());
    ASSERT_EQ(shell.wait(), 0) << shell.err();
    kill(launcher_pid(), SIGTERM);
    EXPECT_EQ(run({"status"}).status, 0) << "what the caller ignores is no order";
    EXPECT_EQ(run({"stop"}).status, 0);
    EXPECT_EQ(processes("").size(), 0U);
}

TEST_F(BackgroundTest, LetsGoOfItsCallersOutputWithoutANullDevice) {
    Program shell(
        {"/bin/sh", "-c",
         "exec unshare --mount sh -c 'mount --bind / /media && mount -t tmpfs none /dev && mkdir /dev/shm && "
         "mount --bind /media/dev/shm /dev/shm && h=$(\"$0\" start --managers-per-node 1 --total-mem 8M) && "
         "test -n \"$h\"' '" +
             program("ddict-launch") + "'"},
        environment());
    EXPECT_EQ(shell.wait(), 0) << shell.err();
    EXPECT_EQ(run({"stop"}).status, 0);
}

/// The launcher does not stay in the folder that it was started in.
TEST_F(BackgroundTest, AStateFolderMayBeNamedFromHere) {
    const auto in_folder = [&](const std::string& command) {
        Program shell({"/bin/sh", "-c",
                       "cd '" + folder() + "' && exec '" + program("ddict-launch") + "' " + command +
                           " --state-dir state"},
                      environment());
        const int status = shell.wait();
        return Ran{status, shell.out(), shell.err()};
    };
    ASSERT_EQ(in_folder("start --managers-per-node 1 --total-mem 8M").status, 0);
    EXPECT_EQ(in_folder("status").status, 0);
    EXPECT_EQ(in_folder("stop").status, 0);
    EXPECT_EQ(only_file(), "") << "what has ended leaves no file";
}

TEST_F(BackgroundTest, AHandleThatNobodyCanReadIsNoDictionary) {
    for (const std::string verb : {"start", "start --export"}) {
        Program shell({"/bin/sh", "-c", "exec '" + program("ddict-launch") + "' " + verb + " >/dev/full"},
                      environment());
        EXPECT_EQ(shell.wait(), 1);
        EXPECT_NE(shell.err().find("cannot write the handle"), std::string::npos) << shell.err();
        EXPECT_EQ(processes("").size(), 0U);
        EXPECT_EQ(run({"status"}).status, 1);
    }
    Program help({"/bin/sh", "-c", "exec '" + program("ddict-launch") + "' --help >/dev/full"},
                 environment());
    EXPECT_EQ(help.wait(), 1);
}

TEST_F(BackgroundTest, APipeInTheStateFolderIsNotWaitedFor) {
    std::filesystem::create_directory(folder() + "/state");
    ASSERT_EQ(mkfifo((folder() + "/state/pipe.json").c_str(), 0600), 0);
    const Ran status = run({"status"});
    EXPECT_EQ(status.status, 1);
    EXPECT_NE(status.out.find("pipe.json: this is no file of ddict-launch"), std::string::npos) << status.out;
    std::filesystem::remove(folder() + "/state/pipe.json");
}

TEST_F(BackgroundTest, AFileThatCannotBeReadIsLeftAlone) {
    ASSERT_EQ(run({"start"}).status, 0);
    const std::string path = only_file();
    EXPECT_EQ(run({"stop"}).status, 0);
    std::ofstream(path) << "{\"format\": 2}\n";
    const Ran started = run({"start"});
    EXPECT_EQ(started.status, 1);
    EXPECT_NE(started.err.find("this is no rendezvous file of this version of ddict; remove it"),
              std::string::npos)
        << started.err;
    EXPECT_EQ(only_file(), path);
    std::filesystem::remove(path);
}

TEST_F(BackgroundTest, AnotherDictionarysFileIsLeftAlone) {
    ASSERT_EQ(run({"start"}).status, 0);
    const pid_t launcher = launcher_pid();
    const std::string path = only_file();
    auto record = nlohmann::json::parse(std::ifstream(path));
    record["dictionary"] = "0123456789abcdef";
    std::ofstream(path) << record;
    kill(launcher, SIGTERM);
    ASSERT_TRUE(nothing_runs(seconds(5)));
    EXPECT_EQ(only_file(), path);
    std::filesystem::remove(path);
}

TEST_F(BackgroundTest, NothingToStop) {
    const Ran stopped = run({"stop"});
    EXPECT_EQ(stopped.status, 1);
    EXPECT_NE(stopped.err.find("no dictionary named 'default' is running here"), std::string::npos)
        << stopped.err;
}

TEST_F(BackgroundTest, AClientEndsIt) {
    const Ran started = run({"start"});
    ASSERT_EQ(started.status, 0) << started.err;
    set("DDICT_HANDLE", started.out.substr(0, started.out.find('\n')));
    Program destroy({program("ddict"), "destroy"}, environment());
    EXPECT_EQ(destroy.wait(), 0) << destroy.err();
    EXPECT_TRUE(nothing_runs());
}

/// destroy has returned, and the launcher still lives: held up, so that this lasts.
TEST_F(BackgroundTest, WhatAClientHasDestroyedIsNoLongerThere) {
    const Ran started = run({"start"});
    ASSERT_EQ(started.status, 0) << started.err;
    set("DDICT_HANDLE", started.out.substr(0, started.out.find('\n')));
    const pid_t launcher = launcher_pid();
    kill(launcher, SIGSTOP);
    Program destroy({program("ddict"), "destroy"}, environment());
    EXPECT_EQ(destroy.wait(), 0) << destroy.err();
    const Ran status = run({"status"});
    EXPECT_EQ(status.status, 1);
    EXPECT_NE(status.out.find("default: ending"), std::string::npos) << status.out;
    EXPECT_EQ(run({"env"}).out, "false\n");
    const Ran hasty = run({"start", "--timeout", "0.2"});
    EXPECT_EQ(hasty.status, 1);
    EXPECT_NE(hasty.err.find("was destroyed by a client, and has not ended yet"), std::string::npos)
        << hasty.err;
    const Ran late = run({"stop", "--timeout", "0.2"});
    EXPECT_EQ(late.status, 1);
    EXPECT_NE(late.err.find("'default' has not ended within 0.2 s"), std::string::npos) << late.err;
    kill(launcher, SIGCONT);
    const Ran stopped = run({"stop"});
    EXPECT_EQ(stopped.status, 0) << stopped.err;
    const Ran again = run({"stop"});
    EXPECT_EQ(again.status, 0) << "this shell's dictionary has ended: " << again.err;
    EXPECT_NE(again.err.find("'default' has ended already"), std::string::npos) << again.err;
    EXPECT_EQ(run({"stop", "--name", "other"}).status, 1);
}

TEST_F(BackgroundTest, AfterDestroyAllGoesOnAtOnce) {
    for (int round = 0; round < 5; ++round) {
        const Ran started = run({"start"});
        ASSERT_EQ(started.status, 0) << started.err;
        set("DDICT_HANDLE", started.out.substr(0, started.out.find('\n')));
        Program destroy({program("ddict"), "destroy"}, environment());
        EXPECT_EQ(destroy.wait(), 0) << destroy.err();
    }
    const Ran stopped = run({"stop"});
    EXPECT_EQ(stopped.status, 0) << stopped.err;
}

TEST_F(BackgroundTest, WhatDoesNotFitIsAWrongOption) {
    for (const std::vector<std::string>& options :
         {std::vector<std::string>{"--total-mem", "0"}, {"--total-mem", "65536"}, {"--nodelist", "n1"}}) {
        std::vector<std::string> start{"start"};
        start.insert(start.end(), options.begin(), options.end());
        EXPECT_EQ(run(start).status, 2) << options[0];
        std::vector<std::string> serve{"serve"};
        serve.insert(serve.end(), options.begin(), options.end());
        EXPECT_EQ(run(serve).status, 2) << options[0];
        std::vector<std::string> command = options;
        command.insert(command.end(), {"--", "true"});
        EXPECT_EQ(run(command).status, 2) << options[0];
    }
}

TEST_F(BackgroundTest, AManagerIsRestartedByItsNumber) {
    ASSERT_EQ(run({"start", "--managers-per-node", "2"}).status, 0);
    const auto before = processes("--control-fd");
    ASSERT_EQ(before.size(), 2U);
    const Ran restarted = run({"restart", "--manager", "1"});
    EXPECT_EQ(restarted.status, 0) << restarted.err;
    const auto after = processes("--control-fd");
    EXPECT_EQ(after.size(), 2U);
    EXPECT_EQ(std::count_if(
                  after.begin(), after.end(),
                  [&](pid_t pid) { return std::find(before.begin(), before.end(), pid) != before.end(); }),
              1)
        << "one of them is another process";
    const Ran none = run({"restart", "--manager", "2"});
    EXPECT_NE(none.status, 0);
    EXPECT_NE(none.err.find("manager"), std::string::npos) << none.err;
    EXPECT_EQ(run({"stop"}).status, 0);
    const Ran gone = run({"restart", "--manager", "1"});
    EXPECT_EQ(gone.status, 1);
    EXPECT_NE(gone.err.find("no dictionary named 'default'"), std::string::npos) << gone.err;
}

TEST_F(BackgroundTest, StatusTellsOfALostManager) {
    ASSERT_EQ(run({"start", "--managers-per-node", "2", "--no-restart"}).status, 0);
    const auto managers = processes("--control-fd");
    ASSERT_EQ(managers.size(), 2U);
    kill(managers[1], SIGKILL);
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    nlohmann::json lost = nlohmann::json::array();
    while (lost.empty() && std::chrono::steady_clock::now() < deadline)
        lost = started_ones().at(0).at("lost");
    ASSERT_EQ(lost.size(), 1U);
    EXPECT_NE(lost[0].get<std::string>().find("was killed by signal 9"), std::string::npos) << lost;
    EXPECT_EQ(run({"stop"}).status, 0);
}

TEST_F(BackgroundTest, AFailedStartLeavesNothing) {
    set("DDICT_MANAGER_PROGRAM", "/bin/false");
    const Ran started = run({"start"});
    EXPECT_EQ(started.status, 1);
    EXPECT_EQ(started.out, "");
    EXPECT_NE(started.err.find("manager 0 did not start"), std::string::npos) << started.err;
}

TEST_F(BackgroundTest, CancelledStartLeavesNothing) {
    set("DDICT_MANAGER_PROGRAM", odd_program());
    for (const int number : {SIGINT, SIGKILL}) {
        Program starting(launch({"start"}), environment());
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (processes("--control-fd").empty() && std::chrono::steady_clock::now() < deadline)
            sched_yield();
        starting.signal(number);
        EXPECT_EQ(starting.wait(), 128 + number) << starting.err();
        EXPECT_TRUE(nothing_runs());
    }
}

TEST_F(BackgroundTest, ServeLivesAsLongAsItsStandardInput) {
    Program served(launch({"serve"}), environment());
    ASSERT_TRUE(served.prints("\n"));
    ASSERT_EQ(served.out().substr(0, 6), "ready ") << served.out();
    EXPECT_TRUE(Handle::parse(served.out().substr(6)));
    served.close_stdin();
    EXPECT_EQ(served.wait(), 0) << served.err();
}

TEST_F(BackgroundTest, ServeEndsWhenAClientDestroysTheDictionary) {
    Program served(launch({"serve"}), environment());
    ASSERT_TRUE(served.prints("\n"));
    set("DDICT_HANDLE", served.out().substr(6, served.out().find('\n') - 6));
    Program destroy({program("ddict"), "destroy"}, environment());
    EXPECT_EQ(destroy.wait(), 0) << destroy.err();
    EXPECT_EQ(served.wait(), 0) << served.err();
}

TEST_F(BackgroundTest, ServeSaysWhyItCannot) {
    Program served(launch({"serve", "--total-mem", "900T"}), environment());
    EXPECT_EQ(served.wait(), 1);
    EXPECT_EQ(served.out().substr(0, 16), "error no_space: ") << served.out();
    EXPECT_NE(served.out().find("900T"), std::string::npos) << served.out();
    Program wrong(launch({"serve", "--name", "no good name"}), environment());
    EXPECT_EQ(wrong.wait(), 2);
    EXPECT_EQ(wrong.out().substr(0, 32), "error invalid_argument: --name: ") << wrong.out();
}

TEST_F(BackgroundTest, CheckFitsOnAScreen) {
    const Ran checked = run({"--check"});
    EXPECT_EQ(checked.status, 0) << checked.out;
    std::istringstream lines(checked.out);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count)
        EXPECT_LE(line.size(), 80U) << line;
    EXPECT_LE(count, 24);
    for (const char* const topic :
         {"placement: 1 per node on this machine", "UCX 1.", "network", "memory: needs 8", "open files: "})
        EXPECT_NE(checked.out.find(topic), std::string::npos) << topic << " in:\n" << checked.out;
}

TEST_F(BackgroundTest, CheckFailsWhenThereIsTooLittleMemory) {
    const Ran checked = run({"--check", "--total-mem", "900T"});
    EXPECT_EQ(checked.status, 1);
    EXPECT_NE(checked.out.find("failed   "), std::string::npos) << checked.out;
}

}  // namespace
}  // namespace ddict::launcher::testing
