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
#include <thread>
#include <utility>

namespace ddict::pmix {

/// Runs call() in a thread of its own, with all signals blocked (also for the threads that it starts), and
/// waits until it returns, the deadline passes or cancelled() says so (asked every 10 ms). None means that
/// the call was given up: it may still be running and must therefore own all that it uses.
template <class T>
std::optional<T> bounded_call(std::function<T()> call, std::chrono::steady_clock::time_point deadline,
                              const std::function<bool()>& cancelled) {
    std::packaged_task<T()> task(std::move(call));
    std::future<T> result = task.get_future();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread(std::move(task)).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    while (result.wait_for(std::chrono::milliseconds(10)) != std::future_status::ready)
        if (cancelled() || std::chrono::steady_clock::now() >= deadline) return std::nullopt;
    return result.get();
}

}  // namespace ddict::pmix
