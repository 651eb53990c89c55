/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Runs the tests of the C API against real managers on this machine; with an argument, only those whose name
 * has it in it.
 */
#include "tests/client/c_api_test.h"

#include <stdlib.h>

ddict_dictionary* dict = NULL;
ddict_error error;

static int failures = 0;

int failure_count(void) {
    return failures;
}

void fail(const char* file, int line, const char* what) {
    printf("%s:%d: not so: %s\n", file, line, what);
    ++failures;
}

void expect_code(const char* file, int line, const char* call, int code, int expected) {
    if (code == expected) return;
    printf("%s:%d: %s is %s, not %s\n", file, line, call, ddict_code_name(code), ddict_code_name(expected));
    if (code != DDICT_OK) {
        char message[512];
        ddict_error_message(&error, message, sizeof message);
        printf("    %s\n", message);
    }
    ++failures;
}

bool error_says(const char* words) {
    char message[512];
    ddict_error_message(&error, message, sizeof message);
    if (strstr(message, words) != NULL) return true;
    printf("    the error says: %s\n", message);
    return false;
}

static const struct {
    const char* name;
    void (*run)(void);
} tests[] = {
    {"put_and_get", test_put_and_get},
    {"saved_and_loaded", test_saved_and_loaded},
    {"persisted", test_persisted},
    {"cloned", test_cloned},
    {"get_into_tells_the_size", test_get_into_tells_the_size},
    {"get_or", test_get_or},
    {"pop_and_erase", test_pop_and_erase},
    {"conditional_puts", test_conditional_puts},
    {"compare_and_swap", test_compare_and_swap},
    {"fetch_add", test_fetch_add},
    {"append", test_append},
    {"wait_for", test_wait_for},
    {"wait_for_any", test_wait_for_any},
    {"broadcasts", test_broadcasts},
    {"arrays", test_arrays},
    {"absurd_arrays", test_absurd_arrays},
    {"arrays_in_bytes", test_arrays_in_bytes},
    {"types_in_words", test_types_in_words},
    {"elements_are_no_types", test_elements_are_no_types},
    {"bad_arguments", test_bad_arguments},
    {"batches", test_batches},
    {"collected_batch", test_collected_batch},
    {"failures_of_a_batch", test_failures_of_a_batch},
    {"asynchronous", test_asynchronous},
    {"cursors", test_cursors},
    {"managers", test_managers},
    {"deadlines", test_deadlines},
    {"when_space", test_when_space},
    {"times_to_live", test_times_to_live},
    {"queue", test_queue},
    {"freeze", test_freeze},
    {"statistics", test_statistics},
    {"health_and_profile", test_health_and_profile},
    {"exceptions_stay_inside", test_exceptions_stay_inside},
    {"child_of_fork", test_child_of_fork},
    {"detached_and_destroyed", test_detached_and_destroyed},
    {"detach_deregisters", test_detach_deregisters},
    {"destroyed_by_another", test_destroyed_by_another},
    {"restart", test_restart},
    {"kept", test_kept},
    {"checkpoints in memory", test_checkpoints_in_memory},
    {"checkpoints that wait", test_checkpoints_that_wait},
    {"placement", test_placement},
    {"keys_that_name_their_managers", test_keys_that_name_their_managers},
    {"placement_of_bad_keys", test_placement_of_bad_keys},
    {"absurd_sizes", test_absurd_sizes},
    {"absurd_timeouts", test_absurd_timeouts},
    {"default_timeout", test_default_timeout},
    {"errors_name_everything", test_errors_name_everything},
    {"errors_found_here_name_everything", test_errors_found_here_name_everything},
    {"number_keys", test_number_keys},
    {"what_number_a_key_is", test_what_number_a_key_is},
    {"cursors_over_typed_keys", test_cursors_over_typed_keys},
    {"many_typed_keys", test_many_typed_keys},
    {"bytes_that_are_no_number_are_no_key", test_bytes_that_are_no_number_are_no_key},
    {"numbers_are_converted", test_numbers_are_converted},
    {"structures_by_number", test_structures_by_number},
    {"batch_objects", test_batch_objects},
    {"pop_and_wait_into", test_pop_and_wait_into},
    {"handle_by_both_names", test_handle_by_both_names},
};

int main(int argc, char** argv) {
    ddict_create_options options;
    memset(&options, 0, sizeof options);
    options.managers_per_node = 3;
    options.total_mem = 96u << 20;
    options.name = "c_api_test";
    EXPECT_OK(ddict_create(&options, &dict, &error));
    if (dict == NULL) return 1;
    int run = 0;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; ++i) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL) continue;
        printf("%s\n", tests[i].name);
        fflush(stdout);
        EXPECT_OK(ddict_clear(dict, &error));
        tests[i].run();
        ++run;
    }
    EXPECT_OK(ddict_destroy(dict, &error));
    EXPECT_CODE(DDICT_NOT_ATTACHED, ddict_clear(dict, &error));
    ddict_detach(dict);
    printf("%d tests, %d failures\n", run, failures);
    return failures == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
