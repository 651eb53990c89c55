// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Every bound of the product, in one place. Units and qualifiers come last in the names.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ddict::limits {

// Keys and values. A key travels in the header of an active message; the smallest header that a transport of
// UCX offers is about 2 KiB (InfiniBand UD with an MTU of 2048), which leaves space for this and our own
// header.
inline constexpr std::size_t key_bytes_max = 1024;
inline constexpr std::uint64_t value_bytes_max = (std::uint64_t{1} << 40) - 1;
// A value of at most this size travels in one piece with its request or reply; a larger one is a payload of
// its own, which goes straight from where it lies to where it belongs.
inline constexpr std::size_t inline_value_bytes_max = 4096;
inline constexpr std::size_t header_bytes_max = 64 + key_bytes_max + inline_value_bytes_max;
// A value may be sent from so many pieces, where all of them together are more than is gathered first.
inline constexpr std::size_t value_parts_max = 16;
inline constexpr std::size_t gathered_bytes_max = 16 * 1024;
// A reply of packed records (keys, directory entries) is filled up to about this size.
inline constexpr std::size_t page_bytes_max = 64 * 1024;

// What a compare_and_swap, an append and a wait for a value send is received apart from the pool first: at
// most this much.
inline constexpr std::uint64_t operand_bytes_max = std::uint64_t{1} << 20;
// The packed items of a batch, and of its results, are at most this much; a client cuts larger batches up.
inline constexpr std::size_t batch_bytes_max = page_bytes_max;
inline constexpr std::uint32_t batch_items_max = 8192;

// The dictionary.
inline constexpr std::uint32_t managers_max = 65536;
inline constexpr std::uint32_t managers_per_node_max = 256;
inline constexpr std::uint32_t handle_seeds_max = 3;
inline constexpr std::size_t address_bytes_max = 4000;  // a hello with it is an inline value
inline constexpr std::size_t node_name_bytes_max = 64;  // of the kernel
inline constexpr std::size_t handle_bytes_max = 32 * 1024;
inline constexpr std::size_t name_bytes_max = 40;
inline constexpr std::uint64_t pool_bytes_min = 1 << 20;
// Checkpoints that are kept in memory at once. All versions of a key lie in four buckets of the index, which
// have 28 slots: enough for three such keys, and with many keys there are always some that share buckets.
inline constexpr std::uint32_t working_set_max = 8;
inline constexpr std::uint32_t checkpoint_id_max = (1 << 30) - 2;
// Stands for whichever is the newest.
inline constexpr std::uint32_t newest_checkpoint = (1 << 30) - 1;

// A manager.
inline constexpr std::uint32_t sessions_max = 1 << 20;
inline constexpr std::uint32_t waits_max = 1 << 20;  // in wait_for
inline constexpr std::uint32_t broadcasts_in_flight_max = 1024;
inline constexpr std::uint32_t deferred_puts_max = 1024;       // that wait until pairs have been moved
inline constexpr std::uint32_t payloads_in_flight_max = 4096;  // large values on their way in or out
inline constexpr std::uint32_t cached_replies_max = 1 << 22;   // of all sessions together
inline constexpr std::size_t cached_status_bytes_max = std::size_t{64} << 20;  // of batches, with errors
// Operands, batches, pages and values waited for, all in all: what a manager holds of them outside its pool.
inline constexpr std::size_t private_bytes_max = std::size_t{256} << 20;

// A client.
inline constexpr std::uint32_t operations_in_flight_max = 1024;
// Keys of one wait_for_any: each takes an operation, and another one when it is cancelled.
inline constexpr std::uint32_t keys_waited_for_max = 256;
static_assert(2 * keys_waited_for_max <= operations_in_flight_max);

// Time. The defaults can be set by options; the others are part of the design.
inline constexpr std::chrono::milliseconds operation_timeout_default{30'000};
inline constexpr std::chrono::milliseconds launch_timeout_default{60'000};
// A client that waits for a manager on another host and has heard nothing from it for silence_before_ping
// asks whether it is alive; silence_until_lost after the last word the manager counts as lost.
inline constexpr std::chrono::milliseconds silence_before_ping{400};
inline constexpr std::chrono::milliseconds silence_until_lost{1'800};
// A connection that broke while somebody waits for an answer is made anew at once, and then every
// reconnect_interval; one whose manager has not answered a ping for silence_before_reconnect as well.
inline constexpr std::chrono::milliseconds silence_before_reconnect{600};
inline constexpr std::chrono::milliseconds silence_before_reconnect_with_payloads{1'200};
static_assert(silence_before_ping + silence_before_reconnect_with_payloads < silence_until_lost);
inline constexpr std::chrono::milliseconds reconnect_interval{100};
inline constexpr std::chrono::milliseconds hello_repeated{300};
inline constexpr std::chrono::milliseconds hello_repeated_same_host{2'000};
// How long a process remembers that a manager on another host was lost; how often one call asks it again
// meanwhile, and how long that one waits.
inline constexpr std::chrono::milliseconds lost_remembered{5'000};
inline constexpr std::chrono::milliseconds lost_probe_interval{1'000};
inline constexpr std::chrono::milliseconds lost_probe_timeout{200};
static_assert(lost_probe_timeout < lost_probe_interval && lost_probe_interval < lost_remembered);
// While operations wait for a manager that does not answer, others are asked so often, and then more seldom,
// whether its shard is served elsewhere.
inline constexpr std::chrono::milliseconds inquiry_interval{50};
// Who has reached none of the managers that the handle names waits so long for the record of the dictionary
// to say that one is elsewhere.
inline constexpr std::chrono::milliseconds moved_seeds_awaited{2'000};
// How long a client waits for a process that is to take the place of one that has ended: once its node
// launcher has said so, and until then. How often it looks meanwhile.
inline constexpr std::chrono::milliseconds restart_time_max{30'000};
inline constexpr std::chrono::milliseconds restart_announced_max{1'000};
inline constexpr std::chrono::milliseconds restart_look_interval{5};
// A process that does not come to serve is followed by another one, each later than the one before, for about
// six seconds: memory that is missing now may be there then.
inline constexpr unsigned restart_attempts_max = 7;
inline constexpr std::chrono::milliseconds restart_delay_first{100};  // then twice as long each time
// A manager that has ended so often within this time is not started again.
inline constexpr std::size_t ends_of_manager_max = 3;
inline constexpr std::chrono::milliseconds restarts_counted_within{10'000};
// How long a manager tries to tell another one of a change of the directory; how long after that it tells
// those again that have not answered, and for how long.
inline constexpr std::chrono::milliseconds announcement_time_max{2'000};
inline constexpr std::chrono::milliseconds announcement_interval{1'000};
inline constexpr std::chrono::milliseconds announced_for{30'000};
// How long a call that makes do with the managers that answer waits for one that does not.
inline constexpr std::chrono::milliseconds partial_answer_timeout{2'000};
static_assert(partial_answer_timeout > silence_until_lost);
// After how much silence of one manager, where any will do, the next one is asked as well.
inline constexpr std::chrono::milliseconds silence_before_next_candidate{200};
// How long after the deadline of a wait its client still listens for the manager to say that it is over,
// which tells that the manager lives: a tenth of the wait, within these bounds.
inline constexpr std::chrono::milliseconds wait_grace_min{20};
inline constexpr std::chrono::milliseconds wait_grace_max{100};
// How long a wait_for_any that has its value waits for the managers to say that they have cancelled the waits
// for the other keys.
inline constexpr std::chrono::milliseconds cancel_timeout{100};
// After which a peer that acknowledges nothing of what was sent to it over TCP is lost: longer than a network
// that comes back may be away. Its session is then kept for session_kept.
inline constexpr std::chrono::milliseconds silence_of_peer_max{20'000};
// How long a manager remembers a session whose connection broke: longer than the client tries.
inline constexpr std::chrono::milliseconds session_kept{10'000};
static_assert(announced_for > session_kept);  // clients behind a network that was away may come back as well
inline constexpr std::chrono::hours wait_max{24};  // in wait_for; who waits for longer asks again
inline constexpr std::chrono::milliseconds manager_stop_grace{3'000};

// Exchanges of node launchers through the launcher: what one contributes to one of them, what all do, and
// how many there are in the life of a dictionary. A contribution travels as base64 in one line.
inline constexpr std::size_t contribution_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t exchange_bytes_max = std::size_t{64} << 20;
inline constexpr std::size_t exchanges_max = 16;
inline constexpr std::size_t exchange_line_bytes_max = contribution_bytes_max / 3 * 4 + 1024;

// PMIx and Slurm. Contributions of 6 MB from each of eight processes were seen to hang Slurm's PMIx plugin
// without a word; 4 MB pass.
inline constexpr std::size_t pmix_contribution_bytes_max = std::size_t{4} << 20;
inline constexpr std::size_t exchange_key_bytes_max = 128;
inline constexpr std::chrono::milliseconds pmix_open_timeout{10'000};
inline constexpr std::chrono::milliseconds pmix_answer_timeout{10'000};  // of this node's server
inline constexpr std::chrono::milliseconds pmix_leave_timeout{5'000};
inline constexpr std::size_t hosts_max = 65536;

}  // namespace ddict::limits
