// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <string_view>

#include "tools/completion.h"
#include "tools/plain_line_editor.h"
#include "tools/standard_streams.h"

namespace ddict::tools {
namespace {

constexpr int lines_kept = 1000;

struct EndEditing {
    void operator()(EditLine* editor) const { ::el_end(editor); }
};
struct EndHistory {
    void operator()(History* history) const { ::history_end(history); }
};

volatile std::sig_atomic_t was_interrupted = 0;
void note_interrupt(int) {
    was_interrupted = 1;
}

class LibeditLineEditor final : public LineEditor {
  public:
    LibeditLineEditor(std::string prompt, std::string file, Complete complete)
        : prompt_(std::move(prompt)), file_(std::move(file)), complete_(std::move(complete)) {
        std::setlocale(LC_CTYPE, "");
        editor_.reset(::el_init("ddict", stdin, stdout, stderr));
        history_.reset(::history_init());
        if (editor_ == nullptr || history_ == nullptr) throw std::bad_alloc();
        HistEvent event;
        ::history(history_.get(), &event, H_SETSIZE, lines_kept);
        ::history(history_.get(), &event, H_SETUNIQUE, 1);
        if (!file_.empty()) ::history(history_.get(), &event, H_LOAD, file_.c_str());
        ::el_set(editor_.get(), EL_CLIENTDATA, this);
        ::el_set(editor_.get(), EL_PROMPT, &prompt_of);
        ::el_set(editor_.get(), EL_EDITOR, "emacs");
        ::el_set(editor_.get(), EL_HIST, ::history, history_.get());
        ::el_set(editor_.get(), EL_ADDFN, "ddict-complete", "completes the word before the cursor",
                 &complete_at);
        ::el_set(editor_.get(), EL_BIND, "^I", "ddict-complete", nullptr);
        ::el_set(editor_.get(), EL_BIND, "^R", "em-inc-search-prev", nullptr);
        ::el_source(editor_.get(), nullptr);  // ~/.editrc
    }

    std::optional<std::string> read() override {
        // An interrupt ends the line, not the shell.
        struct sigaction action {};
        struct sigaction before {};
        action.sa_handler = note_interrupt;
        ::sigaction(SIGINT, &action, &before);
        was_interrupted = 0;
        int count = 0;
        errno = 0;
        const char* const line = ::el_gets(editor_.get(), &count);
        ::sigaction(SIGINT, &before, nullptr);
        if (was_interrupted != 0) {
            ::el_reset(editor_.get());
            std::fputs("\n", stdout);
            return std::string();
        }
        if (line == nullptr || count <= 0) {
            std::fputs("\n", stdout);
            return std::nullopt;
        }
        std::string_view text(line, static_cast<std::size_t>(count));
        while (text.ends_with('\n') || text.ends_with('\r'))
            text.remove_suffix(1);
        return std::string(text);
    }

    void remember(const std::string& line) override {
        HistEvent event;
        ::history(history_.get(), &event, H_ENTER, line.c_str());
        if (file_.empty()) return;
        // Values may be no one else's business.
        const mode_t mask = ::umask(S_IRWXG | S_IRWXO);
        ::history(history_.get(), &event, H_SAVE, file_.c_str());
        ::umask(mask);
    }

  private:
    static LibeditLineEditor& self(EditLine* editor) {
        void* data = nullptr;
        ::el_get(editor, EL_CLIENTDATA, &data);
        return *static_cast<LibeditLineEditor*>(data);
    }
    static char* prompt_of(EditLine* editor) { return self(editor).prompt_.data(); }
    static unsigned char complete_at(EditLine* editor, int) { return self(editor).complete_word(); }

    unsigned char complete_word() noexcept try {
        const LineInfo* const line = ::el_line(editor_.get());
        const std::string before(line->buffer, line->cursor);
        const Completions found = complete_(before);
        if (found.all.empty()) return CC_REFRESH_BEEP;
        const bool is_one = found.all.size() == 1;
        const std::string common = is_one ? found.all.front() + " " : common_beginning(found.all);
        if (common.size() > found.replaced.size() || is_one) {
            if (replace(found.replaced, common)) return CC_REFRESH;
            if (is_one) return CC_REFRESH_BEEP;
        }
        list(found.shown);
        return CC_REDISPLAY;
    } catch (const std::exception&) {
        return CC_ERROR;
    }

    /// The line stays as it was, and false is returned, where libedit does not take the new text: it knows
    /// only the characters of this locale, and the name of a file may be of any bytes.
    bool replace(const std::string& before_cursor, const std::string& text) {
        ::el_deletestr(editor_.get(), width_in_characters(before_cursor));
        if (::el_insertstr(editor_.get(), text.c_str()) == 0) return true;
        ::el_insertstr(editor_.get(), before_cursor.c_str());
        return false;
    }

    static int width_in_characters(std::string_view text) {
        return static_cast<int>(std::count_if(
            text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
    }

    static void list(const std::vector<std::string>& all) {
        std::fputs("\n", stdout);
        for (const std::string& one : all)
            std::fprintf(stdout, "%s\n", one.c_str());
        std::fflush(stdout);
    }

    std::string prompt_;
    std::string file_;
    Complete complete_;
    std::unique_ptr<EditLine, EndEditing> editor_;
    std::unique_ptr<History, EndHistory> history_;
};

}  // namespace

std::unique_ptr<LineEditor> LineEditor::make(const std::string& prompt, const std::string& history,
                                             Complete complete) {
    if (::isatty(STDIN_FILENO) == 0) return std::make_unique<PlainLineEditor>(std::string());
    if (!output_is_terminal()) return std::make_unique<PlainLineEditor>(prompt);
    return std::make_unique<LibeditLineEditor>(prompt, history, std::move(complete));
}

}  // namespace ddict::tools
