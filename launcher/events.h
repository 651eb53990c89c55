// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What node launchers tell ddict-launch: lines on standard output, which srun merges.
//
// A line is "@ddict " and a JSON object, below 1000 bytes: slurmstepd passes on whole lines up to 1024 bytes,
// and cuts longer ones so that lines of several nodes could mix. Other lines (of a site's task prolog, say)
// may stand between them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/error.h>

#include "cluster/ids.h"
#include "launcher/end_summary.h"
#include "wire/manager_summary.h"

namespace ddict::launcher {

inline constexpr std::size_t event_line_bytes_max = 1000;
/// Between two beats of a node launcher.
inline constexpr std::chrono::seconds beat_interval{5};

struct Event {
    enum class Kind {
        node,     // a node launcher runs
        manager,  // a manager has started; text: on which processors, if it is bound
        handle,   // text: the next part of the handle
        ready,    // the handle is complete, the dictionary serves; step: Slurm's "JOB.STEP", or empty
        error,    // text: why the bring-up failed on this node; code: in a word
        lost,     // a manager has died for good; text: how
        back,     // one serves in the place of another that has died; text: how; milliseconds, pairs, missing
        stopped,  // the node launcher has ended in good order; text: why
        ending,   // Slurm is ending the job: shows that somebody still needs the dictionary are wanted
        beat,     // the node launcher lives: now and then, in a job
        resumed,  // the managers of this node serve what was kept: pairs, missing; text: those that are empty
        fill,     // a manager's pool is nearly full: fill
        gone,  // said for a node launcher by what has started it: it has ended badly; node: as it was named;
               // text: how
        part,  // of what this node launcher contributes to an exchange: key, part, parts, text (base64)
        filled,   // a manager's pool is all there, or as much as is to be had: text
        summary,  // what the managers of this node have said at their end: summary; before stopped
        moved,    // of where a manager is that serves in the place of another: manager, part, parts, text
                  // (base64); before back
        session,  // a client's session with a manager has begun or ended: manager, text; for the log
    };
    Kind kind = Kind::node;
    std::string node;   // host name
    NodeId node_id{};   // of the node launcher
    ShardId manager{};  // manager, lost, back, fill, moved, session
    std::string text;
    std::string step;
    Errc code = Errc::system;
    std::uint64_t milliseconds = 0;  // nobody has served
    std::uint64_t pairs = 0;         // that are there
    std::uint64_t missing = 0;       // that were there before
    bool kept = false;               // stopped: the pools stay
    std::string key;                 // of an exchange
    std::uint32_t part = 0;          // from 0; of part, moved
    std::uint32_t parts = 0;
    PoolFill fill{};
    EndSummary summary{};
};

/// The reason in a stopped event that a client ended the dictionary.
inline constexpr std::string_view stopped_by_client = "destroyed";

/// With the newline. A long text is cut.
std::string format_event(const Event& event);
/// The lines that carry a handle of any length.
std::vector<std::string> format_handle(const Event& from, std::string_view handle);
/// None if the line is none of ours. `line` is without the newline.
std::optional<Event> parse_event(std::string_view line);

/// Cuts a stream into lines.
class LineReader {
  public:
    enum class State { open, ended };
    /// Appends the lines that are complete; reads until the non-blocking descriptor has no more for now, or
    /// 2 MiB: a fast writer holds up nobody. A line without end is cut after 64 KiB.
    State read_from(int fd, std::vector<std::string>& lines);

  private:
    std::string rest_;
};

/// Of standard output that is none of ours (a login script's, a task prolog's): so many lines are shown, the
/// others counted.
class ForeignLines {
  public:
    static constexpr std::uint64_t of_a_host = 10;
    explicit ForeignLines(std::uint64_t shown_max = of_a_host) : shown_max_(shown_max) {}

    bool admits();
    /// "37 more lines of standard output left out"; empty if there are none.
    std::string left_out() const;

  private:
    const std::uint64_t shown_max_;
    std::uint64_t lines_ = 0;
};

}  // namespace ddict::launcher
