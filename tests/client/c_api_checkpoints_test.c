/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Saving and loading in the C API.
 */
#include <ddict/ddict_checkpoint.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/client/c_api_test.h"

/** The second checkpoint of three managers in `dir`, and the folders. */
static void remove_all(const char* dir) {
    static const char* const files[] = {"000002/commit", "000002/manager-000000.ddict",
                                        "000002/manager-000001.ddict", "000002/manager-000002.ddict",
                                        ".lock"};
    char name[64];
    char path[512];
    EXPECT_OK(ddict_name(dict, name, sizeof name, &error));
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        snprintf(path, sizeof path, "%s/%s/%s", dir, name, files[i]);
        EXPECT(unlink(path) == 0);
    }
    snprintf(path, sizeof path, "%s/%s/000002", dir, name);
    EXPECT(rmdir(path) == 0);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    EXPECT(rmdir(path) == 0);
    EXPECT(rmdir(dir) == 0);
}

void test_saved_and_loaded(void) {
    const char* temporary = getenv("TMPDIR");
    char dir[256];
    snprintf(dir, sizeof dir, "%s/ddict-c-XXXXXX", temporary == NULL ? "/tmp" : temporary);
    EXPECT(mkdtemp(dir) != NULL);
    ddict_checkpoint_info saved;
    ddict_checkpoint_info found;
    EXPECT_OK(ddict_put(dict, ddict_text_key("Hello"), ddict_text("Dragon"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_put(dict, ddict_integer_key(7), ddict_text("seven"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_save(dict, dir, &saved, &error));
    EXPECT(saved.pairs == 2 && saved.managers == 3 && saved.generation == 1 && saved.value_bytes == 11);
    char saved_first[sizeof saved.path];
    memcpy(saved_first, saved.path, sizeof saved_first);
    EXPECT_OK(ddict_find_checkpoint(dir, &found, &error));
    EXPECT(strcmp(found.path, saved.path) == 0 && found.bytes == saved.bytes);
    EXPECT_OK(ddict_clear(dict, &error));
    EXPECT_OK(ddict_load(dict, dir, &found, &error));
    EXPECT(found.pairs == 2);
    uint64_t size = 0;
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(size == 2);
    EXPECT_OK(ddict_load(dict, saved.path, NULL, &error));
    EXPECT_OK(ddict_load_latest(dict, dir, &found, &error));
    EXPECT(found.generation == 1 && found.pairs == 2);
    EXPECT_OK(ddict_save_and_keep(dict, dir, 1, &saved, &error));
    EXPECT(saved.generation == 2);
    EXPECT_OK(ddict_load_latest(dict, dir, &found, &error));
    EXPECT(found.generation == 2);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_find_checkpoint(saved_first, &found, &error));
    EXPECT_OK(ddict_clear(dict, &error));
    EXPECT_OK(ddict_load_exclusively(dict, dir, &found, &error));
    EXPECT(found.generation == 2 && found.pairs == 2);
    EXPECT_OK(ddict_clear(dict, &error));
    EXPECT_OK(ddict_load_latest_exclusively(dict, dir, &found, &error));
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(found.generation == 2 && size == 2);

    char none[300];
    snprintf(none, sizeof none, "%s/none", dir);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_load(dict, none, &found, &error));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_load_latest(dict, none, &found, &error));
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_find_checkpoint(none, &found, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_save(dict, NULL, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_save(NULL, dir, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_find_checkpoint(NULL, NULL, &error));
    ddict_dictionary* view = NULL;
    EXPECT_OK(ddict_within(dict, 1000, &view, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_save(view, dir, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_load(view, dir, NULL, &error));
    ddict_detach(view);
    remove_all(dir);
}
