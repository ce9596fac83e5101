/*
 * fuzz_config - any bytes as holdfast.conf: accepted whole or refused with a sentence, and what was
 * accepted prints and parses again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libbase/bytes.h"
#include "libbase/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
check_accepted(struct config *c)
{
	struct buf text = BUF_INIT;
	int i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		const struct config_row *row = config_row((enum config_key)i);
		int rc;

		buf_reset(&text);
		config_format(c, (enum config_key)i, &text);
		rc = config_set(c, row->section, row->name, buf_string(&text), CONFIG_ENV, NULL);
		assert(rc == 0);
	}
	buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct err e = ERR_INIT;
	struct config c;
	char path[64];
	int fd, rc;

	clearenv();
	fd = memfd_create("fuzz_config", MFD_CLOEXEC);
	assert(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = config_load(&c, path, &e);
	if (rc == 0) {
		check_accepted(&c);
		config_release(&c);
	} else {
		assert(e.code == rc && e.text[0] != '\0');
	}
	close(fd);
	return (0);
}
