/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tests of the C API, compiled as C. A test is a function without arguments, and it is listed in
 * c_api_test.c; each starts with an empty dictionary of three managers.
 */
#pragma once

#include <ddict/ddict.h>
#include <ddict/ddict_state.h>
#include <stdio.h>
#include <string.h>

/** The dictionary of all tests, and the error of the last call that failed. */
extern ddict_dictionary* dict;
extern ddict_error error;

/** How many there were. */
int failure_count(void);
/** Counts a failure. */
void fail(const char* file, int line, const char* what);
/** Whether `code` is what was expected; tells the error if not. */
void expect_code(const char* file, int line, const char* call, int code, int expected);
/** Whether the detail or the whole message of the last error has these words in it. */
bool error_says(const char* words);

#define EXPECT(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition))
#define EXPECT_CODE(expected, call) expect_code(__FILE__, __LINE__, #call, (call), (expected))
#define EXPECT_OK(call) EXPECT_CODE(DDICT_OK, call)

/* c_api_keys_test.c */
void test_put_and_get(void);
void test_get_into_tells_the_size(void);
void test_get_or(void);
void test_pop_and_erase(void);
void test_conditional_puts(void);
void test_compare_and_swap(void);
void test_fetch_add(void);
void test_append(void);
void test_wait_for(void);
void test_wait_for_any(void);
void test_broadcasts(void);
void test_arrays(void);
void test_absurd_arrays(void);
void test_arrays_in_bytes(void);
void test_types_in_words(void);
void test_elements_are_no_types(void);
void test_bad_arguments(void);

/* c_api_checkpoints_test.c */
void test_saved_and_loaded(void);
void test_persisted(void);
void test_cloned(void);

/* c_api_many_test.c */
void test_batches(void);
void test_collected_batch(void);
void test_failures_of_a_batch(void);
void test_asynchronous(void);
void test_cursors(void);
void test_managers(void);
void test_deadlines(void);
void test_freeze(void);
void test_statistics(void);
void test_health_and_profile(void);
void test_exceptions_stay_inside(void);
void test_child_of_fork(void);
void test_detached_and_destroyed(void);

/* c_api_life_test.c */
void test_detach_deregisters(void);
void test_destroyed_by_another(void);
void test_restart(void);
void test_kept(void);
void test_when_space(void);
void test_times_to_live(void);
void test_queue(void);
/* c_api_working_set_test.c */
void test_checkpoints_in_memory(void);
void test_checkpoints_that_wait(void);
void test_placement(void);
void test_keys_that_name_their_managers(void);
void test_placement_of_bad_keys(void);
void test_absurd_sizes(void);
void test_absurd_timeouts(void);
void test_default_timeout(void);
void test_errors_name_everything(void);
void test_errors_found_here_name_everything(void);

/* c_api_typed_keys_test.c */
void test_number_keys(void);
void test_what_number_a_key_is(void);
void test_cursors_over_typed_keys(void);
void test_many_typed_keys(void);
void test_bytes_that_are_no_number_are_no_key(void);
void test_numbers_are_converted(void);
void test_structures_by_number(void);
void test_batch_objects(void);
void test_pop_and_wait_into(void);
void test_handle_by_both_names(void);
