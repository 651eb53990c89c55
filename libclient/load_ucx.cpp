// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/load_ucx.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/utsname.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>

namespace ddict::client {
namespace {

/// Where this library is, with a slash at the end; empty if that cannot be found out.
std::string own_folder() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(&load_ucx), &info) == 0 || info.dli_fname == nullptr)
        return {};
    const std::unique_ptr<char, void (*)(void*)> absolute(::realpath(info.dli_fname, nullptr), &std::free);
    const std::string file = absolute != nullptr ? absolute.get() : info.dli_fname;
    const std::size_t slash = file.rfind('/');
    return slash == file.npos ? std::string() : file.substr(0, slash + 1);
}

// While the library is loaded: later the program may be in another folder, and the name be relative.
const std::string folder = own_folder();

/// UCX keeps the host's name while it is loaded, has space for one character less than the kernel allows, and
/// does not look: it aborts the program.
bool fits_into_ucx(const utsname& host) noexcept {
    return std::strlen(host.nodename) < HOST_NAME_MAX;
}

Result<const ucx::Module*> load() {
    utsname host{};
    if (::uname(&host) == 0 && !fits_into_ucx(host))
        return Error(Errc::system, "this host's name has " + std::to_string(HOST_NAME_MAX) +
                                       " characters, for which UCX has no space: give it a shorter one");
    const std::string file = folder + DDICT_UCX_MODULE;
    void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void* const entry = library != nullptr ? ::dlsym(library, ucx::module_entry_name) : nullptr;
    if (entry == nullptr) {
        const char* const why = ::dlerror();
        return Error(Errc::system, std::string("the library for messages to other hosts cannot be loaded: ") +
                                       (why != nullptr ? why : file.c_str()));
    }
    const ucx::Module* const module = reinterpret_cast<ucx::ModuleEntry*>(entry)();
    if (module->layout != ucx::module_layout)
        return Error(Errc::incompatible,
                     "the library for messages to other hosts is of another build than this one: " + file);
    return module;
}

std::atomic<const ucx::Module*> loaded{nullptr};
std::atomic<unsigned> loading{0};  // threads that do
std::atomic<bool> is_loaded_whole{false};
// Forked in the middle of loading: here the libraries are as another thread had them at that moment, for
// ever, and the dynamic linker takes them for loaded.
std::atomic<bool> is_half_loaded{false};

// Held while it is loaded, and while its first worker is made, for which UCX loads more; and by each fork: a
// child with half of it could not load it, and would crash in exit(). So a fork waits for some milliseconds,
// once in the life of a process.
//
// Neither waits for ever, since each may have what the other waits for. A fork has the lock of glibc for
// handlers of forks before 2.36, which UCX needs to register its own. And after this one it runs the handlers
// that the program has registered before this library was there: one of them may take a lock of the program's
// that the thread which loads holds meanwhile. Whoever has waited that long goes on, and a child that is
// forked then knows it by `loading`.
std::timed_mutex loading_or_forking;
constexpr std::chrono::seconds each_waits_max{1};
thread_local bool loads_here = false;
thread_local bool fork_holds_it = false;

class Loading {
  public:
    Loading() {
        ++loading;
        loads_here = true;
    }
    ~Loading() {
        loads_here = false;
        --loading;
    }

  private:
    std::unique_lock<std::timed_mutex> lock_{loading_or_forking, each_waits_max};
};

/// What UCX starts while it is loaded, if anything, does not wait for itself.
void before_fork() {
    fork_holds_it = !loads_here && loading_or_forking.try_lock_for(each_waits_max);
}
void after_fork() {
    if (fork_holds_it) loading_or_forking.unlock();
}
void after_fork_in_child() {
    is_half_loaded = is_half_loaded || loading != 0;
    loading = 0;
    if (fork_holds_it) return loading_or_forking.unlock();
    ::new (&loading_or_forking) std::timed_mutex;  // whoever holds it is not here
}
// While this library is loaded: no thread can be in the middle of it at a fork.
[[maybe_unused]] const int forks_wait = ::pthread_atfork(before_fork, after_fork, after_fork_in_child);

}  // namespace

bool ucx_is_of_parent() noexcept {
    const ucx::Module* const known = loaded.load(std::memory_order_acquire);
    return known != nullptr ? known->is_of_parent() : is_half_loaded.load(std::memory_order_relaxed);
}

Result<const ucx::Module*> load_ucx() {
    if (const ucx::Module* const known = loaded.load(std::memory_order_acquire); known != nullptr)
        return known;
    if (is_half_loaded)
        return Error(Errc::system,
                     "this process is a child of one that was loading UCX at its fork(), and no manager on "
                     "this node passes its messages on: fork before attaching, or exec");
    const Loading now;
    const Result<const ucx::Module*> module = load();
    if (module) loaded.store(*module, std::memory_order_release);
    return module;
}

Result<std::unique_ptr<ucx::Worker>> make_ucx_worker(const ucx::Module& module,
                                                     const ucx::WorkerOptions& options, os::Poller& poller,
                                                     os::WaitPolicy& waiting) {
    if (is_loaded_whole || module.is_of_parent()) return module.create_worker(options, poller, waiting);
    const Loading now;
    auto worker = module.create_worker(options, poller, waiting);
    if (worker) is_loaded_whole = true;
    return worker;
}

}  // namespace ddict::client
