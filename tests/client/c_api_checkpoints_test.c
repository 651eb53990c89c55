/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Saving and loading, persisting and restoring, in the C API.
 */
#include <ddict/ddict_checkpoint.h>
#include <ddict/ddict_persist.h>
#include <ddict/ddict_working_set.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/client/c_api_test.h"

/** The fourth checkpoint, of three managers, in `dir`, and the folders. */
static void remove_all(const char* dir) {
    static const char* const files[] = {"000004/commit", "000004/manager-000000.ddict",
                                        "000004/manager-000001.ddict", "000004/manager-000002.ddict",
                                        ".lock"};
    char name[64];
    char path[512];
    EXPECT_OK(ddict_name(dict, name, sizeof name, &error));
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        snprintf(path, sizeof path, "%s/%s/%s", dir, name, files[i]);
        EXPECT(unlink(path) == 0);
    }
    snprintf(path, sizeof path, "%s/%s/000004", dir, name);
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
    EXPECT_OK(ddict_save_compressed(dict, dir, 1, &saved, &error));
    EXPECT(saved.generation == 3);
    EXPECT_OK(ddict_load(dict, dir, &found, &error));
    EXPECT(found.generation == 3 && found.pairs == 2);
    EXPECT_OK(ddict_save_and_keep(dict, dir, 1, &saved, &error));
    EXPECT(saved.generation == 4);
    EXPECT_OK(ddict_clear(dict, &error));
    EXPECT_OK(ddict_load_exclusively(dict, dir, &found, &error));
    EXPECT(found.generation == 4 && found.pairs == 2);
    EXPECT_OK(ddict_clear(dict, &error));
    EXPECT_OK(ddict_load_latest_exclusively(dict, dir, &found, &error));
    EXPECT_OK(ddict_size(dict, &size, &error));
    EXPECT(found.generation == 4 && size == 2);

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

static ddict_dictionary* create_persisted(const char* dir, const uint32_t* restore_from, bool read_only) {
    ddict_dictionary* made = NULL;
    ddict_create_options options;
    ddict_persist_options persist;
    memset(&options, 0, sizeof options);
    memset(&persist, 0, sizeof persist);
    options.managers_per_node = 1;
    options.total_mem = 16 << 20;
    options.name = "c-steps";
    options.working_set = 2;
    persist.path = dir;
    persist.count = 1;
    persist.restores = restore_from != NULL;
    persist.read_only = read_only;
    if (restore_from != NULL) persist.restore_from = *restore_from;
    EXPECT_OK(ddict_create_persisted(&options, &persist, &made, &error));
    return made;
}

/** The value of "step", and whether it is this. */
static bool is_at_step(ddict_dictionary* dictionary, int64_t step) {
    int64_t found = -1;
    ddict_value value;
    EXPECT_OK(ddict_get_into(dictionary, ddict_text_key("step"), DDICT_SCALAR(DDICT_INT64), &found,
                             sizeof found, &value, &error));
    return found == step;
}

void test_cloned(void) {
    ddict_create_options options = {.managers_per_node = 2, .total_mem = 32 << 20, .name = "source"};
    ddict_dictionary* source = NULL;
    ddict_dictionary* target = NULL;
    ddict_dictionary* copy = NULL;
    uint64_t size = 9;
    EXPECT_OK(ddict_create(&options, &source, &error));
    options.name = "target";
    options.managers_per_node = 3;
    EXPECT_OK(ddict_create(&options, &target, &error));
    if (source == NULL || target == NULL) return;
    for (int64_t i = 0; i < 100; ++i)
        EXPECT_OK(ddict_put(source, ddict_typed_key(&i, sizeof i, DDICT_BYTES), ddict_bytes(&i, sizeof i),
                            DDICT_SCALAR(DDICT_INT64), &error));
    EXPECT_OK(ddict_put(target, ddict_text_key("old"), ddict_text("x"), DDICT_TEXT, &error));
    EXPECT_OK(ddict_clone_to(source, target, &error));
    EXPECT_OK(ddict_size(target, &size, &error));
    EXPECT(size == 100);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_clone_to(source, source, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_clone_to(source, NULL, &error));
    EXPECT_OK(ddict_synchronize_from(target, source, &error)); /* none began empty */
    EXPECT_OK(ddict_copy(source, NULL, &copy, &error));
    EXPECT_OK(ddict_size(copy, &size, &error));
    uint32_t managers = 0;
    EXPECT_OK(ddict_manager_count(copy, &managers, &error));
    EXPECT(size == 100 && managers == 2);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_copy(source, NULL, NULL, &error));
    EXPECT_OK(ddict_destroy(copy, &error));
    EXPECT_OK(ddict_destroy(target, &error));
    EXPECT_OK(ddict_destroy(source, &error));
}

static ddict_persist_order stops(void* context) {
    return ++*(int*)context < 3 ? DDICT_PERSIST_GO_ON : DDICT_PERSIST_FINISH;
}

/* By themselves, from this thread: what is due and not retired yet is there at the end. */
static void check_persist_every(ddict_dictionary* steps) {
    int turns = 0;
    ddict_persist_status_info status;
    EXPECT_OK(ddict_persist_status(steps, &status, &error));
    EXPECT(!status.running && status.every == 0 && status.last_persisted == -1);
    EXPECT_OK(ddict_persist_every(steps, 2, stops, &turns, &status, &error));
    EXPECT(status.every == 2 && status.persisted == 1 && status.failed == 0 && status.last_persisted == 2);
    EXPECT(status.last_missed == -1 && status.error.code == DDICT_OK);
    EXPECT_OK(ddict_persist_status(steps, &status, &error));
    EXPECT(!status.running && status.persisted == 1);
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persist_every(steps, 0, stops, &turns, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persist_every(steps, 1, NULL, NULL, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persist_status(steps, NULL, &error));
}

void test_persisted(void) {
    const char* temporary = getenv("TMPDIR");
    char dir[256];
    char command[300];
    snprintf(dir, sizeof dir, "%s/ddict-c-XXXXXX", temporary == NULL ? "/tmp" : temporary);
    EXPECT(mkdtemp(dir) != NULL);
    ddict_dictionary* steps = create_persisted(dir, NULL, false);
    if (steps == NULL) return;
    ddict_checkpoint_info info;
    uint32_t ids[3] = {9, 9, 9};
    size_t count = 9;
    char* path = NULL;
    EXPECT_OK(ddict_persist_path(steps, &path, &error));
    EXPECT(path != NULL && strcmp(path, dir) == 0);
    ddict_free(path);
    EXPECT_OK(ddict_persisted_ids(steps, NULL, 0, &count, &error));
    EXPECT(count == 0);
    for (int64_t step = 0; step < 3; ++step) {
        EXPECT_OK(ddict_put(steps, ddict_text_key("step"), ddict_bytes(&step, sizeof step),
                            DDICT_SCALAR(DDICT_INT64), &error));
        EXPECT_OK(ddict_persist(steps, &info, &error));
        EXPECT(info.checkpoint == (uint32_t)step && info.pairs == 1);
        ddict_checkpoint(steps);
    }
    EXPECT_OK(ddict_persisted_ids(steps, ids, 3, &count, &error));
    EXPECT(count == 1 && ids[0] == 2 && ids[1] == 9);
    int64_t later = 7;
    EXPECT_OK(ddict_put(steps, ddict_text_key("step"), ddict_bytes(&later, sizeof later),
                        DDICT_SCALAR(DDICT_INT64), &error));
    EXPECT_OK(ddict_restore(steps, 2, &info, &error));
    EXPECT(info.checkpoint == 2 && ddict_checkpoint_id(steps) == 2 && is_at_step(steps, 2));
    check_persist_every(steps);
    EXPECT_CODE(DDICT_NOT_FOUND, ddict_restore(steps, 1, NULL, &error));
    EXPECT(error_says("which has 2"));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persisted_ids(steps, NULL, 1, &count, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persisted_ids(steps, ids, 1, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persist(NULL, NULL, &error));
    ddict_dictionary* view = NULL;
    EXPECT_OK(ddict_within(steps, 1000, &view, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persist(view, NULL, &error));
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_restore(view, 2, NULL, &error));
    ddict_detach(view);
    EXPECT_OK(ddict_destroy(steps, &error));
    ddict_detach(steps);

    const uint32_t from = 2;
    steps = create_persisted(dir, &from, false);
    if (steps != NULL) {
        EXPECT(ddict_checkpoint_id(steps) == 2 && is_at_step(steps, 2));
        EXPECT(!ddict_is_read_only(steps));
        EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_advance(steps, NULL, &error));
        ddict_set_checkpoint_id(steps, 5, &error);
        EXPECT_OK(ddict_persist(steps, NULL, &error));
        ddict_dictionary* reader = create_persisted(dir, &(uint32_t){5}, true);
        if (reader != NULL) {
            EXPECT(ddict_is_read_only(reader) && is_at_step(reader, 2));
            EXPECT_CODE(DDICT_FROZEN,
                        ddict_put(reader, ddict_text_key("k"), ddict_text("v"), DDICT_TEXT, &error));
            EXPECT_CODE(DDICT_NOT_FOUND, ddict_advance(reader, NULL, &error));
            EXPECT(error_says("no checkpoint after 5"));
            ddict_set_checkpoint_id(steps, 8, &error);
            EXPECT_OK(ddict_persist(steps, NULL, &error));
            EXPECT_OK(ddict_advance(reader, &info, &error));
            EXPECT(info.checkpoint == 8 && ddict_checkpoint_id(reader) == 8);
            EXPECT_OK(ddict_destroy(reader, &error));
            ddict_detach(reader);
        }
        EXPECT(!ddict_is_read_only(NULL));
        EXPECT_OK(ddict_destroy(steps, &error));
        ddict_detach(steps);
    }
    EXPECT_CODE(DDICT_INVALID_ARGUMENT, ddict_persist(dict, &info, &error));
    EXPECT(error_says("no persist path"));
    EXPECT_OK(ddict_persist_path(dict, &path, &error));
    EXPECT(*path == '\0');
    ddict_free(path);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    EXPECT(system(command) == 0);
}
