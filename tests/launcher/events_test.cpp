// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The lines from node launchers to ddict-launch, rendezvous records, and the preflight's judgement.
#include "launcher/events.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "base/hex.h"
#include "cluster/handle.h"
#include "launcher/preflight.h"
#include "launcher/rendezvous_file.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {
namespace {

Event lost_event() {
    Event event;
    event.kind = Event::Kind::lost;
    event.node = "n2";
    event.node_id = NodeId{1};
    event.manager = ShardId{3};
    event.text = "was killed";
    return event;
}

std::string_view without_newline(const std::string& line) {
    return std::string_view(line).substr(0, line.size() - 1);
}

TEST(Events, AreLinesThatReadBack) {
    for (int kind = 0; kind <= static_cast<int>(Event::Kind::beat); ++kind) {
        Event event = lost_event();
        event.kind = static_cast<Event::Kind>(kind);
        event.step = "12.0";
        event.milliseconds = 38;
        event.pairs = std::uint64_t{1} << 40;
        event.missing = 2;
        const std::string line = format_event(event);
        EXPECT_EQ(line.find('\n'), line.size() - 1);
        const auto back = parse_event(without_newline(line));
        ASSERT_TRUE(back) << line;
        EXPECT_EQ(back->kind, event.kind);
        EXPECT_EQ(back->node, "n2");
        EXPECT_EQ(back->node_id, NodeId{1});
        EXPECT_EQ(back->text, "was killed");
        EXPECT_EQ(back->step, "12.0");
        const bool is_back = event.kind == Event::Kind::back;
        EXPECT_EQ(back->milliseconds, is_back ? 38U : 0U);
        EXPECT_EQ(back->pairs, is_back ? std::uint64_t{1} << 40 : 0U);
        EXPECT_EQ(back->missing, is_back ? 2U : 0U);
    }
    EXPECT_EQ(parse_event(without_newline(format_event(lost_event())))->manager, ShardId{3});
}

TEST(Events, StayBelowWhatSrunCuts) {
    for (const char fill : {'x', '\n', '\x01', '"', '\xff'}) {
        Event event = lost_event();
        event.text.assign(5000, fill);
        const std::string line = format_event(event);
        EXPECT_LE(line.size(), event_line_bytes_max);
        EXPECT_TRUE(parse_event(without_newline(line))) << line;
    }
}

TEST(Events, CarryAHandleOfAnyLength) {
    std::string handle;
    for (int i = 0; i < 3000; ++i)
        handle += static_cast<char>('a' + i % 26);
    std::string back;
    for (const std::string& line : format_handle(lost_event(), handle)) {
        EXPECT_LE(line.size(), event_line_bytes_max);
        const auto event = parse_event(without_newline(line));
        ASSERT_TRUE(event);
        EXPECT_EQ(event->kind, Event::Kind::handle);
        back += event->text;
    }
    EXPECT_EQ(back, handle);
}

TEST(Events, OtherLinesAreNone) {
    for (const char* const line :
         {"", "@ddict", "@ddict ", "@ddict {", "@ddict []", "@ddict {}", "@ddict {\"event\":7}",
          "@ddict {\"event\":\"party\"}", "hello", "{\"event\":\"ready\"}"})
        EXPECT_FALSE(parse_event(line)) << line;
    const auto odd =
        parse_event("@ddict {\"event\":\"lost\",\"manager\":-1,\"node\":[],\"index\":99999999999}");
    ASSERT_TRUE(odd) << "fields of a wrong type count as missing";
    EXPECT_EQ(odd->manager, ShardId{0});
    EXPECT_EQ(odd->node_id, NodeId{0});
    EXPECT_EQ(odd->node, "");
}

TEST(LineReader, PutsLinesTogetherFromPieces) {
    os::Pipe pipe = os::make_pipe().value();
    os::set_non_blocking(pipe.read_end.fd());
    LineReader reader;
    std::vector<std::string> lines;
    os::write_fully(pipe.write_end.fd(), "one\ntw");
    EXPECT_EQ(reader.read_from(pipe.read_end.fd(), lines), LineReader::State::open);
    EXPECT_EQ(lines, std::vector<std::string>{"one"});
    os::write_fully(pipe.write_end.fd(), "o\n\nthree");
    pipe.write_end.reset();
    EXPECT_EQ(reader.read_from(pipe.read_end.fd(), lines), LineReader::State::ended);
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "three"}));
}

RendezvousRecord record() {
    RendezvousRecord record;
    record.name = "a";
    Handle handle;
    handle.managers = 2;
    handle.nodes = 2;
    handle.name = "a";
    handle.seeds.resize(1);
    handle.seeds[0].address.resize(8);
    record.handle = handle.serialize();
    record.dictionary = hex(handle.dictionary_id);
    record.launcher = this_process();
    record.nodes = {"n1", "n2"};
    record.managers = 2;
    record.total_bytes = std::uint64_t{1} << 40;
    record.created = 1'700'000'000;
    record.lost = {"manager 1 on n2: was killed"};
    return record;
}

TEST(RendezvousRecord, ReadsBack) {
    const auto back = parse_record(format_record(record()));
    ASSERT_TRUE(back);
    EXPECT_EQ(format_record(*back), format_record(record()));
    EXPECT_EQ(back->launcher, record().launcher);
}

TEST(RendezvousRecord, RefusesGarbage) {
    const std::string good = format_record(record());
    for (std::size_t cut = 0; cut + 2 < good.size(); cut += 7)
        EXPECT_FALSE(parse_record(good.substr(0, cut)));
    std::string other = good;
    other.replace(other.find("\"format\": 1"), 11, "\"format\": 2");
    EXPECT_FALSE(parse_record(other));
    EXPECT_FALSE(parse_record("{\"format\": 1, \"name\": 3}"));
}

TEST(RendezvousRecord, KnowsTheLivingFromTheDead) {
    RendezvousRecord mine = record();
    EXPECT_EQ(liveness_of(mine, {}).liveness, Liveness::alive);
    mine.launcher.start_time += 1;
    EXPECT_EQ(liveness_of(mine, {}).liveness, Liveness::stale) << "another process has the number now";
    mine.launcher.start_time = 0;
    mine.launcher.pid = 0;
    EXPECT_EQ(liveness_of(mine, {}).liveness, Liveness::stale);
    mine = record();
    mine.launcher.boot_id = "before";
    const bool machine_is_known = !mine.launcher.machine.empty();
    EXPECT_EQ(liveness_of(mine, {}).liveness, machine_is_known ? Liveness::stale : Liveness::unknown)
        << "the machine was started anew";
    for (const std::string machine : {"", "another"}) {
        mine.launcher.machine = machine;
        EXPECT_EQ(liveness_of(mine, {}).liveness, Liveness::unknown) << "hosts may be called the same";
        EXPECT_FALSE(open_process(mine.launcher).is_open());
    }
    for (const auto forget :
         {+[](ProcessRecord& r) { r.boot_id.clear(); }, +[](ProcessRecord& r) { r.start_time = 0; }}) {
        mine = record();
        forget(mine.launcher);
        EXPECT_EQ(liveness_of(mine, {}).liveness, Liveness::unknown) << "it could not be found out";
    }
    mine = record();
    mine.launcher.host = "far-away";
    EXPECT_EQ(liveness_of(mine, {}).liveness, Liveness::unknown);
    mine.job = "5";
    mine.job_restart = "0";
    EXPECT_EQ(liveness_of(mine, {{"SLURM_JOB_ID", "5"}, {"SLURM_RESTART_COUNT", "1"}}).liveness,
              Liveness::stale);
}

/// Who cannot look must not act: "stop" would throw the record away, "start" begin another dictionary.
TEST(RendezvousRecord, IsNotJudgedWithoutProc) {
    const RendezvousRecord mine = record();
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(2);
        if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(3);
        if (mount("tmpfs", "/proc", "tmpfs", 0, nullptr) != 0) _exit(4);
        if (liveness_of(mine, {}).liveness != Liveness::unknown) _exit(5);
        _exit(require_free("/nowhere/a.json", {}).has_value() ? 6 : 0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

/// Between a look at a record and its removal another dictionary may have been started.
TEST(RendezvousRecord, IsRemovedOnlyIfItIsTheOneMeant) {
    std::string folder = std::filesystem::temp_directory_path().string() + "/ddict-records-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const std::string path = folder + "/one.json";
    RendezvousRecord mine = record();
    {
        auto file = RendezvousFile::publish(path, mine, {});
        ASSERT_TRUE(file) << file.error().message();
        EXPECT_TRUE(remove_record(path, "0123456789abcdef"));
        const auto still = read_record(path);
        ASSERT_TRUE(still) << still.error().message();
        EXPECT_EQ(still->dictionary, mine.dictionary);
        EXPECT_TRUE(remove_record(path, mine.dictionary));
        EXPECT_FALSE(read_record(path));
        EXPECT_TRUE(remove_record(path, mine.dictionary)) << "there is none";
        mine.dictionary = "0123456789abcdef";
        const auto newer = RendezvousFile::publish(path, mine, {});
        ASSERT_TRUE(newer) << newer.error().message();
        { const RendezvousFile ended = *std::move(file); }
        EXPECT_TRUE(read_record(path)) << "the end of the first takes away its own only";
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    const auto failed = remove_record("/etc/passwd/one.json", mine.dictionary);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::system);
    std::filesystem::remove(folder);
}

TEST(RendezvousRecord, PathsTellJobsAndNamesApart) {
    EXPECT_EQ(record_path("/d", "x", {{"SLURM_JOB_ID", "5"}}), "/d/5-x.json");
    EXPECT_EQ(record_path("/d", "x", {}).substr(0, 9), "/d/local@");
    EXPECT_EQ(state_folder({}, {{"HOME", "/h"}}).value(), "/h/.local/state/ddict");
    EXPECT_EQ(state_folder({}, {{"HOME", "/h"}, {"XDG_STATE_HOME", "/x"}}).value(), "/x/ddict");
    EXPECT_FALSE(state_folder({}, {}));
    EXPECT_EQ(state_folder({}, {{"HOME", "/h"}, {"XDG_STATE_HOME", "x"}}).value(), "/h/.local/state/ddict")
        << "a relative one is ignored, as its specification wants";
    EXPECT_EQ(state_folder({}, {{"HOME", "h"}}).value().front(), '/');
    Options relative;
    relative.state_dir = "here";
    EXPECT_EQ(state_folder(relative, {}).value().front(), '/');
}

NodeFacts good_facts() {
    NodeFacts facts;
    facts.node = "n1";
    facts.memory = {std::uint64_t{8} << 30, std::uint64_t{8} << 30, "this node's memory"};
    facts.shared_total_bytes = std::uint64_t{16} << 30;
    facts.open_files_soft = facts.open_files_hard = 65536;
    facts.ucx_version = "1.13.1";
    facts.transports = {{"self", "memory"}, {"tcp", "lo"}, {"tcp", "eth0"}};
    return facts;
}

TEST(Preflight, FactsReadBackLineByLine) {
    NodeFacts second = good_facts();
    second.node = "n2";
    second.ucx_refused = "UCX_TCP_MAX_POLL=1";
    for (int i = 0; i < 50; ++i)
        second.transports.emplace_back("rc_mlx5", "mlx5_" + std::to_string(i) + ":1");
    const auto all =
        parse_facts("noise\n" + format_facts(second) + "@ddict-check {\n" + format_facts(good_facts()));
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].node, "n1");
    EXPECT_EQ(all[0].memory.limited_by, "this node's memory");
    EXPECT_EQ(all[1].transports, second.transports);
    EXPECT_EQ(all[1].ucx_refused, second.ucx_refused);
}

TEST(Preflight, JudgesANode) {
    const NodeFacts good = good_facts();
    const MemoryNeed need{1, 1, std::uint64_t{1} << 30};
    EXPECT_EQ(judge_ucx(good).level, Level::ok);
    EXPECT_EQ(judge_network(good, true).level, Level::ok);
    EXPECT_NE(judge_network(good, true).text.find("tcp/eth0"), std::string::npos);
    EXPECT_EQ(judge_network(good, true).text.find("tcp/lo"), std::string::npos);
    EXPECT_EQ(judge_memory(good, need).level, Level::ok);
    EXPECT_EQ(judge_open_files(good, 1).level, Level::ok);

    NodeFacts bad = good;
    bad.ucx_refused = "UCX_TCP_MAX_POLL=1: UCX says 'Invalid parameter'";
    EXPECT_EQ(judge_ucx(bad).level, Level::warning);
    EXPECT_NE(judge_ucx(bad).text.find("UCX_TCP_MAX_POLL=1"), std::string::npos);
    bad.transports = {{"tcp", "lo"}};
    EXPECT_EQ(judge_ucx(bad).level, Level::warning);
    EXPECT_EQ(judge_network(bad, true).level, Level::failed);
    EXPECT_EQ(judge_network(bad, false).level, Level::ok);
    bad.ucx_version = "";
    bad.ucx_error = "not there";
    EXPECT_EQ(judge_ucx(bad).level, Level::failed);
    bad.memory.shared_free_bytes = 1;
    EXPECT_EQ(judge_memory(bad, need).level, Level::failed);
    bad.open_files_soft = 1024;
    EXPECT_EQ(judge_open_files(bad, 1).level, Level::ok) << "managers raise it";
    bad.open_files_hard = 1024;
    EXPECT_EQ(judge_open_files(bad, 1).level, Level::warning);
    bad.open_files_hard = 64;
    EXPECT_EQ(judge_open_files(bad, 1).level, Level::failed);
}

TEST(Preflight, FoldsNodesThatAgreeAndWrapsLines) {
    const auto folded = fold_nodes(
        {{"n1", {Level::ok, "fine"}}, {"n2", {Level::ok, "fine"}}, {"n3", {Level::failed, "bad"}}});
    ASSERT_EQ(folded.size(), 2U);
    EXPECT_EQ(folded[0].text, "n[1-2]: fine");
    EXPECT_EQ(folded[1].text, "n3: bad");
    EXPECT_EQ(format_findings({{Level::warning, "short"}}), "warning  short\n");
    const std::string wrapped = format_findings(
        {{Level::failed, std::string(60, 'a') + " " + std::string(60, 'b') + std::string(60, 'c')}});
    EXPECT_EQ(wrapped, "failed   " + std::string(60, 'a') + "\n         " + std::string(60, 'b') +
                           std::string(11, 'c') + "\n         " + std::string(49, 'c') + "\n");
}

}  // namespace
}  // namespace ddict::launcher
