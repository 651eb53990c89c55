// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch --hosts: files of hosts, and dictionaries on several hosts of this machine (other_host.sh).
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "launcher/host_file.h"
#include "launcher/lifeline_environment.h"
#include "launcher/remote_host.h"
#include "os/file_descriptor.h"
#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

using Hosts = std::vector<std::string>;

std::string why_not(std::string_view text) {
    const auto hosts = parse_host_file(text);
    return hosts ? "it was understood" : hosts.error().detail.data();
}

TEST(HostFile, OfEveryScheduler) {
    EXPECT_EQ(parse_host_file("n1\nn1\nn2\nn2\n").value(), (Hosts{"n1", "n2"}))
        << "PBS_NODEFILE, LSB_DJOB_HOSTFILE";
    EXPECT_EQ(parse_host_file("# mine\n\nn1 slots=4\nn2 slots=2 max_slots=4  # old\nn3 slots = 4\n").value(),
              (Hosts{"n1", "n2", "n3"}))
        << "Open MPI";
    EXPECT_EQ(parse_host_file("n2.site.org:4\nn1:2").value(), (Hosts{"n2.site.org", "n1"})) << "MPICH";
    EXPECT_EQ(parse_host_file("n1 16\r\nn2 16\r\n").value(), (Hosts{"n1", "n2"})) << "of Windows";
    EXPECT_EQ(parse_host_file("10.0.0.7\n").value(), Hosts{"10.0.0.7"});
}

TEST(HostFile, MistakesAreNamed) {
    EXPECT_EQ(why_not(""), "no line names a host");
    EXPECT_EQ(why_not("# nobody\n"), "no line names a host");
    EXPECT_EQ(why_not("n1\n-oProxyCommand=x\n"),
              "line 2 ('-oProxyCommand=x') does not begin with the name of a host");
    EXPECT_EQ(why_not("n1;reboot\n"), "line 1 ('n1;reboot') does not begin with the name of a host");
    EXPECT_EQ(why_not("n1 slots=2 fast\n"),
              "line 1 ('n1 slots=2 fast') has a word that is not understood: 'fast'");
    EXPECT_NE(why_not(std::string(300, 'n')), "it was understood");
    EXPECT_NE(why_not(std::string("n1\0x", 4)), "it was understood");
}

TEST(HostFile, OneThatCannotBeReadIsNotWaitedFor) {
    std::string folder = ::testing::TempDir() + "/host-file-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    ASSERT_EQ(mkfifo((folder + "/pipe").c_str(), 0600), 0);
    const auto why = [](const std::string& path) {
        Options options;
        options.hosts = path;
        const auto found = find_allocation(options, {});
        return found.has_value() ? "it was read" : std::string(found.error().detail.data());
    };
    EXPECT_EQ(why(folder + "/absent"), "--hosts " + folder +
                                           "/absent: cannot be read: No such file or directory: give a file "
                                           "with a host on each line");
    EXPECT_EQ(why(folder), "--hosts " + folder + ": is no file: give one with a host on each line");
    EXPECT_EQ(why(folder + "/pipe"),
              "--hosts " + folder + "/pipe: is no file: give one with a host on each line");
    std::filesystem::remove_all(folder);
}

TEST(RemoteShell, GivesATerminalWhereItCan) {
    const auto words = [](const std::string& shell, bool on_terminal) {
        return on_host("n2", {"exec"}, {{"DDICT_RSH", shell}}, on_terminal);
    };
    const auto has_terminal = [&](const Hosts& argv) {
        return std::find(argv.begin(), argv.end(), "-t") < std::find(argv.begin(), argv.end(), "n2");
    };
    EXPECT_TRUE(has_terminal(words("ssh -p 22", true)));
    EXPECT_FALSE(has_terminal(words("ssh -p 22", false)));
    EXPECT_FALSE(has_terminal(words("blaunch", true)));
}

TEST(RemoteShell, OfSshAsksNothing) {
    Options options;
    options.rsh = "/usr/bin/ssh -p 2222";
    const Hosts words = remote_shell(options);
    EXPECT_EQ(Hosts(words.begin(), words.begin() + 3), (Hosts{"/usr/bin/ssh", "-p", "2222"}))
        << "the user's come first";
    EXPECT_NE(std::find(words.begin(), words.end(), "BatchMode=yes"), words.end());
    EXPECT_NE(std::find(words.begin(), words.end(), "LogLevel=ERROR"), words.end())
        << "banners are no errors";
    options.rsh = "blaunch -z";
    EXPECT_EQ(remote_shell(options), (Hosts{"blaunch", "-z"}));
}

TEST(LifelineEnvironment, TravelsAndLeavesTheRest) {
    const os::Environment mine{
        {"DDICT_SECRET", "a\nb=c"}, {"UCX_TLS", "tcp"}, {"HOME", "/x"}, {"DDICT_HANDLE", "other"}};
    auto pipe = os::make_pipe().value();
    ASSERT_TRUE(os::write_fully(pipe.write_end.fd(), format_environment(mine) + "rest"));
    const auto got = take_environment(pipe.read_end.fd(), {environment_on_lifeline}, {{"HOME", "/y"}});
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(*got, (os::Environment{{"DDICT_SECRET", "a\nb=c"}, {"UCX_TLS", "tcp"}, {"HOME", "/y"}}));
    char rest[5] = {};
    EXPECT_EQ(read(pipe.read_end.fd(), rest, 4), 4);
    EXPECT_STREQ(rest, "rest");
    for (const std::string wrong :
         {"e bm90aGluZw\nend\n", "e UEFUSD14\nend\n", "x\n", "e !\n", "e UEFU", ""}) {
        auto other = os::make_pipe().value();
        ASSERT_TRUE(os::write_fully(other.write_end.fd(), wrong));
        other.write_end.reset();
        const auto refused = take_environment(other.read_end.fd(), {environment_on_lifeline}, {});
        EXPECT_FALSE(refused) << wrong;
        if (!refused) {
            EXPECT_EQ(refused.error().code, Errc::protocol);
        }
    }
    EXPECT_TRUE(take_environment(-1, {}, mine)) << "nothing is read that was not announced";
}

class HostsTest : public LauncherTest {
  protected:
    /// The remote shell, which for host1 does something else.
    void set_shell_of_host1(const std::string& does) {
        const std::string path = folder() + "/shell.sh";
        std::ofstream(path) << "#!/bin/bash\nif [[ $1 = host1 ]]; then " << does
                            << "; fi\nexec " DDICT_OTHER_HOST " \"$@\"\n";
        chmod(path.c_str(), 0755);
        set("DDICT_RSH", path);
    }
    void SetUp() override {
        LauncherTest::SetUp();
        set("DDICT_RSH", DDICT_OTHER_HOST);
        // All of these hosts are on one network device.
        set("DDICT_UCX_NET_DEVICES", "lo");
        set("DDICT_QUIET", "1");
        set("F", folder());
    }
    std::vector<std::string> on_hosts(std::uint32_t count, const std::vector<std::string>& more) const {
        const std::string path = folder() + "/hosts";
        std::ofstream file(path);
        for (std::uint32_t i = 0; i < count; ++i)
            file << "host" << i << " slots=2\n";
        std::vector<std::string> args{"--hosts", path, "--total-mem", "64M"};
        args.insert(args.end(), more.begin(), more.end());
        return launch(args);
    }
};

TEST_F(HostsTest, SeveralHaveADictionary) {
    const Ran health = ran(on_hosts(3, {"--managers-per-node", "2", "--", program("ddict"), "health"}));
    EXPECT_EQ(health.status, 0) << health.err;
    EXPECT_EQ(health.err, "");
    for (const char* host : {"host0", "host1", "host2"})
        EXPECT_NE(health.out.find(host), std::string::npos) << health.out;
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, ARemoteShellThatIsKilledIsToldAndTheOthersGoOn) {
    Program launched(on_hosts(3, {"--", "/bin/bash", "-c",
                                  "touch $F/ready; until [[ -e $F/stop ]]; do sleep 0.05; done; exit 5"}),
                     environment());
    ASSERT_TRUE(launched.makes(folder() + "/ready"));
    const auto shells = processes("host2");
    ASSERT_FALSE(shells.empty());
    for (const pid_t pid : shells)
        kill(pid, SIGKILL);
    EXPECT_TRUE(
        launched.complains("the node launcher on host2 has ended (other_host.sh was killed by signal 9"));
    EXPECT_TRUE(launched.complains("and with it manager 2: the keys there are lost"));
    std::ofstream(folder() + "/stop");
    EXPECT_EQ(launched.wait(), 5) << launched.err();
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, NothingIsLeftWhenTheLauncherIsKilled) {
    Program launched(on_hosts(3, {"--", "/bin/bash", "-c", "touch $F/ready; exec sleep 100"}), environment());
    ASSERT_TRUE(launched.makes(folder() + "/ready"));
    launched.signal(SIGKILL);
    launched.wait();
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, ARemoteShellThatFailsIsNamed) {
    set("DDICT_RSH", "/bin/false");
    const Ran failed = ran(on_hosts(2, {"--", "true"}));
    EXPECT_EQ(failed.status, 1);
    EXPECT_NE(failed.err.find(": false ended with status 1"), std::string::npos) << failed.err;
    set("DDICT_RSH", "/no/such/shell");
    const Ran absent = ran(on_hosts(2, {"--", "true"}));
    EXPECT_EQ(absent.status, 1);
    EXPECT_NE(absent.err.find("host0: there is no /no/such/shell here: --rsh names"), std::string::npos)
        << absent.err;
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, OneThatSaysNothingIsWaitedForAsLongAsTold) {
    set_shell_of_host1("exec sleep 100");
    const Ran failed = ran(on_hosts(2, {"--timeout", "3", "--", "true"}));
    EXPECT_EQ(failed.status, 1);
    EXPECT_NE(
        failed.err.find("not ready within 3 s: 1 of 2 nodes, 1 of 2 managers came up, nothing from host1"),
        std::string::npos)
        << failed.err;
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, CheckNamesTheHostThatFailsAndTheOneThatIsSilent) {
    set_shell_of_host1("echo 'ssh: connect to host host1: No route to host' >&2; exit 255");
    const auto began = std::chrono::steady_clock::now();
    const Ran broken = ran(on_hosts(3, {"--check", "--timeout", "30"}));
    EXPECT_EQ(broken.status, 1);
    for (const char* word : {"host1: shell.sh ended with status 255", "No route to host"})
        EXPECT_NE(broken.out.find(word), std::string::npos) << broken.out;
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(25)) << "the others were waited for";
    set_shell_of_host1("exec sleep 100");
    const Ran silent = ran(on_hosts(3, {"--check", "--timeout", "4"}));
    EXPECT_EQ(silent.status, 1);
    EXPECT_NE(silent.out.find("no answer within 4 s from host1"), std::string::npos) << silent.out;
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, ARemoteShellThatHeedsNothingIsKilledInTheEnd) {
    set_shell_of_host1("trap '' TERM; touch $F/heard; exec sleep 100");
    Program launched(on_hosts(2, {"--", "true"}), environment());
    ASSERT_TRUE(launched.makes(folder() + "/heard"));
    launched.signal(SIGKILL);
    launched.wait();
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, WhatALoginScriptPrintsIsShownInPart) {
    set_shell_of_host1("yes noise | head -n 2000000");
    const Ran loud = ran(on_hosts(2, {"--", "true"}));
    EXPECT_EQ(loud.status, 0) << loud.err.substr(0, 2000);
    EXPECT_LT(loud.err.size(), 2000U);
    for (const char* word : {"host1: noise\n", "host1: 1999990 more lines of standard output left out"})
        EXPECT_NE(loud.err.find(word), std::string::npos) << loud.err.substr(0, 2000);
    set_shell_of_host1("exec yes noise");
    const Ran endless = ran(on_hosts(2, {"--timeout", "3", "--", "true"}));
    EXPECT_EQ(endless.status, 1);
    EXPECT_LT(endless.err.size(), 3000U);
    EXPECT_NE(endless.err.find("nothing from host1"), std::string::npos) << endless.err.substr(0, 3000);
    EXPECT_TRUE(nothing_runs());
}

TEST_F(HostsTest, VariablesOfTheUserChangeNoHostsPlace) {
    set("DDICT_RANK", "0");
    set("DDICT_HOSTS_FOLLOW", "1");
    const Ran health = ran(on_hosts(2, {"--", program("ddict"), "health"}));
    EXPECT_EQ(health.status, 0) << health.err;
    set("P", program("ddict-manager"));
    const Ran alone = run({"--", "/bin/bash", "-c",
                           "for exe in /proc/[0-9]*/exe; do [[ $(readlink $exe) != $P ]] && continue; "
                           "variables=$(tr '\\0' '\\n' <${exe%exe}environ); "
                           "grep -qxF \"DDICT_TEST_MARK=$DDICT_TEST_MARK\" <<<\"$variables\" || continue; "
                           "echo \"$variables\"; done | sed -n "
                           "'s/DDICT_TEST_MARK=/mark /p; /^DDICT_HOSTS_FOLLOW/p'"});
    EXPECT_NE(alone.out.find("mark "), std::string::npos) << "no manager was seen";
    EXPECT_EQ(alone.out.find("HOSTS_FOLLOW"), std::string::npos) << alone.out;
}

TEST_F(HostsTest, TheOptionForTheRemoteShellWinsOverTheVariable) {
    const Ran asked = run({"--rsh", "ssh", "--", "/bin/sh", "-c", "echo $DDICT_RSH"});
    EXPECT_EQ(asked.out, "ssh\n") << "what asks another host reads the variable: " << asked.err;
}

TEST_F(HostsTest, StopSaysWhyTheOtherHostCouldNotBeAsked) {
    std::ofstream(folder() + "/hosts") << "host1\n";
    set("L", program("ddict-launch"));
    Program far(
        {DDICT_OTHER_HOST, "host1",
         "$L start --hosts $F/hosts && touch $F/ready; until [ -e $F/stop ]; do sleep 0.05; done; $L stop"},
        environment());
    ASSERT_TRUE(far.makes(folder() + "/ready"));
    const std::string path = folder() + "/refuses.sh";
    std::ofstream(path) << "#!/bin/sh\ncase \"$*\" in *--lives*) echo ddict-process alive; exit ;; esac\n"
                           "echo 'ssh: connect to host host1: Connection refused' >&2; exit 255\n";
    chmod(path.c_str(), 0755);
    set("DDICT_RSH", path);
    const Ran stopped = run({"stop", "--timeout", "3"});
    EXPECT_EQ(stopped.status, 1);
    EXPECT_NE(
        stopped.err.find("host1, where it was started, was asked to end it: ssh: connect to host host1: "
                         "Connection refused"),
        std::string::npos)
        << stopped.err;
    std::ofstream(folder() + "/stop");
    EXPECT_EQ(far.wait(), 0) << far.err();
}

/// The records are of one host, as those of a user are who starts several dictionaries there.
TEST_F(HostsTest, AHostIsAskedOnceAboutAllItsDictionaries) {
    std::ofstream(folder() + "/hosts") << "host1\n";
    set("L", program("ddict-launch"));
    Program far({DDICT_OTHER_HOST, "host1",
                 "for name in one two three; do $L start --hosts $F/hosts --name $name || exit; done; "
                 "touch $F/ready; until [ -e $F/stop ]; do sleep 0.05; done; "
                 "for name in one two three; do $L stop --name $name || exit; done"},
                environment());
    ASSERT_TRUE(far.makes(folder() + "/ready"));
    // What ssh does: runs it on that host, and not on another one of its name.
    const std::string path = folder() + "/into.sh";
    std::ofstream(path) << "#!/bin/bash\necho \"$1\" >>$F/asked\nshift\n"
                        << "as_root=()\n((EUID == 0)) || as_root=(--user --preserve-credentials)\n"
                        << "exec nsenter --target $(pgrep -P " << far.pid()
                        << ") \"${as_root[@]}\" --mount --uts --ipc --pid /bin/sh -c \"$*\"\n";
    chmod(path.c_str(), 0755);
    set("DDICT_RSH", path);
    const Ran status = run({"status", "--json"});
    EXPECT_EQ(status.status, 0) << status.err;
    const nlohmann::json all = nlohmann::json::parse(status.out);
    ASSERT_EQ(all.size(), 3U) << status.out;
    for (const auto& one : all) {
        EXPECT_EQ(one.at("state"), "alive") << status.out;
        EXPECT_EQ(one.at("of_hosts"), true) << status.out;
        EXPECT_EQ(one.at("launcher_host"), "host1") << status.out;
    }
    const auto times_asked = [this] {
        std::ifstream asked(folder() + "/asked");
        return std::count(std::istreambuf_iterator<char>(asked), {}, '\n');
    };
    EXPECT_EQ(times_asked(), 1);
    EXPECT_EQ(run({"env", "--name", "two"}).status, 0);
    EXPECT_EQ(times_asked(), 2);
    std::ofstream(folder() + "/stop");
    EXPECT_EQ(far.wait(), 0) << far.err();
    const Ran after = run({"status", "--json"});
    EXPECT_EQ(nlohmann::json::parse(after.out).size(), 0U) << after.out;
}

/// More of them than processors: what it takes is in docs/performance.md.
TEST_F(HostsTest, SixteenComeUpInTime) {
    const Ran many = ran(on_hosts(16, {"--", program("ddict"), "health"}));
    EXPECT_EQ(many.status, 0) << many.err;
    EXPECT_NE(many.out.find("host15"), std::string::npos) << many.out;
}

}  // namespace
}  // namespace ddict::launcher::testing
