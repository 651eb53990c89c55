// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// usage: python_embedder LIBPYTHON PROGRAM
// A program in C++ that runs one in Python, ends the interpreter, and then goes on with a dictionary itself.
#include <ddict/dictionary.h>
#include <dlfcn.h>

#include <chrono>
#include <cstdio>

namespace {

template <class F>
F function(void* library, const char* name) {
    return reinterpret_cast<F>(::dlsym(library, name));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const ddict::Dictionary dict = ddict::Dictionary::attach();
    void* const python = ::dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (python == nullptr) {
        std::fprintf(stderr, "%s\n", ::dlerror());
        return 2;
    }
    function<void (*)()>(python, "Py_Initialize")();
    if (function<int (*)(const char*)>(python, "PyRun_SimpleString")(argv[2]) != 0) return 3;
    if (function<int (*)()>(python, "Py_FinalizeEx")() != 0) return 4;
    // Long enough for the library to ask whether the call is to end.
    const auto waited = dict.within(std::chrono::milliseconds(500)).try_wait_for("never");
    if (waited || waited.error().code != ddict::Errc::timeout) return 5;
    return dict.get<std::int64_t>("embedded") == 1 ? 0 : 6;
}
