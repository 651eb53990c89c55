// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Real PMIx clients under a real PMIx server, each a process of its own.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A directory that must be empty again when the test is over.
class Scratch {
  public:
    Scratch() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ddict-pmix-test-XXXXXX").string();
        if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
        path_ = pattern;
    }
    ~Scratch() {
        EXPECT_TRUE(std::filesystem::is_empty(path_)) << "files were left in " << path_;
        std::filesystem::remove_all(path_);
    }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// A started program with pipes at its standard input, output and error.
class Program {
  public:
    Program(const std::vector<std::string>& command,
            const std::map<std::string, std::string>& variables = {}) {
        std::vector<std::string> environment;
        for (char** entry = environ; *entry; ++entry)
            if (!std::string_view(*entry).starts_with("PMIX_")) environment.emplace_back(*entry);
        for (const auto& [name, value] : variables)
            environment.emplace_back(name).append("=").append(value);
        int in[2], out[2], err[2];
        for (int* pair : {in, out, err})
            if (pipe2(pair, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
        const int failed = posix_spawn(&pid_, command[0].c_str(), &actions, nullptr, pointers(command).data(),
                                       pointers(environment).data());
        posix_spawn_file_actions_destroy(&actions);
        for (int fd : {in[0], out[1], err[1]})
            close(fd);
        stdin_ = in[1];
        streams_[0].fd = out[0];
        streams_[1].fd = err[0];
        if (failed) throw std::runtime_error("cannot start " + command[0]);
    }
    ~Program() {
        close_stdin();
        if (!ended_) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
        for (Stream& stream : streams_)
            close(stream.fd);
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    void close_stdin() {
        if (stdin_ >= 0) close(stdin_);
        stdin_ = -1;
    }
    /// The next line of its standard output; empty at its end.
    std::string line() {
        std::string& text = streams_[0].text;
        while (text.find('\n') == std::string::npos && pump())
            continue;
        std::string first = text.substr(0, text.find('\n'));
        text.erase(0, first.size() + 1);
        return first;
    }
    /// Waits for its end. 128 + n if signal n ended it.
    int status() {
        while (pump())
            continue;
        int status = 0;
        waitpid(pid_, &status, 0);
        ended_ = true;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    /// Returns when it has stopped.
    void stop() {
        kill(pid_, SIGSTOP);
        int status = 0;
        EXPECT_EQ(waitpid(pid_, &status, WUNTRACED), pid_);
        EXPECT_TRUE(WIFSTOPPED(status));
    }
    void resume() { kill(pid_, SIGCONT); }
    const std::string& errors() const { return streams_[1].text; }

  private:
    struct Stream {
        int fd = -1;
        bool open = true;
        std::string text;
    };

    static std::vector<char*> pointers(const std::vector<std::string>& words) {
        std::vector<char*> all;
        all.reserve(words.size() + 1);
        for (const std::string& word : words)
            all.push_back(const_cast<char*>(word.c_str()));
        all.push_back(nullptr);
        return all;
    }

    // Reads what there is, after waiting for it; false once both streams have ended.
    bool pump() {
        std::vector<pollfd> fds;
        for (const Stream& stream : streams_)
            fds.push_back({stream.open ? stream.fd : -1, POLLIN, 0});
        if (!streams_[0].open && !streams_[1].open) return false;
        const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now()).count();
        if (left <= 0 || poll(fds.data(), fds.size(), static_cast<int>(left)) == 0) {
            ADD_FAILURE() << "the program had not ended in time";
            kill(pid_, SIGKILL);
            return false;
        }
        for (std::size_t i = 0; i < fds.size(); ++i) {
            if (!fds[i].revents) continue;
            char buffer[4096];
            const ssize_t got = read(fds[i].fd, buffer, sizeof buffer);
            if (got > 0)
                streams_[i].text.append(buffer, static_cast<std::size_t>(got));
            else
                streams_[i].open = false;
        }
        return true;
    }

    const Clock::time_point deadline_ = Clock::now() + std::chrono::seconds(60);
    pid_t pid_ = -1;
    bool ended_ = false;
    int stdin_ = -1;
    Stream streams_[2];
};

std::vector<std::string> served(int clients, const Scratch& scratch, const std::vector<std::string>& args) {
    std::vector<std::string> command = {DDICT_PMIX_SERVER, std::to_string(clients), "40", scratch.path(),
                                        DDICT_PMIX_CLIENT};
    command.insert(command.end(), args.begin(), args.end());
    return command;
}

// Lines of the server: "RANK exit|signal CODE finalized|lost".
std::string good_end(int rank) {
    return std::to_string(rank) + " exit 0 finalized";
}

std::multiset<std::string> all_good_ends(int clients) {
    std::multiset<std::string> lines;
    for (int rank = 0; rank < clients; ++rank)
        lines.insert(good_end(rank));
    return lines;
}

std::multiset<std::string> next_lines(Program& job, int count) {
    std::multiset<std::string> lines;
    for (int i = 0; i < count; ++i)
        lines.insert(job.line());
    return lines;
}

class Exchange : public testing::TestWithParam<int> {};

TEST_P(Exchange, gives_everyone_what_each_one_gave) {
    Scratch scratch;
    const int clients = GetParam();
    Program job(served(clients, scratch, {"exchange", std::to_string(clients)}));
    EXPECT_EQ(next_lines(job, clients), all_good_ends(clients));
    EXPECT_EQ(job.status(), 0);
    EXPECT_EQ(job.errors(), "");
}

INSTANTIATE_TEST_SUITE_P(Clients, Exchange, testing::Values(1, 4, 16), testing::PrintToStringParamName());

TEST(Session, refuses_a_contribution_above_the_limit_and_goes_on) {
    Scratch scratch;
    Program job(served(2, scratch, {"oversize"}));
    EXPECT_EQ(next_lines(job, 2), all_good_ends(2));
    EXPECT_EQ(job.status(), 0);
    EXPECT_EQ(job.errors(), "");
}

TEST(Session, an_exchange_that_nobody_completes_can_be_cancelled) {
    Scratch scratch;
    Program job(served(4, scratch, {"cancel", "4"}));
    EXPECT_EQ(next_lines(job, 3), all_good_ends(3));
    job.close_stdin();  // lets the one that stayed away go
    EXPECT_EQ(job.line(), good_end(3));
    EXPECT_EQ(job.status(), 0);
    EXPECT_EQ(job.errors(), "");
}

TEST(Session, a_peer_that_dies_before_the_exchange_ends_it_for_all) {
    Scratch scratch;
    Program job(served(4, scratch, {"killed-before"}));
    job.close_stdin();
    EXPECT_EQ(next_lines(job, 4),
              (std::multiset<std::string>{good_end(0), "1 signal 9 lost", good_end(2), good_end(3)}));
    EXPECT_EQ(job.status(), 0);
    EXPECT_EQ(job.errors(), "");
}

TEST(Session, a_peer_that_dies_inside_the_exchange_ends_it_for_all) {
    Scratch scratch;
    Program job(served(4, scratch, {"killed-inside"}));
    EXPECT_EQ(job.line(), "1 signal 9 lost");
    job.close_stdin();  // now rank 0 comes
    EXPECT_EQ(next_lines(job, 3), (std::multiset<std::string>{good_end(0), good_end(2), good_end(3)}));
    EXPECT_EQ(job.status(), 0);
    EXPECT_EQ(job.errors(), "");
}

TEST(Session, a_server_that_stops_answering_holds_nobody) {
    Scratch scratch;
    Program job(served(1, scratch, {"stuck"}));
    EXPECT_EQ(job.line(), "opened");
    job.stop();
    job.close_stdin();
    EXPECT_EQ(job.line(), "given up");
    job.resume();
    EXPECT_EQ(job.line(), "0 exit 0 lost");
    EXPECT_EQ(job.status(), 0);
    // The server may say what it thinks of a client that is gone; the client has nothing to say.
    EXPECT_EQ(job.errors().find("client 0"), std::string::npos) << job.errors();
}

std::string what_open_says(milliseconds timeout, const std::map<std::string, std::string>& variables) {
    const auto since = Clock::now();
    Program client({DDICT_PMIX_CLIENT, "open", std::to_string(timeout.count())}, variables);
    std::string says = client.line();
    EXPECT_EQ(client.status(), 1);
    EXPECT_LT(Clock::now() - since, milliseconds(1000));
    EXPECT_EQ(client.errors(), "");
    return says;
}

TEST(Session, without_a_launcher_open_says_so) {
    const std::string says = what_open_says(milliseconds(900), {});
    EXPECT_NE(says.find("not started by a PMIx launcher"), std::string::npos) << says;
    EXPECT_NE(says.find("srun --mpi=pmix"), std::string::npos) << says;
}

// A socket on the loopback that takes connections and never answers, or that does not listen at all.
class Port {
  public:
    explicit Port(bool listens) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
            (listens && listen(fd_, 16) != 0) ||
            getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
            throw std::runtime_error("no port on the loopback");
        number_ = ntohs(address.sin_port);
    }
    ~Port() { close(fd_); }
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    std::map<std::string, std::string> as_server() const {
        const std::string uri = "server.0;tcp4://127.0.0.1:" + std::to_string(number_);
        return {{"PMIX_NAMESPACE", "gone"}, {"PMIX_RANK", "0"},         {"PMIX_VERSION", "4.2.2"},
                {"PMIX_SERVER_URI4", uri},  {"PMIX_SERVER_URI41", uri}, {"PMIX_SERVER_URI3", uri}};
    }

  private:
    int fd_;
    int number_ = 0;
};

TEST(Session, of_a_server_that_is_gone_open_says_so) {
    const Port port(false);
    const std::string says = what_open_says(milliseconds(900), port.as_server());
    EXPECT_NE(says.find("does not answer"), std::string::npos) << says;
}

TEST(Session, for_a_server_that_is_silent_open_waits_no_longer_than_it_may) {
    const Port port(true);
    const std::string says = what_open_says(milliseconds(300), port.as_server());
    EXPECT_NE(says.find("does not answer"), std::string::npos) << says;
}

}  // namespace
