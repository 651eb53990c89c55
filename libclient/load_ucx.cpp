// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/load_ucx.h"

#include <dlfcn.h>

#include <mutex>
#include <string>

namespace ddict::client {
namespace {

/// Where this library is, with a slash at the end; empty if that cannot be found out.
std::string own_folder() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(&load_ucx), &info) == 0 || info.dli_fname == nullptr)
        return {};
    const std::string file = info.dli_fname;
    const std::size_t slash = file.rfind('/');
    return slash == file.npos ? std::string() : file.substr(0, slash + 1);
}

Result<const ucx::Module*> load() {
    const std::string file = own_folder() + DDICT_UCX_MODULE;
    void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void* const entry = library != nullptr ? ::dlsym(library, ucx::module_entry_name) : nullptr;
    if (entry == nullptr) {
        const char* const why = ::dlerror();
        return Error(Errc::system, std::string("the library for messages to other hosts cannot be loaded: ") +
                                       (why != nullptr ? why : file.c_str()));
    }
    return reinterpret_cast<ucx::ModuleEntry*>(entry)();
}

}  // namespace

Result<const ucx::Module*> load_ucx() {
    static std::mutex mutex;
    static const ucx::Module* loaded = nullptr;
    const std::lock_guard lock(mutex);
    if (loaded != nullptr) return loaded;
    const Result<const ucx::Module*> module = load();
    if (module) loaded = *module;
    return module;
}

}  // namespace ddict::client
