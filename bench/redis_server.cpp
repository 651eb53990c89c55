// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/redis_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds start_limit{10};
constexpr std::chrono::seconds stop_limit{5};
constexpr std::chrono::milliseconds between_looks{2};

std::filesystem::path find_program() {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::filesystem::path program = std::filesystem::path(folder) / "redis-server";
        if (access(program.c_str(), X_OK) == 0) return program;
    }
    return {};
}

/// "Redis server v=7.0.15 sha=..." -> "7.0.15"
std::string version_of(const std::filesystem::path& program) {
    std::FILE* pipe = popen(("'" + program.string() + "' --version 2>/dev/null").c_str(), "r");
    if (pipe == nullptr) return {};
    std::array<char, 256> line{};
    const bool any = std::fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr;
    pclose(pipe);
    const std::string text = any ? line.data() : "";
    const std::size_t at = text.find("v=");
    return at == std::string::npos ? "" : text.substr(at + 2, text.find(' ', at) - at - 2);
}

bool takes_connections(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path.data(), path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return connected;
}

}  // namespace

bool RedisServer::is_installed() {
    return !find_program().empty();
}

RedisServer::RedisServer() {
    if (!is_installed()) {
        throw std::runtime_error(
            "--peer redis: there is no redis-server in PATH (scripts/install-packages figures)");
    }
    std::string pattern = (std::filesystem::temp_directory_path() / "ddict-bench.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
        throw std::system_error(errno, std::generic_category(), "a folder for Redis's socket");
    }
    folder_ = pattern;
    try {
        start();
        await_socket();
    } catch (...) {
        stop();
        throw;
    }
}

RedisServer::~RedisServer() {
    stop();
}

void RedisServer::start() {
    const std::filesystem::path program = find_program();
    version_ = version_of(program);
    std::vector<std::string> words{
        program.string(), "--port", "0",     "--unixsocket", socket(),      "--save", "",
        "--appendonly",   "no",     "--dir", folder_,        "--daemonize", "no",     "--logfile",
        folder_ / "log"};
    std::vector<char*> arguments;
    for (std::string& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t parent = getpid();
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork of redis-server");
    if (pid_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) std::_Exit(1);
    const int nothing = open("/dev/null", O_RDWR);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        dup2(nothing, stream);
    execv(arguments.front(), arguments.data());
    std::_Exit(127);
}

void RedisServer::await_socket() {
    const Clock::time_point deadline = Clock::now() + start_limit;
    while (!takes_connections(socket())) {
        int status = 0;
        const bool ended = waitpid(pid_, &status, WNOHANG) == pid_;
        if (!ended && Clock::now() < deadline) {
            std::this_thread::sleep_for(between_looks);
            continue;
        }
        if (ended) pid_ = -1;
        std::ifstream log(folder_ / "log");
        std::stringstream words;
        words << log.rdbuf();
        throw std::runtime_error(std::string("redis-server ") +
                                 (ended ? "ended at once" : "does not take connections") + ":\n" +
                                 words.str());
    }
}

void RedisServer::stop() noexcept {
    if (pid_ > 0) {
        kill(pid_, SIGTERM);
        const Clock::time_point deadline = Clock::now() + stop_limit;
        bool killed = false;
        while (waitpid(pid_, nullptr, WNOHANG) == 0) {
            if (!killed && Clock::now() > deadline) {
                kill(pid_, SIGKILL);
                killed = true;
            }
            std::this_thread::sleep_for(between_looks);
        }
        pid_ = -1;
    }
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

}  // namespace ddict::bench
