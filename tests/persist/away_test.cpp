// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A file system that is away, or says no: what could not be found out is never "nothing has been saved".
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "persist/folder.h"
#include "tests/os/failing_calls.h"
#include "tests/persist/samples.h"

namespace ddict::persist {
namespace {

/// How many checkpoints there are, or why that is not known.
Result<std::size_t> count(const fs::path& dir) {
    const auto listed = list_of_dictionary(dir, "d");
    if (!listed) return listed.error();
    for (const Listed& one : *listed) {
        if (!one.why) return one.why.error();
    }
    return listed->size();
}

TEST(Away, NothingIsSavedYetWhereThatIsCertain) {
    const TemporaryFolder dir;
    EXPECT_EQ(count(dir.path()).value(), 0u) << "no folder of the dictionary";
    EXPECT_EQ(count(dir.path() / "none").value(), 0u) << "no folder, below one that is there";
    EXPECT_EQ(count(dir.path() / "none" / "").value(), 0u);
    fs::create_directory(dir.path() / "d");
    EXPECT_EQ(count(dir.path()).value(), 0u) << "an empty one";
    const fs::path before = fs::current_path();
    fs::current_path(dir.path());
    EXPECT_EQ(count("none").value(), 0u);
    EXPECT_EQ(count(".").value(), 0u);
    fs::current_path(before);
}

TEST(Away, AFolderBelowOneThatIsNotThereIsNotKnown) {
    const TemporaryFolder dir;
    for (const char* const path : {"away/saves", "away/further/saves"}) {
        const auto counted = count(dir.path() / path);
        ASSERT_FALSE(counted) << path;
        EXPECT_EQ(counted.error().code, Errc::system);
        EXPECT_NE(counted.error().message().find("is its file system mounted?"), std::string::npos)
            << counted.error().message();
    }
}

/// A link leads away: to a file system that is not mounted, to itself, through a file.
TEST(Away, LinksThatLeadNowhere) {
    for (const char* const target : {"/nothing/is/here", "d", "file/below", "../d", "000007"}) {
        for (const char* const link : {"dir", "dir/d", "dir/d/000007"}) {
            const TemporaryFolder own;
            write_content(own.path() / "file", "");
            fs::create_directories((own.path() / link).parent_path());
            fs::create_directory_symlink(target, own.path() / link);
            std::error_code error;
            if (fs::exists(own.path() / link, error)) continue;  // it leads somewhere after all
            const auto counted = count(own.path() / "dir");
            ASSERT_FALSE(counted) << link << " to " << target;
            EXPECT_EQ(counted.error().code, Errc::system) << counted.error().message();
            if (std::strcmp(link, "dir") == 0) continue;
            const auto found = find_checkpoint(own.path() / "dir");
            ASSERT_FALSE(found) << link << " to " << target;
            EXPECT_EQ(found.error().code, Errc::system) << found.error().message();
        }
    }
}

TEST(Away, AFileInTheWay) {
    const TemporaryFolder dir;
    write_content(dir.path() / "file", "");
    write_content(dir.path() / "d", "");
    for (const fs::path& path : {dir.path() / "file", dir.path() / "file" / "saves", dir.path()}) {
        const auto counted = count(path);
        ASSERT_FALSE(counted) << path;
        EXPECT_EQ(counted.error().code, Errc::system) << counted.error().message();
    }
}

TEST(Away, ASaveGoesOnBehindWhatCannotBeRead) {
    const TemporaryFolder dir;
    fs::create_directory(dir.path() / "d");
    fs::create_directory_symlink("000003", dir.path() / "d" / "000003");
    const auto saved = save(dir.path(), "d", {some_pairs()});
    ASSERT_TRUE(saved) << saved.error().message();
    EXPECT_EQ(saved->commit.generation, 4u);
    EXPECT_TRUE(fs::is_symlink(dir.path() / "d" / "000003"));
}

/// 0: the list is an error; 1: it is not; 2: the calls could not be made to fail.
int outcome_when(unsigned call, int error, const fs::path& dir) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (!os::testing::make_fail({call}, error)) ::_exit(2);
        const auto counted = count(dir);
        ::_exit(!counted && counted.error().code == Errc::system ? 0 : 1);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

TEST(Away, EveryErrorOfTheFileSystemIsOne) {
    const TemporaryFolder dir;
    ASSERT_TRUE(save(dir.path(), "d", {some_pairs()}));
    for (const int error : {ESTALE, EIO, EACCES, ENOTDIR}) {
        for (const unsigned call :
             {unsigned{SYS_openat}, unsigned{SYS_newfstatat}, unsigned{SYS_getdents64}}) {
            for (const char* const path : {"", "none"})
                EXPECT_EQ(outcome_when(call, error, dir.path() / path),
                          *path != '\0' && call == SYS_getdents64)
                    << std::strerror(error) << " of call " << call << " for '" << path << "'";
        }
    }
}

}  // namespace
}  // namespace ddict::persist
