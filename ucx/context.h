// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// UCX's context and worker as owned objects, and what is set up around them.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>
#include <ucp/api/ucp.h>

#include "base/bytes.h"
#include "ucx/devices.h"
#include "ucx/worker.h"

namespace ddict::ucx {

struct ContextDeleter {
    void operator()(ucp_context_h context) const noexcept { ucp_cleanup(context); }
};
struct WorkerDeleter {
    void operator()(ucp_worker_h worker) const noexcept;
};
using ContextHandle = std::unique_ptr<ucp_context, ContextDeleter>;
using WorkerHandle = std::unique_ptr<ucp_worker, WorkerDeleter>;

struct Context {
    ContextHandle handle;
    /// Settings that are good to have and that this version of UCX does not take, for people.
    std::vector<std::string> refused_settings;
};

/// A context for active messages that can sleep. Honours the user's UCX_* settings; what the user leaves open
/// is chosen here: the network devices, and more (see context.cpp for the reasons). Never shared memory.
/// Errors: system, also where this process has not the descriptors or the thread that UCX will need: UCX
/// aborts it then.
Result<Context> make_context(const WorkerOptions& options = {});
Result<WorkerHandle> make_worker(ucp_context_h context);

/// What the context can use, by transport and device.
std::vector<TransportDevice> usable_transports(ucp_context_h context);

/// The worker's address in an envelope (magic, version of UCX, checksum), since UCX itself reads any bytes as
/// an address and crashes on those that are none.
Result<std::vector<std::byte>> make_address(ucp_worker_h worker);
/// The address inside the envelope, a view of `envelope`: bad_handle if it is garbage, incompatible if it is
/// of another version of UCX.
Result<Bytes> open_address(Bytes envelope);

/// Runs one of UCX's print functions, which write to a FILE, and returns the text.
template <class Print>
std::string printed(Print&& print) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* stream = ::open_memstream(&text, &size);
    if (stream == nullptr) return {};
    print(stream);
    std::fclose(stream);
    std::string result(text, size);
    std::free(text);
    return result;
}

}  // namespace ddict::ucx
