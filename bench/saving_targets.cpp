// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/saving_targets.h"

#include <ddict/checkpoint.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "base/hash.h"
#include "bench/measured_dictionary.h"
#include "bench/save_clients.h"
#include "bench/saved_files.h"
#include "bench/step_times.h"
#include "bench/transport.h"
#include "shm/pool.h"

namespace ddict::bench {
namespace {

using Bound = Target::Bound;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t pair_overhead_bytes = 256;
constexpr std::uint64_t saved_value_bytes = 8192;
constexpr std::uint64_t step_value_bytes = 8;
constexpr std::uint64_t steady_pairs_max = 8192;
constexpr unsigned checkpoint_calls = 1000;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string in_words(std::uint64_t count) {
    if (count >= 1'000'000 && count % 100'000 == 0) return brief(static_cast<double>(count) / 1e6) + " M";
    return std::to_string(count);
}
std::string bytes_in_words(std::uint64_t bytes) {
    const bool whole = bytes >= mebibyte;
    return std::to_string(bytes / (whole ? mebibyte : 1024)) + (whole ? " MiB" : " KiB");
}

std::uint64_t memory_for(std::uint64_t pairs, std::uint64_t pair_bytes, std::uint32_t managers) {
    return 2 * pairs * (pair_bytes + pair_overhead_bytes) + 16 * mebibyte * managers;
}

/// What this process takes but for pools and other shared memory: the most that was seen, looking every
/// millisecond.
class PeakMemory {
  public:
    PeakMemory() : thread_([this](const std::stop_token& stop) { watch(stop); }) {}
    double mib() {
        thread_.request_stop();
        thread_.join();
        return static_cast<double>(peak_) / mebibyte;
    }
    static std::uint64_t now() {
        std::ifstream status("/proc/self/status");
        std::uint64_t kib = 0;
        for (std::string word; status >> word;) {
            if (word != "RssAnon:" && word != "RssFile:") continue;
            std::uint64_t more = 0;
            status >> more;
            kib += more;
        }
        return kib * 1024;
    }

  private:
    void watch(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            peak_ = std::max(peak_, now());
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    std::uint64_t peak_ = 0;
    std::jthread thread_;
};

class SavingSuite {
  public:
    SavingSuite(const Options& options, Progress& progress)
        : options_(options), progress_(progress), folder_(options.save) {}

    TargetFigures measure() {
        for (const Transport transport : {Transport::samehost, Transport::ucx})
            during_save(transport);
        choose_transport(Transport::as_it_comes);
        for (const bool by_message : {false, true})
            memory_of_writer(by_message);
        restores();
        calls_of_checkpoint();
        retiring();
        steps_of_retiring();
        return std::move(result_);
    }

  private:
    Record& add_record(std::string op, std::uint64_t bytes, std::uint64_t managers) {
        Record& record = result_.records.emplace_back();
        record.op = std::move(op);
        record.bytes = bytes;
        record.key_bytes = options_.workload.key_bytes;
        record.clients = 1;
        record.managers = managers;
        record.transport = "memory";
        return record;
    }
    void add(Target target) {
        target.bound = Bound::at_most;
        result_.targets.push_back(std::move(target));
    }
    static std::vector<double> values_of(const Record& record, std::string_view name) {
        for (const Figure& one : record.figures)
            if (one.name == name) return one.values;
        return {};
    }
    static std::vector<double> quotients(std::vector<double> above, const std::vector<double>& below) {
        for (std::size_t i = 0; i < above.size(); ++i)
            above[i] /= below.at(i);
        return above;
    }
    static std::string median(const Record& record, std::string_view figure) {
        return brief(record.spread(figure).median);
    }
    WorkloadOptions pairs_of(std::uint64_t pairs) const {
        WorkloadOptions workload = options_.workload;
        workload.pairs = pairs;
        return workload;
    }
    /// Other keys than those of the pairs that are saved.
    WorkloadOptions steady_pairs(std::uint64_t pairs_max) const {
        WorkloadOptions workload = options_.workload;
        workload.pairs = std::min(workload.pairs, pairs_max);
        workload.seed = ~workload.seed;
        return workload;
    }
    Phase rest() const {
        return {.task = Task::rest, .operations = static_cast<std::uint64_t>(options_.effort.seconds * 1e3)};
    }

    static void add_latencies(Record& record, const std::string& when, const Beside& seen) {
        for (const auto& [name, latencies] : {std::pair("get", &seen.get), std::pair("put", &seen.put)}) {
            const std::string front = std::string(name) + "_" + when;
            record.add(front + "_p50_us", latencies->p50_us);
            record.add(front + "_p99_us", latencies->p99_us);
            record.add(front + "_max_us", latencies->max_us);
        }
    }

    /// C1: beside nobody, a save, and a process that writes as many bytes to the same file system.
    void during_save(Transport transport) {
        choose_transport(transport);
        const bool near = transport == Transport::samehost;
        const Workload saved(pairs_of(std::max<std::uint64_t>(options_.saved_bytes / saved_value_bytes, 1)));
        const Workload small(steady_pairs(steady_pairs_max));
        MeasuredDictionary dictionary(
            options_, 1, memory_for(saved.pairs() + small.pairs(), saved_value_bytes + saved.key_bytes(), 1));
        in_own_process("filling", [&] {
            put_all(Dictionary::attach(dictionary.handle()), saved, saved_value_bytes);
            return std::string();
        });
        const PhaseOver over(1);
        Team both("client", 2, [&](unsigned member) -> std::unique_ptr<Role> {
            if (member == 0) return std::make_unique<SteadyClient>(dictionary.handle(), small, over);
            return std::make_unique<OtherClient>(
                OtherClientOptions{
                    .handle = dictionary.handle(), .by_message = !near, .folder = folder_.path()},
                saved, over);
        });
        const std::string what = bytes_in_words(options_.saved_bytes) + (near ? "" : ", over the network");
        Record& record = add_record("during a save of " + what, SteadyClient::value_bytes, 1);
        record.transport = dictionary.transport();
        progress_.repeat(record.op + ": ", options_.effort.repetitions, [&](unsigned) {
            add_latencies(record, "before", run_beside(both, rest()));
            const Beside save = run_beside(both, {.task = Task::save});
            add_latencies(record, "during_save", save);
            record.add("save_gb_per_second", static_cast<double>(save.bytes) / 1e9 / save.seconds);
            const Beside write = run_beside(both, {.task = Task::write_file, .operations = save.bytes});
            add_latencies(record, "during_write", write);
            record.add("write_fsync_gb_per_second", static_cast<double>(save.bytes) / 1e9 / write.seconds);
        });
        dictionary.destroy();
        for (const std::string name : {"get", "put"}) {
            const auto p99 = [&](const char* when) { return name + "_" + when + "_p99_us"; };
            add({.id = "C1",
                 .figure = "p99 of " + std::string(name == "get" ? "gets by message" : "puts") +
                           ", 8 B, during a save of " + what + " / before",
                 .limit = 2,
                 .values = quotients(values_of(record, p99("during_save")), values_of(record, p99("before"))),
                 .own = median(record, p99("during_save")) + " us",
                 .baseline = "before " + median(record, p99("before")) +
                             " us, beside a write of as many bytes " + median(record, p99("during_write")) +
                             " us"});
        }
    }

    /// C2
    void memory_of_writer(bool by_message) {
        constexpr std::uint32_t managers = 4;
        const Workload saved(pairs_of(std::max<std::uint64_t>(options_.saved_bytes / saved_value_bytes, 1)));
        MeasuredDictionary dictionary(
            options_, managers, memory_for(saved.pairs(), saved_value_bytes + saved.key_bytes(), managers));
        in_own_process("filling", [&] {
            put_all(Dictionary::attach(dictionary.handle()), saved, saved_value_bytes);
            return std::string();
        });
        const std::string what = "a process that saves " + bytes_in_words(options_.saved_bytes) +
                                 " of 4 managers" + (by_message ? " by message" : "");
        Record& record = add_record("memory of " + what, saved_value_bytes, managers);
        record.transport = dictionary.transport();
        progress_.repeat(record.op + ": ", options_.effort.repetitions, [&](unsigned) {
            const json seen = json::parse(in_own_process("saving", [&] {
                const Dictionary mine =
                    Dictionary::attach(dictionary.handle(), AttachOptions{.local_reads = !by_message});
                const std::uint64_t before = PeakMemory::now();
                PeakMemory peak;
                const CheckpointInfo info = mine.save(folder_.path().string());
                const double mib = peak.mib();
                Checkpoints::remove(info.path).value();
                return json{{"mib", mib}, {"before_mib", static_cast<double>(before) / mebibyte}}.dump();
            }));
            record.add("mib", seen.at("mib").get<double>());
            record.add("before_mib", seen.at("before_mib").get<double>());
        });
        dictionary.destroy();
        add({.id = "C2",
             .figure = "memory beyond the pools of " + what,
             .limit = 64,
             .unit = "MiB",
             .values = values_of(record, "mib"),
             .own = "with its libraries",
             .baseline = "attached, before the save " + median(record, "before_mib") + " MiB"});
    }

    /// Of a dictionary with so many managers; returns the checkpoint's folder.
    std::string save_of(const Workload& workload, std::uint32_t managers) {
        const std::filesystem::path folder = folder_.path() / std::to_string(managers);
        return in_own_process("saving", [&] {
            std::filesystem::create_directory(folder);
            Dictionary mine = Dictionary::create(create_options(workload, managers));
            put_all(mine, workload, saved_value_bytes);
            const CheckpointInfo info = mine.save(folder.string());
            mine.destroy();
            return info.path;
        });
    }
    static CreateOptions create_options(const Workload& workload, std::uint32_t managers) {
        return {.managers_per_node = managers,
                .total_mem = memory_for(workload.pairs(), saved_value_bytes + workload.key_bytes(), managers),
                .name = "bench"};
    }
    /// Into a dictionary of a process of its own, as Dictionary::create() loads.
    static double restore_seconds(const Workload& workload, const std::string& path, std::uint32_t managers) {
        return std::stod(in_own_process("restoring", [&] {
            Dictionary fresh = Dictionary::create(create_options(workload, managers));
            const Clock::time_point start = Clock::now();
            fresh.load(path, {.exclusive = true});
            const double seconds = seconds_since(start);
            const bool whole = fresh.size() == workload.pairs();
            fresh.destroy();
            if (!whole) throw std::runtime_error("not all pairs were restored");
            return std::to_string(seconds);
        }));
    }

    /// C3: a quarter of the bytes of the other lines.
    void restores() {
        const Workload workload(
            pairs_of(std::max<std::uint64_t>(options_.saved_bytes / 4 / saved_value_bytes, 1)));
        progress_.show("saving what is to be restored");
        std::map<std::uint32_t, std::string> saved;
        for (const std::uint32_t managers : {1u, 3u, 4u, 8u})
            saved[managers] = save_of(workload, managers);
        struct Way {
            std::uint32_t from;
            std::uint32_t to;
        };
        for (const Way way : {Way{4, 3}, Way{8, 1}, Way{1, 8}}) {
            const std::string from = std::to_string(way.from);
            const std::string to = std::to_string(way.to);
            Record& record =
                add_record("restore from " + from + " to " + to + " managers", saved_value_bytes, way.to);
            progress_.repeat(record.op + ": ", options_.effort.repetitions, [&](unsigned) {
                record.add("seconds", restore_seconds(workload, saved[way.from], way.to));
                record.add("onto_as_many_seconds", restore_seconds(workload, saved[way.to], way.to));
            });
            add({.id = "C3",
                 .figure = "restore " + bytes_in_words(options_.saved_bytes / 4) + " of " + from +
                           " managers onto " + to + ": time / of " + to + " onto " + to,
                 .limit = 1.3,
                 .values = quotients(values_of(record, "seconds"), values_of(record, "onto_as_many_seconds")),
                 .own = median(record, "seconds") + " s",
                 .baseline = "onto as many " + median(record, "onto_as_many_seconds") + " s"});
        }
    }

    /// Requests that managers have seen, of any kind.
    static double requests(const Dictionary& dictionary) {
        std::uint64_t count = 0;
        for (const ManagerStats& one : dictionary.stats())
            for (const OperationStats& operation : one.operations)
                count += operation.count;
        return static_cast<double>(count);
    }

    /// C4
    void calls_of_checkpoint() {
        Record& record = add_record("checkpoint()", 0, 1);
        Options options = options_;
        options.working_set = 2;
        MeasuredDictionary dictionary(options, 1, 16 * mebibyte);
        progress_.repeat("checkpoint(): ", options_.effort.repetitions, [&](unsigned) {
            const json seen = json::parse(in_own_process("calling checkpoint()", [&] {
                Dictionary mine = Dictionary::attach(dictionary.handle());
                requests(mine);
                const double first = requests(mine);
                const double of_asking = requests(mine) - first;
                const double before = requests(mine);
                const Clock::time_point start = Clock::now();
                for (unsigned i = 0; i < checkpoint_calls; ++i)
                    mine.checkpoint();
                const double seconds = seconds_since(start);
                const double messages = requests(mine) - before - of_asking;
                const Clock::time_point reads = Clock::now();
                for (unsigned i = 0; i < checkpoint_calls; ++i)
                    (void)Clock::now();
                return json{{"messages", messages},
                            {"ns", seconds * 1e9 / checkpoint_calls},
                            {"clock_read_ns", seconds_since(reads) * 1e9 / checkpoint_calls}}
                    .dump();
            }));
            for (const char* figure : {"messages", "ns", "clock_read_ns"})
                record.add(figure, seen.at(figure).get<double>());
        });
        dictionary.destroy();
        add({.id = "C4",
             .figure = "messages of " + std::to_string(checkpoint_calls) + " calls of checkpoint()",
             .limit = 0,
             .values = values_of(record, "messages"),
             .own = median(record, "ns") + " ns a call",
             .baseline = "reading the clock " + median(record, "clock_read_ns") + " ns"});
    }

    /// C4: the longest that a client of the manager waits for an answer meanwhile.
    void retiring() {
        const Workload pairs(pairs_of(options_.step_pairs));
        const Workload small(steady_pairs(64));
        Options options = options_;
        options.working_set = 2;
        MeasuredDictionary dictionary(options, 1,
                                      2 * memory_for(pairs.pairs(), step_value_bytes + pairs.key_bytes(), 1));
        in_own_process("filling", [&] {
            put_all(Dictionary::attach(dictionary.handle()), pairs, step_value_bytes);
            return std::string();
        });
        const PhaseOver over(1);
        Team both("client", 2, [&](unsigned member) -> std::unique_ptr<Role> {
            if (member == 0) return std::make_unique<SteadyClient>(dictionary.handle(), small, over);
            return std::make_unique<OtherClient>(
                OtherClientOptions{.handle = dictionary.handle(), .steady_pairs = small.pairs()}, pairs,
                over);
        });
        const std::string count = in_words(pairs.pairs());
        Record& record = add_record("checkpoints of " + count + " pairs", step_value_bytes, 1);
        record.transport = dictionary.transport();
        progress_.repeat(record.op + ": ", options_.effort.repetitions, [&](unsigned) {
            const auto run = [&](const std::string& when, Phase phase) {
                phase.value_bytes = step_value_bytes;
                const Beside seen = run_beside(both, phase);
                record.add(when + "_gap_ms", std::max(seen.get.max_us, seen.put.max_us) / 1e3);
                record.add(when + "_p99_us", std::max(seen.get.p99_us, seen.put.p99_us));
                record.add(when + "_seconds", seen.seconds);
            };
            run("step", {.task = Task::step});
            run("change", {.task = Task::change});
            run("retiring", {.task = Task::retire});
            Phase quiet = rest();
            quiet.operations = static_cast<std::uint64_t>(values_of(record, "retiring_seconds").back() * 1e3);
            run("rest", quiet);
        });
        dictionary.destroy();
        add({.id = "C4",
             .figure = "longest wait of a client while " + count + " versions are retired",
             .limit = 1,
             .unit = "ms",
             .values = values_of(record, "retiring_gap_ms"),
             .own = "while as many pairs are put at the next checkpoint " + median(record, "step_gap_ms") +
                    " ms",
             .baseline = "beside nobody, as long " + median(record, "rest_gap_ms") +
                         " ms; beside puts of as many that are there " + median(record, "change_gap_ms") +
                         " ms"});
    }

    /// C4: the longest step of the manager's own, as it does it, in the time of its processor. What the host
    /// of a virtual machine takes from it counts as such too, so of each step the shortest of all repetitions
    /// counts, of which each does the same.
    void steps_of_retiring() {
        const std::string count = in_words(options_.step_pairs);
        Record& record = add_record("steps of a pool with " + count + " pairs", step_value_bytes, 0);
        StepTimes step(options_.step_pairs);
        StepTimes change(options_.step_pairs);
        StepTimes retiring(options_.step_pairs);
        progress_.repeat(record.op + ": ", options_.effort.repetitions, [&](unsigned) {
            for (StepTimes* one : {&step, &change, &retiring})
                one->begin();
            const double seconds = std::stod(
                in_own_process("retiring in a pool", [&] { return steps_of_pool(step, change, retiring); }));
            record.add("retired_million_per_second",
                       static_cast<double>(options_.step_pairs) / 1e6 / seconds);
            record.add("step_once_ms", step.longest_once_us() / 1e3);
            record.add("change_once_ms", change.longest_once_us() / 1e3);
            record.add("retiring_once_ms", retiring.longest_once_us() / 1e3);
        });
        record.add("step_ms", step.longest_us() / 1e3);
        record.add("change_ms", change.longest_us() / 1e3);
        record.add("retiring_ms", retiring.longest_us() / 1e3);
        const auto line = [&](std::string what, const std::string& name) {
            const Spread once = record.spread(name + "_once_ms");
            add({.id = "C4",
                 .figure = std::move(what) + ", processor time, shortest of " +
                           std::to_string(options_.effort.repetitions),
                 .limit = 1,
                 .unit = "ms",
                 .values = values_of(record, name + "_ms"),
                 .own = "in one run " + brief(once.median) + " [" + brief(once.min) + " .. " +
                        brief(once.max) + "] ms",
                 .baseline = "put of a pair that is there " + median(record, "change_ms") + " ms"});
        };
        line("longest step of retiring " + count + " versions", "retiring");
        line("longest put of " + count + " pairs at the next checkpoint", "step");
    }

    /// Returns in how many seconds all was retired.
    std::string steps_of_pool(StepTimes& step, StepTimes& change, StepTimes& retiring) const {
        const Workload workload(pairs_of(options_.step_pairs));
        const std::string name = "bench-pool-" + std::to_string(::getpid());
        shm::Segment segment =
            shm::Segment::create(name,
                                 2 * memory_for(workload.pairs(), step_value_bytes + workload.key_bytes(), 1))
                .value();
        shm::Segment::remove(name);  // only the memory is needed
        shm::Pool::format(segment, {.dictionary_id = 1, .secret = {}, .manager = 0, .node = "here"},
                          {.size = 2})
            .value();
        const std::unique_ptr<shm::Pool> pool = shm::Pool::attach(std::move(segment)).value();
        const std::vector<std::byte> value = Workload::value_letters(step_value_bytes);
        const auto put = [&](std::uint64_t pair, std::uint32_t checkpoint) {  // as a manager does
            const KeyBytes key(workload.key(pair));
            pool->advance(checkpoint);
            pool->retire_keys();
            pool->put({.key = key, .hash = hash_of(key), .checkpoint = checkpoint, .value = value}).value();
        };
        for (std::uint64_t pair = 0; pair < workload.pairs(); ++pair)
            put(pair, 0);
        for (StepTimes* times : {&step, &change})
            for (std::uint64_t pair = 0; pair < workload.pairs(); ++pair)
                times->time([&] { put(pair, 1); });
        const double start = processor_us();
        retiring.time([&] { put(0, 2); });
        for (bool more = true; more;)
            retiring.time([&] { more = pool->retire_some(); });
        const double seconds = (processor_us() - start) / 1e6;
        if (pool->checkpoints().old_versions().versions > 1) throw std::runtime_error("not all was retired");
        return std::to_string(seconds);
    }

    const Options& options_;
    Progress& progress_;
    const OwnFolder folder_;
    TargetFigures result_;
};

}  // namespace

TargetFigures measure_saving_targets(const Options& options, Progress& progress) {
    return SavingSuite(options, progress).measure();
}

}  // namespace ddict::bench
