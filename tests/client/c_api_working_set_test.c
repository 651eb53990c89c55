/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints in memory in the C API.
 */
#include <ddict/ddict_working_set.h>

#include "tests/client/c_api_test.h"

static bool has(ddict_dictionary* of, const char* text) {
    ddict_value value;
    EXPECT_OK(ddict_get(of, ddict_text_key("field"), DDICT_TEXT, &value, &error));
    const bool same = value.bytes == strlen(text) && memcmp(value.data, text, value.bytes) == 0;
    ddict_free(value.data);
    return same;
}

void test_checkpoints_in_memory(void) {
    ddict_dictionary* steps = NULL;
    ddict_dictionary* old = NULL;
    ddict_create_options options;
    uint32_t id = 0;
    uint64_t size = 0;
    memset(&options, 0, sizeof options);
    options.total_mem = 16 << 20;
    options.working_set = 2;
    EXPECT_OK(ddict_create(&options, &steps, &error));
    if (steps == NULL) return;
    EXPECT(ddict_checkpoint_id(steps) == 0);
    EXPECT_OK(ddict_put(steps, ddict_text_key("field"), ddict_text("of 0"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_at(steps, 0, &old, &error));
    EXPECT(ddict_checkpoint(steps) == 1 && ddict_checkpoint_id(steps) == 1);
    EXPECT(ddict_checkpoint_id(old) == 0);
    EXPECT_OK(ddict_put(steps, ddict_text_key("field"), ddict_text("of 1"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_put(steps, ddict_text_key("more"), ddict_text("of 1"), DDICT_TEXT, &error));
    EXPECT(has(steps, "of 1") && has(old, "of 0"));
    EXPECT_OK(ddict_size(old, &size, &error));
    EXPECT(size == 1);
    EXPECT(ddict_rollback(steps) == 0 && has(steps, "of 0"));
    EXPECT(ddict_rollback(steps) == 0);
    EXPECT_OK(ddict_newest_checkpoint_id(old, &id, &error));
    EXPECT(id == 1);
    EXPECT_OK(ddict_sync_to_newest_checkpoint(steps, &id, &error));
    EXPECT(id == 1 && has(steps, "of 1"));
    EXPECT_OK(ddict_set_checkpoint_id(steps, 2, &error));
    EXPECT_OK(ddict_put(steps, ddict_text_key("field"), ddict_text("of 2"), DDICT_TEXT, &error));
    ddict_value value;
    EXPECT_CODE(DDICT_CHECKPOINT_RETIRED,
                ddict_get(old, ddict_text_key("field"), DDICT_TEXT, &value, &error));
    EXPECT(error_says("sync_to_newest_checkpoint"));
    /* A view has its checkpoint for ever. */
    EXPECT(ddict_checkpoint(old) == 0 && ddict_rollback(old) == 0);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_set_checkpoint_id(old, 1, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_sync_to_newest_checkpoint(old, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_at(steps, DDICT_NEWEST_CHECKPOINT + 1, &old, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_at(steps, 0, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_newest_checkpoint_id(steps, NULL, &error));
    EXPECT(ddict_checkpoint_id(NULL) == 0 && ddict_checkpoint(NULL) == 0);
    ddict_detach(old);
    EXPECT_OK(ddict_destroy(steps, &error));
    ddict_detach(steps);
}

void test_checkpoints_that_wait(void) {
    ddict_dictionary* steps = NULL;
    ddict_dictionary* persistent = NULL;
    ddict_dictionary* at_once = NULL;
    ddict_dictionary* hurried = NULL;
    ddict_create_options options;
    ddict_value value;
    memset(&options, 0, sizeof options);
    options.total_mem = 16 << 20;
    options.wait_for_keys = true;
    options.wait_for_writers = true;
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_create(&options, &steps, &error));
    EXPECT(error_says("--working-set 2"));
    options.working_set = 2;
    EXPECT_OK(ddict_create(&options, &steps, &error));
    if (steps == NULL) return;
    EXPECT_OK(ddict_persistent(steps, &persistent, &error));
    EXPECT_OK(ddict_at_once(steps, &at_once, &error));
    EXPECT_OK(ddict_within(steps, 50, &hurried, &error));
    EXPECT_OK(ddict_put(steps, ddict_text_key("field"), ddict_text("of 0"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_put(persistent, ddict_text_key("mesh"), ddict_text("of all"), DDICT_TEXT, &error));
    ddict_checkpoint(steps);
    EXPECT_OK(ddict_get(steps, ddict_text_key("mesh"), DDICT_TEXT, &value, &error));
    ddict_free(value.data);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_get(at_once, ddict_text_key("field"), DDICT_TEXT, &value, &error));
    EXPECT_CODE(DDICT_TIMEOUT, ddict_get(hurried, ddict_text_key("field"), DDICT_TEXT, &value, &error));
    EXPECT(error_says("nothing was written at checkpoint 1"));
    EXPECT_OK(ddict_put(steps, ddict_text_key("other"), ddict_text("of 1"), DDICT_TEXT, &error));
    ddict_checkpoint(steps);
    EXPECT_CODE(DDICT_TIMEOUT,
                ddict_put(hurried, ddict_text_key("field"), ddict_text("of 2"), DDICT_TEXT, &error));
    EXPECT(error_says("checkpoint 2 begins when 0 is retired"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persistent(steps, NULL, &error));
    ddict_detach(persistent);
    ddict_detach(at_once);
    ddict_detach(hurried);
    EXPECT_OK(ddict_destroy(steps, &error));
    ddict_detach(steps);
}
