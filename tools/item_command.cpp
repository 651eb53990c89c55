// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/item_command.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/signals.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

// As shells and ddict-launch have them.
constexpr int cannot_be_run = 126;
constexpr int is_not_found = 127;

// The kernel takes no longer texts: 32 pages, with the name and the zero at the end.
constexpr std::size_t variable_bytes_max = std::size_t{128} * 1024;
constexpr std::string_view variable_of_value = "DDICT_ITEM";

void say(const std::string& what) {
    std::cerr << "ddict: " << printable_text(what) << '\n';
}

std::runtime_error cannot_hold(const char* call) {
    return std::runtime_error(std::string("cannot hold the value for the command (") + call +
                              "): " + std::strerror(errno));
}

/// The program's signals, while one exists; before and after they end the process as ever.
class TakenSignals {
  public:
    TakenSignals() : signals_(os::SignalFd::open(os::ending_signals()).value()) {}
    ~TakenSignals() { ::pthread_sigmask(SIG_SETMASK, &signals_.original_mask(), nullptr); }
    TakenSignals(const TakenSignals&) = delete;
    TakenSignals& operator=(const TakenSignals&) = delete;
    const os::SignalFd& operator*() const { return signals_; }

  private:
    os::SignalFd signals_;
};

/// Memory as a file, from its beginning.
os::FileDescriptor file_of(std::string_view bytes) {
    os::FileDescriptor file(::memfd_create("ddict-item", MFD_CLOEXEC));
    if (!file.is_open()) throw cannot_hold("memfd_create");
    while (!bytes.empty()) {
        const ssize_t written = ::write(file.fd(), bytes.data(), bytes.size());
        if (written < 0 && errno != EINTR) throw cannot_hold("write");
        bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    if (::lseek(file.fd(), 0, SEEK_SET) != 0) throw cannot_hold("lseek");
    return file;
}

/// What a command is given of an item.
struct Given {
    os::FileDescriptor input;
    os::Environment environment = os::environment_of_this_process();
    std::string shown{};  // the beginning of a text, for people
};

/// Errors: those of QueueItem::get_bytes().
Result<Given> given_of(const QueueItem& item) {
    detail::BytesSink value;
    if (const Result<void> got = item.get_bytes(value); !got) return got.error();
    const std::optional<std::string> scalar = scalar_text(value.bytes(), value.type());
    const std::string_view bytes =
        scalar ? std::string_view(*scalar)
               : std::string_view(reinterpret_cast<const char*>(value.bytes().data()), value.bytes().size());
    Given given{.input = file_of(bytes)};
    const bool is_text = scalar || value.type() == type_text;
    constexpr std::size_t shown_bytes_max = 60;
    if (is_text) given.shown = bytes.substr(0, shown_bytes_max);
    if (is_text && bytes.size() > shown_bytes_max) given.shown += "...";
    given.environment.erase(std::string(variable_of_value));
    if (is_text && bytes.find('\0') == bytes.npos &&
        bytes.size() + variable_of_value.size() + 2 <= variable_bytes_max)
        given.environment.emplace(variable_of_value, bytes);
    given.environment.insert_or_assign("DDICT_ITEM_NUMBER", std::to_string(item.number()));
    given.environment.insert_or_assign("DDICT_ITEM_ATTEMPT", std::to_string(item.attempt()));
    return given;
}

/// A run of the command. `asked_by`: the signal that has asked for an end meanwhile; 0: none.
struct Run {
    os::ExitStatus status;
    int asked_by = 0;
};

Run run_to_end(os::ChildProcess& child, const os::SignalFd& signals) {
    Run run;
    for (;;) {
        std::array<pollfd, 2> fds{{{child.pidfd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
        ::poll(fds.data(), fds.size(), -1);
        while (const std::optional<os::SignalEvent> signal = signals.next()) {
            // What is typed has come to the command as well.
            if (!signal->from_terminal) child.signal(signal->number);
            if (signal->asks_to_end()) run.asked_by = signal->number;
        }
        if (const std::optional<os::ExitStatus> status = child.reap()) {
            run.status = *status;
            return run;
        }
    }
}

/// What became of an item.
struct Outcome {
    ItemCommandEnd end{};
    bool is_finished = false;
    bool is_given_up = false;
    bool goes_on = true;  // with further items
};

class Worker {
  public:
    Worker(const Queue& queue, const ItemCommand& command, std::string program)
        : queue_(queue), command_(command), program_(std::move(program)) {}

    Outcome run_on(QueueItem item) const {
        const TakenSignals signals;
        const Result<Given> given = given_of(item);
        const std::string name = name_of(item, given ? given->shown : "");
        if (!given) return without_value(item, name, given.error());
        Result<os::ChildProcess> child = start(*given, *signals);
        if (!child) {
            const std::string back = put_back(item);
            say(name + ": " + child.error().detail.data() + back);
            return {.end = {.status = cannot_be_run}, .goes_on = false};
        }
        const Run run = run_to_end(*child, *signals);
        const int status = run.status.for_shell();
        if (run.asked_by == 0 && run.status.success()) return finish(item, name, status);
        const std::string how = name + ": " + command_.words[0] + " " + run.status.describe();
        if (run.asked_by != 0) {
            say(how + ", when this was to end by signal " + std::to_string(run.asked_by) + put_back(item));
            return {.end = {.status = status, .ended_by = run.asked_by}};
        }
        if (command_.attempts != 0 && item.attempt() >= command_.attempts) {
            Outcome outcome = finish(item, name, status);
            if (!outcome.is_finished) return outcome;
            say(how + "; given up, it was finished undone");
            outcome.is_given_up = true;
            return outcome;
        }
        say(how + put_back(item));
        return {.end = {.status = status}};
    }

  private:
    std::string name_of(const QueueItem& item, const std::string& shown) const {
        return "item " + std::to_string(item.number()) + " of queue '" + queue_.name() + "'" +
               (shown.empty() ? "" : " (" + shown + ")") + ", attempt " + std::to_string(item.attempt());
    }
    Result<os::ChildProcess> start(const Given& given, const os::SignalFd& signals) const {
        os::SpawnOptions options;
        options.program = program_;
        options.argv.assign(command_.words.begin(), command_.words.end());
        options.environment = given.environment;
        options.standard_fds = {given.input.fd(), -1, -1};
        options.parent_death_signal = SIGKILL;
        options.signal_mask = signals.original_mask();
        return os::ChildProcess::spawn(options);
    }
    static Outcome finish(QueueItem& item, const std::string& name, int status) {
        const Result<void> finished = item.try_finish();
        if (finished) return {.end = {.status = status}, .is_finished = true};
        return lost(name, finished.error());
    }
    static Outcome without_value(QueueItem& item, const std::string& name, const Error& error) {
        if (const Result<void> held = item.try_renew(); !held) return lost(name, held.error());
        if (error.code != Errc::not_found) throw Exception(error);
        // Not status 1, which is that all is done; and nobody can do it.
        say(name + ": " + error.detail.data() + put_back(item));
        return {.end = {.status = other_failure}, .goes_on = false};
    }
    /// It is another one's. Throws what other error it was.
    static Outcome lost(const std::string& name, const Error& error) {
        if (error.code != Errc::not_found) throw Exception(error);
        say(name + ": " + error.detail.data() + "; somebody else does it again");
        return {.end = {.status = other_failure}};
    }
    static std::string put_back(QueueItem& item) {
        const Result<void> back = item.try_put_back();
        return back ? "; it was put back" : "; it could not be put back: " + back.error().message();
    }

    const Queue& queue_;
    const ItemCommand& command_;
    const std::string program_;
};

ItemCommandEnd run_on_all(const Queue& queue, const ItemCommand& command, const Worker& worker) {
    // So that another worker, perhaps on a better node, is the next to have what has failed here.
    constexpr std::chrono::seconds pause_after_failure{1};
    int status = success;
    for (;;) {
        std::optional<QueueItem> item =
            command.is_bounded ? queue.take(command.end) : queue.next(command.end);
        if (!item) return {.status = status};
        const Outcome outcome = worker.run_on(*std::move(item));
        if (outcome.end.ended_by != 0 || !outcome.goes_on) return outcome.end;
        if (outcome.is_given_up) status = partial;
        if (!outcome.is_finished) std::this_thread::sleep_for(pause_after_failure);
    }
}

}  // namespace

ItemCommandEnd run_on_items(const Queue& queue, const ItemCommand& command) {
    // Whoever has started this may ignore it, which is inherited: how a command ends would not be told.
    ::signal(SIGCHLD, SIG_DFL);
    // Before an item is taken for it.
    const os::FoundProgram found = os::find_program(command.words[0], os::environment_of_this_process());
    if (found.error != 0) {
        const bool is_missing = found.error == ENOENT;
        say(command.words[0] + ": " + (is_missing ? "command not found" : std::strerror(found.error)));
        return {.status = is_missing ? is_not_found : cannot_be_run};
    }
    const Worker worker(queue, command, found.path);
    if (command.takes_all) return run_on_all(queue, command, worker);
    std::optional<QueueItem> item = queue.take(command.end);
    if (item) return worker.run_on(*std::move(item)).end;
    say("queue '" + queue.name() + "' is closed, and all is done");
    return {.status = no_such_key};
}

}  // namespace ddict::tools
