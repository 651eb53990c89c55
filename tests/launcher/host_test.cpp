// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch on hosts as they are: long names, closed descriptors, folders that have gone, limits.
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

namespace fs = std::filesystem;

class HostTest : public LauncherTest {
  protected:
    /// A line of a shell in which $L is ddict-launch, $D is ddict, $O is the odd program, $F the test's
    /// folder.
    Ran shell(const std::string& line) {
        set("L", program("ddict-launch"));
        set("D", program("ddict"));
        set("O", odd_program());
        set("F", folder());
        return ran({"/bin/bash", "-c", line});
    }
    /// A line for each finding of --check.
    static std::string unwrapped(std::string text) {
        const std::string wrap = "\n         ";
        for (std::size_t at = 0; (at = text.find(wrap, at)) != std::string::npos;)
            text.replace(at, wrap.size(), " ");
        return text;
    }
    static std::string text_of(const std::string& path) {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }
};

/// A name for the host while the test runs, in a namespace of the test program's own.
class HostName {
  public:
    HostName() {
        static const bool own = unshare(CLONE_NEWUTS) == 0;
        EXPECT_TRUE(own) << "no UTS namespace to be had";
        EXPECT_EQ(gethostname(before_.data(), before_.size()), 0);
    }
    ~HostName() { set(before_.c_str()); }
    void set(const std::string& name) const { EXPECT_EQ(sethostname(name.data(), name.size()), 0); }

  private:
    std::string before_ = std::string(65, '\0');
};

TEST_F(HostTest, NamesOfAnyLengthAreShownWhole) {
    const HostName host;
    for (const std::string& name : {std::string(47, 'h'), std::string(48, 'h'), std::string(63, 'h'),
                                    std::string("ip-172-31-100-200.ap-southeast-2.compute.internal")}) {
        host.set(name);
        const Ran health = run({"--", program("ddict"), "health"});
        EXPECT_EQ(health.status, 0) << health.err;
        EXPECT_NE(health.out.find(name), std::string::npos) << health.out;
        const Ran failed = run({"--manager-program", "/bin/false", "--", "true"});
        EXPECT_NE(failed.err.find(name + ": "), std::string::npos) << failed.err;
        EXPECT_EQ(run({"start"}).status, 0);
        EXPECT_NE(run({"status"}).out.find(name), std::string::npos);
        EXPECT_EQ(run({"stop"}).status, 0);
    }
}

/// UCX 1.13 aborts with it; later releases read beyond the name, and may not.
TEST_F(HostTest, TheLongestNameIsToldByCheck) {
    const HostName host;
    host.set(std::string(64, 'h'));
    const Ran checked = run({"--check"});
    const std::string text = unwrapped(checked.out);
    const bool aborts = text.find("failed   " + std::string(64, 'h') + ": UCX") != std::string::npos;
    EXPECT_EQ(checked.status, 1) << checked.out;
    EXPECT_NE(text.find("64 characters, for which UCX has no space"), std::string::npos) << checked.out;
    const Ran launched = run({"--", "true"});
    EXPECT_EQ(launched.status, aborts ? 1 : 0) << launched.err;
    EXPECT_EQ(launched.err.find("aborts where the host's name is that long") != std::string::npos, aborts)
        << launched.err;
}

TEST_F(HostTest, NamesThatWouldSpoilALineOrAPath) {
    const HostName host;
    host.set("a/b \x1b[2J\nc");
    EXPECT_EQ(run({"start"}).status, 0);
    const Ran status = run({"status"});
    EXPECT_EQ(status.status, 0) << status.err;
    EXPECT_NE(status.out.find("(a_b___2J_c)"), std::string::npos) << status.out;
    EXPECT_EQ(run({"stop"}).status, 0);
}

TEST_F(HostTest, TheCommandInheritsWhatItWouldWithoutTheLauncher) {
    const std::string list = "$O open-descriptors $F/with";
    EXPECT_EQ(shell("exec 7</dev/null; $O open-descriptors $F/without; $L -- " + list).status, 0);
    EXPECT_EQ(text_of(folder() + "/without"), "0 1 2 7 ");
    EXPECT_EQ(text_of(folder() + "/with"), text_of(folder() + "/without"));
    for (const std::string closed : {"<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"}) {
        EXPECT_EQ(shell("$O open-descriptors $F/without " + closed + "; $L -- " + list + " " + closed).status,
                  0)
            << closed;
        EXPECT_EQ(text_of(folder() + "/with"), text_of(folder() + "/without")) << closed;
    }
}

TEST_F(HostTest, OutputThatNobodyCanHaveIsAnError) {
    const Ran started = shell("$L start >&-");
    EXPECT_EQ(started.status, 1);
    EXPECT_NE(started.err.find("cannot write the handle"), std::string::npos) << started.err;
    EXPECT_EQ(shell("$L --help >&-").status, 1);
}

TEST_F(HostTest, AFolderThatHasGone) {
    for (const std::string verb : {"start", "stop", "status", "env"}) {
        const Ran gone =
            shell("mkdir $F/gone; cd $F/gone; rmdir $F/gone; $L " + verb + " --state-dir relative");
        EXPECT_EQ(gone.status, verb == "status" ? 3 : 1) << verb;  // what runs is not known
        EXPECT_NE(gone.err.find("the current folder cannot be found"), std::string::npos) << gone.err;
    }
    EXPECT_EQ(shell("mkdir $F/gone; cd $F/gone; rmdir $F/gone; $L -- $D put a b").status, 0)
        << "needs no folder";
}

TEST_F(HostTest, RelativeFoldersInTheEnvironment) {
    const std::string life = "$L start >/dev/null && $L status && cd / && $L stop";
    EXPECT_EQ(shell("unset DDICT_STATE_DIR; export HOME=$F XDG_STATE_HOME=state; cd $F; " + life).status, 0);
    EXPECT_FALSE(fs::exists(folder() + "/state/ddict"));
    EXPECT_TRUE(fs::is_empty(folder() + "/.local/state/ddict")) << "no record of what has ended";
    EXPECT_EQ(
        shell("unset DDICT_STATE_DIR XDG_STATE_HOME; cd $F; export HOME=home; $L start >/dev/null && $L stop")
            .status,
        0);
    EXPECT_TRUE(fs::is_empty(folder() + "/home/.local/state/ddict"));
}

TEST_F(HostTest, ALimitOfFileSizesIsToldNotDiedOf) {
    const Ran limited = shell("ulimit -f 100; exec $L -- true");
    EXPECT_EQ(limited.status, 1);
    EXPECT_NE(limited.err.find("(ulimit -f)"), std::string::npos) << limited.err;
    const Ran checked = shell("ulimit -f 100; exec $L --check");
    EXPECT_EQ(checked.status, 1);
    EXPECT_NE(unwrapped(checked.out).find("ulimit -f"), std::string::npos) << checked.out;
}

TEST_F(HostTest, ALimitOfMappedMemoryIsTold) {
    const Ran limited = shell("ulimit -v 200000; exec $L -- true");
    EXPECT_EQ(limited.status, 1);
    EXPECT_NE(limited.err.find("(ulimit -v)"), std::string::npos) << limited.err;
}

/// Free bytes are not all that a file takes. The last inode may be missed by the managers' sockets.
TEST_F(HostTest, SharedMemoryWithoutInodesIsTold) {
    for (const std::string inodes : {"1", "3", "4"}) {
        const Ran full = shell(
            "exec unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=1g,nr_inodes=" + inodes +
            " none /dev/shm && exec $L --total-mem 16M -- true'");
        EXPECT_EQ(full.status, 1) << inodes;
        EXPECT_NE(full.err.find("df -i /dev/shm"), std::string::npos) << inodes << ": " << full.err;
        for (const char* const wrong : {"epoll", "erase keys"})
            EXPECT_EQ(full.err.find(wrong), std::string::npos) << full.err;
    }
}

/// The user's MPI runs in the same environment, over a network that ddict may not use.
TEST_F(HostTest, SettingsOfUcxForAnotherLibraryDoNotHit) {
    const std::string over_network = "export DDICT_SAME_HOST=0; ";
    const std::string for_mpi = "export UCX_TLS=rc UCX_NET_DEVICES=mlx5_7:1; ";
    const std::string own = "export DDICT_UCX_TLS=tcp DDICT_UCX_NET_DEVICES=lo; ";
    const std::string use = "$L -- sh -c '$D put key value && $D get key && $D stats'";
    const Ran hit = shell(over_network + for_mpi + use);
    EXPECT_EQ(hit.status, 1);
    EXPECT_NE(hit.err.find("DDICT_UCX_TLS"), std::string::npos) << hit.err;
    for (const std::string& settings : {for_mpi + own, own}) {
        const Ran used = shell(over_network + settings + use);
        EXPECT_EQ(used.status, 0) << used.err;
        EXPECT_EQ(used.out.find("value"), 0u) << used.out;
        EXPECT_NE(used.out.find("tcp/lo"), std::string::npos) << used.out;
    }
    const Ran wrong = shell("export DDICT_UCX_RNDV_THRESH=many; " + use);
    EXPECT_EQ(wrong.status, 1);
    EXPECT_NE(wrong.err.find("DDICT_UCX_RNDV_THRESH=many"), std::string::npos) << wrong.err;
}

/// What status shows as alive, env and stop find as well: here a job's dictionary, from outside of the job.
TEST_F(HostTest, ADictionaryOfAJobIsFoundFromOutside) {
    ASSERT_EQ(run({"start"}).status, 0);
    const std::string state = folder() + "/state/";
    const fs::path local = fs::directory_iterator(state)->path();
    auto record = nlohmann::json::parse(text_of(local));
    record["job"] = "7";
    record["step"] = "7.0";
    record["launcher"]["host"] = "elsewhere";
    std::ofstream(folder() + "/job.json") << record;
    fs::permissions(folder() + "/job.json", fs::perms::owner_read | fs::perms::owner_write);
    std::ofstream(folder() + "/squeue")
        << "#!/bin/sh\ncase $* in *RestartCnt*) echo 7 0;; *) echo 7 7.0;; esac\n";
    fs::permissions(folder() + "/squeue", fs::perms::owner_all);
    fs::rename(local, folder() + "/local.json");
    fs::rename(folder() + "/job.json", state + "7-default.json");
    set("PATH", folder() + ":/usr/bin:/bin");

    EXPECT_NE(run({"status"}).out.find("default: alive"), std::string::npos);
    const Ran env = run({"env"});
    EXPECT_EQ(env.status, 0) << env.err;
    const std::string handle = record["handle"].get<std::string>();
    EXPECT_EQ(env.out,
              "export DDICT_HANDLE=" + handle + " DDICT_NAME=default SLURM_DDICT_HANDLE=" + handle + "\n");
    fs::copy(state + "7-default.json", state + "8-default.json");
    const Ran two = run({"env"});
    EXPECT_EQ(two.status, 1);
    EXPECT_NE(two.err.find("several dictionaries named 'default' are running"), std::string::npos) << two.err;
    EXPECT_EQ(run({"env", "--name", "nobody"}).status, 1);

    fs::remove(state + "7-default.json");
    fs::remove(state + "8-default.json");
    fs::rename(folder() + "/local.json", local);
    EXPECT_EQ(run({"stop"}).status, 0);
}

/// Others could rename a folder of theirs away, whatever is in it.
TEST_F(HostTest, FoldersThatItMakesAreThisUsersAlone) {
    const Ran made = shell(
        "umask 000; unset DDICT_STATE_DIR XDG_STATE_HOME; mkdir $F/home; export HOME=$F/home; "
        "$L start >/dev/null && cd $HOME && stat -c %a .local .local/state .local/state/ddict; $L stop");
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.out, "700\n700\n700\n");
}

TEST_F(HostTest, CheckLooksAtTheStateFolder) {
    const auto said = [&](const std::string& folder) {
        set("DDICT_STATE_DIR", folder);
        const Ran checked = run({"--check"});
        EXPECT_EQ(checked.status, 0) << checked.out;
        const std::string text = unwrapped(checked.out);
        const std::size_t end = text.find('\n', text.find("state folder"));
        const std::size_t begin = text.rfind('\n', end - 1) + 1;
        return text.substr(begin, end - begin);
    };
    EXPECT_EQ(said(folder() + "/not/there/yet"), "ok       state folder: " + folder() + "/not/there/yet");
    EXPECT_FALSE(fs::exists(folder() + "/not")) << "a check leaves nothing";
    const std::string nowhere = said("/proc/nowhere");
    EXPECT_TRUE(nowhere.starts_with("warning  state folder")) << nowhere;
    EXPECT_NE(nowhere.find("/proc/nowhere"), std::string::npos) << nowhere;
    fs::create_directory(folder() + "/open");
    fs::permissions(folder() + "/open", fs::perms::all);
    const std::string open = said(folder() + "/open");
    EXPECT_TRUE(open.starts_with("warning  state folder")) << open;
    EXPECT_TRUE(fs::is_empty(folder() + "/open"));
}

TEST_F(HostTest, CheckTriesWhatItPromises) {
    const Ran checked = run({"--check"});
    EXPECT_EQ(checked.status, 0) << checked.out;
    for (const char* const topic :
         {"System V segments: ", "host name: ", "trial: a small dictionary came up"})
        EXPECT_NE(unwrapped(checked.out).find(topic), std::string::npos) << topic << " in:\n" << checked.out;
    const Ran broken = run({"--check", "--manager-program", odd_program()});
    EXPECT_EQ(broken.status, 1) << broken.out;
}

}  // namespace
}  // namespace ddict::launcher::testing
