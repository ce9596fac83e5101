/*
 * shared_table - the memory of the generation table, which outlives every service.
 *
 * holdfastd makes it and gives it a random key; what the words mean is the store's business, and
 * holdfastd never maps it: it stays out of the services' state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/shared_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libbase/bytes.h"
#include "schema/table.h"
#include "supervisord/spawn.h"

/* Fixed in size for ever, so that nobody can make another's mapping fault. */
static int
memory_seal(int fd, off_t bytes)
{
	if (ftruncate(fd, bytes) < 0)
		return (-1);
	return (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
}

static int
table_fill(int fd)
{
	uint8_t key[GENTABLE_KEY_BYTES];

	if (memory_seal(fd, GENTABLE_BYTES) < 0)
		return (-1);
	random_bytes(key, sizeof(key));
	return (pwrite(fd, key, sizeof(key), GENTABLE_KEY_OFFSET) == (ssize_t)sizeof(key) ? 0 : -1);
}

int
shared_table_open(struct shared_table *t, struct err *e)
{
	char path[64];

	t->read_fd = t->readers_fd = -1;
	t->write_fd = spawn_raise_fd(memfd_create("holdfast-table",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (t->write_fd < 0)
		return (err_errno(e, errno, "cannot make the generation table"));
	if (table_fill(t->write_fd) == 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", t->write_fd);
		t->read_fd = spawn_raise_fd(open(path, O_RDONLY | O_CLOEXEC));
	}
	t->readers_fd = spawn_raise_fd(memfd_create("holdfast-readers",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (t->read_fd >= 0 && t->readers_fd >= 0 && memory_seal(t->readers_fd, READERS_BYTES) == 0)
		return (0);
	err_errno(e, errno, "cannot make the generation table");
	shared_table_close(t);
	return (ERR_IO);
}

void
shared_table_close(struct shared_table *t)
{
	if (t->write_fd >= 0)
		close(t->write_fd);
	if (t->read_fd >= 0)
		close(t->read_fd);
	if (t->readers_fd >= 0)
		close(t->readers_fd);
	t->write_fd = t->read_fd = t->readers_fd = -1;
}
