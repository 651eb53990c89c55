// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/pmix/forking_server.h"

#include <csignal>
#include <cstdlib>
#include <future>
#include <map>
#include <mutex>
#include <set>

#include <pmix_server.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pmix/values.h"

namespace ddict::pmix {

namespace {

using Clock = std::chrono::steady_clock;

// Callbacks of the server library come on its thread and carry nothing of ours: they meet here.
struct Seen {
    std::mutex mutex;
    std::set<pmix_rank_t> finalized;
} seen;

pmix_status_t client_connected(const pmix_proc_t*, void*, pmix_op_cbfunc_t, void*) {
    return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t client_finalized(const pmix_proc_t* client, void*, pmix_op_cbfunc_t, void*) {
    const std::lock_guard lock(seen.mutex);
    seen.finalized.insert(client->rank);
    return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t client_aborts(const pmix_proc_t*, void*, int, const char[], pmix_proc_t[], size_t,
                            pmix_op_cbfunc_t, void*) {
    return PMIX_ERR_NOT_SUPPORTED;  // the clients under test never ask for it
}

// All participants are on this host: what they gave is what all get.
pmix_status_t fence(const pmix_proc_t[], size_t, const pmix_info_t info[], size_t infos, char* data,
                    size_t size, pmix_modex_cbfunc_t done, void* cookie) {
    pmix_status_t status = PMIX_SUCCESS;
    for (size_t i = 0; i < infos; ++i)  // the library says so when a participant has died
        if (PMIX_CHECK_KEY(&info[i], PMIX_LOCAL_COLLECTIVE_STATUS)) status = info[i].value.data.status;
    done(status, data, size, cookie, std::free, data);
    return PMIX_SUCCESS;
}

pmix_status_t data_of_elsewhere(const pmix_proc_t*, const pmix_info_t[], size_t, pmix_modex_cbfunc_t, void*) {
    return PMIX_ERR_NOT_FOUND;  // there is no other host
}

pmix_server_module_t server_module() {
    pmix_server_module_t module = {};
    module.client_connected = client_connected;
    module.client_finalized = client_finalized;
    module.abort = client_aborts;
    module.fence_nb = fence;
    module.direct_modex = data_of_elsewhere;
    return module;
}

void completed(pmix_status_t status, void* promise) {
    static_cast<std::promise<pmix_status_t>*>(promise)->set_value(status);
}

// Makes one of the library's asynchronous calls and waits for its end.
template <class Call>
pmix_status_t complete(Call call) {
    std::promise<pmix_status_t> promise;
    auto status = promise.get_future();
    const pmix_status_t accepted = call(completed, &promise);
    if (accepted == PMIX_OPERATION_SUCCEEDED) return PMIX_SUCCESS;
    return accepted == PMIX_SUCCESS ? status.get() : accepted;
}

std::string ranks_text(std::uint32_t clients) {
    std::string text;
    for (std::uint32_t rank = 0; rank < clients; ++rank)
        text += (rank ? "," : "") + std::to_string(rank);
    return text;
}

pmix_status_t register_namespace(const std::string& name, std::uint32_t clients) {
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    char* nodes = nullptr;
    char* ranks = nullptr;
    pmix_status_t status = PMIx_generate_regex(host, &nodes);
    if (status == PMIX_SUCCESS) status = PMIx_generate_ppn(ranks_text(clients).c_str(), &ranks);
    if (status == PMIX_SUCCESS) {
        Infos infos;
        infos.load(PMIX_NODE_MAP, nodes, PMIX_REGEX).load(PMIX_PROC_MAP, ranks, PMIX_REGEX);
        infos.add(PMIX_JOBID, name).add(PMIX_LOCAL_PEERS, ranks_text(clients));
        for (const char* key :
             {PMIX_UNIV_SIZE, PMIX_JOB_SIZE, PMIX_MAX_PROCS, PMIX_LOCAL_SIZE, PMIX_NODE_SIZE})
            infos.add(key, clients);
        infos.add(PMIX_NUM_NODES, std::uint32_t{1}).add(PMIX_NODEID, std::uint32_t{0});
        status = complete([&](pmix_op_cbfunc_t done, void* cookie) {
            return PMIx_server_register_nspace(name.c_str(), static_cast<int>(clients), infos.data(),
                                               infos.size(), done, cookie);
        });
    }
    std::free(nodes);
    std::free(ranks);
    return status;
}

// Between fork and exec only what is safe in the child of a process with threads.
pid_t start(const std::vector<std::string>& command, char** environment) {
    std::vector<char*> argv;
    argv.reserve(command.size() + 1);
    for (const std::string& word : command)
        argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const pid_t server = getpid();
    const pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != server) _exit(126);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execve(argv[0], argv.data(), environment);
    _exit(127);
}

class Job {
  public:
    explicit Job(const Launch& launch) : launch_(launch), name_("ddict-test-" + std::to_string(getpid())) {}

    std::string run(const std::function<void(const Exit&)>& ended) {
        if (const auto status = register_namespace(name_, launch_.clients); status != PMIX_SUCCESS)
            return std::string("register_nspace: ") + PMIx_Error_string(status);
        sigset_t child, before;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child, &before);
        std::string trouble = start_all();
        if (!trouble.empty()) kill_all();
        while (!running_.empty()) {
            if (Clock::now() >= deadline_ && trouble.empty()) {
                trouble = std::to_string(running_.size()) + " clients had not ended in time";
                kill_all();
            }
            const timespec tick{0, 20'000'000};
            sigtimedwait(&child, nullptr, &tick);
            reap(ended);
        }
        sigprocmask(SIG_SETMASK, &before, nullptr);
        complete([&](pmix_op_cbfunc_t done, void* cookie) {
            PMIx_server_deregister_nspace(name_.c_str(), done, cookie);
            return PMIX_SUCCESS;
        });
        return trouble;
    }

  private:
    std::string start_all() {
        for (std::uint32_t rank = 0; rank < launch_.clients; ++rank) {
            pmix_proc_t client;
            PMIX_PROC_LOAD(&client, name_.c_str(), rank);
            pmix_status_t status = complete([&](pmix_op_cbfunc_t done, void* cookie) {
                return PMIx_server_register_client(&client, getuid(), getgid(), nullptr, done, cookie);
            });
            char** environment = nullptr;
            PMIX_ARGV_COPY(environment, environ);
            if (status == PMIX_SUCCESS) status = PMIx_server_setup_fork(&client, &environment);
            const pid_t pid = status == PMIX_SUCCESS ? start(launch_.command, environment) : -1;
            PMIX_ARGV_FREE(environment);
            if (pid < 0) return "starting client " + std::to_string(rank) + ": " + PMIx_Error_string(status);
            running_[pid] = rank;
        }
        return {};
    }

    void kill_all() {
        for (const auto& [pid, rank] : running_)
            kill(pid, SIGKILL);
    }

    void reap(const std::function<void(const Exit&)>& ended) {
        int status = 0;
        for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            const auto client = running_.find(pid);
            if (client == running_.end()) continue;
            Exit exit{.rank = client->second, .signalled = WIFSIGNALED(status)};
            exit.code = exit.signalled ? WTERMSIG(status) : WEXITSTATUS(status);
            {
                const std::lock_guard lock(seen.mutex);
                exit.finalized = seen.finalized.contains(exit.rank);
            }
            running_.erase(client);
            ended(exit);
        }
    }

    const Launch& launch_;
    const std::string name_;
    const Clock::time_point deadline_ = Clock::now() + launch_.time_max;
    std::map<pid_t, std::uint32_t> running_;
};

}  // namespace

std::string run_clients(const Launch& launch, const std::function<void(const Exit&)>& ended) {
    pmix_server_module_t module = server_module();
    Infos infos;
    infos.add(PMIX_SERVER_TMPDIR, launch.directory).add(PMIX_SYSTEM_TMPDIR, launch.directory);
    if (const auto status = PMIx_server_init(&module, infos.data(), infos.size()); status != PMIX_SUCCESS)
        return std::string("PMIx_server_init: ") + PMIx_Error_string(status);
    std::string trouble = Job(launch).run(ended);
    PMIx_server_finalize();
    return trouble;
}

}  // namespace ddict::pmix
