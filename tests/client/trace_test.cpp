// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a process does, line by line, in the file that DDICT_TRACE names.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include <ddict/batch.h>

#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

using Line = std::map<std::string, std::string>;

/// name=value, with "" around what has spaces; the key is the last.
Line parsed(const std::string& text) {
    Line line;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t equals = text.find('=', at);
        if (equals == std::string::npos) break;
        const std::string name = text.substr(at, equals - at);
        std::size_t end = text.find(' ', equals);
        if (name == "key" || end == std::string::npos) end = text.size();
        if (text[equals + 1] == '"') end = text.find('"', equals + 2) + 1;
        line[name] = text.substr(equals + 1, end - equals - 1);
        at = end + 1;
    }
    return line;
}

std::vector<Line> lines_of(const std::filesystem::path& file) {
    std::vector<Line> lines;
    std::ifstream in(file);
    for (std::string text; std::getline(in, text);)
        lines.push_back(parsed(text));
    return lines;
}

/// Traces to a file of its own while it lives; the file is that of a process, so the dictionary is used in a
/// child.
class TraceTest : public SharedDictionaryTest {
  protected:
    /// What a child of this process that attaches, and does this, has written; its exit status is in
    /// `status_`.
    template <class Do>
    std::vector<Line> traced(const std::string& pattern, Do what) {
        std::fflush(nullptr);
        const pid_t child = ::fork();
        if (child == 0) {
            ::setenv("DDICT_TRACE", pattern.c_str(), 1);
            Result<Dictionary> dict = Dictionary::try_attach(dict_->serialize());
            if (!dict) {
                std::fprintf(stderr, "%s\n", dict.error().message().c_str());
                ::_exit(dict.error().code == Errc::invalid_argument ? 2 : 3);
            }
            what(*dict);
            ::_exit(0);
        }
        child_ = child;
        ::waitpid(child, &status_, 0);
        std::vector<Line> all;
        for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
            for (Line& line : lines_of(entry.path()))
                all.push_back(std::move(line));
        return all;
    }
    /// Those of an operation.
    static std::vector<Line> of(const std::vector<Line>& lines, const std::string& operation) {
        std::vector<Line> found;
        for (const Line& line : lines)
            if (line.at("operation") == operation) found.push_back(line);
        return found;
    }
    std::string file(const std::string& name = "trace") { return (folder_.path() / name).string(); }

    TemporaryFolder folder_;
    pid_t child_ = 0;
    int status_ = 0;
};

TEST_F(TraceTest, EachOperationIsALine) {
    const auto lines = traced(file(), [](Dictionary& dict) {
        dict.put("a key", std::string(100, 'x'));
        dict.put(17, 4.0);
        static_cast<void>(dict.get<std::string>("a key"));
        static_cast<void>(dict.contains("not there"));
        static_cast<void>(dict.within(20ms).try_wait_for<int>("never"));
        static_cast<void>(dict.erase("a key"));
    });
    ASSERT_EQ(status_, 0);
    const auto puts = of(lines, "put");
    ASSERT_EQ(puts.size(), 2u);
    EXPECT_EQ(puts[0].at("key"), "'a key'");
    EXPECT_EQ(puts[0].at("sent"), "100");
    EXPECT_EQ(puts[0].at("manager"), std::to_string(dict_->which_manager("a key")));
    EXPECT_EQ(puts[0].at("way"), "message");
    EXPECT_EQ(puts[0].at("outcome"), "ok");
    EXPECT_EQ(puts[0].at("process"), std::to_string(child_));
    EXPECT_EQ(puts[0].at("node"), puts[0].at("host"));
    EXPECT_EQ(puts[1].at("key"), "17");
    const auto gets = of(lines, "get");
    ASSERT_EQ(gets.size(), 1u);
    EXPECT_EQ(gets[0].at("way"), "memory");
    EXPECT_EQ(gets[0].at("received"), "100");
    const auto looks = of(lines, "contains");
    ASSERT_EQ(looks.size(), 1u);
    EXPECT_EQ(looks[0].at("outcome"), "not_found");
    EXPECT_FALSE(looks[0].contains("error")) << "which is an answer";
    const auto waits = of(lines, "wait_for");
    ASSERT_EQ(waits.size(), 1u);
    EXPECT_EQ(waits[0].at("outcome"), "timeout");
    EXPECT_NE(waits[0].at("error").find("wait_for"), std::string::npos) << waits[0].at("error");
    EXPECT_GE(std::stod(waits[0].at("seconds")), 0.015);
    EXPECT_LT(std::stod(puts[0].at("seconds")), 5.0);
    EXPECT_EQ(of(lines, "erase").size(), 1u);
}

TEST_F(TraceTest, OperationsSideBySideAndBatches) {
    const auto lines = traced(file(), [](Dictionary& dict) {
        Pending<void> put = dict.put_async("begun", 5);
        put.wait();
        std::vector<std::pair<std::string, int>> pairs;
        for (int i = 0; i < 100; ++i)
            pairs.emplace_back("k" + std::to_string(i), i);
        dict.update(pairs);
        static_cast<void>(dict.try_keys());
        static_cast<void>(dict.size());
    });
    ASSERT_EQ(status_, 0);
    const auto puts = of(lines, "put");
    ASSERT_EQ(puts.size(), 1u);
    EXPECT_EQ(puts[0].at("key"), "'begun'");
    EXPECT_EQ(of(lines, "batch_put").size(), managers) << "one message to each";
    EXPECT_EQ(of(lines, "size").size(), managers);
    EXPECT_GE(of(lines, "scan").size(), managers);
}

TEST_F(TraceTest, ThreadsAndProcessesWriteWholeLines) {
    constexpr int rounds = 500;
    const auto write = [](Dictionary& dict) {
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&dict, t] {
                for (int i = 0; i < rounds; ++i)
                    dict.put("key of " + std::to_string(t), i);
            });
        }
        for (std::thread& thread : threads)
            thread.join();
    };
    static_cast<void>(traced(file(), write));
    const auto lines = traced(file(), write);
    const auto puts = of(lines, "put");
    EXPECT_EQ(puts.size(), 2u * 3 * rounds);
    std::map<std::string, int> of_thread;
    for (const Line& line : puts) {
        EXPECT_EQ(line.at("outcome"), "ok");
        EXPECT_EQ(line.at("key").substr(0, 8), "'key of ");
        ++of_thread[line.at("process") + "." + line.at("thread")];
    }
    EXPECT_EQ(of_thread.size(), 6u);
}

TEST_F(TraceTest, TheNameMayHaveHostAndProcess) {
    const auto lines = traced(file("%h.%p.100%%"), [](Dictionary& dict) {
        dict.put("of the parent", 1);
        const std::string handle = dict.serialize();
        if (const pid_t child = ::fork(); child == 0) {
            Dictionary::attach(handle).put("of the child", 1);
            ::_exit(0);
        } else {
            ::waitpid(child, nullptr, 0);
        }
    });
    ASSERT_EQ(of(lines, "put").size(), 2u);
    const std::string host = lines.at(0).at("host");
    const auto own = lines_of(file(host + "." + std::to_string(child_) + ".100%"));
    ASSERT_EQ(of(own, "put").size(), 1u) << "the child's child has a file of its own";
    EXPECT_EQ(of(own, "put")[0].at("key"), "'of the parent'");
    struct stat status {};
    ASSERT_EQ(::stat(file(host + "." + std::to_string(child_) + ".100%").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << "keys are data";
}

TEST_F(TraceTest, WhatCannotBeOpenedIsAnErrorOfAttach) {
    const auto nothing = [](Dictionary&) {};
    ::testing::internal::CaptureStderr();
    static_cast<void>(traced(file("no/such/folder/trace"), nothing));
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(WEXITSTATUS(status_), 3);
    EXPECT_NE(said.find("DDICT_TRACE: cannot open"), std::string::npos) << said;
    EXPECT_NE(said.find("No such file"), std::string::npos) << said;
    static_cast<void>(traced(file("%x"), nothing));
    EXPECT_EQ(WEXITSTATUS(status_), 2);
    static_cast<void>(traced(file("%"), nothing));
    EXPECT_EQ(WEXITSTATUS(status_), 2);
}

TEST_F(TraceTest, WhatOthersCanReadGetsNothing) {
    const auto nothing = [](Dictionary&) {};
    std::ofstream(file()) << "";
    ASSERT_EQ(::chmod(file().c_str(), 0644), 0);
    ::testing::internal::CaptureStderr();
    static_cast<void>(traced(file(), nothing));
    EXPECT_NE(::testing::internal::GetCapturedStderr().find("chmod 600"), std::string::npos);
    EXPECT_EQ(WEXITSTATUS(status_), 3);
    ASSERT_TRUE(std::filesystem::create_directory(file("apart")));
    ASSERT_EQ(::mkfifo(file("apart/pipe").c_str(), 0600), 0);
    ::testing::internal::CaptureStderr();
    static_cast<void>(traced(file("apart/pipe"), nothing));
    EXPECT_NE(::testing::internal::GetCapturedStderr().find("cannot open"), std::string::npos)
        << "it waits for nobody";
    EXPECT_EQ(WEXITSTATUS(status_), 3);
}

TEST_F(TraceTest, NorDoesALimitOfFilesEndTheProgram) {
    ::testing::internal::CaptureStderr();
    static_cast<void>(traced(file(), [](Dictionary& dict) {
        const rlimit limit{.rlim_cur = 1000, .rlim_max = 1000};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        for (int i = 0; i < 100; ++i)
            dict.put("all the same", i);
    }));
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(status_, 0);
    EXPECT_EQ(dict_->get<int>("all the same"), 99);
    EXPECT_NE(said.find("nothing more is traced"), std::string::npos) << said;
}

TEST_F(TraceTest, AFullDiskEndsTheTraceAndNothingElse) {
    ::testing::internal::CaptureStderr();
    static_cast<void>(traced("/dev/full", [](Dictionary& dict) {
        for (int i = 0; i < 10; ++i)
            dict.put("all the same", i);
    }));
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(status_, 0);
    EXPECT_EQ(dict_->get<int>("all the same"), 9);
    EXPECT_NE(said.find("DDICT_TRACE: cannot write to '/dev/full': No space left on device"),
              std::string::npos)
        << said;
    EXPECT_EQ(said.find("cannot write"), said.rfind("cannot write")) << "told once";
}

}  // namespace
}  // namespace ddict
