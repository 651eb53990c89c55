// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A call into a library that may block, made in a way that its caller never does.
#pragma once

#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <ddict/result.h>

namespace ddict::pmix {

/// Runs call() in a thread of its own, with all signals blocked (also for the threads that it starts), and
/// waits until it returns, the deadline passes or cancelled() says so (asked every 10 ms). None means that
/// the call was given up: it may still be running and must therefore own all that it uses. An error: there is
/// no thread to be had, and nothing was called.
template <class T>
Result<std::optional<T>> bounded_call(std::function<T()> call, std::chrono::steady_clock::time_point deadline,
                                      const std::function<bool()>& cancelled) {
    std::packaged_task<T()> task(std::move(call));
    std::future<T> result = task.get_future();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::optional<Error> failure;
    try {
        std::thread(std::move(task)).detach();
    } catch (const std::system_error& e) {
        failure = Error(Errc::system, std::string("starting a thread: ") + e.what());
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failure) return *failure;
    while (result.wait_for(std::chrono::milliseconds(10)) != std::future_status::ready) {
        if (cancelled() || std::chrono::steady_clock::now() >= deadline) return std::optional<T>();
    }
    return std::optional<T>(result.get());
}

}  // namespace ddict::pmix
