/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The dictionary of a job, from C (C99 and later; also from C++, and by whatever can call C).
 *
 *     #include <ddict/ddict.h>
 *
 *     ddict_error error;
 *     ddict_dictionary* dict = NULL;
 *     if (ddict_attach(NULL, NULL, &dict, &error) != DDICT_OK) ...   // the one of ddict-launch
 *     ddict_put(dict, ddict_text_key("Hello"), ddict_text("Dragon"), DDICT_TEXT, &error);
 *     ddict_value value;
 *     if (ddict_get(dict, ddict_text_key("Hello"), DDICT_TEXT, &value, &error) == DDICT_OK) {
 *         puts(value.data);
 *         ddict_free(value.data);
 *     }
 *     ddict_detach(dict);
 *
 * Conventions, for all functions:
 *
 * Results. What returns an int returns DDICT_OK (0) or one of the codes below. `error` may be NULL; if it is
 * not, it is filled on failure and left alone otherwise. Outputs are written on success only, unless the
 * comment says otherwise. No C++ exception leaves the library; when memory runs out, that is DDICT_SYSTEM.
 *
 * Errors of all calls: DDICT_NOT_ATTACHED, DDICT_MANAGER_LOST, DDICT_TIMEOUT, DDICT_DICTIONARY_GONE
 * (`in_doubt` tells whether a change may have taken effect all the same), DDICT_BUSY, DDICT_SYSTEM,
 * DDICT_PROTOCOL; DDICT_INVALID_ARGUMENT for a NULL that may not be one, for an empty key, for memory of a
 * GPU, and for writes of what a broadcast has stored; DDICT_TOO_LARGE for a key above 1024 bytes;
 * DDICT_FROZEN for writes to a frozen dictionary. The comments name what else there is, without its DDICT_.
 *
 * Handles (ddict_dictionary, ddict_batch, ddict_cursor, ddict_pending, ddict_frozen) are the caller's, and
 * given back with the function that their comment names; NULL is allowed there. A handle that was given back
 * must not be used.
 *
 * Memory that comes from the library (value.data and the like) is the caller's and freed with ddict_free(),
 * an array with ddict_array_free(), a report with ddict_batch_report_free(). Slices and other memory of the
 * caller's are used during the call only, save by ddict_put_async().
 *
 * Units. Sizes are in bytes. Time-outs are in milliseconds: 0 ends at once, DDICT_DEFAULT_TIMEOUT means that
 * of the handle, other negative ones are DDICT_INVALID_ARGUMENT. Times that were measured are in nanoseconds,
 * in fields that end in _ns.
 *
 * Threads. Any number may use one handle of a dictionary at once, save while it collects a batch
 * (ddict_start_batch_put) and in ddict_detach and ddict_destroy. A cursor is for one thread at a time; a
 * pending operation is for the thread that began it. A child of fork() cannot use its parent's handles, and
 * attaches anew; those of other nodes it reaches through its own's, if its parent had spoken to any.
 *
 * Types. Keys and values carry a type (docs/values.md). Who reads says which type is expected: another one is
 * DDICT_WRONG_TYPE. DDICT_BYTES reads anything, and what was stored as DDICT_BYTES is read as anything. A
 * scalar integer or float is converted to the one that is expected where nothing of it is lost; the type of
 * the ddict_value is then that.
 *
 * Cost: that of the C++ calls of the same names (<ddict/view.h>); a call on one key is one message and its
 * answer, a get on the manager's node a read of shared memory.
 */
#ifndef DDICT_DDICT_H
#define DDICT_DDICT_H
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what calls are made of ---- */

/** What a call returns. <ddict/error.h> says what to do about each. */
enum ddict_code {
    DDICT_OK = 0,
    DDICT_NOT_FOUND = 1,          /**< no such key: an answer, not a fault */
    DDICT_NO_SPACE = 2,           /**< the manager's pool is full */
    DDICT_TOO_LARGE = 3,          /**< above a limit: need_bytes and have_bytes tell */
    DDICT_INVALID_ARGUMENT = 4,   /**< the call itself is wrong */
    DDICT_WRONG_TYPE = 5,         /**< the value is of another type than the one asked for */
    DDICT_TIMEOUT = 6,            /**< the deadline passed: manager_state says whether the manager answered */
    DDICT_MANAGER_LOST = 7,       /**< the manager has ended or cannot be reached: manager_state says which */
    DDICT_DICTIONARY_GONE = 8,    /**< the dictionary has ended */
    DDICT_NOT_ATTACHED = 9,       /**< no dictionary in the environment, or it was detached */
    DDICT_BAD_HANDLE = 10,        /**< the handle is damaged */
    DDICT_INCOMPATIBLE = 11,      /**< another version of ddict or UCX */
    DDICT_ACCESS_DENIED = 12,     /**< the secret is not this dictionary's */
    DDICT_PROTOCOL = 13,          /**< the other side sent nonsense */
    DDICT_SYSTEM = 14,            /**< the operating system, UCX or Slurm refused something; or no memory */
    DDICT_FROZEN = 15,            /**< the dictionary is frozen */
    DDICT_BUSY = 16,              /**< a bound of a manager is reached: try again, or with fewer at once */
    DDICT_CHECKPOINT_RETIRED = 17 /**< the checkpoint is older than those that are kept */
};

/** What is known of the manager that an error is about: ManagerState of C++. */
enum ddict_manager_state {
    DDICT_MANAGER_UNKNOWN = 0, /**< it was not asked, or the error is not about one manager */
    DDICT_MANAGER_ANSWERED,    /**< the error is its own answer: it lives */
    DDICT_MANAGER_SILENT,      /**< it was asked and did not answer in time: it may live */
    DDICT_MANAGER_UNREACHABLE, /**< no connection to it could be made or kept: it may live */
    DDICT_MANAGER_ENDED        /**< it has ended, for sure */
};

/** Used where there is no manager. */
#define DDICT_NO_MANAGER UINT32_MAX

/** What went wrong. Plain data; may be copied. */
typedef struct ddict_error {
    int code;              /**< enum ddict_code */
    uint32_t manager;      /**< id, or DDICT_NO_MANAGER */
    uint64_t need_bytes;   /**< no_space, too_large, a buffer that is too small: what is needed */
    uint64_t have_bytes;   /**< the same: what there is, or the limit */
    uint32_t operation;    /**< what was being done, for ddict_error_message() */
    uint8_t key_bytes;     /**< how much of `key` is used */
    bool key_cut;          /**< the key is longer than that */
    bool in_doubt;         /**< a change was sent and its outcome is not known: it may have taken effect, or a
                                part of it. If false, it has not. */
    char key[40];          /**< the first bytes of the key; may hold zeros */
    char node[65];         /**< host name of the manager's node, or "" */
    char detail[192];      /**< what is special about this case */
    uint8_t manager_state; /**< enum ddict_manager_state */
    uint16_t key_type;     /**< of the key */
} ddict_error;

/** A manager that has not given its part of an answer, and why: `error` names manager and node too. */
typedef struct ddict_missing_manager {
    uint32_t manager;
    char node[65]; /**< "" if it could not be found out */
    ddict_error error;
} ddict_missing_manager;

/** One line for people, as Error::message() of C++. Writes at most `capacity` bytes, the last of them zero;
 * returns the length of the whole line, as snprintf does. */
size_t ddict_error_message(const ddict_error* error, char* buffer, size_t capacity);
/** "not_found" for DDICT_NOT_FOUND, and so on; "ok" for DDICT_OK, "unknown" for what is no code. */
const char* ddict_code_name(int code);

/** Bytes of the caller's, or of the library where it says so. */
typedef struct ddict_slice {
    const void* data;
    size_t bytes;
} ddict_slice;

/** The characters of a C string, without its final zero. Of NULL a slice that every call refuses. */
ddict_slice ddict_text(const char* text);
/** Any memory. */
ddict_slice ddict_bytes(const void* data, size_t bytes);

/** Elements of scalars, vectors and arrays. */
enum ddict_element {
    DDICT_INT8 = 0x10,
    DDICT_INT16 = 0x11,
    DDICT_INT32 = 0x12,
    DDICT_INT64 = 0x13,
    DDICT_UINT8 = 0x20,
    DDICT_UINT16 = 0x21,
    DDICT_UINT32 = 0x22,
    DDICT_UINT64 = 0x23,
    DDICT_FLOAT32 = 0x32,
    DDICT_FLOAT64 = 0x33,
    DDICT_BOOL = 0x40,
    DDICT_COMPLEX64 = 0x53,
    DDICT_COMPLEX128 = 0x54,
    DDICT_STRUCTURE = 0x7f
};

/** Types of values: DDICT_BYTES, DDICT_TEXT, DDICT_SCALAR(DDICT_FLOAT64), DDICT_VECTOR(DDICT_INT32), ... An
 * element alone, such as DDICT_FLOAT64, is none: DDICT_INVALID_ARGUMENT. */
#define DDICT_BYTES ((uint16_t)0x0000)
#define DDICT_TEXT ((uint16_t)0x0001)
#define DDICT_SCALAR(element) ((uint16_t)(0x0100 | (element)))
#define DDICT_VECTOR(element) ((uint16_t)(0x0200 | (element)))
#define DDICT_ARRAY(element) ((uint16_t)(0x0300 | (element)))
#define DDICT_LIST ((uint16_t)0x0400)
#define DDICT_RECORD ((uint16_t)0x0500)
#define DDICT_MAP ((uint16_t)0x0600)
/** Structures and enumerations of C++ without a codec, by number; what DDICT_STRUCTURE says is a structure of
 * which nothing is known. */
#define DDICT_STRUCTURE_SCALAR(number) ((uint16_t)(0x2000 | (number)))
#define DDICT_STRUCTURE_VECTOR(number) ((uint16_t)(0x4000 | (number)))
#define DDICT_STRUCTURE_ARRAY(number) ((uint16_t)(0x6000 | (number)))
/** The number of the structure of C++ whose name, with its namespaces, this is: "physics::Particle"
 * (<ddict/structure.h>). 0 for NULL. */
uint16_t ddict_structure_number(const char* name);
/** A type of your own, numbered 0 to 0x7fff. */
#define DDICT_USER_TYPE(number) ((uint16_t)(0x8000 | (number)))

/** The type in words: "array of float64". Writes and returns as ddict_error_message(). */
size_t ddict_type_in_words(uint16_t type, char* buffer, size_t capacity);

/** A value that was read. */
typedef struct ddict_value {
    void* data; /**< aligned to 16 bytes; a zero byte follows, which is not counted */
    size_t bytes;
    uint16_t type; /**< as stored, or as asked if it was a number that was converted */
} ddict_value;

/** Frees memory that came from the library. NULL is allowed. */
void ddict_free(void* memory);

/** A key: 1 to 1024 bytes and their type. The text "42", the integer 42 and the float 42.0 are three keys; an
 * integer is the same key whatever the width that a program has it in. To be made by the functions below. */
typedef struct ddict_key {
    const void* data; /**< the bytes; NULL: `number` is the key */
    size_t bytes;
    uint64_t number; /**< the bits of an integer or a float; otherwise 0 */
    uint16_t type;
} ddict_key;

/** The key of a C string. Of NULL a key that every call refuses. */
ddict_key ddict_text_key(const char* text);
/** An integer; DDICT_SCALAR(DDICT_INT64). */
ddict_key ddict_integer_key(int64_t number);
/** An integer. Up to INT64_MAX it is that of ddict_integer_key(), above DDICT_SCALAR(DDICT_UINT64). */
ddict_key ddict_unsigned_key(uint64_t number);
/** A float; DDICT_SCALAR(DDICT_FLOAT64). 0.0 and -0.0 are one key, and so is all that is no number. */
ddict_key ddict_float_key(double number);
/** Bytes of any type (docs/values.md), which must stay as long as the key is used. Numbers of other widths
 * become what the functions above make of them; as many bytes as such a number has not are no key: calls with
 * it are INVALID_ARGUMENT. */
ddict_key ddict_typed_key(const void* data, size_t bytes, uint16_t type);

/** Whether the key is an integer that an int64_t can hold; then it is written to `number`, which may be
 * NULL. */
bool ddict_key_is_integer(ddict_key key, int64_t* number);
/** The same for a uint64_t. */
bool ddict_key_is_unsigned(ddict_key key, uint64_t* number);
/** The same for a float. */
bool ddict_key_is_float(ddict_key key, double* number);
/** The key for people: 'Hello', 42, 1.5. Writes and returns as ddict_error_message(). */
size_t ddict_key_in_words(ddict_key key, char* buffer, size_t capacity);

/* ---- attaching ---- */

/** A dictionary, or a view of one. Given back with ddict_detach(). */
typedef struct ddict_dictionary ddict_dictionary;

#define DDICT_DEFAULT_TIMEOUT ((int64_t)-1)

/** A field that is 0 has its default; a negative one is INVALID_ARGUMENT. */
typedef struct ddict_attach_options {
    int64_t timeout_ms; /**< for each call; default 30 s, or DDICT_OPERATION_TIMEOUT in the environment */
    int64_t attach_timeout_ms; /**< for attaching; default 10 s */
    bool by_messages_only;     /**< do not read the memory of this node's managers */
} ddict_attach_options;

/** A field that is 0 or NULL has its default, which the environment (DDICT_NODES, ...) may set. */
typedef struct ddict_create_options {
    uint32_t nodes;       /**< of the Slurm job; default all. Elsewhere all managers are on this machine */
    const char* nodelist; /**< which of the job's nodes to choose from: "n1,n[4-7]"; default all */
    uint32_t managers_per_node; /**< 0: 1, or DDICT_MANAGERS_PER_NODE */
    uint64_t total_mem; /**< bytes for the whole dictionary, divided among the managers; default 256 MiB */
    const char* name;   /**< for people */
    int64_t launch_timeout_ms; /**< for the managers to come up; default 60 s */
    ddict_attach_options attach;
    bool no_restart;      /**< managers that have died are not started again: their keys are lost */
    bool resume;          /**< go on with what was kept under this name (ddict_destroy_and_keep) */
    bool allow_empty;     /**< with resume: managers of which nothing was kept begin empty */
    uint32_t working_set; /**< checkpoints that are kept in memory, at most 8; 0: 1, or DDICT_WORKING_SET */
    bool wait_for_keys, wait_for_writers; /**< with a working set of 2 or more: ddict_working_set.h */
} ddict_create_options;

/** Attaches to the dictionary of a handle (ddict_serialize), or if `handle` is NULL to that of the
 * environment (DDICT_HANDLE, or SLURM_DDICT_HANDLE where that is not set or empty). `options` may be NULL.
 * Errors: BAD_HANDLE, INCOMPATIBLE, ACCESS_DENIED, DICTIONARY_GONE. */
int ddict_attach(const char* handle, const ddict_attach_options* options, ddict_dictionary** dictionary,
                 ddict_error* error);
/** Starts a new dictionary and attaches. It lives until ddict_destroy(), or until this process ends.
 * `options` may be NULL. Errors: NO_SPACE, INVALID_ARGUMENT (with resume also other settings); NOT_FOUND,
 * BUSY (nothing, or not all, was kept; it is being resumed). After an error it is kept as before. */
int ddict_create(const ddict_create_options* options, ddict_dictionary** dictionary, ddict_error* error);
/** Gives up the handle. That of ddict_attach() or ddict_create() gives up its connections too: calls through
 * its views are NOT_ATTACHED from then on. The dictionary itself is not affected. */
void ddict_detach(ddict_dictionary* dictionary);
/** Has another process take the place of a manager, and all its pairs over; clients go on. Not for views
 * (INVALID_ARGUMENT). Errors: INVALID_ARGUMENT also for no such manager, and without restarts. */
int ddict_restart(ddict_dictionary* dictionary, uint32_t manager, ddict_error* error);
/** Ends the dictionary for everybody. The handle must still be given back; calls through it are NOT_ATTACHED.
 * Not for views (INVALID_ARGUMENT). MANAGER_LOST or TIMEOUT, in doubt, names a manager that did not answer:
 * the others have ended, and that one may live. */
int ddict_destroy(ddict_dictionary* dictionary, ddict_error* error);
/** The same, but the pools stay in the shared memory of the nodes, for a dictionary of the same name, of this
 * user, that is created with `resume`, until ddict-launch discard. Returns when those of this node are kept;
 * SYSTEM if they are not, and the launcher has said why. */
int ddict_destroy_and_keep(ddict_dictionary* dictionary, ddict_error* error);
/** The handle as a string, to be freed: a secret. Not for views (INVALID_ARGUMENT). */
int ddict_handle(ddict_dictionary* dictionary, char** handle, ddict_error* error);
/** The same, as the reference calls it. */
int ddict_serialize(ddict_dictionary* dictionary, char** handle, ddict_error* error);
/** The name that the dictionary was given, cut to `capacity` bytes with a final zero; "default" if it
 * was given none. Not for views (INVALID_ARGUMENT). */
int ddict_name(ddict_dictionary* dictionary, char* name, size_t capacity, ddict_error* error);

/** A view whose calls take `timeout_ms` at the most: a deadline for one call, or for many. Costs an
 * allocation and no message; given back with ddict_detach(), in any order. */
int ddict_within(ddict_dictionary* dictionary, int64_t timeout_ms, ddict_dictionary** view,
                 ddict_error* error);
/** The clock of ddict_until(), in nanoseconds: CLOCK_MONOTONIC. */
int64_t ddict_now_ns(void);
/** A view whose calls end at `deadline_ns` of that clock; together with ddict_within(), at the earlier of the
 * two. Otherwise as ddict_within(). */
int ddict_until(ddict_dictionary* dictionary, int64_t deadline_ns, ddict_dictionary** view,
                ddict_error* error);
/** A view in which all keys live on one manager, and size, clear, stats, cursors and freeze are of that one.
 * Errors: INVALID_ARGUMENT (no such manager). Otherwise as ddict_within(). */
int ddict_manager(ddict_dictionary* dictionary, uint32_t manager, ddict_dictionary** view,
                  ddict_error* error);
/** The hash of a key, all of whose 64 bits count (the upper ones decide). A pure function, the same in all
 * processes; called by any thread. */
typedef uint64_t (*ddict_placement)(ddict_key key, void* context);
/** A view in which `placement` decides where a key lives, instead of the key's own hash. `context` is handed
 * to it, and must live as long as the view. Otherwise as ddict_within(). */
int ddict_placed_by(ddict_dictionary* dictionary, ddict_placement placement, void* context,
                    ddict_dictionary** view, ddict_error* error);
/** The manager that a key names; taken modulo their number. As pure as a ddict_placement. */
typedef uint32_t (*ddict_manager_of_key)(ddict_key key, void* context);
/** A view in which `manager_of` decides on which manager a key lives. Otherwise as ddict_placed_by(). */
int ddict_placed_at(ddict_dictionary* dictionary, ddict_manager_of_key manager_of, void* context,
                    ddict_dictionary** view, ddict_error* error);

/* ---- one key ---- */

/** Stores a pair; a value that was there is replaced. Errors: NO_SPACE (what was there stays), TOO_LARGE. */
int ddict_put(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
              ddict_error* error);
/** Only if there is no such key. `stored` may be NULL. Errors: those of ddict_put(). */
int ddict_put_if_absent(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                        bool* stored, ddict_error* error);
/** Only if there is such a key. `stored` may be NULL. Errors: those of ddict_put(). */
int ddict_put_if_present(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                         bool* stored, ddict_error* error);
/** The value, in memory to be freed. Errors: NOT_FOUND, WRONG_TYPE. */
int ddict_get(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_value* value,
              ddict_error* error);
/** The value, into memory of the caller's: value->data is `memory` then, without a zero behind. Does not
 * allocate. Errors: NOT_FOUND, WRONG_TYPE; INVALID_ARGUMENT if `capacity` is too small: value->bytes and
 * need_bytes tell what is needed. */
int ddict_get_into(ddict_dictionary* dictionary, ddict_key key, uint16_t type, void* memory, size_t capacity,
                   ddict_value* value, ddict_error* error);
/** As ddict_get(), or a copy of `fallback` (as a value of `type`) if there is no such key. */
int ddict_get_or(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_slice fallback,
                 ddict_value* value, ddict_error* error);
/** Whether there is such a key. */
int ddict_contains(ddict_dictionary* dictionary, ddict_key key, bool* present, ddict_error* error);
/** The type and the number of bytes of a value, without the value. Either may be NULL. Errors: NOT_FOUND. */
int ddict_type_and_size(ddict_dictionary* dictionary, ddict_key key, uint16_t* type, uint64_t* bytes,
                        ddict_error* error);
/** Removes a pair and returns its value, in memory to be freed. Errors: NOT_FOUND, WRONG_TYPE (the pair is
 * put back, unless there is a newer one by then). */
int ddict_pop(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_value* value,
              ddict_error* error);
/** The same into memory of the caller's, as ddict_get_into(); what does not fit is put back too. */
int ddict_pop_into(ddict_dictionary* dictionary, ddict_key key, uint16_t type, void* memory, size_t capacity,
                   ddict_value* value, ddict_error* error);
/** Removes a pair. `erased` (may be NULL) tells whether there was one. */
int ddict_erase(ddict_dictionary* dictionary, ddict_key key, bool* erased, ddict_error* error);

/** If the value is `expected`, of this type and byte for byte, makes it `desired`, of this type too. expected
 * NULL: the key must be absent; desired NULL: the key is erased. Errors: NO_SPACE; TOO_LARGE if both together
 * are above 1 MiB. */
int ddict_compare_and_swap(ddict_dictionary* dictionary, ddict_key key, const ddict_slice* expected,
                           const ddict_slice* desired, uint16_t type, bool* swapped, ddict_error* error);
/** Adds to an integer, which is a DDICT_SCALAR(DDICT_INT64) afterwards; an absent key counts as `initial`.
 * `before` (may be NULL) is what it was. Integers wrap around. Errors: WRONG_TYPE (no integer, or none of
 * this range), NO_SPACE. */
int ddict_fetch_add_i64(ddict_dictionary* dictionary, ddict_key key, int64_t delta, int64_t initial,
                        int64_t* before, ddict_error* error);
/** The same with DDICT_UINT64. */
int ddict_fetch_add_u64(ddict_dictionary* dictionary, ddict_key key, uint64_t delta, uint64_t initial,
                        uint64_t* before, ddict_error* error);
/** The same of any number, which is a DDICT_SCALAR(DDICT_FLOAT64) afterwards. */
int ddict_fetch_add_f64(ddict_dictionary* dictionary, ddict_key key, double delta, double initial,
                        double* before, ddict_error* error);
/** Appends to a value of the same type, which must be bytes, text, a vector or a user's; absent counts as
 * empty. `bytes` (may be NULL) is its size afterwards. Errors: WRONG_TYPE, NO_SPACE, TOO_LARGE (above 1 MiB
 * at once). */
int ddict_append(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                 uint64_t* bytes, ddict_error* error);

/** The value of a key as soon as there is one, in memory to be freed. Errors: TIMEOUT (also after 24 hours,
 * whatever `timeout_ms` is), WRONG_TYPE. */
int ddict_wait_for(ddict_dictionary* dictionary, ddict_key key, uint16_t type, int64_t timeout_ms,
                   ddict_value* value, ddict_error* error);
/** The same into memory of the caller's, as ddict_get_into(). */
int ddict_wait_for_into(ddict_dictionary* dictionary, ddict_key key, uint16_t type, int64_t timeout_ms,
                        void* memory, size_t capacity, ddict_value* value, ddict_error* error);
/** Returns when the key has, or takes, this value, of this type and byte for byte, whatever it had before.
 * Errors: TIMEOUT (which says of what type the value is that is there, if of another), TOO_LARGE (above
 * 1 MiB). */
int ddict_wait_for_value(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                         int64_t timeout_ms, ddict_error* error);

/* ---- arrays ---- */

/** An array that was read: row-major, the last extent moves fastest. */
typedef struct ddict_array {
    void* data; /**< the elements, aligned to 16 bytes */
    uint64_t count;
    uint32_t element; /**< enum ddict_element */
    uint32_t rank;
    uint64_t shape[8];
    void* memory; /**< the library's; NULL if the elements lie in memory of somebody else */
} ddict_array;

/** Stores an array of numbers: `rank` (0 to 8) extents in `shape`, which may be NULL for rank 0. Errors:
 * INVALID_ARGUMENT (an element without a size, a shape that is none), NO_SPACE, TOO_LARGE. Cost: one copy
 * more than ddict_put(). */
int ddict_put_array(ddict_dictionary* dictionary, ddict_key key, int element, uint32_t rank,
                    const uint64_t* shape, const void* data, ddict_error* error);
/** The array, to be given back with ddict_array_free(). Errors: NOT_FOUND, WRONG_TYPE. */
int ddict_get_array(ddict_dictionary* dictionary, ddict_key key, int element, ddict_array* array,
                    ddict_error* error);
/** The elements of an array of exactly this shape, into `data`. Errors: NOT_FOUND, WRONG_TYPE (another
 * element or shape: the text tells which). */
int ddict_get_array_into(ddict_dictionary* dictionary, ddict_key key, int element, uint32_t rank,
                         const uint64_t* shape, void* data, ddict_error* error);
/** The array in the bytes of a value that was read by another call, in place: an item of a cursor or of
 * ddict_multi_get(), a slice of ddict_view_frozen(), what ddict_wait_for() or ddict_bget() gave. `type` is
 * the value's. The elements stay where they are, are as aligned as `value` is (values of calls: to 16 bytes),
 * and are valid as long as that; nothing needs to be given back. A pure function: no message. Errors:
 * WRONG_TYPE.
 */
int ddict_array_in(ddict_slice value, uint16_t type, int element, ddict_array* array, ddict_error* error);
/** Gives back what ddict_get_array() has filled in. */
void ddict_array_free(ddict_array* array);

/* ---- a copy on every manager ---- */

/** Stores a pair on all managers. What a broadcast has stored only broadcasts may change: other writes of the
 * key are INVALID_ARGUMENT. Errors: NO_SPACE, MANAGER_LOST, TIMEOUT, FROZEN (some may have it then). */
int ddict_bput(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
               ddict_error* error);
/** The value from the nearest copy, in memory to be freed. Errors: NOT_FOUND, WRONG_TYPE. */
int ddict_bget(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_value* value,
               ddict_error* error);
/** Removes a pair from all managers. `erased` may be NULL. */
int ddict_berase(ddict_dictionary* dictionary, ddict_key key, bool* erased, ddict_error* error);

/* ---- many keys ---- */

/** A pair to store. */
typedef struct ddict_pair {
    ddict_key key;
    ddict_slice value;
    uint16_t type;
} ddict_pair;

/** How one item fared. */
typedef struct ddict_item_status {
    int code;         /**< enum ddict_code */
    uint32_t manager; /**< that was asked, or DDICT_NO_MANAGER */
    bool in_doubt;    /**< as in ddict_error */
} ddict_item_status;

/** The values of `count` keys. statuses[i] is that of item i; values[i] is to be freed if its code is
 * DDICT_OK, and {NULL, 0, 0} otherwise. Both are always filled. Returns DDICT_OK if no item fared worse than
 * NOT_FOUND, else the first such error. `type` is asked of all of them. */
int ddict_multi_get(ddict_dictionary* dictionary, const ddict_key* keys, size_t count, uint16_t type,
                    ddict_value* values, ddict_item_status* statuses, ddict_error* error);
/** Waits until one of `count` keys (1 to 256) is there: which one, and its value, in memory to be freed. If
 * several are there, it is any one of them. Errors: those of ddict_wait_for(): the first key for which it
 * cannot be waited ends the call, so that one lost manager does; TIMEOUT if none has appeared. */
int ddict_wait_for_any(ddict_dictionary* dictionary, const ddict_key* keys, size_t count, uint16_t type,
                       int64_t timeout_ms, size_t* index, ddict_value* value, ddict_error* error);
/** Stores `count` pairs, all of which are in memory; for others (`update` of C++) ddict_start_batch_put().
 * statuses (may be NULL) is always filled. Returns the first error. */
int ddict_multi_put(ddict_dictionary* dictionary, const ddict_pair* pairs, size_t count,
                    ddict_item_status* statuses, ddict_error* error);
/** Removes `count` keys. statuses (may be NULL) is always filled, with NOT_FOUND where there was none;
 * `erased` (may be NULL) counts the others. Returns the first error that is not NOT_FOUND. */
int ddict_multi_erase(ddict_dictionary* dictionary, const ddict_key* keys, size_t count,
                      ddict_item_status* statuses, uint64_t* erased, ddict_error* error);
/* ---- operations that run while the program does something else ---- */

/** An operation under way. Given back with ddict_pending_free(). Things move along inside any call of the
 * thread that began it to the same dictionary, and only there; at most 1024 of a thread are under way at
 * once, one more waits first. */
typedef struct ddict_pending ddict_pending;

/** Begins to store a pair. A value above 4096 bytes must stay as it is until the operation is done. */
int ddict_put_async(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                    ddict_pending** pending, ddict_error* error);
/** Begins to read a value, always by message. The key is copied. */
int ddict_get_async(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_pending** pending,
                    ddict_error* error);
/** Begins to remove a pair. The key is copied. */
int ddict_erase_async(ddict_dictionary* dictionary, ddict_key key, ddict_pending** pending,
                      ddict_error* error);
/** Whether ddict_pending_wait() would return at once. Never waits. */
int ddict_pending_ready(ddict_pending* pending, bool* ready, ddict_error* error);
/** The outcome: that of the operation's blocking form, NOT_FOUND for an erase of nothing. Once only
 * (INVALID_ARGUMENT). `value` is that of a get, to be freed; NULL for the others. After TIMEOUT by
 * `timeout_ms` it is still under way and may be waited for again. */
int ddict_pending_wait(ddict_pending* pending, int64_t timeout_ms, ddict_value* value, ddict_error* error);
/** Waits for the end of the operation, at its deadline at the latest; its outcome is lost. */
void ddict_pending_free(ddict_pending* pending);

/* ---- all keys ---- */

/** The number of pairs. Cost: a message to every manager. */
int ddict_size(ddict_dictionary* dictionary, uint64_t* size, ddict_error* error);
/** The same of the managers on this node. */
int ddict_local_size(ddict_dictionary* dictionary, uint64_t* size, ddict_error* error);
/** The number of pairs on those managers that answer; the others are named: `missing_count` of them, of which
 * the first `capacity` are written to `missing`. All are asked side by side; one that does not answer is
 * waited for 2 s at the most. */
int ddict_partial_size(ddict_dictionary* dictionary, uint64_t* size, ddict_missing_manager* missing,
                       size_t capacity, size_t* missing_count, ddict_error* error);
/** Removes all pairs. Not atomic: a put of another client at the same time may stay. Cost: a message to every
 * manager, and its time to walk over its pairs. */
int ddict_clear(ddict_dictionary* dictionary, ddict_error* error);
/** How many pairs there are whose keys are texts and begin with `prefix`; with an empty one, ddict_size(). */
int ddict_count_prefix(ddict_dictionary* dictionary, ddict_slice prefix, uint64_t* count, ddict_error* error);
/** Removes these pairs, save those that a broadcast has stored; `erased` (may be NULL) is how many. Not
 * atomic: every pair that is there during the whole call goes. After an error (in_doubt) some may be gone.
 * Errors: INVALID_ARGUMENT (an empty prefix). */
int ddict_erase_prefix(ddict_dictionary* dictionary, ddict_slice prefix, uint64_t* erased,
                       ddict_error* error);

/** A walk over all pairs. Given back with ddict_cursor_free(), at any time. Every key that is there during
 * the whole walk is seen exactly once. Holds about 64 KiB. */
typedef struct ddict_cursor ddict_cursor;

/** Which pairs a cursor visits. All zero: all keys. */
typedef struct ddict_scan_options {
    ddict_key prefix; /**< unless `data` is NULL: only keys of this type whose bytes begin with these; copied.
                           ddict_text_key("") are all texts */
    bool values;      /**< with their values */
    bool local;       /**< only those on this node's managers */
    bool partial;     /**< leave out managers that do not answer: ddict_cursor_missing() names them */
} ddict_scan_options;

/** Where a cursor stands. All is the cursor's, until it moves or is given back. */
typedef struct ddict_item {
    ddict_key key;
    ddict_slice value; /**< empty if the cursor visits keys only */
    uint16_t type;
    uint32_t manager;
} ddict_item;

/** A new cursor. `options` may be NULL. No message. */
int ddict_scan(ddict_dictionary* dictionary, const ddict_scan_options* options, ddict_cursor** cursor,
               ddict_error* error);
/** Goes to the next pair, the first at first. NOT_FOUND: there are no more (`error` is left alone). After
 * another error the next call tries again. */
int ddict_cursor_next(ddict_cursor* cursor, ddict_item* item, ddict_error* error);
/** With `partial`: the managers that were left out so far, by manager id. `count` of them, of which the first
 * `capacity` are written to `missing`. No message. */
int ddict_cursor_missing(ddict_cursor* cursor, ddict_missing_manager* missing, size_t capacity, size_t* count,
                         ddict_error* error);
/** Gives back a cursor. No message. NULL is allowed. */
void ddict_cursor_free(ddict_cursor* cursor);

/* ---- where keys live ---- */

/** The number of managers of the whole dictionary. No message. */
int ddict_manager_count(ddict_dictionary* dictionary, uint32_t* count, ddict_error* error);
/** The manager that owns a key. No message. */
int ddict_which_manager(ddict_dictionary* dictionary, ddict_key key, uint32_t* manager, ddict_error* error);
/** The managers on this node: `count` of them, of which the first `capacity` are written to `managers`. */
int ddict_local_managers(ddict_dictionary* dictionary, uint32_t* managers, size_t capacity, size_t* count,
                         ddict_error* error);
/** One of them, always the same in one process. Errors: NOT_FOUND (there is none on this node). */
int ddict_local_manager(ddict_dictionary* dictionary, uint32_t* manager, ddict_error* error);
/** That one, or if there is none, one of all, chosen at random once per process. */
int ddict_main_manager(ddict_dictionary* dictionary, uint32_t* manager, ddict_error* error);
/** The host name of a manager's node, cut to `capacity` bytes with a final zero. Cost: none on a node with
 * managers; elsewhere a message per some hundred managers, the first time. Errors: INVALID_ARGUMENT. */
int ddict_manager_node(ddict_dictionary* dictionary, uint32_t manager, char* node, size_t capacity,
                       ddict_error* error);

/* ---- the state of things; <ddict/ddict_state.h> has statistics, health and the profile ---- */

/** While a dictionary is frozen, what would change it is DDICT_FROZEN, for everybody. Not atomic over
 * managers: when it returns, all are frozen; an error leaves some so. Cost, also of the two below: a message
 * to every manager. */
int ddict_freeze(ddict_dictionary* dictionary, ddict_error* error);
/** Allows changes again. An error leaves some managers frozen. */
int ddict_unfreeze(ddict_dictionary* dictionary, ddict_error* error);
/** Whether all managers are frozen. */
int ddict_is_frozen(ddict_dictionary* dictionary, bool* frozen, ddict_error* error);

/** A value of a frozen dictionary, where it lies in the memory of a manager of this node. Given back with
 * ddict_frozen_free(); its memory stays readable until then. */
typedef struct ddict_frozen ddict_frozen;

/** The value as `slice`: no message, no copy. It is right only while this freeze lasts. Errors: NOT_FOUND,
 * WRONG_TYPE; INVALID_ARGUMENT (the dictionary is not frozen, or the key's manager is on another node). */
int ddict_view_frozen(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_frozen** frozen,
                      ddict_slice* slice, ddict_error* error);
/** Whether the freeze still lasts. If it does after the bytes have been used, they were right. */
bool ddict_frozen_valid(const ddict_frozen* frozen);
/** Gives back what ddict_view_frozen() has made; the slice must not be used any more. NULL is allowed. */
void ddict_frozen_free(ddict_frozen* frozen);

#ifdef __cplusplus
}
#endif

#include <ddict/ddict_batch.h>

#endif
