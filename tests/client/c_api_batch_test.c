/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Batches that are objects, values that go into memory of the caller's, and the handle, in the C API.
 */
#include "tests/client/c_api_test.h"

void test_batch_objects(void) {
    ddict_batch* batch = NULL;
    uint64_t size = 0;
    uint64_t stored = 0;
    uint64_t failed = 9;
    EXPECT_OK(ddict_batch_new(dict, &batch, &error));
    EXPECT_OK(ddict_batch_put(batch, ddict_text_key("a"), ddict_text("1"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_batch_put(batch, ddict_integer_key(2), ddict_text("2"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_batch_bput(batch, ddict_text_key("all"), ddict_text("3"), DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_batch_put(batch, ddict_text_key(""), ddict_text("1"), DDICT_TEXT, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_batch_put(batch, ddict_text_key("b"), ddict_text("1"), DDICT_FLOAT64, &error));
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 0);
    EXPECT_OK(ddict_batch_commit(batch, &stored, &failed, &error));
    EXPECT(stored == 3 && failed == 0);
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 3);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_batch_commit(batch, NULL, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_batch_put(batch, ddict_text_key("b"), ddict_text("1"), DDICT_TEXT, &error));
    ddict_batch_free(batch);

    EXPECT_OK(ddict_batch_new(dict, &batch, &error));
    EXPECT_OK(ddict_batch_put(batch, ddict_text_key("never"), ddict_text("1"), DDICT_TEXT, &error));
    ddict_batch_free(batch);
    ddict_batch_free(NULL);
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 3);

    ddict_batch_report report;
    EXPECT_OK(ddict_batch_new(dict, &batch, &error));
    EXPECT_OK(ddict_batch_put(batch, ddict_text_key("all"), ddict_text("x"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_batch_put(batch, ddict_text_key("good"), ddict_text("x"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_batch_commit_report(batch, &report, &error));
    EXPECT(report.stored == 1 && report.failed == 1 && report.failure_count == 1);
    EXPECT(report.failures[0].error.code == DDICT_INVALID_ARGUMENT);
    EXPECT(report.failures[0].key.bytes == 3 && memcmp(report.failures[0].key.data, "all", 3) == 0);
    ddict_batch_report_free(&report);
    ddict_batch_free(batch);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_batch_new(NULL, &batch, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_batch_new(dict, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_batch_commit(NULL, NULL, NULL, &error));
    EXPECT_OK(ddict_berase(dict, ddict_text_key("all"), NULL, &error));
}

void test_pop_and_wait_into(void) {
    const ddict_key key = ddict_text_key("v");
    const double three[] = {1, 2, 3};
    const uint16_t type = DDICT_VECTOR(DDICT_FLOAT64);
    double buffer[4] = {0};
    ddict_value value;
    EXPECT_OK(ddict_put(dict, key, ddict_bytes(three, sizeof three), type, &error));
    EXPECT_OK(
        ddict_wait_for_into(dict, key, type, DDICT_DEFAULT_TIMEOUT, buffer, sizeof buffer, &value, &error));
    EXPECT(value.data == buffer && value.bytes == sizeof three && buffer[2] == 3);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_pop_into(dict, key, type, buffer, 16, &value, &error));
    EXPECT(value.bytes == sizeof three && error.need_bytes == sizeof three && !error.in_doubt);
    EXPECT_OK(ddict_pop_into(dict, key, type, buffer, sizeof buffer, &value, &error));
    EXPECT(value.bytes == sizeof three);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_pop_into(dict, key, type, buffer, sizeof buffer, &value, &error));
    EXPECT_CODE(DDICT_TIMEOUT,
                ddict_wait_for_into(dict, key, type, 5, buffer, sizeof buffer, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT,
                ddict_wait_for_into(dict, key, type, -5, buffer, sizeof buffer, &value, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_pop_into(dict, key, type, NULL, 8, &value, &error));
    EXPECT_OK(ddict_put(dict, key, ddict_bytes(NULL, 0), type, &error));
    EXPECT_OK(ddict_pop_into(dict, key, type, NULL, 0, &value, &error));
    EXPECT(value.bytes == 0);
}

void test_handle_by_both_names(void) {
    char* one = NULL;
    char* other = NULL;
    EXPECT_OK(ddict_handle(dict, &one, &error));
    EXPECT_OK(ddict_serialize(dict, &other, &error));
    EXPECT(strcmp(one, other) == 0);
    ddict_free(one);
    ddict_free(other);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_handle(dict, NULL, &error));
}
