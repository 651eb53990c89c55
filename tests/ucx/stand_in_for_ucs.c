/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A library with the name of one of UCX's, linked as distributions do that have the words of the
 * dynamic linker made read-only when they have been filled.
 */
#include <sys/ipc.h>
#include <sys/shm.h>

int stand_in_makes_segment(void) {
    return shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);
}
