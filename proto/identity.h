/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - the number a process is known by everywhere: 63 bits hashed (XXH3) from the
 * boot id, the pid and the start time in clock ticks. No round trip, no sequence, the same from any
 * collector; a reused pid has another start time, so it is another process.
 */
#ifndef MEMHERD_PROTO_IDENTITY_H
#define MEMHERD_PROTO_IDENTITY_H

#include <stdint.h>

/* Always positive. */
int64_t identity_process(const uint8_t boot_id[16], uint32_t pid, uint64_t start_ticks);
/* Always positive: of a service's name on a host. */
int64_t identity_service(const char *name);
/* Always positive: of a cgroup's path on a host. A unit that starts again is the same one. */
int64_t identity_cgroup(const char *path);
/* Of an interpreter by its process and Python's own number for it: their xor, which SQL can reckon,
 * too. The main one, number 0, has its process's. */
int64_t identity_interpreter(int64_t proc_id, uint64_t number);
/* Always positive: of a census or snapshot by its process and when the host's clock says that it
 * was made. */
int64_t identity_census(int64_t proc_id, int64_t t_wall_us);
/* Always positive: of a kill by its place in the kernel's log of that boot. */
int64_t identity_kill(const uint8_t boot_id[16], uint64_t seq);

#endif
